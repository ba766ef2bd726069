"""Maximum class probability: Hendrycks & Gimpel, "A Baseline for Detecting Misclassified …", 2017."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.outputs import ClassifierOutputs, over_logits


class MCP:
    """The classifier's own softmax probability p of what it predicts, as log-odds ln(p / (1 − p)).

    The log-odds rank as p does, but stay apart where p rounds to 1; their logistic function is p, and their
    natural threshold, 0, is p = ½.

    >>> outputs = ClassifierOutputs(logits=[[50.0, 0.0], [60.0, 0.0], [0.0, 1.0]], labels=[0, 0, 0])
    >>> MCP().fit(outputs).confidence(outputs)
    array([50., 60.,  1.])
    """

    scale = "logit"
    fits_on = "nothing"

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Return the score as it is: there is nothing to learn."""
        return self

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return the log-odds of the predicted class, float64 (n,)."""
        return over_logits(outputs, top_log_odds)


def top_log_odds(logits: ArrayLike) -> NDArray[np.float64]:
    """Return ln(p / (1 − p)) for the largest softmax probability p of each row, (n, K) -> (n,).

    It is the top logit less the log-sum-exp of all others: no p, so nothing to saturate.
    """
    values: NDArray[Any] = np.array(logits, dtype=np.float64)
    rows, top = np.arange(len(values)), values.argmax(axis=1)
    highest = values[rows, top]
    values[rows, top] = -np.inf
    runner_up = values.max(axis=1)
    # Sorted, so that the sum, and with it the ranking, does not depend on how the classes are numbered.
    rest = np.sort(np.exp(values - runner_up[:, None]), axis=1).sum(axis=1)
    return np.asarray(highest - runner_up - np.log(rest))
