"""What a gate in front of the classifier costs, and where its threshold lies on each scale of confidences.

The costs are risk and coverage at an operating point, and the confusion.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypedDict

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from scipy.stats import rankdata

from steepslope.checks import number, require
from steepslope.metrics.curves import Floats, Ranking, rank_rows
from steepslope.metrics.measures import FRACTION


class Scale(NamedTuple):
    """A scale of confidences.

    ``cut`` maps a probability to a confidence (NaN where there is none), ``unit`` confidences to [0, 1].
    """

    cut: Callable[[float], float]
    unit: Callable[[Floats], Floats]


SCALES: dict[str, Scale] = {
    "logit": Scale(cut=lambda p: float(logit(p)), unit=expit),
    "probability": Scale(cut=lambda p: p, unit=lambda confidence: confidence),
    "rank": Scale(cut=lambda _: math.nan, unit=lambda confidence: np.asarray(rankdata(confidence) / len(confidence))),
}


@dataclass(frozen=True)
class OperatingPoint:
    """What a gate is set to, in percent: a coverage, of which the risk is measured, or a risk, and its coverage.

    >>> ranking = rank_rows([0.9, 0.8, 0.8, 0.1], [True, True, False, False]).ranking()
    >>> OperatingPoint("coverage", 50).measure(ranking), OperatingPoint("risk", 40).measure(ranking)
    (0.25, 0.75)
    """

    given: Literal["coverage", "risk"]
    percent: int

    def measure(self, ranking: Ranking) -> float:
        """Return the risk at the coverage, or the coverage at the risk, in [0, 1]."""
        function = risk_at_coverage_of if self.given == "coverage" else coverage_at_risk_of
        return function(ranking, self.percent / 100)


class Confusion(TypedDict):
    """Numbers of predictions, by whether they are trusted (confidence > threshold) and correct."""

    trusted_correct: int
    trusted_wrong: int
    distrusted_correct: int
    distrusted_wrong: int


def risk_at_coverage_of(ranking: Ranking, coverage: float) -> float:
    """Return e_k / k for k = ⌈coverage · n⌉: inside a tie, the expectation over its random order."""
    k = max(1, math.ceil(coverage * ranking.n - 1e-9))
    before, accepted, *_ = ranking.reach
    group = int(np.searchsorted(accepted, k, side="left"))  # the first listed one that does not end before k
    wrong = float(ranking.wrong_so_far[group])
    if group < len(before) and before[group] < k:
        size = accepted[group] - before[group]
        wrong += float(ranking.wrong_there[group] * (k - before[group]) / size)
    return wrong / k


def coverage_at_risk_of(ranking: Ranking, risk: float) -> float:
    """Return the largest coverage of a threshold whose accepted predictions are at most ``risk`` wrong."""
    if ranking.n_wrong / ranking.n <= risk:
        return 1.0
    good = ranking.reach.risk_before <= risk  # between errors it falls, so it is best right above one
    last = good.tobytes().rfind(True)  # the last True, quicker than the places of all of them
    return 0.0 if last < 0 else float(ranking.reach.before[last]) / ranking.n


def threshold_at_risk_of(ranking: Ranking, risk: float) -> float:
    """Return the confidence from which on (>=) predictions are accepted at that coverage; NaN where none is.

    >>> ranking = rank_rows([0.9, 0.8, 0.8, 0.1], [True, True, False, False]).ranking()
    >>> threshold_at_risk_of(ranking, 0.4), coverage_at_risk_of(ranking, 0.4)
    (0.8, 0.75)
    """
    good = np.flatnonzero(ranking.risk_above <= risk)
    return float(ranking.threshold[good[-1]]) if len(good) else math.nan


def risk_at_coverage(confidence: ArrayLike, is_correct: ArrayLike, coverage: float) -> float:
    """Return the fraction of errors among the ⌈coverage · n⌉ most confident predictions, in [0, 1].

    ``coverage`` is in (0, 1]. Inside a tie it is the expectation over its random order.

    >>> risk_at_coverage([0.9, 0.8, 0.8, 0.1], [True, True, False, False], 0.5)  # the second or the third
    0.25
    """
    require("coverage", coverage, FRACTION)
    return risk_at_coverage_of(rank_rows(confidence, is_correct).ranking(), coverage)


def coverage_at_risk(confidence: ArrayLike, is_correct: ArrayLike, risk: float) -> float:
    """Return the largest coverage, in [0, 1], at which at most ``risk`` in [0, 1] of the accepted are wrong.

    A threshold accepts all of a tie or none of it; 0 if no threshold is good enough. This is the empirical
    risk on these rows, not a guarantee for others.

    >>> coverage_at_risk([0.9, 0.8, 0.8, 0.1], [True, True, False, False], 0.4)
    0.75
    """
    require("risk", risk, number(0, 1))
    return coverage_at_risk_of(rank_rows(confidence, is_correct).ranking(), risk)


def confusion(confidence: ArrayLike, is_correct: ArrayLike, threshold: float = 0.5) -> Confusion:
    """Count the predictions that are trusted (confidence > ``threshold``) and correct, and the other three."""
    return confusion_of(rank_rows(confidence, is_correct).ranking(), threshold)


def confusion_of(ranking: Ranking, threshold: float) -> Confusion:
    """Count as :func:`confusion` does."""
    correct, wrong = ranking.above(threshold)
    return Confusion(
        trusted_correct=correct,
        trusted_wrong=wrong,
        distrusted_correct=ranking.n_correct - correct,
        distrusted_wrong=ranking.n_wrong - wrong,
    )
