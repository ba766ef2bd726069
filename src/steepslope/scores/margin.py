"""Margin between the two best classes: Scheffer et al., "Active Hidden Markov Models …", 2001, for softmax."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import require_known
from steepslope.estimators.log_space import log_complements, log_probabilities
from steepslope.outputs import ClassifierOutputs, over_logits
from steepslope.scores.score import Score


class Margin(Score):
    """The gap between the two largest logits, or of the two largest softmax probabilities, as −ln(1 − gap).

    The logarithm ranks as the gap does, but stays apart where the gap rounds to 1.

    >>> outputs = ClassifierOutputs(logits=[[3.0, 1.0, 0.0], [50.0, 0.0, 0.0]], labels=[0, 0])
    >>> Margin().confidence(outputs)
    array([ 2., 50.])
    >>> Margin("softmax").confidence(outputs).round(2)
    array([ 1.31, 48.9 ])
    """

    def __init__(self, space: Literal["logit", "softmax"] = "logit") -> None:
        require_known("space of the margin", space, MARGINS)
        self.space = space

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return the margin of each prediction, float64 (n,), >= 0."""
        return over_logits(outputs, MARGINS[self.space])


def _logit_margin(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    second, first = np.partition(logits, -2, axis=1)[:, -2:].T
    return np.asarray(first - second)


def _softmax_margin(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return −ln(1 − (p₁ − p₂)): for small gaps from the gap, for large ones from (1 − p₁) + p₂."""
    top = logits.argmax(axis=1)[:, None]
    gap = _logit_margin(logits)
    log_first = np.take_along_axis(log_probabilities(logits), top, axis=1)[:, 0]
    log_rest = np.take_along_axis(log_complements(logits), top, axis=1)[:, 0]
    share = -np.exp(log_first) * np.expm1(-gap)
    return np.where(share < 0.5, -np.log1p(-np.minimum(share, 0.5)), -np.logaddexp(log_rest, log_first - gap))


MARGINS = {"logit": _logit_margin, "softmax": _softmax_margin}
