"""What an oracle sees: columns computed from classifier outputs, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, unknown_name
from steepslope.evidence.dropout import dropout_columns, dropout_opinions
from steepslope.evidence.logits import logit_columns, logit_opinions
from steepslope.evidence.neighbors import fit_neighbors, neighbor_columns, neighbor_opinions
from steepslope.evidence.scores import STATELESS, score_column, trust_column
from steepslope.evidence.second_opinion import fit_probe, opinion_columns, second_opinions
from steepslope.evidence.states import NO_STATE, Evidence, State
from steepslope.evidence.views import view_columns, view_opinions
from steepslope.outputs import ClassifierOutputs, read_rows


def feature_columns(outputs: ClassifierOutputs, rows: slice, _: State) -> NDArray[Any]:
    """Return the classifier's penultimate features, (m, d)."""
    return read_rows(outputs.require_features(), rows)


EVIDENCE: dict[str, Evidence] = {
    "features": Evidence(feature_columns, "features"),
    "logits": Evidence(logit_columns, opinions=logit_opinions),
    "neighbors": Evidence(neighbor_columns, "features", fit_neighbors, neighbor_opinions),
    "views": Evidence(view_columns, "views", opinions=view_opinions),
    "dropout": Evidence(dropout_columns, "dropout", opinions=dropout_opinions),
    "foreign_neighbors": Evidence(
        partial(neighbor_columns, array="foreign"),
        "foreign",
        partial(fit_neighbors, array="foreign"),
        partial(neighbor_opinions, array="foreign"),
    ),
    "second_opinion": Evidence(opinion_columns, "foreign", fit_probe, second_opinions),
    "trust_score": Evidence(trust_column, "features", fit_neighbors),
    **{
        name: Evidence(partial(score_column, score=name), "dropout" if name == "mc_dropout" else "logits")
        for name in STATELESS
    },
}
SINGLE = ("trust_score", *STATELESS)  # one column each


def fit_states(inputs: Sequence[str], reference: ClassifierOutputs) -> dict[str, State]:
    """Return what the inputs learn from the classifier's training outputs; those that learn nothing are left out."""
    fits = {name: EVIDENCE[name].fit for name in inputs}
    return {name: fit(reference) for name, fit in fits.items() if fit is not None}


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
    kinds = [(name, EVIDENCE[name]) for name in inputs]
    parts = [_as_float32(kind.columns(outputs, rows, states.get(name, NO_STATE))) for name, kind in kinds]
    for name, part in zip(inputs, parts, strict=True):
        _require_finite(name, part, rows.start)
    return parts


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
