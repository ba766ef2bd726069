"""One sort of the predictions by confidence; every metric and curve is read off its counts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.errors import SteepslopeError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """How many correct and wrong predictions lie at each distinct confidence, most confident first.

    ``threshold``, ``correct`` and ``wrong`` are float64 (g,). Counts may be zero, as they are in resamples.
    """

    threshold: Floats
    correct: Floats
    wrong: Floats

    @cached_property
    def correct_above(self) -> Floats:
        """Correct predictions at or above each threshold, (g,)."""
        return np.cumsum(self.correct)

    @cached_property
    def wrong_above(self) -> Floats:
        """Wrong predictions at or above each threshold, (g,)."""
        return np.cumsum(self.wrong)

    @cached_property
    def accepted(self) -> Floats:
        """All predictions at or above each threshold, (g,)."""
        return self.correct_above + self.wrong_above

    @property
    def n_correct(self) -> float:
        """The number of correct predictions."""
        return float(self.correct_above[-1])

    @property
    def n_wrong(self) -> float:
        """The number of wrong predictions."""
        return float(self.wrong_above[-1])

    @property
    def n(self) -> float:
        """The number of predictions."""
        return self.n_correct + self.n_wrong

    def above(self, threshold: float) -> tuple[float, float]:
        """Return how many correct and wrong predictions have a confidence > ``threshold``."""
        groups = int(np.searchsorted(-self.threshold, -threshold, side="left"))
        return (
            (float(self.correct_above[groups - 1]), float(self.wrong_above[groups - 1]))
            if groups
            else (0.0, 0.0)
        )


@dataclass(frozen=True, eq=False)
class RankedRows:
    """The sort itself: for each row, its place in the concatenated counts (wrong, then correct)."""

    threshold: Floats
    place: NDArray[np.intp]

    def ranking(self, rows: NDArray[np.intp] | None = None) -> Ranking:
        """Count all rows, or the given rows (drawn with replacement, say)."""
        place = self.place if rows is None else self.place[rows]
        groups = len(self.threshold)
        counts = np.bincount(place, minlength=2 * groups).astype(np.float64)
        return Ranking(self.threshold, counts[groups:], counts[:groups])


def rank_rows(confidence: ArrayLike, is_correct: ArrayLike) -> RankedRows:
    """Sort once.

    Raises
    ------
    SteepslopeError
        If the lengths differ, there are no rows, a confidence is NaN or ``is_correct`` is not boolean (0 and
        1 are accepted).
    """
    confidence, is_correct = checked(confidence, is_correct)
    distinct, group = np.unique(-confidence, return_inverse=True)
    return RankedRows(-distinct, group + len(distinct) * is_correct)


def checked(confidence: ArrayLike, is_correct: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """Return both as float64 (n,) and bool (n,), or raise as :func:`rank_rows` does."""
    values, correct = np.asarray(confidence), np.asarray(is_correct)
    if (
        values.ndim != 1
        or values.dtype.kind not in "fiub"
        or values.shape != correct.shape
        or len(values) == 0
    ):
        raise SteepslopeError(
            "confidence and is_correct: expected numbers and booleans of one shape (n,), n >= 1, "
            f"found {values.dtype} {values.shape} and {correct.dtype} {correct.shape}"
        )
    if correct.dtype.kind not in "biu" or (
        correct.dtype.kind != "b" and np.any((correct != 0) & (correct != 1))
    ):
        raise SteepslopeError(
            f"is_correct: expected booleans, found {correct.dtype}: {correct[:3].tolist()}…"
        )
    values = values.astype(np.float64)
    if np.isnan(values).any():
        raise SteepslopeError(
            f"confidence: expected numbers, found NaN in row {int(np.isnan(values).argmax())}"
        )
    return values, correct.astype(np.bool_)


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Selective risk against coverage, both in (0, 1], at each distinct threshold, most confident first."""

    coverage: Floats
    risk: Floats
    threshold: Floats


def risk_coverage_curve(confidence: ArrayLike, is_correct: ArrayLike) -> RiskCoverage:
    """Return the share of errors among the predictions with a confidence ≥ each distinct threshold.

    >>> curve = risk_coverage_curve([0.9, 0.8, 0.8, 0.1], [True, True, False, False])
    >>> curve.coverage, curve.risk.round(3)
    (array([0.25, 0.75, 1.  ]), array([0.   , 0.333, 0.5  ]))
    """
    ranking = rank_rows(confidence, is_correct).ranking()
    return RiskCoverage(
        ranking.accepted / ranking.n, ranking.wrong_above / ranking.accepted, ranking.threshold
    )
