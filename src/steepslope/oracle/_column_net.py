"""The net of an oracle on columns, as arrays, and the rows that it is fitted to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.heads import HEADS
from steepslope.numerics import Array, Arrays, Bools, Floats, Singles, blocks, clipped, constant, require_arrays

PIECE_ROWS = 1_024  # read from a file at once


@dataclass(frozen=True, eq=False)
class ColumnNet:
    """Columns (n, width) -> standardised -> ReLU layers -> head -> trust logit (n,).

    ``arrays`` has the float64 weights by the names under which they are stored, ``layers`` is the number of layers
    before the head, and ``head`` a name in ``steepslope.heads.HEADS``.
    """

    arrays: Mapping[str, Floats]
    head: str
    layers: int

    @classmethod
    def from_arrays(cls, arrays: Arrays, width: int, hidden: Sequence[int], head: str) -> Self:
        """Return the net of stored arrays; raise if they are invalid, or have another architecture."""
        expected = {"mean": f"float64 {width}", "scale": f"float64 {width}"}
        for layer, (before, after) in enumerate(zip((width, *hidden), hidden, strict=False)):
            expected[f"{_name_of_layer(layer)}.weight"] = f"float64 {after} {before}"
            expected[f"{_name_of_layer(layer)}.bias"] = f"float64 {after}"
        expected |= {"head.weight": f"float64 {(width, *hidden)[-1]}", "head.bias": "float64"}
        require_arrays(arrays, dict(sorted(expected.items())), "weights of this architecture:")
        return cls(arrays, head, len(hidden))

    def __call__(self, columns: Array) -> Array:
        """Return the trust logits of columns (n, width), float64 (n,)."""
        mean = constant(self.arrays["mean"], columns)
        scale = constant(self.arrays["scale"], columns)
        return self.of_standardised((columns - mean) / scale)

    def of_standardised(self, columns: Array) -> Array:
        """Return the trust logits of standardised columns (n, width), float64 (n,)."""
        for layer in range(self.layers):
            weight, bias = self._layer(_name_of_layer(layer), columns)
            columns = clipped(columns @ weight.T + bias, 0)
        weight, bias = self._layer("head", columns)
        return HEADS[self.head](columns, weight, bias)

    def _layer(self, name: str, columns: Array) -> tuple[Array, Array]:
        """Return the weight and the bias of a layer, as constants next to its columns."""
        weight = constant(self.arrays[f"{name}.weight"], columns)
        return weight, constant(self.arrays[f"{name}.bias"], columns)


def _name_of_layer(layer: int) -> str:
    return f"body.{2 * layer}"


@dataclass(frozen=True, eq=False)
class FitRows:
    """The fit set, read in pieces: ``read`` returns the columns (m, width) of a slice of the n rows.

    ``halves`` (n, width) are the same columns in float16, if that holds them exactly: large sets are copied from there,
    which is faster than to read them, and needs half of the memory.
    """

    n: int
    read: Callable[[slice], NDArray[np.floating[Any]]]
    target: Singles | Bools
    halves: NDArray[np.float16] | None = None

    def moments(self) -> tuple[Floats, Floats]:
        """Return each column's mean and standard deviation, (width,) each, computed about the first piece's mean."""
        origin = self.read(slice(0, min(PIECE_ROWS, self.n))).mean(axis=0)
        total = np.zeros(len(origin))
        squares = np.zeros(len(origin))
        for rows in blocks(self.n, PIECE_ROWS):
            shifted = self.read(rows) - origin
            total += shifted.sum(axis=0)
            squares += np.square(shifted, out=shifted).sum(axis=0)
        mean = total / self.n
        return origin + mean, np.sqrt(np.maximum(squares / self.n - mean**2, 0))
