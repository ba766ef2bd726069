"""Log-odds that are calibrated: a slope and an offset, fitted to what was right (Platt, 1999)."""

import numpy as np
import torch
from numpy.typing import NDArray

from steepslope.estimators.linear import minimise
from steepslope.losses import cross_entropy

LEAST_SLOPE = 1e-3  # a slope below 0 would turn the ranking round
PRIOR = 1.0  # in rows: how much the log-odds are taken to be right as they are


def fit_calibration(log_odds: NDArray[np.float64], is_correct: NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope > 0 and offset, such that slope · log-odds + offset are the log-odds of being right.

    They minimise the mean cross entropy over the rows (n,), with a ridge around the slope 1 and the offset 0, so that
    few rows change little.

    >>> odds = np.log([3.0, 3.0, 3.0, 3.0] * 100)
    >>> slope, offset = fit_calibration(odds, np.array([True, True, True, False] * 100))
    >>> float(np.round(1 / (1 + np.exp(-slope * odds[0] - offset)), 2))
    0.75
    """
    inputs, target = torch.from_numpy(np.asarray(log_odds, dtype=np.float64)), torch.from_numpy(is_correct)
    start = np.array([1.0, 0.0])
    prior = torch.from_numpy(start)

    def objective(parameters: torch.Tensor) -> torch.Tensor:
        loss = cross_entropy(parameters[0] * inputs + parameters[1], target).mean()
        return loss + PRIOR / 2 / len(inputs) * (parameters - prior).square().sum()

    slope, offset = minimise(objective, start, [(LEAST_SLOPE, None), (None, None)], maxiter=200)
    return float(slope), float(offset)
