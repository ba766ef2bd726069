"""Single scores as evidence: one column each."""

from __future__ import annotations

import numpy as np

from steepslope.estimators.neighbors import Index, unit_rows
from steepslope.evidence.states import Floats, State, arrays_fit
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES, KNNDistance, MaxLogitPNorm, TemperatureScaledMCP
from steepslope.scores.trust_score import RANK, log_distance_ratio

STATELESS = tuple(name for name, score in SCORES.items() if score.fits_on == "nothing")


def score_column(outputs: ClassifierOutputs, rows: slice, _: State, score: str) -> Floats:
    """Return a score that learns nothing, (m, 1)."""
    part = outputs.subset(rows)
    return SCORES[score]().fit(part).confidence(part)[:, None]


def trust_column(outputs: ClassifierOutputs, rows: slice, state: State) -> Floats:
    """Return TrustScore from the state of the neighbours, (m, 1)."""
    distances = Index(**state).class_distances(outputs.require_features()[rows], RANK)
    return log_distance_ratio(distances, outputs.predictions[rows])[:, None]


def distance_column(outputs: ClassifierOutputs, rows: slice, state: State) -> Floats:
    """Return the score of the k-th nearest neighbour from a state of references of length 1, (m, 1)."""
    distances = Index(**state).kth_distance(outputs.require_features()[rows], KNNDistance().k, unit_rows)
    return -distances[:, None]


def fit_temperature(outputs: ClassifierOutputs) -> State:
    """Learn a temperature from the fit set's labels."""
    return {"temperature": np.array([TemperatureScaledMCP().fit(outputs).temperature_])}


def temperature_column(outputs: ClassifierOutputs, rows: slice, state: State) -> Floats:
    """Return temperature-scaled MCP, (m, 1)."""
    part = outputs.subset(rows)
    return TemperatureScaledMCP.at(float(state["temperature"][0]), part.num_classes).confidence(part)[:, None]


def fit_power(outputs: ClassifierOutputs) -> State:
    """Learn MaxLogit-pNorm's power from the fit set's errors; −1 stands for MCP."""
    power = MaxLogitPNorm().fit(outputs).power_
    return {"power": np.array([-1.0 if power is None else float(power)])}


def power_column(outputs: ClassifierOutputs, rows: slice, state: State) -> Floats:
    """Return MaxLogit-pNorm, (m, 1)."""
    part, power = outputs.subset(rows), int(state["power"][0])
    return MaxLogitPNorm.at(None if power < 0 else power, part.num_classes).confidence(part)[:, None]


def one_number(state: State, name: str) -> bool:
    """Say whether a state is one number of that name."""
    return arrays_fit(state, {name: (1,)}, "float64")
