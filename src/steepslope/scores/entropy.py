"""Predictive entropy: Shannon's, of the softmax."""

import numpy as np
from numpy.typing import NDArray

from steepslope.estimators.log_space import log_entropy
from steepslope.outputs import ClassifierOutputs, over_logits
from steepslope.scores.score import Score


class Entropy(Score):
    """The entropy H of the softmax in nats, as −ln H: high where the classifier is sure, and never saturated.

    >>> outputs = ClassifierOutputs(logits=[[0.0, 0.0], [60.0, 0.0], [80.0, 0.0]], labels=[0, 0, 0])
    >>> Entropy().confidence(outputs).round(2)
    array([ 0.37, 55.89, 75.61])
    """

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return −ln H of each prediction, float64 (n,)."""
        return over_logits(outputs, lambda logits: -log_entropy(logits))
