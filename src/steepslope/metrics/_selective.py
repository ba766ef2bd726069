"""Selective risk: risk and coverage at an operating point, the confusion, and the risk-coverage curve.

For groups: whether the risk of a group is higher than that of all others, by Fisher's exact test. ``SCALES`` has the
scales of confidences.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from scipy.stats import hypergeom, rankdata

from steepslope.errors import SteepslopeError, number, require
from steepslope.metrics._measures import FRACTION
from steepslope.metrics._ranking import Floats, Ranking, checked_confidences, ranks_two_arrays
from steepslope.numerics import Brief, Values


class _Scale(NamedTuple):
    """A scale of confidences.

    ``cut`` maps a probability to a confidence, NaN if there is none; ``unit`` maps confidences (n,) to [0, 1].
    """

    cut: Callable[[float], float]
    unit: Callable[[Floats], Floats]


SCALES: dict[str, _Scale] = {
    "logit": _Scale(cut=lambda p: float(logit(p)), unit=expit),
    "probability": _Scale(cut=lambda p: p, unit=lambda confidence: confidence),
    "rank": _Scale(cut=lambda _: math.nan, unit=lambda confidence: np.asarray(rankdata(confidence) / len(confidence))),
}


@dataclass(frozen=True)
class OperatingPoint:
    """A coverage in percent, whose risk is measured, or a risk in percent, whose coverage is.

    >>> from steepslope.metrics._ranking import rank_rows
    >>> ranking = rank_rows([0.9, 0.8, 0.8, 0.1], [True, True, False, False]).ranking()
    >>> OperatingPoint("coverage", 50).measure(ranking), OperatingPoint("risk", 40).measure(ranking)
    (0.25, 0.75)
    """

    given: Literal["coverage", "risk"]
    percent: int

    def measure(self, ranking: Ranking) -> float:
        """Return the risk at the coverage, or the coverage at the risk, in [0, 1]."""
        function = risk_at_coverage if self.given == "coverage" else coverage_at_risk
        return function.of(ranking, self.percent / 100)


class Confusion(TypedDict):
    """Numbers of predictions by whether they are trusted (confidence > threshold) and correct."""

    trusted_correct: int
    trusted_wrong: int
    distrusted_correct: int
    distrusted_wrong: int


@ranks_two_arrays
def risk_at_coverage(ranking: Ranking, coverage: float) -> float:
    """Return the fraction of errors among the ⌈coverage · n⌉ most confident predictions, in [0, 1].

    ``coverage`` is in (0, 1]. Inside a tie it is the expectation over its random order.

    >>> risk_at_coverage([0.9, 0.8, 0.8, 0.1], [True, True, False, False], 0.5)  # the second or the third
    0.25
    """
    require("coverage", coverage, FRACTION)
    k = max(1, math.ceil(coverage * ranking.n - 1e-9))
    before, accepted, *_ = ranking.reach
    group = int(np.searchsorted(accepted, k, side="left"))  # the first listed one that does not end before k
    wrong = float(ranking.wrong_so_far[group])
    if group < len(before) and before[group] < k:
        size = accepted[group] - before[group]
        wrong += float(ranking.wrong_there[group] * (k - before[group]) / size)
    return wrong / k


@ranks_two_arrays
def coverage_at_risk(ranking: Ranking, risk: float) -> float:
    """Return the largest coverage, in [0, 1], at which at most ``risk`` in [0, 1] of the accepted are wrong.

    A threshold accepts a tie as a whole or not at all. The coverage is 0 if no threshold is good enough. This is the
    empirical risk on these rows, not a guarantee for others.

    >>> coverage_at_risk([0.9, 0.8, 0.8, 0.1], [True, True, False, False], 0.4)
    0.75
    """
    require("risk", risk, number(0, 1))
    if ranking.n_wrong / ranking.n <= risk:
        return 1.0
    good = ranking.reach.risk_before <= risk  # between errors it falls, so it is best right above one
    last = good.tobytes().rfind(True)  # the last True, without the places of all others
    if last < 0:
        return 0.0
    return float(ranking.reach.before[last]) / ranking.n


def threshold_at_risk_of(ranking: Ranking, risk: float) -> float:
    """Return the least confidence accepted at :func:`coverage_at_risk`; NaN if none is accepted.

    >>> from steepslope.metrics._ranking import rank_rows
    >>> ranking = rank_rows([0.9, 0.8, 0.8, 0.1], [True, True, False, False]).ranking()
    >>> threshold_at_risk_of(ranking, 0.4), coverage_at_risk.of(ranking, 0.4)
    (0.8, 0.75)
    """
    good = np.flatnonzero(ranking.risk_above <= risk)
    if len(good):
        return float(ranking.threshold[good[-1]])
    return math.nan


@ranks_two_arrays
def confusion(ranking: Ranking, threshold: float = 0.5) -> Confusion:
    """Count the predictions by whether they are trusted (confidence > ``threshold``) and correct."""
    correct, wrong = ranking.above(threshold)
    return Confusion(
        trusted_correct=correct,
        trusted_wrong=wrong,
        distrusted_correct=ranking.n_correct - correct,
        distrusted_wrong=ranking.n_wrong - wrong,
    )


class Groups(NamedTuple):
    """The group of each prediction, (n,), as strings or integers; with ``names``, the integers index them.

    ``by`` says what the groups are: the name of a column, or label or predicted, whose groups are classes.
    """

    codes: Values
    names: Sequence[str] | None = None
    by: str = "group"


@dataclass(frozen=True)
class GroupRisk:
    """One group of n predictions at a threshold.

    ``coverage`` is the fraction that is trusted, ``risk`` the fraction of errors among these, NaN if none is trusted.
    ``p`` is that of Fisher's one-sided test against a risk no higher than in all other groups together, after Holm's
    correction for the number of groups; ``worse`` means p < 0.05.
    """

    group: str
    n: int
    accuracy: float
    coverage: float
    risk: float
    p: float
    worse: bool


def group_risks(
    confidence: ArrayLike,
    is_correct: ArrayLike,
    groups: ArrayLike,
    threshold: float = 0.5,
    *,
    names: Sequence[str] | None = None,
) -> list[GroupRisk]:
    """Return a :class:`GroupRisk` for each group that occurs, in the order of the groups.

    ``groups`` (n,) are strings or integers; with ``names``, integers that index them.
    """
    values, correct = checked_confidences(confidence, is_correct)
    labels = np.asarray(groups)
    if labels.shape != values.shape:
        raise SteepslopeError(f"groups: expected {len(values)} rows like the confidence, found {labels.shape}")
    distinct, index = np.unique(labels, return_inverse=True)
    trusted = values > threshold
    count = partial(np.bincount, minlength=len(distinct))
    n, right = count(index), count(index[correct])
    accepted, wrong = count(index[trusted]), count(index[trusted & ~correct])
    # Fisher's exact test; 1 for a group without accepted rows, or with all of them
    tests = hypergeom.sf(wrong - 1, accepted.sum(), wrong.sum(), accepted)
    risk = np.divide(wrong, accepted, out=np.full(len(distinct), math.nan), where=accepted > 0)
    titles = distinct.tolist() if names is None else [names[code] for code in distinct]
    p = holm_corrected(tests)
    columns = (column.tolist() for column in (n, right / n, accepted / n, risk, p, p < 0.05))
    return [GroupRisk(*line) for line in zip(map(str, titles), *columns, strict=True)]


def holm_corrected(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values corrected for their number by Holm's step-down method, in their order.

    >>> holm_corrected(np.array([0.01, 0.04, 0.03]))
    array([0.03, 0.06, 0.06])
    """
    order = np.argsort(p)
    scaled = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(scaled, 1)[np.argsort(order)]


@dataclass(frozen=True, eq=False, repr=False)
class RiskCoverage(Brief):
    """Selective risk against coverage, both in (0, 1], at each distinct threshold, most confident first."""

    coverage: Floats
    risk: Floats
    threshold: Floats

    def thinned(self, points: int) -> RiskCoverage:
        """Return about ``points`` evenly spaced points of the curve with its ends, to draw it."""
        kept = np.unique(np.linspace(0, len(self.risk) - 1, points).astype(int))
        return RiskCoverage(self.coverage[kept], self.risk[kept], self.threshold[kept])


@ranks_two_arrays
def risk_coverage_curve(ranking: Ranking) -> RiskCoverage:
    """Return the fraction of errors among the predictions with a confidence ≥ each distinct threshold.

    >>> curve = risk_coverage_curve([0.9, 0.8, 0.8, 0.1], [True, True, False, False])
    >>> curve.coverage, curve.risk.round(3)
    (array([0.25, 0.75, 1.  ]), array([0.   , 0.333, 0.5  ]))
    """
    return RiskCoverage(ranking.accepted / ranking.n, ranking.risk_above, ranking.threshold)
