"""Single scores as evidence: one column each."""

from __future__ import annotations

import numpy as np

from steepslope.evidence.states import Floats, State
from steepslope.neighbors import Index
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES
from steepslope.scores.trust_score import RANK, log_distance_ratio

STATELESS = tuple(name for name, score in SCORES.items() if score.fits_on == "nothing")


def score_column(outputs: ClassifierOutputs, rows: slice, _: State, score: str) -> Floats:
    """Return a score that learns nothing, (m, 1)."""
    part = outputs.subset(rows)
    return SCORES[score]().fit(part).confidence(part)[:, None]


def trust_column(outputs: ClassifierOutputs, rows: slice, state: State) -> Floats:
    """Return TrustScore from the state of the neighbours, (m, 1)."""
    distances = Index(**state).class_distances(outputs.require_features()[rows], RANK).astype(np.float64)
    return log_distance_ratio(distances, outputs.predictions[rows])[:, None]
