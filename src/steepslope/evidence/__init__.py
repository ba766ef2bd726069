"""What an oracle sees: columns computed from classifier outputs, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, unknown_name
from steepslope.evidence.logits import logit_columns
from steepslope.outputs import ClassifierOutputs, read_rows

Columns = Callable[[ClassifierOutputs, slice], NDArray[Any]]


def feature_columns(outputs: ClassifierOutputs, rows: slice) -> NDArray[Any]:
    """Return the classifier's penultimate features, (m, d)."""
    return read_rows(outputs.require_features(), rows)


EVIDENCE: dict[str, Columns] = {"features": feature_columns, "logits": logit_columns}


def columns(outputs: ClassifierOutputs, inputs: Sequence[str], rows: slice) -> NDArray[np.float32]:
    """Return the columns of all named inputs, side by side, for a slice of the rows: float32 (m, d).

    Raises
    ------
    SteepslopeError
        If an input is unknown, the outputs lack it, or a value is not finite.
    """
    for name in inputs:
        if name not in EVIDENCE:
            raise unknown_name("input", name, EVIDENCE)
    parts = [_as_float32(EVIDENCE[name](outputs, rows)) for name in inputs]
    for name, part in zip(inputs, parts, strict=True):
        with np.errstate(over="ignore", invalid="ignore"):
            suspect = not np.isfinite(part.sum())  # the quickest sign that something may not be finite
        bad = ~np.isfinite(part).all(axis=1) if suspect else np.zeros(0, dtype=bool)
        if bad.any():
            raise SteepslopeError(
                f"{name}: expected finite values, found others in row {rows.start + int(bad.argmax())}"
            )
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _as_float32(part: NDArray[Any]) -> NDArray[np.float32]:
    if part.dtype != np.float16:
        return np.require(part, np.float32, ["C", "W"])  # as torch wants it: in rows, and not read-only
    from torch import from_numpy  # converts half precision twenty times faster than numpy

    return np.asarray(from_numpy(np.require(part, requirements=["C", "W"])).float().numpy())
