"""The search for the slopes of the steep slope loss on held-out rows, in the paper's order (Section 5, Ablation Study).

Errors are rarer than correct predictions, so α⁻ comes first: it goes over its candidates while α⁺ is frozen. The best
α⁻ is then frozen, and α⁺ goes over its own. The best slopes have the largest mean of TPR and TNR.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from numpy.typing import ArrayLike, NDArray

from steepslope.errors import SteepslopeError, require
from steepslope.losses import loss_parameters, steep_slope
from steepslope.metrics import auroc, checked_confidences, tnr, tpr


@dataclass(frozen=True)
class Trial:
    """A pair of slopes, and what an oracle that was fitted with it does on the held-out rows.

    ``loss`` is the mean of the loss with these slopes; ``tpr``, ``tnr`` and ``auc`` are in [0, 1], the first two for
    predictions with a trust logit > 0.
    """

    alpha_pos: float
    alpha_neg: float
    loss: float
    tpr: float
    tnr: float
    auc: float

    @property
    def balanced(self) -> float:
        """The mean of TPR and TNR, in [0, 1]."""
        return (self.tpr + self.tnr) / 2


@dataclass(frozen=True)
class Search:
    """All trials of a search, in their order, and by them the slopes that it chose."""

    alpha_neg_trials: tuple[Trial, ...]
    alpha_pos_trials: tuple[Trial, ...]

    @property
    def alpha_neg(self) -> float:
        """The chosen slope for wrong predictions."""
        return best_trial(self.alpha_neg_trials).alpha_neg

    @property
    def alpha_pos(self) -> float:
        """The chosen slope for correct predictions."""
        return best_trial(self.alpha_pos_trials).alpha_pos


def search(
    trust_logit_of: Callable[[float, float], NDArray[Any]],
    is_correct: ArrayLike,
    *,
    negatives: Sequence[float],
    positives: Sequence[float],
    alpha_pos: float = 1.0,
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

    Raises
    ------
    SteepslopeError
        If candidates are missing, or no slopes; if the held-out rows lack errors or correct predictions.

    >>> import numpy as np
    >>> def moved(alpha_pos, alpha_neg):
    ...     return np.array([5.0, 3.0, 1.0]) + alpha_pos - alpha_neg
    >>> found = search(moved, [True, True, False], negatives=(1, 2, 3), positives=(1, 2))
    >>> found.alpha_neg, found.alpha_pos, [trial.balanced for trial in found.alpha_neg_trials]
    (2.0, 1.0, [0.5, 1.0, 1.0])
    """
    is_slope = loss_parameters("steep_slope")["alpha_neg"][1]
    for name, slopes in {"negatives": negatives, "positives": positives, "alpha-pos": [alpha_pos]}.items():
        if not slopes:
            raise SteepslopeError("expected at least one number, found none", name)
        for slope in slopes:
            require(name, slope, is_slope)

    @cache
    def trial(pos: float, neg: float) -> Trial:
        z, correct = checked_confidences(trust_logit_of(pos, neg), is_correct)
        rates = tpr(z, correct, threshold=0), tnr(z, correct, threshold=0)
        loss = steep_slope(torch.from_numpy(z), torch.from_numpy(correct), alpha_pos=pos, alpha_neg=neg)
        return Trial(pos, neg, float(loss.mean()), *rates, auroc(z, correct))

    first = tuple(trial(float(alpha_pos), float(neg)) for neg in negatives)
    alpha_neg = best_trial(first).alpha_neg
    return Search(first, tuple(trial(float(pos), alpha_neg) for pos in positives))


def best_trial(trials: Sequence[Trial]) -> Trial:
    """Return the trial of largest mean of TPR and TNR; of equally good ones that with the smaller slopes."""
    return min(trials, key=lambda trial: (-trial.balanced, trial.alpha_neg, trial.alpha_pos))
