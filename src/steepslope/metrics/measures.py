"""Every metric: a short function of a :class:`Ranking`, and the public function of two arrays around it.

Formulas use, for k = 1…n, e_k: the expected number of errors among the k most confident predictions, where
the order inside a tie is random.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from steepslope.errors import UndefinedMetricError
from steepslope.metrics.curves import Floats, Ranking, rank_rows

Measure = Callable[[Ranking], float]


def accuracy_of(ranking: Ranking) -> float:
    """Share of correct predictions."""
    return ranking.n_correct / ranking.n


def auroc_of(ranking: Ranking) -> float:
    """P(confidence of a correct > of a wrong prediction) + ½ P(equal)."""
    _require_both(ranking)
    correct_higher = ranking.correct_above - 0.5 * ranking.correct
    return float(np.sum(ranking.wrong * correct_higher)) / (ranking.n_correct * ranking.n_wrong)


def aupr_success_of(ranking: Ranking) -> float:
    """Average precision with correct predictions as positives, by distinct thresholds."""
    _require_both(ranking)
    precision = ranking.correct_above / np.maximum(ranking.accepted, 1)
    return float(np.sum(ranking.correct * precision)) / ranking.n_correct


def aupr_error_of(ranking: Ranking) -> float:
    """Average precision with errors as positives, ranked by falling distrust."""
    _require_both(ranking)
    wrong_below = ranking.n_wrong - ranking.wrong_above + ranking.wrong
    rejected = ranking.n - ranking.accepted + ranking.wrong + ranking.correct
    return float(np.sum(ranking.wrong * wrong_below / np.maximum(rejected, 1))) / ranking.n_wrong


def fpr_at_tpr_of(ranking: Ranking, tpr: float) -> float:
    """Share of errors accepted at the highest threshold that accepts at least ``tpr`` of the correct."""
    _require_both(ranking)
    group = int(np.searchsorted(ranking.correct_above / ranking.n_correct, tpr, side="left"))
    return float(ranking.wrong_above[group]) / ranking.n_wrong


def tpr_of(ranking: Ranking, threshold: float) -> float:
    """Share of the correct predictions with a confidence > ``threshold``."""
    _require(ranking.n_correct, "correct prediction")
    return ranking.above(threshold)[0] / ranking.n_correct


def tnr_of(ranking: Ranking, threshold: float) -> float:
    """Share of the errors with a confidence ≤ ``threshold``."""
    _require(ranking.n_wrong, "error")
    return 1 - ranking.above(threshold)[1] / ranking.n_wrong


def aurc_of(ranking: Ranking) -> float:
    """(1/n) Σ_k e_k / k.

    Inside a tie of m rows with w errors after a rows with W errors, e_(a+j) = W + j w/m, and
    Σ_j e_(a+j) / (a+j) = w + (W − a w/m) (H_(a+m) − H_a) with harmonic numbers H.
    """
    size = ranking.correct + ranking.wrong
    before = ranking.accepted - size
    error_rate = ranking.wrong / np.maximum(size, 1)
    excess = ranking.wrong_above - ranking.wrong - before * error_rate
    harmonic = _harmonic_numbers(int(ranking.n))
    steps = harmonic[ranking.accepted.astype(np.intp)] - harmonic[before.astype(np.intp)]
    return (ranking.n_wrong + float(np.sum(excess * steps))) / ranking.n


def e_aurc_of(ranking: Ranking) -> float:
    """AURC less that of the perfect ranking, which puts all errors last."""
    _require_both(ranking)
    harmonic = _harmonic_numbers(int(ranking.n))
    perfect = ranking.n_wrong - ranking.n_correct * (harmonic[-1] - harmonic[int(ranking.n_correct)])
    return aurc_of(ranking) - float(perfect) / ranking.n


def augrc_of(ranking: Ranking) -> float:
    """(1/n) Σ_k e_k / n: the mean risk of a silent failure (Traub et al. 2024)."""
    size = ranking.correct + ranking.wrong
    errors = np.sum(size * (ranking.wrong_above - ranking.wrong) + ranking.wrong * (size + 1) / 2)
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
    """AURC in excess of the best possible ranking of the same predictions, ≥ 0 (Geifman et al. 2019)."""
    return e_aurc_of(rank_rows(confidence, is_correct).ranking())


def augrc(confidence: ArrayLike, is_correct: ArrayLike) -> float:
    """Area under the generalised risk-coverage curve, (1/n) Σ_k e_k / n, in [0, 1]; ties in expectation."""
    return augrc_of(rank_rows(confidence, is_correct).ranking())


@lru_cache(maxsize=4)
def _harmonic_numbers(n: int) -> Floats:
    """H_0…H_n; one table serves all resamples."""
    return np.concatenate([[0.0], np.cumsum(1 / np.arange(1, n + 1))])


def _require(count: float, what: str) -> None:
    if not count:
        raise UndefinedMetricError(
            f"this metric needs at least one {what}, but there is none in the predictions"
        )


def _require_both(ranking: Ranking) -> None:
    _require(ranking.n_correct, "correct prediction")
    _require(ranking.n_wrong, "error")
