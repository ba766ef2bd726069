"""Energy: Liu et al., "Energy-based Out-of-distribution Detection", 2020."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from steepslope.outputs import ClassifierOutputs, over_logits


class Energy:
    """The negative free energy at temperature 1: ln Σ exp(logit).

    >>> outputs = ClassifierOutputs(logits=[[0.0, 0.0]], labels=[0])
    >>> Energy().fit(outputs).confidence(outputs).round(3)
    array([0.693])
    """

    scale = "rank"
    fits_on = "nothing"

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Return the score as it is: there is nothing to learn."""
        return self

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return the log of the sum of exponentials, float64 (n,)."""
        return over_logits(outputs, lambda logits: np.asarray(logsumexp(logits, axis=1)))
