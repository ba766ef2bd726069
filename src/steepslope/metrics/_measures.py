"""Every metric: a short function of a :class:`Ranking`, or of two arrays, and its entry in ``METRICS``.

``SEPARABILITY`` has distances between correct and wrong predictions, each side taken as a Gaussian.

In formulas, e_k is the expected number of errors among the k most confident predictions, k = 1…n, with ties in random
order.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from steepslope.errors import UndefinedMetricError, number, require
from steepslope.metrics._ranking import Floats, Ranking, checked_confidences, harmonic_numbers, ranks_two_arrays

Measure = Callable[[Ranking], float]
PERCENT = 100
FRACTION = number(1e-12, 1)  # in (0, 1]
_NO_CORRECT = "at least one correct prediction, but there is none in the predictions"
_NO_ERRORS = "at least one error, but there is none in the predictions"
_NO_THRESHOLD = "a threshold, but the score only ranks: its threshold is NaN"


@dataclass(frozen=True)
class Metric:
    """How a metric is computed, and how tables show it.

    ``function`` takes a :class:`Ranking` in :data:`METRICS`, and two arrays, ``(confidence, is_correct)``, in other
    dicts. If ``threshold`` is "positive" or "negative", it also takes the threshold for correct predictions, or for
    errors. ``definition`` is one sentence, ``short`` the title in a terminal if that differs, ``scale`` the factor by
    which tables multiply, and ``in_table`` whether the main table has a column of it. ``is_area`` says whether the
    metric is the area under a curve, not a fraction of counted rows: their intervals differ.

    >>> METRICS["auc"].heading, METRICS["aurc"].heading, METRICS["aurc"].terminal_heading
    ('AUC ↑', 'AURC ×1000 ↓', 'AURC‰')
    """

    function: Callable[..., float]
    title: str
    definition: str
    short: str = ""
    scale: float = PERCENT
    higher_is_better: bool = True
    threshold: Literal["positive", "negative"] | None = None
    in_table: bool = True
    is_area: bool = False

    @property
    def heading(self) -> str:
        """The title with its scale, unless that is 1 or percent, and an arrow towards better values."""
        unit = f" ×{self.scale:g}" if self.scale > PERCENT else ""
        return f"{self.title}{unit} {'↑' if self.higher_is_better else '↓'}"

    @property
    def terminal_heading(self) -> str:
        """The short title, with ‰ if tables show thousandths."""
        return f"{self.short or self.title}{'‰' if self.scale > PERCENT else ''}"

    def at(self, positive: float, negative: float) -> Callable[..., float]:
        """Return the function with its threshold, if it takes one; NaN makes the metric undefined."""
        thresholds = {"positive": positive, "negative": negative}
        if self.threshold is None:
            return self.function
        return partial(self.function, threshold=thresholds[self.threshold])


@ranks_two_arrays
def accuracy(ranking: Ranking) -> float:
    """Return the fraction of correct predictions, in [0, 1]; the confidence does not matter."""
    return ranking.n_correct / ranking.n


@ranks_two_arrays
def auroc(ranking: Ranking) -> float:
    """Return the area under the ROC curve, in [0, 1]; ties count one half (table name: ``auc``).

    >>> auroc([0.9, 0.8, 0.7, 0.7], [True, False, True, False])
    0.625
    """
    _require_both_sides(ranking)
    return ranking.sum_over_errors("pairs") / (ranking.n_correct * ranking.n_wrong)


@ranks_two_arrays
def aupr_success(ranking: Ranking) -> float:
    """Return the average precision of finding correct predictions by high confidence, in (0, 1]."""
    _require_both_sides(ranking)
    return ranking.precision_sum / ranking.n_correct


@ranks_two_arrays
def aupr_error(ranking: Ranking) -> float:
    """Return the average precision of finding errors by low confidence, in (0, 1]; chance is the error rate.

    The paper's Tables 1 and 3 rank errors by *high* confidence instead, hence their values below chance.
    """
    _require_both_sides(ranking)
    return ranking.sum_over_errors("precision") / ranking.n_wrong


@ranks_two_arrays
def fpr_at_tpr(ranking: Ranking, tpr: float = 0.95) -> float:
    """Return the fraction of errors accepted, in [0, 1], if at least ``tpr`` in (0, 1] of the correct are accepted.

    It is exact, at the first such distinct threshold; nothing is interpolated.
    """
    _require_both_sides(ranking)
    needed = _least_count_at_tpr(ranking.n_correct, tpr)
    correct_before = ranking.reach.before - ranking.wrong_so_far[:-1]
    accepted = int(np.searchsorted(correct_before, needed, side="left"))  # groups that can hold errors
    return float(ranking.wrong_so_far[accepted]) / ranking.n_wrong


@ranks_two_arrays
def tpr(ranking: Ranking, threshold: float = 0.5) -> float:
    """Return the fraction of the correct predictions that are trusted (confidence > ``threshold``), in [0, 1]."""
    _require_defined(ranking.n_correct, _NO_CORRECT)
    _require_defined(not math.isnan(threshold), _NO_THRESHOLD)
    return ranking.above(threshold)[0] / ranking.n_correct


@ranks_two_arrays
def tnr(ranking: Ranking, threshold: float = 0.5) -> float:
    """Return the fraction of the errors that are not trusted (confidence ≤ ``threshold``), in [0, 1]."""
    _require_defined(ranking.n_wrong, _NO_ERRORS)
    _require_defined(not math.isnan(threshold), _NO_THRESHOLD)
    return 1 - ranking.above(threshold)[1] / ranking.n_wrong


@ranks_two_arrays
def aurc(ranking: Ranking) -> float:
    """Return the area under the risk-coverage curve, (1/n) Σ_k e_k / k, in [0, 1]; ties in expectation.

    >>> round(aurc([3, 2, 1], [True, True, False]), 6)  # (0 + 0 + 1/3) / 3
    0.111111
    """
    return ranking.aurc


@ranks_two_arrays
def e_aurc(ranking: Ranking) -> float:
    """Return the AURC minus that of the perfect ranking of the same predictions (Geifman et al. 2019).

    It is ≥ 0, apart from rounding in the last digit.
    """
    _require_both_sides(ranking)
    return aurc.of(ranking) - _perfect_aurc(ranking)


@ranks_two_arrays
def naurc(ranking: Ranking) -> float:
    """Return the normalised AURC: 0 for the perfect ranking of these predictions, 1 for a random one, more for worse.

    It is (AURC − AURC of the perfect ranking) / (error rate − AURC of the perfect ranking), and compares classifiers of
    different accuracies (Cattelan & Silva, "How to Fix a Broken Confidence Estimator", 2024). If all predictions tie,
    the ranking is random.

    >>> is_correct = [True, False, True, False]
    >>> naurc([4, 1, 3, 2], is_correct), naurc([5, 5, 5, 5], is_correct), round(naurc([4, 3, 2, 1], is_correct), 3)
    (0.0, 1.0, 0.429)
    """
    _require_both_sides(ranking)
    perfect = _perfect_aurc(ranking)
    # In a random order, the expected risk of the first k rows is the error rate, for each k.
    return (aurc.of(ranking) - perfect) / (ranking.n_wrong / ranking.n - perfect)


def _perfect_aurc(ranking: Ranking) -> float:
    """Return the AURC of the ranking that puts all errors last."""
    harmonic = harmonic_numbers(ranking.n)
    perfect = ranking.n_wrong - ranking.n_correct * (harmonic[-1] - harmonic[ranking.n_correct])
    return float(perfect) / ranking.n


@ranks_two_arrays
def augrc(ranking: Ranking) -> float:
    """Return the area under the generalised risk-coverage curve, (1/n) Σ_k e_k / n, in [0, 1]; ties in expectation.

    It is the mean risk of an undetected failure (Traub et al. 2024).
    """
    # An error in place k is among the k, k + 1, … n most confident, so it adds n − k + 1. Its place counts the correct
    # predictions above it, which are the pairs that the AUC counts, and the errors above it.
    n, n_wrong = ranking.n, ranking.n_wrong
    errors = n_wrong * (n + 0.5) - ranking.sum_over_errors("pairs") - n_wrong**2 / 2
    return errors / n**2


def _least_count_at_tpr(total: int, tpr: float) -> int:
    """Return the least whole number whose fraction of the total, as a float, is at least ``tpr``."""
    require("tpr", tpr, FRACTION)
    guess = max(1, round(tpr * total))
    return next(count for count in range(max(1, guess - 1), total + 1) if count / total >= tpr)


def _require_defined(defined: float | bool, need: str) -> None:
    """Raise unless a metric is defined; ``need`` says what it needs."""
    if not defined:
        raise UndefinedMetricError(f"this metric needs {need}")


def _require_both_sides(ranking: Ranking) -> None:
    _require_defined(ranking.n_correct, _NO_CORRECT)
    _require_defined(ranking.n_wrong, _NO_ERRORS)


class Gaussian(NamedTuple):
    """Mean and population variance (divided by n) of the confidences of one side."""

    mean: float
    variance: float


def fit_sides(confidence: ArrayLike, is_correct: ArrayLike) -> tuple[Gaussian, Gaussian]:
    """Return the Gaussians of the correct and of the wrong predictions' confidences.

    Raises
    ------
    UndefinedMetricError
        If a side is empty, constant, or holds an infinite confidence.
    """
    values, correct = checked_confidences(confidence, is_correct)
    correct_side, wrong_side = (
        _fit_gaussian(values[rows], name) for rows, name in ((correct, "correct"), (~correct, "wrong"))
    )
    return correct_side, wrong_side


def _fit_gaussian(values: Floats, name: str) -> Gaussian:
    differ = len(values) > 0 and bool(np.isfinite(values).all()) and values.min() != values.max()
    _require_defined(differ, f"finite confidences that differ among the {name} predictions, found {len(values)}")
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        side = Gaussian(float(values.mean()), float(values.var()))
    held = 0 < side.variance < 1e150 and abs(side.mean) <= 1e150
    _require_defined(held, f"a variance that a float holds, found {side.variance}")
    return side


def bhattacharyya_distance(confidence: ArrayLike, is_correct: ArrayLike) -> float:
    """Return ¼ ln(¼ (σ₁²/σ₂² + σ₂²/σ₁² + 2)) + ¼ Δμ² / (σ₁² + σ₂²), ≥ 0 (paper, Appendix G)."""
    a, b = fit_sides(confidence, is_correct)
    spread = a.variance / b.variance + b.variance / a.variance + 2
    return 0.25 * math.log(spread / 4) + 0.25 * (a.mean - b.mean) ** 2 / (a.variance + b.variance)


def average_kl(confidence: ArrayLike, is_correct: ArrayLike) -> float:
    """Return the mean of both Kullback-Leibler divergences, in nats, ≥ 0 (paper, Appendix G).

    KL(1‖2) = ln(σ₂/σ₁) + (σ₁² + Δμ²) / (2 σ₂²) − ½. The authors' code lacks the factor 2; see
    :func:`steepslope.metrics._paper.average_kl`.
    """
    a, b = fit_sides(confidence, is_correct)
    return (_kl_divergence(a, b) + _kl_divergence(b, a)) / 2


def _kl_divergence(a: Gaussian, b: Gaussian) -> float:
    """Return the Kullback-Leibler divergence of Gaussian b from a, in nats."""
    return 0.5 * (math.log(b.variance / a.variance) + (a.variance + (a.mean - b.mean) ** 2) / b.variance - 1)


lower_is_better = partial(Metric, higher_is_better=False)
_area = partial(Metric, is_area=True)
_risk = partial(_area, higher_is_better=False, scale=1000)
METRICS: dict[str, Metric] = {
    "accuracy": Metric(accuracy.of, "Acc", "The fraction of predictions that are correct.", in_table=False),
    "auc": _area(auroc.of, "AUC", "How often a correct prediction has more confidence than a wrong one; ties count ½."),
    "fpr_at_95tpr": lower_is_better(
        partial(fpr_at_tpr.of, tpr=0.95),
        "FPR-95%-TPR",
        "The fraction of errors still trusted where 95 % of the correct are.",
        "FPR95",
    ),
    "aupr_error": _area(
        aupr_error.of, "AUPR-Error", "The average precision of finding errors by low confidence.", "AUPR-E"
    ),
    "aupr_success": _area(
        aupr_success.of, "AUPR-Success", "The average precision of finding the correct by high confidence.", "AUPR-S"
    ),
    "tpr": Metric(
        tpr.of, "TPR", "The fraction of the correct with a confidence above the threshold.", threshold="positive"
    ),
    "tnr": Metric(
        tnr.of, "TNR", "The fraction of errors with a confidence not above the threshold.", threshold="negative"
    ),
    "aurc": _risk(aurc.of, "AURC", "The mean, over all coverages, of the fraction of errors among the accepted."),
    "augrc": _risk(
        augrc.of, "AUGRC", "The mean, over all coverages, of the fraction of all that is accepted and wrong."
    ),
    "e_aurc": _risk(e_aurc.of, "E-AURC", "How far the AURC is above that of the perfect ranking.", in_table=False),
    "naurc": lower_is_better(
        naurc.of, "NAURC", "The AURC above the best, over that of a random ranking.", in_table=False
    ),
}
# Distances between the confidences of correct and wrong predictions: functions of (confidence, is_correct).
SEPARABILITY: dict[str, Metric] = {
    "average_kl": Metric(average_kl, "average KL", "The mean of both Kullback-Leibler divergences, in nats.", scale=1),
    "bhattacharyya_distance": Metric(
        bhattacharyya_distance, "Bhattacharyya distance", "The Bhattacharyya distance of the Gaussians.", scale=1
    ),
}


def measures_at(positive_threshold: float, negative_threshold: float) -> dict[str, Measure]:
    """Return all metrics as functions of a ranking, with the thresholds of TPR (positive) and of TNR (negative).

    A NaN threshold, for a score that only ranks, makes TPR or TNR undefined.
    """
    return {name: metric.at(positive_threshold, negative_threshold) for name, metric in METRICS.items()}


def table_metrics() -> dict[str, Metric]:
    """Return the metrics in the main table, in the order of its columns."""
    return {name: metric for name, metric in METRICS.items() if metric.in_table}
