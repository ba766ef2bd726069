"""`steepslope demo`."""

from functools import partial
from pathlib import Path

from steepslope.utilities.progress import console

MADE_BY_DEMO = {"command": "demo"}


def demo(out: str = "runs/demo", seed: int = 0, replace: bool = False) -> None:
    """Show all steps on scikit-learn's digits: classifier, outputs, the paper's four oracles and the fused one, report.

    A small classifier is trained on 500 digits. Each oracle learns from the classifier's errors on 500 others which of
    its predictions on 797 test digits to trust. The paper's oracles see the features alone, the fused one all evidence.

    Parameters
    ----------
    out
        Folder for the results, the classifier, its outputs and the oracles.
    seed
        Seed of the classifier, the oracles and the resamples.
    replace
        Replace a report that the folder holds already, even if it is not an earlier demo's.
    """
    from steepslope.report.page import REPORT
    from steepslope.utilities.locks import locked

    with locked(out):
        REPORT.is_complete(out, MADE_BY_DEMO, replace)  # an earlier demo's is made anew
        _run(Path(out), seed)


def _run(folder: Path, seed: int) -> None:
    from steepslope.classifiers.training import recipe_for, train_classifier
    from steepslope.commands.fit import show_fused
    from steepslope.commands.results import publish
    from steepslope.data.datasets import parse_dataset
    from steepslope.evaluation.evaluation import evaluate_predictions
    from steepslope.extraction.extraction import extract_to_folder
    from steepslope.losses import PAPER_LOSSES
    from steepslope.metrics import Groups
    from steepslope.oracle import Oracle
    from steepslope.outputs.formats import ids_of

    work = folder / f"seed{seed}"
    recipe = recipe_for("digits-net", seed=seed)
    classifier, _ = train_classifier("digits-net", "digits", work / "classifier", recipe)
    outputs = extract_to_folder(classifier, parse_dataset("digits"), work / "outputs", notice=console().print)
    held_out, test = (outputs[work / "outputs" / name] for name in ("holdout", "test"))
    oracles = [work / "oracles" / name for name in PAPER_LOSSES]
    for path in oracles:
        Oracle(loss=PAPER_LOSSES[path.name], hidden=64, seed=seed).fit(held_out).save(path)
    fused = Oracle.fused(seed=seed).fit(held_out, outputs[work / "outputs" / "train"])
    fused.save(work / "oracles" / "fused")
    console().print("fused:")
    show_fused(fused.fitted_)
    names = [str(path) for path in [*oracles, work / "oracles" / "fused"]]
    ids = partial(ids_of, work / "outputs" / "test")
    title, groups = "Which digits to trust", Groups(test.require_labels(), test.classes)
    publish(evaluate_predictions(test, names, groups=groups, seed=seed, title=title, ids=ids), folder, MADE_BY_DEMO)
