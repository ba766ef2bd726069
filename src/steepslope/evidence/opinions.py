"""What all evidence thinks of the classes in question, side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from steepslope.errors import SteepslopeError, located
from steepslope.evidence.registry import kind_of
from steepslope.evidence.states import NO_STATE, State
from steepslope.outputs import ClassifierOutputs

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
