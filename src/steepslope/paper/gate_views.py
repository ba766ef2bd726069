"""What a gate promises on some rows and keeps on others, and of what it warns on images that have shifted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.gate import Gate, threshold_sequence
from steepslope.gate.certificate import interval
from steepslope.gate.confidence_source import ConfidenceSource
from steepslope.gate.decisions import class_names
from steepslope.oracle import Oracle
from steepslope.paper.methods import Wanted, confidences, row_of
from steepslope.paper.oracle_steps import fused_step
from steepslope.paper.tables import grouped, mean_cell
from steepslope.paper.workspace import HOLDOUT, TEST, TRAIN, Workspace
from steepslope.predict.prediction_file import Summary
from steepslope.predict.sentences import WARNINGS
from steepslope.report.confidences import Resources, fit_set_of
from steepslope.report.grid import UNDEFINED, Cell, Grid
from steepslope.scores import SCORES

Rows = NDArray[np.int64]
Row = dict[str, Any]
SPLITS = 20
DELTA = 0.05
ALL, PREDICTED, BATCH = "all", "predicted", "batch"  # what has a threshold of its own


@dataclass(frozen=True, eq=False)
class Judged:
    """What a source says of labelled outputs: confidences (n,), which are right (n,), and predicted classes (n,).

    ``handed_over`` (n,) is how far each row was handed over, None where its oracle never does.
    """

    source: ConfidenceSource
    confidence: NDArray[np.float64]
    is_correct: NDArray[np.bool_]
    predicted: NDArray[np.str_]
    handed_over: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.confidence)

    def subset(self, rows: Rows) -> Judged:
        """Return some rows, by numbers."""
        weights = None if self.handed_over is None else self.handed_over[rows]
        return Judged(self.source, self.confidence[rows], self.is_correct[rows], self.predicted[rows], weights)

    def gate(self, max_risk: float, by_class: bool = False) -> Gate:
        """Return the gate that is calibrated on all rows, with thresholds from the source's fit set."""
        reference, groups = self.source.reference, self.predicted if by_class else None
        thresholds = None if reference is None else threshold_sequence(reference)
        of_log_odds = self.source.of_log_odds
        found = Gate.calibrate(
            self.confidence, self.is_correct, max_risk, DELTA, thresholds, groups=groups, of_log_odds=of_log_odds
        )
        return replace(found, source=self.source)

    def summary(self, gate: Gate) -> Summary:
        """Return what a run of predictions knows of these rows: nothing of labels."""
        accepted = gate.accepts(self.confidence)
        mean = None if self.handed_over is None else float(self.handed_over.mean())
        return Summary(len(self), int(accepted.sum()), handed_over=mean)


def halves(n: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield the halves of rows 0…n−1 to calibrate on and to judge, for each split."""
    for split in range(SPLITS):
        order = np.random.default_rng(split).permutation(n)
        yield order[: n // 2], order[n // 2 :]


def kept(judged: Judged, max_risk: float, by: str = ALL) -> Row:
    """Return how much is accepted in the mean of all splits, and how often more of it is wrong than was promised."""
    measure = {ALL: _of_all, PREDICTED: _of_classes, BATCH: _of_batch}[by]
    found = [measure(judged.subset(known), judged.subset(new), max_risk) for known, new in halves(len(judged))]
    risks = [one["risk"] for one in found if one["risk"] is not None]
    means = {name: _mean(one[name] for one in found) for name in found[0] if name != "risk"}
    above = sum(risk > max_risk for risk in risks)
    return {"max_risk": max_risk, "by": by, "splits": len(found), **means, "risk": _mean(risks), "above": above}


def _of_all(known: Judged, new: Judged, max_risk: float) -> Row:
    gate = known.gate(max_risk)
    return {"certified": gate.coverage, "promised": float(gate.promises[0].is_given), **_accepted(new, gate.accepts)}


def _of_classes(known: Judged, new: Judged, max_risk: float) -> Row:
    """Return the same of a gate with a threshold for each predicted class, and the class with most errors."""
    gate = known.gate(max_risk, by_class=True)
    accepted = gate.accepts(new.confidence, new.predicted)
    parts = [accepted & (new.predicted == one.group) for one in gate.promises if one.is_given]
    risks = [float((~new.is_correct[part]).mean()) for part in parts if part.any()]
    promised = float(sum(one.is_given for one in gate.promises))
    worst = {"worst_class": max(risks, default=None), "classes_above": float(sum(risk > max_risk for risk in risks))}
    return {"certified": gate.coverage, "promised": promised, **worst, **_accepted(new, lambda _: accepted)}


def _of_batch(known: Judged, new: Judged, max_risk: float) -> Row:
    """Return what is selected of one batch; where nothing is, nothing of it is wrong."""
    gate = known.gate(max_risk)
    found = _accepted(new, lambda confidence: gate.selects(confidence, max_risk))
    return {**found, "risk": found["risk"] or 0.0}


def _accepted(new: Judged, accepts: Callable[[NDArray[np.float64]], NDArray[np.bool_]]) -> Row:
    accepted = accepts(new.confidence)
    risk = float((~new.is_correct[accepted]).mean()) if accepted.any() else None
    return {"coverage": float(accepted.mean()), "risk": risk}


def _mean(values: Iterator[float | None] | Sequence[float | None]) -> float | None:
    """Return the mean of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def shifted_row(judged: Judged, gate: Gate, max_risk: float) -> Row:
    """Return what a gate accepts of shifted images, how much of it is wrong, and which warnings are given.

    The promise is broken where even the lower 95 % bound of the risk lies above it, and kept where the risk itself does
    not.
    """
    summary = judged.summary(gate)
    errors = int((~judged.is_correct[gate.accepts(judged.confidence)]).sum())
    risk = errors / summary.accepted if summary.accepted else 0.0
    low, _ = interval(errors, summary.accepted)
    warned = {name: bool(warning(gate, summary)) for name, warning in WARNINGS.items()}
    oracle = judged.source.oracle
    return {
        "n": len(judged), "accuracy": float(judged.is_correct.mean()), "usual_coverage": gate.coverage,
        "coverage": summary.accepted / len(judged), "accepted": summary.accepted, "errors": errors, "risk": risk,
        "low": low, "is_broken": low > max_risk, "is_kept": risk <= max_risk, "handed_over": summary.handed_over,
        "usual_handover": None if oracle is None else oracle.usual_handover, "warned": warned,
    }  # fmt: skip


def caught(rows: Sequence[Mapping[str, Any]], warning: str | None = None) -> tuple[int, int]:
    """Return of how many of some rows a warning is given, by its name or by any, and how many rows there are."""
    given = [any(row["warned"].values()) if warning is None else row["warned"][warning] for row in rows]
    return sum(given), len(given)


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


def judged(work: Workspace, wanted: Wanted, folder: Path) -> Judged:
    """Return what a line's source says of a set of images."""
    case, source = wanted.case, source_of(work, wanted, row_of(folder)["is"])
    outputs = work.outputs(case.classifier, case.seed, work.place(case), wanted.method.get("budget", ""))
    handed_over = None if source.oracle is None else source.oracle.handed_over(outputs)
    scored, is_correct = confidences(folder)
    return Judged(source, scored.confidence, is_correct, class_names(outputs.predictions, outputs.classes), handed_over)


def gates(work: Workspace, scores: Scores, title: str) -> Iterator[tuple[str, Grid]]:
    """Show what gates keep on halves of the test images, then what they warn of on all other sets of images."""
    rows: list[Row] = []
    shifted: list[Row] = []
    for (name, pair, seed), some in _by_line(scores).items():
        found = {wanted.case.where: judged(work, wanted, folder) for wanted, folder in some}
        promises = [(risk, ALL) for risk in RISKS] + [(MAX_RISK, PREDICTED), (MAX_RISK, BATCH)]
        about = {"line": name, "pair": pair, "seed": seed}
        rows += [{**about, **kept(found[TEST], risk, by)} for risk, by in promises]
        known, _ = next(halves(len(found[TEST])))
        gate = found[TEST].subset(known).gate(MAX_RISK)
        new = np.flatnonzero(~np.isin(work.drawn(len(found[TEST]), work.preset.rows), known))
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
