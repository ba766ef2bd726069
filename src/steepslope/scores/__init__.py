"""Post-hoc scores: confidences computed from a classifier's outputs, each after the paper that its class names.

- ``_score``: the base class: how a score declares its needs, and stores what it learnt.
- ``_logits``: scores that learn nothing.
- ``_fitted``: scores that learn a temperature, or the power of a norm, from errors.
- ``_neighbors``: scores that look up the nearest features.
- ``_moments``: scores on means and deviations of the training features.
- ``_own``: a user's function or object.

Confidences are in log space, so they do not saturate into ties. A new score is one class and its entry in ``SCORES``:
the command line, the tables, the oracles' evidence, exported files and the contract tests follow.
"""

from steepslope.scores._fitted import MaxLogitPNorm, TemperatureScaledMCP
from steepslope.scores._logits import MCP, Doctor, Energy, Entropy, Margin, MaxLogit, MCDropout
from steepslope.scores._moments import SIRC, MahalanobisRatio
from steepslope.scores._neighbors import (
    EPSILON as EPSILON,
    KNNDistance,
    TrustScore,
    log_distance_ratio as log_distance_ratio,
)
from steepslope.scores._own import name_of_score as name_of_score, own_confidence as own_confidence
from steepslope.scores._score import (
    LOGITS as LOGITS,
    PREDICTIONS as PREDICTIONS,
    Rows as Rows,
    Score,
    State as State,
    require_finite_rows as require_finite_rows,
    rows_of as rows_of,
)

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
    "mahalanobis_ratio": MahalanobisRatio,
    "sirc": SIRC,
}

__all__ = ["SCORES", "Score"]
__all__ += ["MCP", "Doctor", "Entropy", "MCDropout", "Margin", "MaxLogit"]
__all__ += ["MaxLogitPNorm", "TemperatureScaledMCP", "TrustScore"]
