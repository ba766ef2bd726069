"""The scales on which confidences come, and what a probability of ½ is on each."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import rankdata

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """``cut`` maps a probability to a confidence (NaN where there is none), ``unit`` confidences to [0, 1]."""

    cut: Callable[[float], float]
    unit: Callable[[Floats], Floats]


def _rank_fraction(confidence: Floats) -> Floats:
    return np.asarray(rankdata(confidence) / len(confidence))


SCALES: dict[str, Scale] = {
    "logit": Scale(cut=lambda p: float(logit(p)), unit=expit),
    "probability": Scale(cut=lambda p: p, unit=lambda confidence: confidence),
    "rank": Scale(cut=lambda _: math.nan, unit=_rank_fraction),
}
