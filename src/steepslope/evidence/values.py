"""The columns that an oracle sees: what each input learns, and its values for a slice of rows.

What all evidence thinks of the classes in question, side by side.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp

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


CANDIDATES = 10
FAR = -50.0  # log-probabilities below this are drawn together, so that no opinion rules a class out


def opinions_of(
    outputs: ClassifierOutputs, inputs: Sequence[str], rows: slice, states: Mapping[str, State]
) -> list[NDArray[Any]]:
    """Return log-probabilities float64 (m, V, C) for each input, and last the candidate classes, int64 (m, C).

    Candidates are the classifier's ten most probable classes, the prediction first. With more than ten classes, one
    more candidate, numbered K, stands for all others together.
    """
    classes = candidate_classes(outputs, rows)
    return [*(_opinions(name, outputs, rows, states, classes) for name in inputs), classes]


def _opinions(
    name: str, outputs: ClassifierOutputs, rows: slice, states: Mapping[str, State], classes: NDArray[np.int64]
) -> NDArray[np.float64]:
    opinions = kind_of(name).opinions
    if opinions is None:
        raise SteepslopeError("expected evidence with opinions on classes, found none", name)
    with located(name), np.errstate(invalid="ignore", over="ignore"):  # what is not finite is named below
        part = _of_candidates(opinions(outputs, rows, states.get(name, NO_STATE)), classes)
    if not np.isfinite(part).all():
        bad = int((~np.isfinite(part)).any(axis=(1, 2)).argmax())
        raise SteepslopeError(f"expected finite values, found others in row {rows.start + bad}", name)
    return part


def candidate_classes(outputs: ClassifierOutputs, rows: slice) -> NDArray[np.int64]:
    """Return the candidates' numbers, (m, C); see :func:`opinions_of`."""
    logits = np.asarray(outputs.logits[rows], dtype=np.float64)
    m, num_classes = logits.shape
    classes = np.argsort(-logits, axis=1, kind="stable")[:, :CANDIDATES]
    if num_classes <= CANDIDATES:
        return classes
    return np.column_stack([classes, np.full(m, num_classes)])


def _of_candidates(opinions: NDArray[np.float64], classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Pick the candidates' log-probabilities, (m, V, K) -> (m, V, C)."""
    listed = classes[:, None, :CANDIDATES]
    kept = np.take_along_axis(opinions, listed, axis=2)
    if opinions.shape[2] > CANDIDATES:
        others = opinions.copy()
        np.put_along_axis(others, np.broadcast_to(listed, kept.shape), -np.inf, axis=2)
        kept = np.concatenate([kept, logsumexp(others, axis=2, keepdims=True)], axis=2)
    return np.where(kept < FAR, FAR - np.log1p(np.maximum(FAR - kept, 0)), kept)
