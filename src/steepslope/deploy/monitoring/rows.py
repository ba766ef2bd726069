"""Predictions to come, as a monitor sees them: columns of what ``predict`` writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.errors import SteepslopeError
from steepslope.gate.sequence import numbers

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Judged(Protocol):
    """Predictions that a gate has judged, of calibration rows or to come, (n,) each."""

    @property
    def p_correct(self) -> Floats:
        """P(correct)."""

    @property
    def accepted(self) -> Bools:
        """Which are accepted."""

    @property
    def probability(self) -> Floats | None:
        """The classifier's own probability of the predicted class; None where it is not known."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """Predictions to come, (m,) each, in the order in which they were made; see :class:`Judged`."""

    p_correct: Floats
    accepted: Bools
    probability: Floats | None = None

    @classmethod
    def of(cls, p_correct: ArrayLike, accepted: ArrayLike, probability: ArrayLike | None = None) -> Predicted:
        """Return predictions of arrays (m,), or of one value each; raise unless they are as many, and in [0, 1]."""
        found = probabilities(p_correct, "p_correct")
        own = None if probability is None else probabilities(probability, "probability")
        rows = cls(found, booleans(accepted, "accepted"), own)
        for name in ("accepted", "probability"):
            array = getattr(rows, name)
            if array is not None and len(array) != len(rows):
                raise SteepslopeError(f"expected as many as of p_correct, {len(rows)}, found {len(array)}", name)
        return rows

    def __len__(self) -> int:
        return len(self.p_correct)

    def subset(self, rows: NDArray[Any]) -> Predicted:
        """Return some rows, by numbers or as a mask."""
        own = None if self.probability is None else self.probability[rows]
        return Predicted(self.p_correct[rows], self.accepted[rows], own)


def probabilities(values: ArrayLike, place: str) -> Floats:
    """Return numbers (m,); raise at a place unless each is from 0 to 1."""
    found = numbers(values, place)
    outside = np.flatnonzero((found < 0) | (found > 1))
    if len(outside):
        raise SteepslopeError(f"expected probabilities, found {found[outside[0]]:g} in row {outside[0]}", place)
    return found


def booleans(values: ArrayLike, place: str) -> Bools:
    """Return booleans (m,); raise at a place unless they are such."""
    found = np.atleast_1d(np.asarray(values))
    if found.ndim != 1 or (found.dtype != np.bool_ and len(found)):
        raise SteepslopeError(f"expected booleans (m,), found {found.dtype} of shape {found.shape}", place)
    return found.astype(np.bool_)
