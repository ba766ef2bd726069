"""Conformal selection from one batch, which promises an expected fraction of errors (Jin & Candès, 2023)."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def conformal_p_values(confidence: Floats, of_errors: Floats, n: int) -> Floats:
    """Return p-values that each prediction is wrong, (m,), in (0, 1].

    ``of_errors`` (e,) are the confidences of those of n calibration rows that are wrong, in ascending order. Of a wrong
    prediction from the same source, the p-value is at most p with probability p, its being wrong included (Jin &
    Candès, "Selection by Prediction with Conformal p-values", 2023, with the score that is infinite for correct rows).

    >>> conformal_p_values(np.array([0.9, 0.5, 0.1]), np.array([0.2, 0.5]), n=9)
    array([0.1, 0.2, 0.3])
    """
    at_least = len(of_errors) - np.searchsorted(of_errors, confidence, side="left")
    return np.asarray((1 + at_least) / (n + 1))


def conformal_selection(p_values: Floats, max_risk: float) -> NDArray[np.bool_]:
    """Return which of a batch are accepted, (m,), by Benjamini & Hochberg (1995) at ``max_risk``.

    >>> conformal_selection(np.array([0.01, 0.2, 0.03, 0.9]), 0.05)
    array([ True, False, False, False])
    >>> conformal_selection(np.array([0.01, 0.2, 0.02, 0.9]), 0.05)
    array([ True, False,  True, False])
    """
    ordered = np.sort(p_values)
    steps = np.arange(1, len(ordered) + 1) / max(1, len(ordered))
    passing = np.flatnonzero(ordered <= max_risk * steps)
    return np.asarray(p_values <= ordered[passing[-1]]) if len(passing) else np.zeros(len(p_values), dtype=np.bool_)
