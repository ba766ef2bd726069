"""A small net from features to classes, which learns what a linear probe misses, and learning rates.

Learning rates fall along half a cosine; fits on columns have one cycle.
"""

import itertools
import math
from collections.abc import Iterator

import numpy as np

from steepslope.numerics._blocks import blocks
from steepslope.numerics._formulas import Array, clipped, constant, float32, float64
from steepslope.numerics._linear import Standardised, standardised
from steepslope.numerics._threads import single_thread
from steepslope.numerics._types import ArrayDict, Arrays, Counts, Singles, Values


def cosine_rate(done: float, whole: float = 1.0) -> float:
    """Return the fraction of the learning rate, in [0, 1], after ``done`` of ``whole``: half a cosine.

    >>> [round(cosine_rate(done), 3) for done in (0.0, 0.25, 0.5, 1.0)]
    [1.0, 0.854, 0.5, 0.0]
    """
    return 0.5 * (1 + math.cos(math.pi * done / whole))


def warm_cosine_rate(done: float) -> float:
    """Return the fraction of the highest learning rate: it rises in the first tenth, then falls along a cosine.

    >>> [round(warm_cosine_rate(done), 3) for done in (0.05, 0.1, 0.55, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    """
    return min(done / 0.1, cosine_rate(max(done, 0.1) - 0.1, 0.9))


EPOCHS = 16
LEAST_STEPS = 300
BATCH = 256
MANY_ROWS = 20_000
FEW_WIDTH = 256
_FEW_DROPOUT = 0.3
MOST_PRODUCTS = 2.5e11  # of a weight and a value, over all steps: a quarter of a minute; more learns by heart
_RATE = 2e-3
DECAY = 1e-2
_BETAS = 0.9, 0.999
_EPSILON = 1e-8
_PART = 2**14  # weights that are changed at once, which stay in the processor's caches
DROPS = 8  # steps that share random numbers: the same ones for all steps would be learnt
_LINE = 16  # numbers that lie together in a processor's cache
TINY = 1e-6  # of components, which are scaled by one number: the larger ones count more
NAMES = "centre", "inner", "inner_bias", "outer", "outer_bias"


def fit_small_net(
    columns: Values | Standardised, labels: Counts, num_classes: int, width: int, dropout: float | None = None
) -> ArrayDict:
    """Fit one ReLU layer by AdamW on standardised columns (n, w); return its weights for the original columns.

    ``inner`` (w, h), ``inner_bias`` (h,), ``outer`` (h, K) and ``outer_bias`` (K,), in float32, are for columns minus
    the ``centre`` (w,), in float64 because columns may lie far from 0. There are sixteen epochs, or fewer if rows and
    weights are many, but at least 300 steps, always from the same seed and on one thread. h is ``width``. On fewer than
    20,000 rows it is at most 256, and the default dropout is 0.3: a net that memorises few rows misleads where inputs
    look different.
    """
    has_few_rows = len(labels) < MANY_ROWS
    if has_few_rows:
        width = min(width, FEW_WIDTH)
    if dropout is None:
        dropout = _FEW_DROPOUT * has_few_rows
    inputs = columns if isinstance(columns, Standardised) else standardised(columns)
    scale = 1.0
    if inputs.directions is not None:
        size = np.sqrt(np.square(inputs.columns).mean(dtype=np.float64))
        scale = 1 / max(float(size), TINY)
    scaled = inputs.columns * np.float32(scale)
    seen = scaled.shape[1]
    net = _SmallNet(seen, width, num_classes, dropout)
    total = _steps_of_small_net(len(labels), width * (seen + num_classes))
    with single_thread():
        for step, rows in enumerate(itertools.islice(net.batches(len(labels)), total)):
            net.step(scaled, rows, labels[rows], _RATE * warm_cosine_rate((step + 1) / total))
    inner, inner_bias, outer, outer_bias = net.layers
    weights, _ = inputs.for_originals(scale * inner, inner_bias)
    arrays = inputs.mean, weights, inner_bias, outer, outer_bias
    return {name: np.array(array, order="C") for name, array in zip(NAMES, arrays, strict=True)}


class _SmallNet:
    """Columns -> dropout -> linear -> ReLU -> dropout -> linear, and AdamW on all weights as one vector.

    ``mean`` and ``square`` are sums over all steps, which each later step decays. All steps write into the same
    ``rooms``, because new memory costs more than the computation.
    """

    def __init__(self, inputs: int, width: int, outputs: int, dropout: float) -> None:
        self.draw = np.random.default_rng(0)
        self.kept = 1 - dropout
        self.shapes = (inputs, width), (width,), (width, outputs), (outputs,)
        scales = np.repeat([inputs**-0.5, width**-0.5], [(inputs + 1) * width, (width + 1) * outputs])
        self.weights = (scales * self.draw.uniform(-1, 1, len(scales))).astype(np.float32)
        self.gradient = np.zeros_like(self.weights)
        self.mean = np.zeros_like(self.weights)
        self.square = np.zeros_like(self.weights)
        self.layers = self._split(self.weights)
        self.slopes = self._split(self.gradient)
        self.steps = 0
        self.rooms = [np.empty((BATCH, size), np.float32) for size in (inputs, width, width, outputs)]
        self.change = np.empty(min(_PART, len(self.weights)), np.float32)
        size = 2 * BATCH * max(inputs, width) if dropout else 0
        self.random = np.empty(size, np.float32)

    def _split(self, flat: Singles) -> list[Singles]:
        """Return the weights and biases of both layers as views of a vector."""
        edges = np.cumsum([math.prod(shape) for shape in self.shapes])[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(flat, edges), self.shapes, strict=True)]

    def batches(self, n: int) -> Iterator[Counts]:
        """Yield batches of rows, in a new random order in each epoch."""
        while True:
            order = self.draw.permutation(n)
            yield from (order[rows] for rows in blocks(n, BATCH))

    def step(self, columns: Singles, rows: Counts, labels: Counts, rate: float) -> None:
        """Update the weights by the gradient of the mean cross entropy of some rows with their labels."""
        if self.steps % DROPS == 0:
            self._draw_factors()
        inner, inner_bias, outer, outer_bias = self.layers
        seen, hidden, back, residual = (room[: len(rows)] for room in self.rooms)
        self._drop(np.take(columns, rows, axis=0, out=seen, mode="clip"))
        np.matmul(seen, inner, out=hidden)
        hidden += inner_bias
        self._drop(np.maximum(hidden, 0, out=hidden))
        np.matmul(hidden, outer, out=residual)
        residual += outer_bias
        residual -= residual.max(axis=1, keepdims=True)
        np.exp(residual, out=residual)
        residual /= len(rows) * residual.sum(axis=1, keepdims=True)
        residual[np.arange(len(rows)), labels] -= 1 / len(rows)
        np.matmul(hidden.T, residual, out=self.slopes[2])
        residual.sum(axis=0, out=self.slopes[3])
        residual /= self.kept
        np.matmul(residual, outer.T, out=back)
        back *= hidden > 0
        np.matmul(seen.T, back, out=self.slopes[0])
        back.sum(axis=0, out=self.slopes[1])
        self._adamw(rate)

    def _draw_factors(self) -> None:
        is_kept = self.draw.random(out=self.random, dtype=np.float32) < self.kept
        self.factors = is_kept / np.float32(self.kept)

    def _drop(self, values: Singles) -> None:
        """Apply dropout: multiply values by 0, or by the factor that keeps their mean, from a random place on."""
        if len(self.factors):
            start = _LINE * int(self.draw.integers((len(self.factors) - values.size) // _LINE))
            values *= self.factors[start : start + values.size].reshape(values.shape)

    def _adamw(self, rate: float) -> None:
        """Take a step of AdamW (Loshchilov & Hutter, 2019)."""
        self.steps += 1
        of_mean, of_square = ((1 - beta) / (1 - beta**self.steps) for beta in _BETAS)
        size = rate * of_mean / math.sqrt(of_square)
        least = _EPSILON / math.sqrt(of_square)
        for part in blocks(len(self.weights), _PART):
            gradient = self.gradient[part]
            mean = self.mean[part]
            square = self.square[part]
            change = np.square(gradient, out=self.change[: len(gradient)])
            mean *= _BETAS[0]
            mean += gradient
            square *= _BETAS[1]
            square += change
            np.sqrt(square, out=change)
            change += least
            np.divide(mean, change, out=change)
            change *= size
            self.weights[part] *= 1 - rate * DECAY
            self.weights[part] -= change


def _steps_of_small_net(rows: int, weights: int) -> int:
    """Return the number of steps, given the numbers of rows and weights.

    >>> _steps_of_small_net(100, 1_000), _steps_of_small_net(50_000, 140_000), _steps_of_small_net(10**6, 700_000)
    (300, 3136, 1395)
    """
    most = int(MOST_PRODUCTS / (BATCH * weights))
    return max(min(EPOCHS * math.ceil(rows / BATCH), most), LEAST_STEPS)


def small_net_logits(columns: Array, arrays: Arrays) -> Array:
    """Return the logits of columns (m, w) by the weights that :func:`fit_small_net` returned, float64 (m, K)."""
    centre, inner, inner_bias, outer, outer_bias = (constant(arrays[name], columns) for name in NAMES)
    hidden = clipped(float32(columns - centre) @ inner + inner_bias, 0)
    return float64(hidden @ outer + outer_bias)
