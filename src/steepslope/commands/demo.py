"""`steepslope demo`."""

from __future__ import annotations

from pathlib import Path

from steepslope.commands.evaluate import Options, evaluate_predictions


def demo(out: str = "runs/demo", seed: int = 0) -> None:
    """Show the whole line on scikit-learn's digits: classifier, outputs, the paper's four oracles and ours, report.

    A small classifier is trained on 500 digits; each oracle learns from its errors on 500 others which of its
    predictions on 797 test digits to trust. The paper's see the features alone, the fused one all there is.

    Parameters
    ----------
    out
        Folder for everything that is made.
    seed
        Fixes the classifier, the oracles and the resamples.
    """
    from steepslope.classifiers.training import recipe_for, train_classifier
    from steepslope.data.datasets import parse_dataset
    from steepslope.extraction.extraction import extract_to_folder
    from steepslope.losses import PAPER_LOSSES
    from steepslope.oracle import Oracle

    folder, work = Path(out), Path(out) / f"seed{seed}"
    recipe = recipe_for("digits-net", seed=seed)
    classifier, _ = train_classifier("digits-net", "digits", work / "classifier", recipe)
    outputs = extract_to_folder(classifier, parse_dataset("digits"), work / "outputs")
    held_out, test = (outputs[work / "outputs" / name] for name in ("holdout", "test"))
    oracles = [work / "oracles" / name for name in PAPER_LOSSES]
    for path in oracles:
        Oracle(loss=PAPER_LOSSES[path.name], hidden=64, seed=seed).fit(held_out).save(path)
    Oracle.fused(seed=seed).fit(held_out, outputs[work / "outputs" / "train"]).save(work / "oracles" / "fused")
    names = [str(path) for path in [*oracles, work / "oracles" / "fused"]]
    evaluate_predictions(test, work / "outputs" / "test", names, folder, "Which digits to trust", Options(seed=seed))
