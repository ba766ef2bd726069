"""One sort of the predictions by confidence, from whose counts come every metric and the risk-coverage curve."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.errors import SteepslopeError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """How many correct and wrong predictions lie at each distinct confidence, most confident first.

    ``distrust`` is the negated confidence, ascending, float64 (g,); ``correct`` and ``wrong`` are counts (g,)
    and may be zero in resamples; ``error_groups`` are the indices (e,) of all groups that can hold an error.
    """

    distrust: Floats
    correct: NDArray[np.intp]
    wrong: NDArray[np.intp]
    error_groups: NDArray[np.intp]

    @property
    def threshold(self) -> Floats:
        """The distinct confidences, descending, (g,)."""
        return -self.distrust

    @cached_property
    def correct_above(self) -> NDArray[np.intp]:
        """Correct predictions at or above each threshold, (g,)."""
        return np.cumsum(self.correct)

    @cached_property
    def accepted(self) -> NDArray[np.intp]:
        """All predictions at or above each threshold, (g,)."""
        return np.cumsum(self.correct + self.wrong)

    @cached_property
    def accepted_or_one(self) -> NDArray[np.intp]:
        """The same, at least 1, to divide by, (g,)."""
        return np.maximum(self.accepted, 1)

    @cached_property
    def risk_above(self) -> Floats:
        """Fraction of errors among the predictions at or above each threshold, (g,); 0 above the first prediction."""
        return (self.accepted - self.correct_above) / self.accepted_or_one

    @cached_property
    def errors(self) -> Errors:
        """The view from the errors: most metrics are sums over them, and they are few."""
        counts = self.correct, self.wrong, self.correct_above, self.accepted
        correct, wrong, *above = (array[self.error_groups].astype(np.float64) for array in counts)
        return Errors(correct, wrong, correct + wrong, *above)

    @cached_property
    def n(self) -> int:
        """The number of predictions."""
        return int(self.accepted[-1])

    @cached_property
    def n_correct(self) -> int:
        """The number of correct predictions."""
        return int(self.correct_above[-1])

    @cached_property
    def n_wrong(self) -> int:
        """The number of wrong predictions."""
        return self.n - self.n_correct

    def above(self, threshold: float) -> tuple[int, int]:
        """Return how many correct and wrong predictions have a confidence > ``threshold``."""
        return self.first(int(np.searchsorted(self.distrust, -threshold, side="left")))

    def first(self, groups: int) -> tuple[int, int]:
        """Return how many correct and wrong predictions lie in the first groups."""
        if groups == 0:
            return 0, 0
        correct = int(self.correct_above[groups - 1])
        return correct, int(self.accepted[groups - 1]) - correct


class Errors(NamedTuple):
    """Counts at the groups that hold errors, float64 (e,): in the group, then at or above its threshold."""

    correct: Floats
    wrong: Floats
    size: Floats
    correct_above: Floats
    accepted: Floats


@dataclass(frozen=True, eq=False)
class RankedRows:
    """The sort itself: for each row, its place in the concatenated counts (wrong, then correct)."""

    distrust: Floats
    place: NDArray[np.intp]
    error_groups: NDArray[np.intp]

    def ranking(self, rows: NDArray[np.intp] | None = None) -> Ranking:
        """Count all rows, or the given rows (drawn with replacement, say)."""
        groups = len(self.distrust)
        counts = np.bincount(self.place if rows is None else self.place[rows], minlength=2 * groups)
        return Ranking(self.distrust, counts[groups:], counts[:groups], self.error_groups)


def rank_rows(confidence: ArrayLike, is_correct: ArrayLike) -> RankedRows:
    """Sort once.

    Raises
    ------
    SteepslopeError
        If the lengths differ, there are no rows, a confidence is NaN or ``is_correct`` is neither boolean nor
        whole numbers 0 and 1.
    """
    confidence, is_correct = checked(confidence, is_correct)
    distrust, group = np.unique(-confidence, return_inverse=True)
    error_groups = np.flatnonzero(np.bincount(group[~is_correct], minlength=len(distrust)))
    group += len(distrust) * is_correct
    return RankedRows(distrust, group, error_groups)


def checked(confidence: ArrayLike, is_correct: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """Return both as float64 (n,) and bool (n,), or raise as :func:`rank_rows` does."""
    values, correct = np.asarray(confidence), np.asarray(is_correct)
    if values.ndim != 1 or values.dtype.kind not in "fiub" or values.shape != correct.shape or len(values) == 0:
        expected = "expected numbers and booleans of one shape (n,), n >= 1"
        found = f"{values.dtype} {values.shape} and {correct.dtype} {correct.shape}"
        raise SteepslopeError(f"confidence and is_correct: {expected}, found {found}")
    if correct.dtype.kind not in "biu" or (correct.dtype.kind != "b" and np.any((correct != 0) & (correct != 1))):
        raise SteepslopeError(f"is_correct: expected booleans, found {correct.dtype}: {correct[:3].tolist()}…")
    values = values.astype(np.float64)
    if np.isnan(values).any():
        raise SteepslopeError(f"confidence: expected numbers, found NaN in row {int(np.isnan(values).argmax())}")
    return values, correct.astype(np.bool_)


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Selective risk against coverage, both in (0, 1], at each distinct threshold, most confident first."""

    coverage: Floats
    risk: Floats
    threshold: Floats

    @classmethod
    def of(cls, ranking: Ranking) -> RiskCoverage:
        """Read the curve off a ranking."""
        return cls(ranking.accepted / ranking.n, ranking.risk_above, ranking.threshold)

    def thinned(self, points: int) -> RiskCoverage:
        """Return about ``points`` evenly spaced points of the curve, the ends included: enough to draw it."""
        kept = np.unique(np.linspace(0, len(self.risk) - 1, points).astype(int))
        return RiskCoverage(self.coverage[kept], self.risk[kept], self.threshold[kept])


def risk_coverage_curve(confidence: ArrayLike, is_correct: ArrayLike) -> RiskCoverage:
    """Return the fraction of errors among the predictions with a confidence ≥ each distinct threshold.

    >>> curve = risk_coverage_curve([0.9, 0.8, 0.8, 0.1], [True, True, False, False])
    >>> curve.coverage, curve.risk.round(3)
    (array([0.25, 0.75, 1.  ]), array([0.   , 0.333, 0.5  ]))
    """
    return RiskCoverage.of(rank_rows(confidence, is_correct).ranking())
