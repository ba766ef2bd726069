"""Where an auxiliary backbone is less to be trusted: its features of an image lie far from all that it was fitted on.

Then opinions that need no second backbone take over most of the log-odds. Far is what lies beyond the usual by any of:
how much the features look like those of augmented copies, by a linear classifier; the distance to the tenth neighbour
and the length in whitened principal components; the length that these leave unexplained; the mean activation; and
estimates of the image's noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steepslope.errors import SteepslopeError, located
from steepslope.numerics.array_shapes import require_arrays
from steepslope.numerics.blocks import blocks
from steepslope.numerics.linear import fit_standardised_softmax, principal_components
from steepslope.numerics.neighbors import Index, require_width
from steepslope.numerics.tensors import tensor
from steepslope.oracle.evidence.states import State, references
from steepslope.outputs import ClassifierOutputs
from steepslope.scores.score import Rows, rows_of

Floats = NDArray[np.float64]
Values = TypeVar("Values", NDArray[np.float64], Tensor)
AUXILIARY, NOISE = "auxiliary", "noise"
COMPONENTS = 50
COMPONENT_ROWS = 20_000  # from which the components are taken
POINTS = 5_000
NEIGHBOR = 10
USUAL = 0.05, 0.95  # quantiles of the fit set, between which nothing is far
OF_FEATURES = 5  # statistics of each row's features
SHARE = 0.75  # of the log-odds that is handed over at most
TINY = 1e-12
PENALTY = 1e-3
ROUNDING = 1e-4  # of the squared length: less than that in what components leave unexplained is rounding


@dataclass(frozen=True, eq=False)
class Handover:
    """``basis`` (e, c) and ``centre`` (e,) of whitened components, ``points`` (m, c) there, ``limits`` (2, s).

    The centre is float64, for features far from 0. ``direction`` (e,) is the one in which augmented copies differ most
    from what they are copies of.
    """

    basis: NDArray[np.float32]
    centre: Floats
    points: NDArray[np.float32]
    direction: NDArray[np.float32]
    limits: Floats

    @classmethod
    def from_outputs(
        cls, outputs: ClassifierOutputs, known: ClassifierOutputs, copies: ClassifierOutputs | None
    ) -> Handover:
        """Learn what is usual from ``known`` rows and their copies, and between which limits the fit set lies."""
        rows = np.asarray(references(known, COMPONENT_ROWS).require(AUXILIARY), dtype=np.float64)
        centre, directions, variances = principal_components(rows, COMPONENTS)
        basis = directions / np.sqrt(np.maximum(variances, TINY))
        some = np.asarray(references(known, POINTS).require(AUXILIARY), dtype=np.float64)
        learnt = (basis, (some - centre) @ basis, _direction_of_copies(rows, copies))
        singles = [array.astype(np.float32) for array in learnt]
        plain = cls(singles[0], centre, singles[1], singles[2], np.zeros((2, 0)))
        arrays = tuple(name for name in (AUXILIARY, NOISE) if name in outputs.arrays)
        return replace(plain, limits=np.quantile(plain._over(outputs, arrays, plain.statistics_of), USUAL, axis=0))

    @property
    def arrays(self) -> tuple[str, ...]:
        """The arrays of outputs from which it tells what is far."""
        return (AUXILIARY, NOISE) if self.limits.shape[1] > OF_FEATURES else (AUXILIARY,)

    def weight(self, outputs: ClassifierOutputs) -> Floats:
        """Return how far each row lies, (n,): 0 within what is usual, 1 from half the usual width beyond it.

        The statistic that lies furthest out decides; looking less like a copy than usual does not count.
        """
        expected = self.limits.shape[1] - OF_FEATURES
        held = outputs.require(NOISE).shape[1] if NOISE in outputs.arrays else 0
        if expected and held != expected:
            raise SteepslopeError(f"expected the {expected} estimates of the fit set, found {held or 'none'}", NOISE)
        return self._over(outputs, self.arrays, self.weight_of)

    def weight_of(self, rows: Rows) -> Tensor:
        """Return the weights of :meth:`weight` for some rows, float64 (m,)."""
        statistics, (low, high) = self.statistics_of(rows), tensor(self.limits)
        width = torch.where(high > low, (high - low) / 2, torch.inf)
        above_only = torch.arange(len(low)) == 0
        below = torch.where(above_only, 0.0, (low - statistics) / width)
        return torch.maximum(below, (statistics - high) / width).amax(dim=1).clamp(0, 1)

    def statistics_of(self, rows: Rows) -> Tensor:
        """Return all statistics of some rows, float64 (m, s)."""
        features = rows[AUXILIARY]
        require_width(features, len(self.basis), AUXILIARY)
        basis, direction = tensor(self.basis), tensor(self.direction)
        centred = (features - tensor(self.centre)).float()
        inside = centred @ basis
        scale = basis.square().sum(dim=0)  # 1 / variance of each component
        length = centred.square().sum(dim=1)
        unexplained = torch.maximum(length - (inside.square() / scale).sum(dim=1), ROUNDING * length)
        index = Index.build(self.points, np.zeros(len(self.points), dtype=np.int64), 1)
        distance = index.kth_distance(inside, min(NEIGHBOR, len(self.points)))
        logs = [one.clamp_min(TINY).log().double() for one in (distance, inside.square().sum(dim=1), unexplained)]
        looks = (centred @ direction[:, None])[:, 0].double()
        found = torch.stack([looks, *logs, features.double().mean(dim=1)], dim=1)
        return torch.cat([found, rows[NOISE].double()], dim=1) if NOISE in rows else found

    def _over(self, outputs: ClassifierOutputs, arrays: tuple[str, ...], formula: Callable[[Rows], Tensor]) -> Floats:
        parts = [formula(rows_of(outputs, arrays, rows)).numpy() for rows in blocks(len(outputs), 8_192)]
        return np.concatenate(parts)

    @classmethod
    def from_arrays(cls, arrays: State) -> Handover:
        """Return the hand-over of stored arrays; raise for some that are none."""
        expected = {
            "basis": "float32 e c", "centre": "float64 e", "points": "float32 m c", "direction": "float32 e",
            "limits": "float64 2 s",
        }  # fmt: skip
        with located("hand-over"):
            require_arrays(arrays, expected)
            if arrays["limits"].shape[1] < OF_FEATURES:
                raise SteepslopeError(f"expected limits of {OF_FEATURES} statistics or more, found fewer")
        return cls(**arrays)


def mixed_by_handover(odds: Values, fallback: Values, weight: Values) -> Values:
    """Hand some of the log-odds over, by weights in [0, 1], (n,) each."""
    return odds + SHARE * weight * (fallback - odds)


def _direction_of_copies(rows: Floats, copies: ClassifierOutputs | None) -> Floats:
    """Return the direction (e,) from rows to augmented copies; none, where there are no copies."""
    if copies is None or AUXILIARY not in copies.arrays:
        return np.zeros(rows.shape[1])
    changed = np.asarray(references(copies, COMPONENT_ROWS).require(AUXILIARY))
    both = np.concatenate([rows.astype(np.result_type(changed, np.float32)), changed])
    is_copy = np.repeat([0, 1], [len(rows), len(changed)])
    weights, _ = fit_standardised_softmax(both, is_copy, 2, PENALTY)
    return np.asarray(weights[:, 1] - weights[:, 0], dtype=np.float64)
