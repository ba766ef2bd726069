"""DOCTOR: Granese et al., "DOCTOR: A Simple Method for Detecting Misclassification Errors", 2021."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from steepslope.errors import require_known
from steepslope.estimators.log_space import log_complements, log_probabilities, top_log_odds
from steepslope.outputs import ClassifierOutputs, over_logits
from steepslope.scores.score import Score


class Doctor(Score):
    """The discriminators D_α = (1 − Σp²) / Σp² and D_β = (1 − p) / p of the largest p, each as −ln D.

    D_β ranks exactly as MCP does.

    >>> outputs = ClassifierOutputs(logits=[[0.0, 0.0], [50.0, 0.0]], labels=[0, 0])
    >>> Doctor().confidence(outputs).round(2), Doctor("beta").confidence(outputs).round(2)
    (array([ 0.  , 49.31]), array([ 0., 50.]))
    """

    scale = "logit"

    def __init__(self, variant: Literal["alpha", "beta"] = "alpha") -> None:
        require_known("variant of doctor", variant, VARIANTS)
        self.variant = variant

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return −ln D of each prediction, float64 (n,)."""
        return over_logits(outputs, VARIANTS[self.variant])


def _alpha(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    log_p = log_probabilities(logits)
    return np.asarray(logsumexp(2 * log_p, axis=1) - logsumexp(log_p + log_complements(logits), axis=1))


VARIANTS = {"alpha": _alpha, "beta": top_log_odds}
