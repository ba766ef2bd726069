"""Energy: Liu et al., "Energy-based Out-of-distribution Detection", 2020."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from steepslope.outputs import ClassifierOutputs, over_logits
from steepslope.scores.score import Score


class Energy(Score):
    """The negative free energy at temperature 1: ln Σ exp(logit).

    >>> outputs = ClassifierOutputs(logits=[[0.0, 0.0]], labels=[0])
    >>> Energy().fit(outputs).confidence(outputs).round(3)
    array([0.693])
    """

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return the log of the sum of exponentials, float64 (n,)."""
        return over_logits(outputs, lambda logits: np.asarray(logsumexp(logits, axis=1)))
