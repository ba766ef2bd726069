"""Post-hoc scores: confidences read off a classifier's outputs, one paper a file.

``score``: what every score is, and how one declares what it needs and stores what it learnt. ``reference_score``: those
that look up the classifier's training features. Confidences are in log space, so that nothing saturates into ties. A
new score is a file with one class, and its entry in ``SCORES``: the command line, the tables, the oracles' evidence and
the contract tests follow.
"""

from steepslope.scores.doctor import Doctor
from steepslope.scores.energy import Energy
from steepslope.scores.entropy import Entropy
from steepslope.scores.knn import KNNDistance
from steepslope.scores.margin import Margin
from steepslope.scores.max_logit import MaxLogit
from steepslope.scores.mc_dropout import MCDropout
from steepslope.scores.mcp import MCP
from steepslope.scores.pnorm import MaxLogitPNorm
from steepslope.scores.score import Score
from steepslope.scores.temperature import TemperatureScaledMCP
from steepslope.scores.trust_score import TrustScore

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
