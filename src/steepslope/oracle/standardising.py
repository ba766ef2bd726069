"""Auxiliary features moved back to the mean and deviation of the fit set, where all that is judged is shifted alike.

A camera that is darker changes each feature of all images by about the same offset and factor, which the mean and
deviation of a batch undo: the adaptation of batch statistics of Schneider et al. (2020) and Nado et al. (2020), at the
features. A batch in which some classes are lacking has another mean for that reason alone, which does harm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.estimators.linear import scale_of
from steepslope.evidence.states import State, arrays_fit
from steepslope.outputs import ClassifierOutputs
from steepslope.utilities.blocks import blocks, read_rows

Floats = NDArray[np.float64]
LEAST_ROWS = 64
AUXILIARY = "auxiliary"


@dataclass(frozen=True, eq=False)
class Moments:
    """``mean`` and ``deviation`` of each of a fit set's auxiliary features, (e,) each."""

    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, outputs: ClassifierOutputs) -> Moments:
        """Return those of some outputs, (n, e); read in blocks."""
        columns = outputs.require(AUXILIARY)
        parts = list(blocks(len(columns)))
        mean = sum(_block(columns, rows).sum(axis=0) for rows in parts) / len(columns)
        squares = sum(np.square(_block(columns, rows) - mean).sum(axis=0) for rows in parts)
        return cls(np.asarray(mean), np.sqrt(np.asarray(squares) / len(columns)))

    def restored_on(self, outputs: ClassifierOutputs) -> ClassifierOutputs:
        """Return outputs whose auxiliary features have this mean and deviation; a constant one becomes the mean.

        Raises
        ------
        SteepslopeError
            If there are fewer than 64 rows, or another number of features.
        """
        if len(outputs) < LEAST_ROWS:
            found = f"expected {LEAST_ROWS} rows or more, with the fit set's mix of classes, found {len(outputs)}"
            raise SteepslopeError(found, "standardise")
        columns = outputs.require(AUXILIARY)
        if columns.shape[1] != len(self.mean):
            raise SteepslopeError(f"expected {len(self.mean)} columns, found {columns.shape[1]}", AUXILIARY)
        own = Moments.of(outputs)
        factor = self.deviation / scale_of(own.mean, own.deviation, columns.dtype)
        changed = np.empty(columns.shape, dtype=np.result_type(columns, np.float32))
        for rows in blocks(len(columns)):
            changed[rows] = (_block(columns, rows) - own.mean) * factor + self.mean
        return outputs.changed(auxiliary=changed)

    @property
    def state(self) -> State:
        """The arrays to be stored."""
        return dict(vars(self))

    @classmethod
    def stored(cls, arrays: State) -> Moments:
        """Return the moments of stored arrays; raise for some that are none."""
        fits = arrays_fit(arrays, {"mean": (None,), "deviation": (None,)}, "float64")
        if not fits or not all(np.isfinite(array).all() for array in arrays.values()):
            raise SteepslopeError(f"expected finite mean and deviation, found {', '.join(arrays) or 'nothing'}")
        if arrays["mean"].shape != arrays["deviation"].shape or (arrays["deviation"] < 0).any():
            raise SteepslopeError("expected as many means as deviations, none negative, found others")
        return cls(**arrays)


def _block(columns: NDArray[np.floating], rows: slice) -> Floats:
    return np.asarray(read_rows(columns, rows), dtype=np.float64)
