"""Every metric: a short function of a :class:`Ranking`, and the public function of two arrays around it.

Formulas use, for k = 1…n, e_k: the expected number of errors among the k most confident predictions, where
the order inside a tie is random.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from steepslope.errors import SteepslopeError, UndefinedMetricError
from steepslope.metrics.curves import Floats, Ranking, rank_rows

Measure = Callable[[Ranking], float]


def accuracy_of(ranking: Ranking) -> float:
    """Share of correct predictions."""
    return ranking.n_correct / ranking.n


def auroc_of(ranking: Ranking) -> float:
    """P(confidence of a correct > of a wrong prediction) + ½ P(equal)."""
    _require_both(ranking)
    at = ranking.errors
    pairs = np.sum(at.wrong * (at.correct_above - 0.5 * at.correct))
    return float(pairs) / (ranking.n_correct * ranking.n_wrong)


def aupr_success_of(ranking: Ranking) -> float:
    """Average precision with correct predictions as positives, by distinct thresholds."""
    _require_both(ranking)
    precision = ranking.correct_above / np.maximum(ranking.accepted, 1)
    return float(np.sum(ranking.correct * precision)) / ranking.n_correct


def aupr_error_of(ranking: Ranking) -> float:
    """Average precision with errors as positives, ranked by falling distrust."""
    _require_both(ranking)
    at = ranking.errors
    wrong_below = ranking.n_wrong - at.wrong_above + at.wrong
    rejected = ranking.n - at.accepted + at.size
    return float(np.sum(at.wrong * wrong_below / np.maximum(rejected, 1))) / ranking.n_wrong


def fpr_at_tpr_of(ranking: Ranking, tpr: float) -> float:
    """Share of errors accepted at the highest threshold that accepts at least ``tpr`` of the correct."""
    _require_both(ranking)
    needed = _least_count(ranking.n_correct, tpr)
    group = int(np.searchsorted(ranking.correct_above, needed, side="left"))
    return ranking.first(group + 1)[1] / ranking.n_wrong


def tpr_of(ranking: Ranking, threshold: float) -> float:
    """Share of the correct predictions with a confidence > ``threshold``."""
    _require(ranking.n_correct, "correct prediction")
    _require_threshold(threshold)
    return ranking.above(threshold)[0] / ranking.n_correct


def tnr_of(ranking: Ranking, threshold: float) -> float:
    """Share of the errors with a confidence ≤ ``threshold``."""
    _require(ranking.n_wrong, "error")
    _require_threshold(threshold)
    return 1 - ranking.above(threshold)[1] / ranking.n_wrong


def aurc_of(ranking: Ranking) -> float:
    """(1/n) Σ_k e_k / k.

    An error in place k adds H_n − H_(k−1), with harmonic numbers H. In a tie of m rows after a rows, the mean
    of H_(k−1) over its places is H_(a+m) − 1 + (a/m) (H_(a+m) − H_a).
    """
    at = ranking.errors
    before = at.accepted - at.size
    harmonic = _harmonic_numbers(ranking.n)
    last, first = harmonic[at.accepted.astype(np.intp)], harmonic[before.astype(np.intp)]
    mean = last - 1 + before / np.maximum(at.size, 1) * (last - first)
    return float(np.sum(at.wrong * (harmonic[-1] - mean))) / ranking.n


def e_aurc_of(ranking: Ranking) -> float:
    """AURC less that of the perfect ranking, which puts all errors last."""
    _require_both(ranking)
    harmonic = _harmonic_numbers(ranking.n)
    perfect = ranking.n_wrong - ranking.n_correct * (harmonic[-1] - harmonic[ranking.n_correct])
    return aurc_of(ranking) - float(perfect) / ranking.n


def augrc_of(ranking: Ranking) -> float:
    """(1/n) Σ_k e_k / n: the mean risk of a silent failure (Traub et al. 2024).

    An error in place k is among the k, k + 1, … n most confident, so it adds n − k + 1.
    """
    at = ranking.errors
    errors = np.sum(at.wrong * (ranking.n - at.accepted + (at.size + 1) / 2))
    return float(errors) / ranking.n**2


def accuracy(confidence: ArrayLike, is_correct: ArrayLike) -> float:
    """Share of correct predictions, in [0, 1]; the confidence plays no part."""
    return accuracy_of(rank_rows(confidence, is_correct).ranking())


def auroc(confidence: ArrayLike, is_correct: ArrayLike) -> float:
    """Area under the ROC curve, in [0, 1]; ties count one half (table name: ``auc``).

    >>> auroc([0.9, 0.8, 0.7, 0.7], [True, False, True, False])
    0.625
    """
    return auroc_of(rank_rows(confidence, is_correct).ranking())


def aupr_success(confidence: ArrayLike, is_correct: ArrayLike) -> float:
    """Average precision of finding correct predictions by high confidence, in (0, 1]."""
    return aupr_success_of(rank_rows(confidence, is_correct).ranking())


def aupr_error(confidence: ArrayLike, is_correct: ArrayLike) -> float:
    """Average precision of finding errors by low confidence, in (0, 1]; chance is the error rate.

    The paper's Tables 1 and 3 rank errors by *high* confidence instead, hence their values below chance.
    """
    return aupr_error_of(rank_rows(confidence, is_correct).ranking())


def fpr_at_tpr(confidence: ArrayLike, is_correct: ArrayLike, tpr: float = 0.95) -> float:
    """Share of errors accepted, in [0, 1], where at least ``tpr`` in (0, 1] of the correct are accepted.

    Exact, at the first such distinct threshold; nothing is interpolated.
    """
    return fpr_at_tpr_of(rank_rows(confidence, is_correct).ranking(), tpr)


def tpr(confidence: ArrayLike, is_correct: ArrayLike, threshold: float = 0.5) -> float:
    """Share of the correct predictions that are trusted (confidence > ``threshold``), in [0, 1]."""
    return tpr_of(rank_rows(confidence, is_correct).ranking(), threshold)


def tnr(confidence: ArrayLike, is_correct: ArrayLike, threshold: float = 0.5) -> float:
    """Share of the errors that are not trusted (confidence ≤ ``threshold``), in [0, 1]."""
    return tnr_of(rank_rows(confidence, is_correct).ranking(), threshold)


def aurc(confidence: ArrayLike, is_correct: ArrayLike) -> float:
    """Area under the risk-coverage curve, (1/n) Σ_k e_k / k, in [0, 1]; ties in expectation.

    >>> round(aurc([3, 2, 1], [True, True, False]), 6)  # (0 + 0 + 1/3) / 3
    0.111111
    """
    return aurc_of(rank_rows(confidence, is_correct).ranking())


def e_aurc(confidence: ArrayLike, is_correct: ArrayLike) -> float:
    """AURC in excess of the best possible ranking of the same predictions (Geifman et al. 2019).

    ≥ 0, but for rounding in the last digit.
    """
    return e_aurc_of(rank_rows(confidence, is_correct).ranking())


def augrc(confidence: ArrayLike, is_correct: ArrayLike) -> float:
    """Area under the generalised risk-coverage curve, (1/n) Σ_k e_k / n, in [0, 1]; ties in expectation."""
    return augrc_of(rank_rows(confidence, is_correct).ranking())


@lru_cache(maxsize=4)
def _harmonic_numbers(n: int) -> Floats:
    """H_0…H_n; one table serves all resamples."""
    return np.concatenate([[0.0], np.cumsum(1 / np.arange(1, n + 1))])


def _least_count(total: int, share: float) -> int:
    """Return the least whole number whose share of the total, as a float, is at least ``share``."""
    if not 0 < share <= 1:
        raise SteepslopeError(f"tpr: expected a share in (0, 1], found {share}")
    guess = max(1, round(share * total))
    return next(count for count in range(max(1, guess - 1), total + 1) if count / total >= share)


def _require(count: float, what: str) -> None:
    if not count:
        raise UndefinedMetricError(f"this metric needs at least one {what}, but there is none in the predictions")


def _require_threshold(threshold: float) -> None:
    if math.isnan(threshold):
        raise UndefinedMetricError("this metric needs a threshold, but the score only ranks: its threshold is NaN")


def _require_both(ranking: Ranking) -> None:
    _require(ranking.n_correct, "correct prediction")
    _require(ranking.n_wrong, "error")
