"""What an oracle sees: columns computed from classifier outputs, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, unknown_name
from steepslope.estimators.neighbors import unit_rows
from steepslope.evidence.dropout import dropout_columns, dropout_opinions
from steepslope.evidence.joint_opinion import ARRAYS, fit_joint, joint_columns, joint_opinions, valid_joint
from steepslope.evidence.logits import logit_columns, logit_opinions
from steepslope.evidence.neighbors import COUNTS, fit_neighbors, neighbor_columns, neighbor_opinions, valid_neighbors
from steepslope.evidence.scores import (
    STATELESS,
    distance_column,
    fit_power,
    fit_temperature,
    one_number,
    power_column,
    score_column,
    temperature_column,
    trust_column,
)
from steepslope.evidence.second_opinion import fit_probe, opinion_columns, second_opinions, valid_probe
from steepslope.evidence.states import NO_STATE, Evidence, Floats, Learning, State
from steepslope.evidence.views import view_columns, view_opinions
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES
from steepslope.utilities.blocks import read_rows


def feature_columns(outputs: ClassifierOutputs, rows: slice, _: State) -> NDArray[Any]:
    """Return the classifier's penultimate features, (m, d)."""
    return read_rows(outputs.require_features(), rows)


_NEIGHBORS = Learning(fit_neighbors, valid_neighbors, at_least=max(COUNTS))
EVIDENCE: dict[str, Evidence] = {
    "features": Evidence(feature_columns, ("features",)),
    "logits": Evidence(logit_columns, opinions=logit_opinions),
    "neighbors": Evidence(neighbor_columns, ("features",), _NEIGHBORS, neighbor_opinions),
    "views": Evidence(view_columns, ("views",), opinions=view_opinions),
    "dropout": Evidence(dropout_columns, ("dropout",), opinions=dropout_opinions),
    "auxiliary_neighbors": Evidence(
        partial(neighbor_columns, array="auxiliary"),
        ("auxiliary",),
        replace(_NEIGHBORS, fit=partial(fit_neighbors, array="auxiliary")),
    ),  # whose opinions would be of some use at home, and mislead most elsewhere (LOG.md)
    "second_opinion": Evidence(opinion_columns, ("auxiliary",), Learning(fit_probe, valid_probe), second_opinions),
    "joint_opinion": Evidence(joint_columns, ARRAYS, Learning(fit_joint, valid_joint), joint_opinions),
    **{
        name: Evidence(partial(score_column, score=name), ("dropout" if name == "mc_dropout" else "logits",))
        for name in STATELESS
    },
    "temperature_scaled_mcp": Evidence(
        temperature_column,
        learning=Learning(fit_temperature, lambda state, _: one_number(state, "temperature"), "errors"),
    ),
    "max_logit_pnorm": Evidence(
        power_column,
        learning=Learning(fit_power, lambda state, _: one_number(state, "power"), "errors"),
        least_classes=3,
    ),
    "trust_score": Evidence(trust_column, ("features",), replace(_NEIGHBORS, at_least=1)),
    "knn_distance": Evidence(
        distance_column, ("features",), replace(_NEIGHBORS, fit=partial(fit_neighbors, rows=unit_rows))
    ),
}
SINGLE = tuple(SCORES)  # one column each


def fit_states(
    inputs: Sequence[str], outputs: ClassifierOutputs, reference: ClassifierOutputs | None
) -> dict[str, State]:
    """Return what the inputs learn from the fit set or from the reference; those that learn nothing are left out.

    Raises
    ------
    SteepslopeError
        If an input learns from a reference and there is none, or it is too small or lacks an array.
    """
    states = {}
    for name in inputs:
        learning = EVIDENCE[name].learning
        if learning is not None:
            source = outputs if learning.of == "errors" else reference
            states[name] = _fitted(name, learning, source)
    return states


def _fitted(name: str, learning: Learning, source: ClassifierOutputs | None) -> State:
    if source is None:
        raise SteepslopeError(
            f"{name}: expected a reference, the classifier's training outputs (or errors='crossfit'), found none"
        )
    if len(source) < learning.at_least:
        raise SteepslopeError(f"{name}: expected at least {learning.at_least} references, found {len(source)}")
    try:
        return learning.fit(source)
    except SteepslopeError as error:
        raise SteepslopeError(f"{learning.of}: {name}: {error}") from error


def columns(
    outputs: ClassifierOutputs, inputs: Sequence[str], rows: slice, states: Mapping[str, State] | None = None
) -> NDArray[np.float32]:
    """Return the columns of all named inputs, side by side, for a slice of the rows: float32 (m, d).

    Raises
    ------
    SteepslopeError
        If an input is unknown, the outputs lack it, or a value is not finite.
    """
    parts = parts_of(outputs, inputs, rows, states or {})
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def parts_of(
    outputs: ClassifierOutputs, inputs: Sequence[str], rows: slice, states: Mapping[str, State]
) -> list[NDArray[np.float32]]:
    """Return the columns of each input, float32 (m, d) each; see :func:`columns`."""
    for name in inputs:
        if name not in EVIDENCE:
            raise unknown_name("input", name, EVIDENCE)
    parts = [_as_float32(values_of(name, outputs, rows, states)) for name in inputs]
    for name, part in zip(inputs, parts, strict=True):
        _require_finite(name, part, rows.start)
    return parts


def scores_of(
    outputs: ClassifierOutputs, inputs: Sequence[str], rows: slice, states: Mapping[str, State]
) -> list[NDArray[np.float64]]:
    """Return the columns of each input in float64, so that single scores keep their order."""
    return [np.asarray(values_of(name, outputs, rows, states), dtype=np.float64) for name in inputs]


def values_of(name: str, outputs: ClassifierOutputs, rows: slice, states: Mapping[str, State]) -> Floats:
    """Return an input's columns as they are; an error says whose it is."""
    try:
        return EVIDENCE[name].columns(outputs, rows, states.get(name, NO_STATE))
    except SteepslopeError as error:
        raise SteepslopeError(f"{name}: {error}") from error


def _require_finite(name: str, part: NDArray[np.float32], start: int) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        suspect = not np.isfinite(part.sum())  # the quickest sign that something may not be finite
    bad = ~np.isfinite(part).all(axis=1) if suspect else np.zeros(0, dtype=bool)
    if bad.any():
        raise SteepslopeError(f"{name}: expected finite values, found others in row {start + int(bad.argmax())}")


def _as_float32(part: NDArray[Any]) -> NDArray[np.float32]:
    if part.dtype != np.float16:
        return np.require(part, np.float32, ["C", "W"])  # as torch wants it: in rows, and not read-only
    from torch import from_numpy  # converts half precision twenty times faster than numpy

    return np.asarray(from_numpy(np.require(part, requirements=["C", "W"])).float().numpy())
