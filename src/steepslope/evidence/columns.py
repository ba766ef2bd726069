"""The columns that an oracle sees: what each input learns, and its values for a slice of rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located
from steepslope.evidence.registry import kind_of
from steepslope.evidence.states import NO_STATE, Floats, Learning, State
from steepslope.outputs import ClassifierOutputs


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
        learning = kind_of(name).learning
        if learning is not None:
            source = outputs if learning.of == "errors" else reference
            states[name] = _fitted(name, learning, source)
    return states


def _fitted(name: str, learning: Learning, source: ClassifierOutputs | None) -> State:
    if source is None:
        expected = "a reference, the classifier's training outputs (or errors='crossfit')"
        raise SteepslopeError(f"expected {expected}, found none", name)
    if len(source) < learning.at_least:
        raise SteepslopeError(f"expected at least {learning.at_least} references, found {len(source)}", name)
    try:
        return learning.fit(source)
    except SteepslopeError as error:
        named = error.within(name)
        raise (SteepslopeError(str(named), "reference") if learning.of == "reference" else named) from error


def columns(
    outputs: ClassifierOutputs, inputs: Sequence[str], rows: slice, states: Mapping[str, State] | None = None
) -> NDArray[np.floating[Any]]:
    """Return the columns of all named inputs, side by side, for a slice of the rows: (m, d).

    They are float32, or float64 where raw ones are.

    Raises
    ------
    SteepslopeError
        If an input is unknown, the outputs lack it, or a value is not finite.
    """
    parts = parts_of(outputs, inputs, rows, states or {})
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def parts_of(
    outputs: ClassifierOutputs, inputs: Sequence[str], rows: slice, states: Mapping[str, State]
) -> list[NDArray[np.floating[Any]]]:
    """Return the columns of each input, (m, d) each; see :func:`columns`."""
    parts = [_as_torch_takes(values_of(name, outputs, rows, states), kind_of(name).raw) for name in inputs]
    for name, part in zip(inputs, parts, strict=True):
        _require_finite(name, part, rows.start)
    return parts


def values_of(name: str, outputs: ClassifierOutputs, rows: slice, states: Mapping[str, State]) -> Floats:
    """Return an input's columns as they are; an error names the input."""
    kind = kind_of(name)
    with located(name):
        return kind.columns(outputs, rows, states.get(name, NO_STATE))


def _require_finite(name: str, part: Floats, start: int) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        suspect = not np.isfinite(part.sum())  # the quickest sign that something may not be finite
    bad = ~np.isfinite(part).all(axis=1) if suspect else np.zeros(0, dtype=bool)
    if bad.any():
        raise SteepslopeError(f"expected finite values, found others in row {start + int(bad.argmax())}", name)


def _as_torch_takes(part: NDArray[Any], raw: bool) -> NDArray[np.floating[Any]]:
    """Return float32, or raw float64, in rows, and not read-only."""
    if part.dtype != np.float16:
        return np.require(part, np.float64 if raw and part.dtype == np.float64 else np.float32, ["C", "W"])
    half = torch.from_numpy(np.require(part, requirements=["C", "W"]))
    return np.asarray(half.float().numpy())  # twenty times faster than numpy
