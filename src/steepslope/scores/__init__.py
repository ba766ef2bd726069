"""Post-hoc scores: confidences read off a classifier's outputs, one paper a file.

A score has ``fit(outputs) -> self``, ``confidence(outputs) -> float64 (n,)`` (higher = more trustworthy, in
log space, so that nothing saturates into ties), ``scale``: a name in ``steepslope.metrics.scales.SCALES``, which
says what a probability of ½ is, and ``fits_on``: ``nothing``, ``errors`` (outputs of rows that the classifier had not
seen) or ``reference`` (its training outputs).
"""

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.outputs import ClassifierOutputs
from steepslope.scores.doctor import Doctor
from steepslope.scores.energy import Energy
from steepslope.scores.entropy import Entropy
from steepslope.scores.knn import KNNDistance
from steepslope.scores.margin import Margin
from steepslope.scores.max_logit import MaxLogit
from steepslope.scores.mc_dropout import MCDropout
from steepslope.scores.mcp import MCP
from steepslope.scores.pnorm import MaxLogitPNorm
from steepslope.scores.temperature import TemperatureScaledMCP
from steepslope.scores.trust_score import TrustScore


class Score(Protocol):
    """What every post-hoc score can do."""

    scale: str
    fits_on: str

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Learn what the score needs from outputs, and return the score itself."""
        ...

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return the confidence of each prediction, (n,)."""
        ...


SCORES: dict[str, type[Score]] = {
    "mcp": MCP,
    "max_logit": MaxLogit,
    "margin": Margin,
    "entropy": Entropy,
    "doctor": Doctor,
    "temperature_scaled_mcp": TemperatureScaledMCP,
    "max_logit_pnorm": MaxLogitPNorm,
    "energy": Energy,
    "mc_dropout": MCDropout,
    "trust_score": TrustScore,
    "knn_distance": KNNDistance,
}

__all__ = [
    "MCP",
    "SCORES",
    "Doctor",
    "Energy",
    "Entropy",
    "KNNDistance",
    "MCDropout",
    "Margin",
    "MaxLogit",
    "MaxLogitPNorm",
    "Score",
    "TemperatureScaledMCP",
    "TrustScore",
]
