"""What gates promise and keep, and what they warn of on shifted images, as tables."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from steepslope.deploy.kept import ALL, BATCH, PREDICTED, Judged, caught, halves, kept, shifted_row
from steepslope.deploy.verdict import WARNINGS
from steepslope.evaluation.score import Resources, fit_set_of
from steepslope.experiments.methods import Wanted
from steepslope.experiments.score import confidences, row_of
from steepslope.gate.decisions import class_names
from steepslope.gate.judge import Judge
from steepslope.oracle import Oracle
from steepslope.report.columns import grouped, mean_cell
from steepslope.report.grid import UNDEFINED, Cell, Grid
from steepslope.scores import SCORES
from steepslope.workflow.lab import HOLDOUT, TEST, TRAIN, Lab
from steepslope.workflow.oracle_steps import fused_step

Row = Mapping[str, Any]
Scores = Sequence[tuple[Wanted, Path]]
MAX_RISK = 0.02
RISKS = (0.01, 0.02, 0.05)
COLUMNS = ["certified", "coverage", "risk", "above", "promised", "worst_class"]
HEADINGS = ["promised, line", "certified coverage", "coverage", "risk", "splits above", "groups promised",
            "risk of the worst class"]  # fmt: skip
KEPT = """Promised at delta 5 %, in percent: coverage of the rows that a gate was calibrated on, coverage and risk of \
the others, and in how many of 20 random halves the risk is above what was promised; means over seeds. A promise is of \
the risk in the long run: on other rows, a risk just within it is above it now and then."""
WARNED = """Gates for 2 % are calibrated on half of the clean images and judge shifted ones of the other half. Broken \
is a promise where the lower 95 % bound of the risk of what is accepted is above 2 %, kept where the risk itself is \
not. Of how many a warning is given, without labels."""


def judge_of(lab: Lab, wanted: Wanted, score: str) -> Judge:
    """Return a line's judge: a fused oracle, or a score, whose thresholds come from held-out rows."""
    case = wanted.case
    held_out, train = (lab.own_outputs(case.classifier, case.seed, name) for name in (HOLDOUT, TRAIN))
    if wanted.method["kind"] == "fused":
        folder = fused_step(lab, case.classifier, wanted.method["budget"], case.seed).folder
        return Judge.of(Oracle.load(folder), held_out.num_classes)
    test = lab.own_outputs(case.classifier, case.seed, TEST)
    model = SCORES[score]().fit(fit_set_of(score, test, Resources(held_out, train)))
    return Judge.of(model, held_out.num_classes, held_out)


def judged(lab: Lab, wanted: Wanted, folder: Path) -> Judged:
    """Return what a line's judge thinks of a set of images."""
    case, judge = wanted.case, judge_of(lab, wanted, row_of(folder)["is"])
    outputs = lab.outputs(case.classifier, case.seed, lab.place(case), wanted.method.get("budget", ""))
    handed_over = None if judge.oracle is None else judge.oracle.handed_over(outputs)
    scored, is_correct = confidences(folder)
    return Judged(judge, scored.confidence, is_correct, class_names(outputs.predictions, outputs.classes), handed_over)


def gates(lab: Lab, scores: Scores, title: str) -> Iterator[tuple[str, Grid]]:
    """Show what gates keep on halves of the test images, then what they warn of on all other sets of images."""
    rows: list[Row] = []
    shifted: list[Row] = []
    for (name, pair, seed), some in _by_line(scores).items():
        found = {wanted.case.where: judged(lab, wanted, folder) for wanted, folder in some}
        promises = [(risk, ALL) for risk in RISKS] + [(MAX_RISK, PREDICTED), (MAX_RISK, BATCH)]
        about = {"line": name, "pair": pair, "seed": seed}
        rows += [{**about, **kept(found[TEST], risk, by)} for risk, by in promises]
        known, _ = next(halves(len(found[TEST])))
        gate = found[TEST].subset(known).gate(MAX_RISK)
        new = np.flatnonzero(~np.isin(lab.drawn(len(found[TEST]), lab.preset.rows), known))
        batches = {where: one.subset(new) for where, one in found.items() if where != TEST}
        shifted += [{**about, "where": where, **shifted_row(one, gate, MAX_RISK)} for where, one in batches.items()]
    yield "", kept_grid(rows, title)
    if shifted:
        yield "-warnings", warned_grid(shifted)


def _by_line(scores: Scores) -> dict[tuple[str, str, int], list[tuple[Wanted, Path]]]:
    found: dict[tuple[str, str, int], list[tuple[Wanted, Path]]] = {}
    for wanted, folder in scores:
        found.setdefault((wanted.name, wanted.pair.classifier, wanted.case.seed), []).append((wanted, folder))
    return found


def kept_grid(rows: Sequence[Row], title: str) -> Grid:
    """Return coverage and risk of each line, for all rows, each predicted class, and one batch."""
    words = {ALL: "one threshold", PREDICTED: "a threshold for each predicted class", BATCH: "one batch"}
    lines = []
    for (by, risk), some in grouped(rows, "by", "max_risk").items():
        lines.append([Cell(f"**{100 * risk:g} %, {words[by]}**"), *[Cell("")] * len(COLUMNS)])
        for name, own in grouped(some, "line").items():
            lines.append([Cell(name), *(_number([row.get(column) for row in own], column) for column in COLUMNS)])
    return Grid(title, HEADINGS, lines, KEPT)


def _number(values: Sequence[float | None], column: str) -> Cell:
    if all(value is None for value in values):
        return UNDEFINED
    scale = 1 if column in ("above", "promised") else 100
    return mean_cell(values, scale, digits=2 if column in ("risk", "worst_class") else 1)


def warned_grid(rows: Sequence[Row]) -> Grid:
    """Return of how many broken and kept promises a warning is given."""
    lines = []
    for name, own in grouped(rows, "line").items():
        parts = {"broken": [row for row in own if row["is_broken"]], "kept": [row for row in own if row["is_kept"]]}
        for what, some in parts.items():
            counts = (caught(some, warning) for warning in (*WARNINGS, None))
            lines.append([Cell(f"{name}, {what}"), *(Cell(f"{given} of {of}") for given, of in counts)])
    return Grid("Warnings on shifted images", ["", *WARNINGS, "any warning"], lines, WARNED)
