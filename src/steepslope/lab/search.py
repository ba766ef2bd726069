"""The search for the slopes of the steep slope loss on held-out rows, in the paper's order (Section 5, Ablation Study).

Errors are rarer than correct predictions, so α⁻ comes first: it goes over its candidates while α⁺ is frozen. The best
α⁻ is then frozen, and α⁺ goes over its own. What is best is decided by a criterion, one of ``CRITERIA``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from numpy.typing import ArrayLike, NDArray

from steepslope.checks import require
from steepslope.errors import SteepslopeError, UndefinedMetricError, require_known
from steepslope.files.folders import field
from steepslope.losses import loss_parameters, steep_slope
from steepslope.metrics.measures import METRICS, Metric, tnr, tpr
from steepslope.metrics.ranking import checked_confidences, rank_rows

BALANCED = "balanced"


def balanced(trust_logit: ArrayLike, is_correct: ArrayLike) -> float:
    """Return (TPR + TNR) / 2, in [0, 1], where predictions with a trust logit > 0 are trusted.

    It is the paper's trade-off between TPR and TNR, with equal weights.

    >>> balanced([2.0, -1.0, 3.0, -2.0], [True, True, False, False])
    0.5
    """
    return (tpr(trust_logit, is_correct, threshold=0) + tnr(trust_logit, is_correct, threshold=0)) / 2


def _metric_of_rows(metric: Metric) -> Callable[[ArrayLike, ArrayLike], float]:
    """Return a metric as a function of trust logits (n,) and is_correct (n,), with thresholds at 0."""
    measure = metric.at(0.0, 0.0)
    return lambda trust_logit, is_correct: float(measure(rank_rows(trust_logit, is_correct).ranking()))


# Functions of (trust_logit, is_correct), both (n,); TPR and TNR trust what has a trust logit > 0.
CRITERIA: dict[str, Metric] = {
    BALANCED: Metric(balanced, "Balanced", "The mean of TPR and TNR."),
    **{name: replace(metric, function=_metric_of_rows(metric), threshold=None) for name, metric in METRICS.items()},
}


@dataclass(frozen=True)
class Trial:
    """A pair of slopes, and what an oracle that was fitted with it does on the held-out rows.

    ``value`` is that of the criterion, and ``loss`` the mean steep slope loss with these slopes, which differ in scale,
    so that it cannot choose among them. ``tpr`` and ``tnr`` are at trust logit 0. What is undefined is NaN.
    """

    alpha_pos: float
    alpha_neg: float
    value: float
    loss: float
    tpr: float
    tnr: float
    auc: float

    def as_json(self) -> dict[str, float | None]:
        """Return the trial as JSON holds it: null for NaN."""
        return {name: None if math.isnan(value) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, content: Any, place: Path) -> Trial:
        """Return the trial that :meth:`as_json` gave; an error names the place and the field."""
        if not isinstance(content, Mapping):
            raise SteepslopeError(f"expected a trial as a JSON object, found {content!r}", place)
        numbers = {name: field(content, name, (int, float, type(None)), place) for name in cls.__dataclass_fields__}
        return cls(**{name: math.nan if value is None else float(value) for name, value in numbers.items()})


@dataclass(frozen=True)
class Search:
    """All trials of a search, in their order, and by them the slopes that it chose.

    ``alpha_neg_trials`` share the frozen α⁺, ``alpha_pos_trials`` the α⁻ that was chosen before.
    """

    criterion: str
    alpha_neg_trials: tuple[Trial, ...]
    alpha_pos_trials: tuple[Trial, ...]

    @property
    def alpha_neg(self) -> float:
        """The chosen slope for wrong predictions."""
        return best_trial(self.alpha_neg_trials, self.criterion).alpha_neg

    @property
    def alpha_pos(self) -> float:
        """The chosen slope for correct predictions."""
        return best_trial(self.alpha_pos_trials, self.criterion).alpha_pos

    def as_json(self) -> dict[str, Any]:
        """Return the search as JSON holds it."""
        steps = {"alpha_neg_trials": self.alpha_neg_trials, "alpha_pos_trials": self.alpha_pos_trials}
        chosen = {"criterion": self.criterion, "alpha_pos": self.alpha_pos, "alpha_neg": self.alpha_neg}
        return chosen | {name: [trial.as_json() for trial in trials] for name, trials in steps.items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], place: Path) -> Search:
        """Return the search that :meth:`as_json` gave; an error names the place, such as a file, and the field."""
        criterion = field(content, "criterion", str, place)
        require_known(f"criterion in {place}:", criterion, CRITERIA)
        steps = [field(content, name, list, place) for name in ("alpha_neg_trials", "alpha_pos_trials")]
        return cls(criterion, *(tuple(Trial.from_json(trial, place) for trial in trials) for trials in steps))


def search(
    trust_logit_of: Callable[[float, float], NDArray[Any]],
    is_correct: ArrayLike,
    *,
    negatives: Sequence[float],
    positives: Sequence[float],
    alpha_pos: float = 1.0,
    criterion: str = BALANCED,
) -> Search:
    """Find α⁻ with α⁺ frozen, then α⁺ with that α⁻ frozen; no pair is fitted twice.

    Parameters
    ----------
    trust_logit_of
        Function of (α⁺, α⁻): it fits an oracle with these slopes, and returns its trust logits of the held-out rows,
        floats (n,).
    is_correct
        Whether each held-out prediction is correct, booleans (n,).
    negatives, positives
        Candidates for α⁻ and for α⁺, all > 0; of equally good ones the smallest is chosen.
    alpha_pos
        The α⁺ that is frozen while α⁻ is searched for.
    criterion
        A name in :data:`CRITERIA`.

    Raises
    ------
    SteepslopeError
        If the criterion is unknown, or has no value for any candidate; if candidates are missing, given twice, or no
        slopes.

    >>> import numpy as np
    >>> def moved(alpha_pos, alpha_neg):
    ...     return np.array([5.0, 3.0, 1.0]) + alpha_pos - alpha_neg
    >>> found = search(moved, [True, True, False], negatives=(1, 2, 3), positives=(1, 2))
    >>> found.alpha_neg, found.alpha_pos, [trial.value for trial in found.alpha_neg_trials]
    (2.0, 1.0, [0.5, 1.0, 1.0])
    """
    require_known("criterion", criterion, CRITERIA)
    candidates = {"negatives": negatives, "positives": positives, "alpha-pos": [alpha_pos]}
    for_wrong, for_correct, (frozen,) = (_checked_slopes(name, values) for name, values in candidates.items())

    @cache
    def trial(pos: float, neg: float) -> Trial:
        return _measured_trial(pos, neg, trust_logit_of(pos, neg), is_correct, criterion)

    first = tuple(trial(frozen, neg) for neg in for_wrong)
    alpha_neg = best_trial(first, criterion).alpha_neg
    return Search(criterion, first, tuple(trial(pos, alpha_neg) for pos in for_correct))


def best_trial(trials: Sequence[Trial], criterion: str) -> Trial:
    """Return the best trial by a criterion; of equally good ones that with the smaller slopes.

    Raises
    ------
    SteepslopeError
        If the criterion has no value for any of them.
    """
    sign = -1 if CRITERIA[criterion].higher_is_better else 1
    defined = [trial for trial in trials if not math.isnan(trial.value)]
    if not defined:
        needed = "it needs held-out rows with errors and correct predictions"
        raise SteepslopeError(
            f"{criterion} has no value for any of {len(trials)} pairs of slopes: {needed}", "criterion"
        )
    return min(defined, key=lambda trial: (sign * trial.value, trial.alpha_neg, trial.alpha_pos))


def _checked_slopes(name: str, values: Sequence[float]) -> tuple[float, ...]:
    """Return candidates as floats; raise unless each is a slope and there once."""
    check = loss_parameters("steep_slope")["alpha_neg"][1]
    for value in values:
        require(name, value, check)
    if not values or len(set(values)) < len(values):
        found = ", ".join(f"{value:g}" for value in values) or "none"
        raise SteepslopeError(f"expected at least one number, each once, found {found}", name)
    return tuple(map(float, values))


def _measured_trial(
    alpha_pos: float, alpha_neg: float, trust_logit: NDArray[Any], is_correct: ArrayLike, criterion: str
) -> Trial:
    z, correct = checked_confidences(trust_logit, is_correct)
    loss = steep_slope(torch.from_numpy(z), torch.from_numpy(correct), alpha_pos=alpha_pos, alpha_neg=alpha_neg)
    value, tpr_at_0, tnr_at_0, auc = (_criterion_value(name, z, correct) for name in (criterion, "tpr", "tnr", "auc"))
    return Trial(alpha_pos, alpha_neg, value, float(loss.mean()), tpr_at_0, tnr_at_0, auc)


def _criterion_value(criterion: str, trust_logit: NDArray[Any], is_correct: NDArray[Any]) -> float:
    try:
        return CRITERIA[criterion].function(trust_logit, is_correct)
    except UndefinedMetricError:
        return math.nan
