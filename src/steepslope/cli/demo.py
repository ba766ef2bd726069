"""`steepslope demo`."""

from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import numpy as np

from steepslope.files.progress import console

MADE_BY_DEMO = {"command": "demo"}
CALIBRATION_ROWS = 600  # of the test digits; the others are decided on
SHOWN = 10
CAUTION = (
    f"the gate was calibrated on {CALIBRATION_ROWS} of these digits: its promise is about others, and its P(correct) "
    "looks better here than it is"
)
MAX_RISK = 0.02


def demo(out: str = "runs/demo", seed: int = 0, replace: bool = False) -> None:
    """Show all steps on scikit-learn's digits: classifier, outputs, five oracles, report, a gate and ten decisions.

    A small classifier is trained on 500 digits. Each oracle learns from the classifier's errors on 500 others which of
    its predictions on 797 test digits to trust. The paper's oracles see the features alone, the fused one all evidence.
    Then a gate is calibrated for the fused oracle on 600 of the test digits, and decides on the other 197.

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

    with REPORT.making(out, MADE_BY_DEMO, replace):  # an earlier demo's is made again
        _run(Path(out), seed)


def _run(folder: Path, seed: int) -> None:
    from steepslope.cli.evaluate import images_by_id, publish
    from steepslope.cli.fit import show_fused
    from steepslope.losses import PAPER_LOSSES
    from steepslope.metrics import Groups
    from steepslope.nets.classifiers.training import recipe_for_net, train_classifier
    from steepslope.nets.data.specs import parse_data
    from steepslope.nets.extraction.extraction import extract_to_folder
    from steepslope.oracle import Oracle
    from steepslope.outputs.table import read_table
    from steepslope.report.confidences import Resources
    from steepslope.report.evaluation import evaluate_predictions
    from steepslope.report.sources import report_sources
    from steepslope.report.web.shell import library

    library()  # is ready when the page is
    work = folder / f"seed{seed}"
    recipe = recipe_for_net("digits-net", seed=seed)
    classifier, _ = train_classifier("digits-net", "digits", work / "classifier", recipe)
    outputs = extract_to_folder(classifier, parse_data("digits"), work / "outputs", notice=console().print)
    held_out, test = (outputs[work / "outputs" / name] for name in ("holdout", "test"))
    oracles = [work / "oracles" / name for name in PAPER_LOSSES]
    for path in oracles:
        Oracle(loss=PAPER_LOSSES[path.name], hidden=64, seed=seed).fit(held_out).save(path)
    fused = Oracle.fused(seed=seed).fit(held_out, outputs[work / "outputs" / "train"])
    fused.save(work / "oracles" / "fused")
    console().print("fused:")
    show_fused(fused.fitted_, of_images=True)
    names = [str(path) for path in [*oracles, work / "oracles" / "fused"]]
    ids = read_table(work / "outputs" / "test").ids_of
    title, groups = "Which digits to trust", Groups(test.require_labels(), test.classes, "label")
    gate, others = _calibrated(fused, test, work, seed)
    resources = Resources(gates={str(work / "gate"): gate})
    evaluation = evaluate_predictions(test, names, resources, groups=groups, seed=seed, title=title, ids=ids)
    evaluation = changed(evaluation, cautions=[CAUTION])
    train = work / "outputs" / "train"
    sources = report_sources(
        images_by_id, test, work / "outputs" / "test", ids, reference=outputs[train], reference_path=train
    )
    publish(evaluation, folder, MADE_BY_DEMO, sources)
    _decide(gate, others, work)


def _calibrated(oracle: Any, test: Any, work: Path, seed: int) -> tuple[Any, Any]:
    """Calibrate a gate on some of the test digits; return it and the others."""
    from steepslope.gate import Gate, Origin

    order = np.random.default_rng(seed).permutation(len(test))
    counted, others = test.subset(order[:CALIBRATION_ROWS]), test.subset(order[CALIBRATION_ROWS:])
    gate = Gate.of(oracle, counted, MAX_RISK, origin=Origin.from_folder(work / "outputs" / "test"), seed=seed)
    gate.save(work / "gate")
    return gate, others


def _decide(gate: Any, others: Any, work: Path) -> None:
    """Show ten decisions, from most to least trusted."""
    from steepslope.report.grid import Cell, Grid
    from steepslope.report.screen import screen_of, show_grid, show_lines

    found = gate.decide(others)
    places = np.argsort(-found.trust_logit)[np.linspace(0, len(found) - 1, SHOWN).round().astype(np.int64)]
    names = found.names(found.labels)
    lines = []
    for row in places:
        right = "right" if others.is_correct[row] else "wrong"
        numbers = f"{100 * found.p_correct[row]:.1f} %", f"{found.trust_logit[row]:+.1f}"
        words = (others.require("ids")[row], names[row], *numbers, found.decision[row], right)
        lines.append([Cell(str(word)) for word in words])
    screen = screen_of()
    show_lines(["", "A gate:", *gate.sentences().splitlines(), "", f"Ten of {len(found)} other digits:"], screen)
    titles = "image", "label", "P(correct)", "trust logit", "decision", "truth"
    show_grid(Grid("", titles, lines), titles, screen)
    screen.print(f"gate: {work / 'gate'} (steepslope predict --gate {work / 'gate'} --data digits:test --out FILE)",
                 soft_wrap=True)  # fmt: skip
