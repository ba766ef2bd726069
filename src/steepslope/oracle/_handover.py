"""The hand-over: if a row's features lie far from the fit set, a plainer pool takes over most of the log-odds.

A pool on the classifier's own features hands over to an average of the same opinions, in which the classifier's own has
half of the weight. A row is far if its nearest reference is distant.

A pool with an auxiliary backbone hands over to the one without it. A row is far if any of these statistics is unusual:
how much its features look like those of augmented copies, by a linear classifier; the distance to the tenth neighbour,
and the length, in whitened principal components; the length that these leave unexplained; the mean activation; and
estimates of the image's noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from steepslope.errors import SteepslopeError, located
from steepslope.numerics import (
    Array,
    Floats,
    Index,
    Singles,
    blocks,
    clipped,
    constant,
    fit_standardised_softmax,
    float32,
    float64,
    namespace_of,
    principal_components,
    quiet,
    require_arrays,
    require_width,
    scale_of_columns,
)
from steepslope.oracle.evidence import State, references
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import Rows, rows_of

_AUXILIARY = "auxiliary"
NOISE = "noise"
FEATURES = "features"
COMPONENTS = 50
_COMPONENT_ROWS = 20_000  # from which the components are taken
_POINTS = 5_000
NEIGHBOR = 10
_USUAL = 0.05, 0.95  # quantiles of the fit set; rows between these are not far
_OF_FEATURES = 5  # statistics of each row's features
SHARE = 0.75  # at most this share of the log-odds is handed over
_TINY = 1e-12
_PENALTY = 1e-3
_FEATURE_POINTS = 250  # four times as many tell no more
_UNUSUAL = 0.9, 0.999  # quantiles of the fit set's log-distances; the weight rises from 0 to 1 between these
_EQUAL = 1e-5  # of the squared deviations of all features; a smaller squared distance is rounding
_ROUNDING = 1e-4  # of the squared length; a smaller unexplained part is rounding


@dataclass(frozen=True, eq=False)
class Handover:
    """The hand-over by auxiliary features (n, e).

    ``basis`` (e, c) and ``centre`` (e,) define whitened components, and ``points`` (m, c) are references there.
    ``limits`` (2, s) are those of the s statistics. ``direction`` (e,) is the one in which augmented copies differ most
    from their originals. The centre is float64, because features may lie far from 0.
    """

    basis: Singles
    centre: Floats
    points: Singles
    direction: Singles
    limits: Floats

    @classmethod
    def from_outputs(
        cls, outputs: ClassifierOutputs, known: ClassifierOutputs, copies: ClassifierOutputs | None
    ) -> Handover:
        """Learn the components from ``known`` rows and their copies, and the limits from the fit set."""
        rows = np.asarray(references(known, _COMPONENT_ROWS).require(_AUXILIARY), dtype=np.float64)
        centre, directions, variances = principal_components(rows, COMPONENTS)
        basis = directions / np.sqrt(np.maximum(variances, _TINY))
        points = np.asarray(references(known, _POINTS).require(_AUXILIARY), dtype=np.float64)
        plain = cls(
            basis=basis.astype(np.float32),
            centre=centre,
            points=((points - centre) @ basis).astype(np.float32),
            direction=_direction_of_copies(rows, copies).astype(np.float32),
            limits=np.zeros((2, 0)),
        )
        arrays = tuple([name for name in (_AUXILIARY, NOISE) if name in outputs.arrays])
        statistics = _of_blocks(outputs, arrays, plain.statistics_of)
        return replace(plain, limits=np.quantile(statistics, _USUAL, axis=0))

    @property
    def arrays(self) -> tuple[str, ...]:
        """The arrays of outputs that the hand-over needs."""
        if self.limits.shape[1] > _OF_FEATURES:
            return (_AUXILIARY, NOISE)
        return (_AUXILIARY,)

    def weight(self, outputs: ClassifierOutputs) -> Floats:
        """Return how far each row lies, float64 (n,): 0 within the limits, 1 from half their width beyond them on.

        The most unusual statistic decides; looking less like a copy than usual does not count.
        """
        expected = self.limits.shape[1] - _OF_FEATURES
        held = outputs.require(NOISE).shape[1] if NOISE in outputs.arrays else 0
        if expected and held != expected:
            raise SteepslopeError(f"expected the {expected} estimates of the fit set, found {held or 'none'}", NOISE)
        return _of_blocks(outputs, self.arrays, self.weight_of)

    def weight_of(self, rows: Rows) -> Array:
        """Return the weights of :meth:`weight` for some rows, float64 (m,)."""
        statistics = self.statistics_of(rows)
        low, high = self.limits
        width = constant(np.where(high > low, (high - low) / 2, np.inf), statistics)
        low = constant(low, statistics)
        high = constant(high, statistics)
        xp = namespace_of(statistics)
        is_likeness = xp.arange(len(self.limits[0])) == 0
        below = xp.where(is_likeness, 0.0, (low - statistics) / width)
        above = (statistics - high) / width
        return clipped(xp.max(xp.maximum(below, above), axis=1), 0, 1)

    def statistics_of(self, rows: Rows) -> Array:
        """Return all statistics of some rows, float64 (m, s)."""
        features = rows[_AUXILIARY]
        xp = namespace_of(features)
        require_width(features, len(self.basis), _AUXILIARY)
        basis = constant(self.basis, features)
        direction = constant(self.direction, features)
        centred = float32(features - constant(self.centre, features))
        inside = centred @ basis
        scale = xp.sum(basis**2, axis=0)  # 1 / variance of each component
        length = xp.sum(centred**2, axis=1)
        unexplained = xp.maximum(length - xp.sum(inside**2 / scale, axis=1), _ROUNDING * length)
        count = len(self.points)
        index = Index.build(self.points, np.zeros(count, dtype=np.int64), 1)
        distance = index.kth_distance(inside, min(NEIGHBOR, count))
        squares = [distance, xp.sum(inside**2, axis=1), unexplained]
        logs = [float64(xp.log(clipped(values, _TINY))) for values in squares]
        likeness = float64((centred @ direction[:, None])[:, 0])
        statistics = xp.stack([likeness, *logs, xp.mean(float64(features), axis=1)], axis=1)
        if NOISE not in rows:
            return statistics
        return xp.concat([statistics, float64(rows[NOISE])], axis=1)

    @classmethod
    def from_arrays(cls, arrays: State) -> Handover:
        """Return the hand-over of stored arrays; raise if they are invalid."""
        expected = {
            "basis": "float32 e c",
            "centre": "float64 e",
            "points": "float32 m c",
            "direction": "float32 e",
            "limits": "float64 2 s",
        }
        with located("hand-over"):
            require_arrays(arrays, expected)
            if arrays["limits"].shape[1] < _OF_FEATURES:
                raise SteepslopeError(f"expected limits of {_OF_FEATURES} statistics or more, found fewer")
        return cls(**arrays)


@dataclass(frozen=True, eq=False)
class FeatureHandover:
    """The hand-over by the classifier's own features (n, d).

    ``points`` (m, d) are references, standardised by ``centre`` and ``scale`` (d,). ``limits`` (2,) are logarithms of
    squared distances: the weight is 0 up to the first and 1 from the second on.
    """

    points: Singles
    centre: Floats
    scale: Floats
    limits: Floats
    arrays = (FEATURES,)

    @classmethod
    def from_outputs(cls, outputs: ClassifierOutputs, known: ClassifierOutputs | None) -> FeatureHandover:
        """Keep some of the ``known`` rows as references, and learn the limits from the fit set.

        Without known rows, rows of the fit set are kept, and no row counts as its own neighbour.
        """
        source = outputs if known is None else known
        features = references(source, _FEATURE_POINTS).require(FEATURES)
        rows = np.asarray(features, dtype=np.float64)
        centre = rows.mean(axis=0)
        scale = scale_of_columns(centre, rows.std(axis=0), features.dtype)
        points = ((rows - centre) / scale).astype(np.float32)
        plain = cls(points, centre, scale, np.zeros(2))
        place = int(known is None)  # the nearest is the row itself

        def nearest_square(rows: Rows) -> Floats:
            return np.asarray(np.partition(plain.squares_of(rows), 1)[:, place])

        nearest = _of_blocks(outputs, cls.arrays, nearest_square).astype(np.float64)
        logs = np.log(np.maximum(nearest, _TINY))
        return replace(plain, limits=np.quantile(logs, _UNUSUAL))

    def weight(self, outputs: ClassifierOutputs) -> Floats:
        """Return how far each row lies, float64 (n,), in [0, 1]."""
        return _of_blocks(outputs, self.arrays, self.weight_of)

    def weight_of(self, rows: Rows) -> Array:
        """Return the weights of :meth:`weight` for some rows, float64 (m,)."""
        return clipped(self._beyond_limit(self.squares_of(rows)), 0, 1)

    def distance(self, outputs: ClassifierOutputs) -> Floats:
        """Return a number that rises with each row's distance to the nearest other point, float64 (n,), in (0, 1).

        A point that equals the row does not count: it may be the row itself.
        """

        def beyond_limit(rows: Rows) -> Floats:
            squares = np.asarray(self.squares_of(rows))
            others = np.where(squares > _EQUAL * len(self.centre), squares, np.inf)
            return np.asarray(self._beyond_limit(others))

        return np.asarray(expit(_of_blocks(outputs, self.arrays, beyond_limit)))

    def _beyond_limit(self, squares: Array) -> Array:
        """Return how far each row's log-distance lies beyond the first limit, in units of both limits' gap, (m,)."""
        low, high = self.limits
        xp = namespace_of(squares)
        nearest = xp.log(clipped(float64(xp.min(squares, axis=1)), _TINY))
        return (nearest - low) / max(high - low, _TINY)

    def squares_of(self, rows: Rows) -> Array:
        """Return the squared distances to all points, float32 (m, p); equal rows may be a little below 0."""
        features = rows[FEATURES]
        xp = namespace_of(features)
        require_width(features, len(self.centre), FEATURES)
        centred = features - constant(self.centre, features)
        scaled = float32(centred / constant(self.scale, features))
        products = scaled @ constant(self.points.T, scaled)
        lengths = constant((self.points**2).sum(axis=1), scaled)
        return xp.sum(scaled**2, axis=1)[:, None] - 2 * products + lengths

    @classmethod
    def from_arrays(cls, arrays: State) -> FeatureHandover:
        """Return the hand-over of stored arrays; raise if they are invalid."""
        expected = {"points": "float32 m d", "centre": "float64 d", "scale": "float64 d", "limits": "float64 2"}
        with located("hand-over"):
            require_arrays(arrays, expected)
        return cls(**arrays)


def handover_from_arrays(arrays: State) -> Handover | FeatureHandover:
    """Return the hand-over of stored arrays, of either kind."""
    kind = FeatureHandover if "scale" in arrays else Handover
    return kind.from_arrays(arrays)


@quiet
def _of_blocks(outputs: ClassifierOutputs, arrays: tuple[str, ...], formula: Callable[[Rows], Array]) -> Floats:
    return np.concatenate([formula(rows_of(outputs, arrays, rows)) for rows in blocks(len(outputs), 8_192)])


def mixed_by_handovers(odds: Sequence[Array], weights: Sequence[Array]) -> Array:
    """Return the log-odds (n,), of which each pool hands some over to the next ones, by weights (n,) in [0, 1]."""
    mixed = odds[-1]
    for own, weight in zip(odds[-2::-1], weights[::-1], strict=True):
        mixed = own + SHARE * weight * (mixed - own)
    return mixed


def _direction_of_copies(rows: Floats, copies: ClassifierOutputs | None) -> Floats:
    """Return the direction (e,) from rows to augmented copies; zeros without copies."""
    if copies is None or _AUXILIARY not in copies.arrays:
        return np.zeros(rows.shape[1])
    changed = np.asarray(references(copies, _COMPONENT_ROWS).require(_AUXILIARY))
    both = np.concatenate([rows.astype(np.result_type(changed, np.float32)), changed])
    is_copy = np.repeat([0, 1], [len(rows), len(changed)])
    weights, _ = fit_standardised_softmax(both, is_copy, 2, _PENALTY)
    return np.asarray(weights[:, 1] - weights[:, 0], dtype=np.float64)
