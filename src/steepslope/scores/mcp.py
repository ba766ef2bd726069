"""Maximum class probability: Hendrycks & Gimpel, "A Baseline for Detecting Misclassified …", 2017."""

import numpy as np
from numpy.typing import NDArray

from steepslope.estimators.log_space import top_log_odds
from steepslope.outputs import ClassifierOutputs, over_logits
from steepslope.scores.score import Score


class MCP(Score):
    """The classifier's own softmax probability p of what it predicts, as log-odds ln(p / (1 − p)).

    The log-odds rank as p does, but stay apart where p rounds to 1; their logistic function is p, and their
    natural threshold, 0, is p = ½.

    >>> outputs = ClassifierOutputs(logits=[[50.0, 0.0], [60.0, 0.0], [0.0, 1.0]], labels=[0, 0, 0])
    >>> MCP().fit(outputs).confidence(outputs)
    array([50., 60.,  1.])
    """

    scale = "logit"

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return the log-odds of the predicted class, float64 (n,)."""
        return over_logits(outputs, top_log_odds)
