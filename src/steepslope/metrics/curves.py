"""One sort of the predictions by confidence, from whose counts come every metric and the risk-coverage curve."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.errors import SteepslopeError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """How many correct and wrong predictions lie at each distinct confidence, most confident first.

    ``distrust`` is the negated confidence, ascending, float64 (g,); ``correct`` are counts (g,). Errors are few, so
    they are counted at the groups that can hold one alone: ``error_groups`` are their indices (e,), ``wrong_there`` the
    counts (e,), and ``passed`` is how many of these groups lie at or above each threshold, (g,). Counts may be zero in
    resamples; they are whole numbers in float64, since they are added, multiplied and divided, but never converted.
    """

    distrust: Floats
    correct: Floats
    wrong_there: Floats
    error_groups: NDArray[np.intp]
    passed: NDArray[np.intp]

    @property
    def threshold(self) -> Floats:
        """The distinct confidences, descending, (g,)."""
        return -self.distrust

    @cached_property
    def wrong(self) -> Floats:
        """Wrong predictions at each threshold, (g,)."""
        return np.diff(self.wrong_above, prepend=0)

    @cached_property
    def wrong_above(self) -> Floats:
        """Wrong predictions at or above each threshold, (g,)."""
        return np.concatenate([[0], np.cumsum(self.wrong_there)])[self.passed]

    @cached_property
    def correct_above(self) -> Floats:
        """Correct predictions at or above each threshold, (g,)."""
        return np.cumsum(self.correct)

    @cached_property
    def accepted(self) -> Floats:
        """All predictions at or above each threshold, (g,)."""
        return self.correct_above + self.wrong_above

    @cached_property
    def accepted_or_one(self) -> Floats:
        """The same, at least 1, to divide by, (g,)."""
        return np.maximum(self.accepted, 1)

    @cached_property
    def risk_above(self) -> Floats:
        """Fraction of errors among the predictions at or above each threshold, (g,); 0 above the first prediction."""
        return self.wrong_above / self.accepted_or_one

    @cached_property
    def errors(self) -> Errors:
        """The view from the errors: most metrics are sums over them, and they are few."""
        correct, correct_above = self.correct[self.error_groups], self.correct_above[self.error_groups]
        accepted = correct_above + np.cumsum(self.wrong_there)
        return Errors(correct, self.wrong_there, correct + self.wrong_there, correct_above, accepted)

    @cached_property
    def aurc(self) -> float:
        """The AURC, (1/n) Σ_k e_k / k, where e_k is the expected number of errors among the k most confident.

        An error in place k adds H_n − H_(k−1), with harmonic numbers H. In a tie of m rows after a rows, the mean
        of H_(k−1) over its places is H_(a+m) − 1 + (a/m) (H_(a+m) − H_a).
        """
        at = self.errors
        before = at.accepted - at.size
        harmonic = harmonic_numbers(self.n)
        last, first = harmonic[at.accepted.astype(np.intp)], harmonic[before.astype(np.intp)]
        mean = last - 1 + before / np.maximum(at.size, 1) * (last - first)
        return float(np.sum(at.wrong * (harmonic[-1] - mean))) / self.n

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
    """The sort itself: for each row, its place in the concatenated counts.

    These are of the errors at the e groups that hold one, then of the correct predictions at all g groups.
    """

    distrust: Floats
    place: NDArray[np.intp]
    error_groups: NDArray[np.intp]
    passed: NDArray[np.intp]

    @property
    def is_correct(self) -> NDArray[np.bool_]:
        """Whether each row is correct, (n,)."""
        return self.place >= len(self.error_groups)

    def ranking(self, rows: NDArray[np.intp] | None = None) -> Ranking:
        """Count all rows, or the given rows (drawn with replacement, say)."""
        errors = len(self.error_groups)
        place = self.place if rows is None else self.place[rows]
        counts = np.bincount(place, minlength=errors + len(self.distrust)).astype(np.float64)
        return Ranking(self.distrust, counts[errors:], counts[:errors], self.error_groups, self.passed)


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
    error_groups, rank_among_these = np.unique(group[~is_correct], return_inverse=True)
    place = group + len(error_groups)
    place[~is_correct] = rank_among_these
    passed = np.searchsorted(error_groups, np.arange(len(distrust)), side="right")
    return RankedRows(distrust, place, error_groups, passed)


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


def harmonic_numbers(n: int) -> Floats:
    """Return H_0…H_n."""
    return _harmonic_table(n.bit_length())[: n + 1]


@lru_cache(maxsize=4)
def _harmonic_table(bits: int) -> Floats:
    """Return H_k for all k of so many bits; one table serves all resamples, also of clusters, whose n differ."""
    return np.concatenate([[0.0], np.cumsum(1 / np.arange(1, 2**bits))])
