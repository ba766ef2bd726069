"""What a gate promises on some rows and keeps on others: counts over many splits, and on images that have shifted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.deploy.prediction_file import Summary
from steepslope.deploy.verdict import WARNINGS
from steepslope.gate import Gate, threshold_sequence
from steepslope.gate.binomial import interval
from steepslope.gate.decisions import class_names
from steepslope.gate.judge import Judge
from steepslope.outputs import ClassifierOutputs

Rows = NDArray[np.int64]
Row = dict[str, Any]
SPLITS = 20
DELTA = 0.05
ALL, PREDICTED, BATCH = "all", "predicted", "batch"  # what has a threshold of its own


@dataclass(frozen=True, eq=False)
class Judged:
    """What a judge thinks of labelled outputs: confidences (n,), which are right (n,), and predicted classes (n,).

    ``handed_over`` (n,) is how far each row was handed over, None where its oracle never does.
    """

    judge: Judge
    confidence: NDArray[np.float64]
    is_correct: NDArray[np.bool_]
    predicted: NDArray[np.str_]
    handed_over: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, judge: Judge, outputs: ClassifierOutputs) -> Judged:
        """Judge all rows of some outputs."""
        weights = None if judge.oracle is None else judge.oracle.handed_over(outputs)
        predicted = class_names(outputs.predictions, outputs.classes)
        return cls(judge, judge.confidence(outputs), outputs.is_correct, predicted, weights)

    def __len__(self) -> int:
        return len(self.confidence)

    def subset(self, rows: Rows) -> Judged:
        """Return some rows, by numbers."""
        weights = None if self.handed_over is None else self.handed_over[rows]
        return Judged(self.judge, self.confidence[rows], self.is_correct[rows], self.predicted[rows], weights)

    def gate(self, max_risk: float, by_class: bool = False) -> Gate:
        """Return the gate that is calibrated on all rows, with thresholds from the judge's fit set."""
        reference, groups = self.judge.reference, self.predicted if by_class else None
        thresholds = None if reference is None else threshold_sequence(reference)
        of_log_odds = self.judge.of_log_odds
        found = Gate.calibrate(
            self.confidence, self.is_correct, max_risk, DELTA, thresholds, groups=groups, of_log_odds=of_log_odds
        )
        return replace(found, judge=self.judge)

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
    return {"certified": gate.coverage, "promised": float(gate.own[0].is_given), **_accepted(new, gate.accepts)}


def _of_classes(known: Judged, new: Judged, max_risk: float) -> Row:
    """Return the same of a gate with a threshold for each predicted class, and the class with most errors."""
    gate = known.gate(max_risk, by_class=True)
    accepted = gate.accepts(new.confidence, new.predicted)
    parts = [accepted & (new.predicted == one.group) for one in gate.own if one.is_given]
    risks = [float((~new.is_correct[part]).mean()) for part in parts if part.any()]
    promised = float(sum(one.is_given for one in gate.own))
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
    oracle = judged.judge.oracle
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
