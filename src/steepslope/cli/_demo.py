"""`steepslope demo`."""

from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import numpy as np

from steepslope.files import say

_MADE_BY_DEMO = {"command": "demo"}
CALIBRATION_ROWS = 600  # of the test digits; the others are decided on
SHOWN = 10
_CAUTION = (
    f"the gate was calibrated on {CALIBRATION_ROWS} of these digits: its promise is about other digits, and its "
    "P(correct) looks better here than it is"
)
_MAX_RISK = 0.02


def demo(out: str = "runs/demo", seed: int = 0, replace: bool = False) -> None:
    """Show all steps on scikit-learn's digits: classifier, outputs, five oracles, report, a gate and ten decisions.

    A small classifier is trained on 500 digits. Each oracle learns from the classifier's errors on 500 other digits
    which predictions for 797 test digits to trust. The paper's oracles see only the features, the fused oracle all
    evidence. A gate for the fused oracle is calibrated on 600 of the test digits, and decides on the other 197.

    Parameters
    ----------
    out
        Folder for the results, the classifier, its outputs and the oracles.
    seed
        Seed of the classifier, the oracles and the resamples.
    replace
        Replace a report that the folder holds already, even if it is not from an earlier demo.
    """
    from steepslope.report import REPORT

    with REPORT.making(out, _MADE_BY_DEMO, replace):  # an earlier demo's is made again
        _run_demo(Path(out), seed)


def _run_demo(folder: Path, seed: int) -> None:
    from steepslope.cli._evaluate import images_to_evaluate, publish_evaluation
    from steepslope.cli._fit import show_fused_fit
    from steepslope.losses import PAPER_LOSSES
    from steepslope.metrics import Groups
    from steepslope.nets.classifiers import ClassifierTraining, train_classifier
    from steepslope.nets.data import parse_data
    from steepslope.nets.extraction import extract_to_folder
    from steepslope.oracle import Oracle
    from steepslope.outputs import read_table
    from steepslope.report import Resources, evaluate_predictions
    from steepslope.report.web import report_sources

    work = folder / f"seed{seed}"
    recipe = ClassifierTraining(seed=seed)
    classifier, _ = train_classifier("digits-net", "digits", work / "classifier", recipe)
    outputs = extract_to_folder(classifier, parse_data("digits"), work / "outputs", notice=say)
    held_out, test = (outputs[work / "outputs" / name] for name in ("holdout", "test"))
    oracles = [work / "oracles" / name for name in PAPER_LOSSES]
    for path in oracles:
        Oracle(loss=PAPER_LOSSES[path.name], hidden=64, seed=seed).fit(held_out).save(path)
    fused = Oracle.fused(seed=seed).fit(held_out, outputs[work / "outputs" / "train"])
    fused.save(work / "oracles" / "fused")
    say("fused:")
    show_fused_fit(fused.fitted_, of_images=True)
    names = [str(path) for path in [*oracles, work / "oracles" / "fused"]]
    ids = read_table(work / "outputs" / "test").ids_of
    title, groups = "Which digits to trust", Groups(test.require_labels(), test.classes, "label")
    gate, others = _calibrated_demo_gate(fused, test, work, seed)
    resources = Resources(gates={str(work / "gate"): gate})
    evaluation = evaluate_predictions(test, names, resources, groups=groups, seed=seed)
    evaluation = changed(evaluation, title=title, ids=ids, cautions=[_CAUTION])
    train = work / "outputs" / "train"
    sources = report_sources(
        images_to_evaluate, test, work / "outputs" / "test", ids, reference=outputs[train], reference_path=train
    )
    publish_evaluation(evaluation, folder, _MADE_BY_DEMO, sources)
    _show_demo_decisions(gate, others, work)


def _calibrated_demo_gate(oracle: Any, test: Any, work: Path, seed: int) -> tuple[Any, Any]:
    """Calibrate a gate on some of the test digits; return the gate and the other digits."""
    from steepslope.gate import Gate, Origin

    order = np.random.default_rng(seed).permutation(len(test))
    counted, others = test.subset(order[:CALIBRATION_ROWS]), test.subset(order[CALIBRATION_ROWS:])
    gate = Gate.of(oracle, counted, _MAX_RISK, origin=Origin.from_folder(work / "outputs" / "test"), seed=seed)
    gate.save(work / "gate")
    return gate, others


def _show_demo_decisions(gate: Any, others: Any, work: Path) -> None:
    """Show ten decisions, from most to least trusted."""
    from steepslope.report import Cell, Grid, grid_for_terminal, show_lines_on_screen

    decisions = gate.decide(others)
    places = np.argsort(-decisions.trust_logit)[np.linspace(0, len(decisions) - 1, SHOWN).round().astype(np.int64)]
    columns = {
        "image": others.require("ids")[places],
        "label": decisions.names(decisions.labels)[places],
        "P(correct)": [f"{100 * p:.1f} %" for p in decisions.p_correct[places]],
        "trust logit": [f"{logit:+.1f}" for logit in decisions.trust_logit[places]],
        "decision": decisions.decision[places],
        "truth": np.where(others.is_correct[places], "right", "wrong"),
    }
    lines = [[Cell(str(word)) for word in words] for words in zip(*columns.values(), strict=True)]
    said = ["", "A gate:", *gate.sentences().splitlines(), "", f"Ten of {len(decisions)} other digits:"]
    show_lines_on_screen(said)
    print(grid_for_terminal(Grid("", [*columns], lines), [*columns]))
    again = f"steepslope predict --gate {work / 'gate'} --data digits:test --out FILE"
    print(f"gate: {work / 'gate'} ({again})")
