"""What a gate promises on some rows and keeps on others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.gate import Gate, threshold_sequence
from steepslope.gate.confidence_source import ConfidenceSource
from steepslope.gate.decisions import class_names
from steepslope.lab.paper.methods import Wanted, confidences, row_of
from steepslope.lab.paper.oracle_steps import fused_step
from steepslope.lab.paper.tables import grouped, mean_cell
from steepslope.lab.paper.workspace import HOLDOUT, TEST, TRAIN, Workspace
from steepslope.oracle import Oracle
from steepslope.report.confidences import Resources, fit_set_of
from steepslope.report.grid import UNDEFINED, Cell, Grid
from steepslope.scores import SCORES

Rows = NDArray[np.int64]
Row = dict[str, Any]
SPLITS = 20
DELTA = 0.05
ALL, PREDICTED, BATCH = "all", "predicted", "batch"  # what has a threshold of its own


@dataclass(frozen=True, eq=False)
class Labelled:
    """What a source says of labelled outputs: confidences (n,), which are right (n,), and predicted classes (n,)."""

    source: ConfidenceSource
    confidence: NDArray[np.float64]
    is_correct: NDArray[np.bool_]
    predicted: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.confidence)

    def subset(self, rows: Rows) -> Labelled:
        """Return some rows, by numbers."""
        return Labelled(self.source, self.confidence[rows], self.is_correct[rows], self.predicted[rows])

    def gate(self, max_risk: float, by_class: bool = False) -> Gate:
        """Return the gate that is calibrated on all rows, with thresholds from the source's fit set."""
        reference, of_log_odds = self.source.reference, self.source.of_log_odds
        thresholds = None if reference is None else threshold_sequence(reference)
        groups = self.predicted if by_class else None
        data = self.confidence, self.is_correct
        gate = Gate.calibrate(*data, max_risk, DELTA, thresholds, groups=groups, of_log_odds=of_log_odds)
        return replace(gate, source=self.source)

    def risk(self, accepted: NDArray[np.bool_]) -> float | None:
        """Return which fraction of what is accepted, (n,), is wrong; None where nothing is accepted."""
        return float((~self.is_correct[accepted]).mean()) if accepted.any() else None


def halves(n: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield the halves of rows 0…n−1 to calibrate on and to judge, for each split."""
    for split in range(SPLITS):
        order = np.random.default_rng(split).permutation(n)
        yield order[: n // 2], order[n // 2 :]


def promise_row(some: Labelled, max_risk: float, by: str = ALL) -> Row:
    """Return how much is accepted in the mean of all splits, and how often more of it is wrong than was promised."""
    splits = [_of_split(some.subset(known), some.subset(new), max_risk, by) for known, new in halves(len(some))]
    above = sum(one["risk"] is not None and one["risk"] > max_risk for one in splits)
    means = {name: _mean([one[name] for one in splits]) for name in splits[0]}
    return {"max_risk": max_risk, "by": by, **means, "above": above}


def _of_split(known: Labelled, new: Labelled, max_risk: float, by: str) -> Row:
    """Return what a gate of known rows promises, and keeps on new ones.

    With a threshold for each predicted class, that is also the risk of the class with most errors. Of one batch, it is
    what is selected of it; where nothing is, nothing of it is wrong.
    """
    gate = known.gate(max_risk, by_class=by == PREDICTED)
    if by == BATCH:
        accepted = gate.selects(new.confidence, max_risk)
        return {"coverage": float(accepted.mean()), "risk": new.risk(accepted) or 0.0}
    accepted = gate.accepts(new.confidence, new.predicted if by == PREDICTED else None)
    promised = [one.group for one in gate.promises if one.is_given]
    row: Row = {"certified": gate.coverage, "promised": float(len(promised)), "coverage": float(accepted.mean())}
    if by == PREDICTED:
        risks = [new.risk(accepted & (new.predicted == group)) for group in promised]
        row["worst_class"] = max((risk for risk in risks if risk is not None), default=None)
    return {**row, "risk": new.risk(accepted)}


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


Scores = Sequence[tuple[Wanted, Path]]
MAX_RISK = 0.02
RISKS = (0.01, 0.02, 0.05)
COLUMNS = ["certified", "coverage", "risk", "above", "promised", "worst_class"]
HEADINGS = ["promised, line", "certified coverage", "coverage", "risk", "splits above", "groups promised",
            "risk of the worst class"]  # fmt: skip
PROMISES_NOTE = """Promised at delta 5 %, in percent: coverage of the rows that a gate was calibrated on, coverage and \
risk of the others, and in how many of 20 random halves the risk is above what was promised; means over seeds. A \
promise is of the risk in the long run: on other rows, a risk just within it is above it now and then."""


def source_of(work: Workspace, wanted: Wanted, score: str) -> ConfidenceSource:
    """Return a line's source of confidences: a fused oracle, or a score, whose thresholds come from held-out rows."""
    case = wanted.case
    held_out, train = (work.own_outputs(case.classifier, case.seed, name) for name in (HOLDOUT, TRAIN))
    if wanted.method["kind"] == "fused":
        folder = fused_step(work, case.classifier, wanted.method["budget"], case.seed).folder
        return ConfidenceSource.from_model(Oracle.load(folder), held_out.num_classes)
    test = work.own_outputs(case.classifier, case.seed, TEST)
    model = SCORES[score]().fit(fit_set_of(score, test, Resources(held_out, train)))
    return ConfidenceSource.from_model(model, held_out.num_classes, held_out)


def labelled(work: Workspace, wanted: Wanted, folder: Path) -> Labelled:
    """Return what a line's source says of a set of images."""
    case, source = wanted.case, source_of(work, wanted, row_of(folder)["is"])
    outputs = work.outputs(case.classifier, case.seed, work.place(case), wanted.method.get("budget", ""))
    predicted = class_names(outputs.predictions, outputs.classes)
    scored, is_correct = confidences(folder)
    return Labelled(source, scored.confidence, is_correct, predicted)


def gates(work: Workspace, scores: Scores, title: str) -> Iterator[tuple[str, Grid]]:
    """Show what gates keep on halves of the test images."""
    rows: list[Row] = []
    for wanted, folder in scores:
        if wanted.case.where == TEST:
            about, clean = {"line": wanted.name, "seed": wanted.case.seed}, labelled(work, wanted, folder)
            promises = [(risk, ALL) for risk in RISKS] + [(MAX_RISK, PREDICTED), (MAX_RISK, BATCH)]
            rows += [{**about, **promise_row(clean, risk, by)} for risk, by in promises]
    yield "", promises_grid(rows, title)


def promises_grid(rows: Sequence[Row], title: str) -> Grid:
    """Return coverage and risk of each line, for all rows, each predicted class, and one batch."""
    words = {ALL: "one threshold", PREDICTED: "a threshold for each predicted class", BATCH: "one batch"}
    lines = []
    for (by, risk), some in grouped(rows, "by", "max_risk").items():
        lines.append([Cell(f"**{100 * risk:g} %, {words[by]}**"), *[Cell("")] * len(COLUMNS)])
        for name, own in grouped(some, "line").items():
            lines.append([Cell(name), *(_number([row.get(column) for row in own], column) for column in COLUMNS)])
    return Grid(title, HEADINGS, lines, PROMISES_NOTE)


def _number(values: Sequence[float | None], column: str) -> Cell:
    if all(value is None for value in values):
        return UNDEFINED
    scale = 1 if column in ("above", "promised") else 100
    return mean_cell(values, scale, digits=2 if column in ("risk", "worst_class") else 1)
