"""MaxLogit: Hendrycks et al., "Scaling Out-of-Distribution Detection for Real-World Settings", 2022."""

import numpy as np
from numpy.typing import NDArray

from steepslope.outputs import ClassifierOutputs, over_logits
from steepslope.scores.score import Score


class MaxLogit(Score):
    """The largest logit as it is.

    >>> outputs = ClassifierOutputs(logits=[[2.0, 0.0], [9.0, 8.0]], labels=[0, 0])
    >>> MaxLogit().fit(outputs).confidence(outputs)
    array([2., 9.])
    """

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return the largest logit, float64 (n,)."""
        return over_logits(outputs, lambda logits: logits.max(axis=1))
