"""What all evidence thinks of the classes in question, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.evidence import EVIDENCE
from steepslope.evidence.states import NO_STATE, State
from steepslope.log_space import TINY_LOG
from steepslope.outputs import ClassifierOutputs

CANDIDATES = 10


def opinions_of(
    outputs: ClassifierOutputs, inputs: Sequence[str], rows: slice, states: Mapping[str, State]
) -> list[NDArray[Any]]:
    """Return log-probabilities float32 (m, V, C) for each input, and last the candidate classes, int64 (m, C).

    Candidates are the classifier's ten most probable classes, the prediction first. With more than ten classes, one
    more candidate, numbered K, stands for all others together.
    """
    classes = candidate_classes(outputs, rows)
    parts: list[NDArray[Any]] = []
    for name in inputs:
        opinions = EVIDENCE[name].opinions
        assert opinions is not None
        part = _of_candidates(opinions(outputs, rows, states.get(name, NO_STATE)), classes)
        if not np.isfinite(part).all():
            bad = int((~np.isfinite(part)).any(axis=(1, 2)).argmax())
            raise SteepslopeError(f"{name}: expected finite values, found others in row {rows.start + bad}")
        parts.append(part.astype(np.float32))
    return [*parts, classes]


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
    num_classes = opinions.shape[2]
    listed = classes[:, :CANDIDATES]
    kept = np.take_along_axis(opinions, listed[:, None], axis=2)
    if num_classes > CANDIDATES:
        rest = np.log(np.maximum(1 - np.exp(kept).sum(axis=2, keepdims=True), np.exp(TINY_LOG)))
        kept = np.concatenate([kept, rest], axis=2)
    return np.maximum(kept, LEAST)


LEAST = -50.0  # no opinion rules a class out
