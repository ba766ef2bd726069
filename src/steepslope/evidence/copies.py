"""Outputs with their augmented copies: those that were extracted, or else copies made of the features.

Copies of features need logits. Nearly all classifiers end in a linear layer, which can be read off their outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.data.row_augmentation import augmented_rows
from steepslope.errors import SteepslopeError
from steepslope.outputs import ClassifierOutputs

LINEAR = 1e-2  # the largest residual, of the logits' deviation, with which logits are linear in the features
HEAD_ROWS = 5_000
VECTORS = ("features", "auxiliary")
EXTRACTED, OF_FEATURES, NO_COPIES = "extracted", "features", "none"  # where copies come from


def with_copies(outputs: ClassifierOutputs, seed: int) -> tuple[ClassifierOutputs, NDArray[np.int64]]:
    """Return the outputs and, below them, their copies; and of which row each is (m,)."""
    numbers = np.arange(len(outputs))
    copies = outputs.augmented() or _of_features(outputs, seed)
    if copies is None:
        return outputs, numbers
    return joined([outputs, copies]), np.concatenate([numbers, np.repeat(numbers, len(copies) // len(outputs))])


def origin_of_copies(outputs: ClassifierOutputs, count: int) -> str:
    """Return where the copies come from, ``count`` many, that :func:`with_copies` put below some outputs."""
    return EXTRACTED if "augmented_logits" in outputs.arrays else OF_FEATURES if count else NO_COPIES


def joined(parts: Sequence[ClassifierOutputs], names: Sequence[str] | None = None) -> ClassifierOutputs:
    """Return outputs below one another, with the arrays that all of them hold; ``names`` are further ones to keep."""
    common = [name for name in parts[0].arrays if all(name in part.arrays for part in parts) and name != "ids"]
    kept = [name for name in common if names is None or name in (*names, "logits", "labels")]
    stacked = {name: _stacked(name, [part.arrays[name] for part in parts]) for name in kept}
    return ClassifierOutputs.of(stacked, parts[0].classes)


def _stacked(name: str, arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    shapes = dict.fromkeys(array.shape[1:] for array in arrays)
    if len(shapes) > 1:
        found = " and ".join(" × ".join(str(size) for size in shape) for shape in shapes)
        raise SteepslopeError(f"expected the same columns in all rows and references, found {found}", name)
    return np.concatenate(arrays)


def _of_features(outputs: ClassifierOutputs, seed: int) -> ClassifierOutputs | None:
    """Return a copy of each row with changed features, also those of an auxiliary backbone; None without a head."""
    head = None if outputs.features is None else linear_head(outputs)
    if head is None:
        return None
    held = [name for name in VECTORS if name in outputs.arrays]
    parts = [np.asarray(outputs.arrays[name], dtype=np.float32) for name in held]
    changed = augmented_rows(np.concatenate(parts, axis=1), 1, seed)[:, 0]
    vectors = dict(zip(held, np.split(changed, np.cumsum([part.shape[1] for part in parts])[:-1], axis=1), strict=True))
    weights, bias = head
    arrays = {"logits": vectors["features"] @ weights + bias, "labels": outputs.labels, **vectors}
    return ClassifierOutputs.of(arrays, outputs.classes)


def linear_head(outputs: ClassifierOutputs) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return weights (d, K) and bias (K,) of the last layer, by least squares; None where that is not linear."""
    rows = np.unique(np.linspace(0, len(outputs) - 1, HEAD_ROWS).astype(np.int64))
    features = np.asarray(outputs.require_features()[rows], dtype=np.float64)
    logits = np.asarray(outputs.logits[rows], dtype=np.float64)
    columns = np.column_stack([features, np.ones(len(rows))])
    if len(rows) <= columns.shape[1]:
        return None
    both, *_ = np.linalg.lstsq(columns, logits, rcond=None)
    if np.abs(columns @ both - logits).max() > LINEAR * logits.std():
        return None
    return both[:-1].astype(np.float32), both[-1].astype(np.float32)
