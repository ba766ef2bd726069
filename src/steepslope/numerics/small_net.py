"""Half a cosine, along which learning rates fall, and the one cycle of fits on columns.

A small net from features to classes: what a linear probe misses.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from steepslope.files.seeding import seeded
from steepslope.numerics.linear import Standardised, standardised
from steepslope.numerics.tensors import tensor
from steepslope.numerics.threads import single_thread


def cosine_rate(done: float, whole: float = 1.0) -> float:
    """Return how much is left, in [0, 1], when ``done`` of ``whole`` is over: half a cosine.

    >>> [round(cosine_rate(done), 3) for done in (0.0, 0.25, 0.5, 1.0)]
    [1.0, 0.854, 0.5, 0.0]
    """
    return 0.5 * (1 + math.cos(math.pi * done / whole))


def warm_cosine_rate(done: float) -> float:
    """Return the fraction of the highest learning rate: up in the first tenth, then down along a cosine.

    >>> [round(warm_cosine_rate(done), 3) for done in (0.05, 0.1, 0.55, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    """
    return min(done / 0.1, cosine_rate(max(done, 0.1) - 0.1, 0.9))


EPOCHS, LEAST_STEPS, BATCH = 16, 300, 256
MANY_ROWS, FEW_WIDTH, FEW_DROPOUT = 20_000, 256, 0.3
MOST_PRODUCTS = 2.5e11  # of a weight and a value, over all steps: a quarter of a minute; more learns by heart (LOG.md)
RATE, DECAY = 2e-3, 1e-2
ADAMW: Any = {"beta1": 0.9, "beta2": 0.999, "weight_decay": DECAY, "eps": 1e-8, "amsgrad": False, "maximize": False}
TINY = 1e-6  # of components, which are scaled by one number: the larger ones count more
NAMES = "inner", "inner_bias", "outer", "outer_bias"


def fit_small_net(
    columns: NDArray[Any] | Standardised,
    labels: NDArray[np.int64],
    num_classes: int,
    width: int,
    dropout: float | None = None,
) -> dict[str, NDArray[Any]]:
    """Fit one ReLU layer by AdamW on standardised columns (n, w); return its weights, for columns as they are.

    ``inner`` (w, h), ``inner_bias`` (h,), ``outer`` (h, K), ``outer_bias`` (K,), in float32 but for the ``inner_bias``
    in float64. Sixteen epochs, fewer where rows and weights are many, but at least 300 steps; always from the same
    seed, on one thread. h is ``width``, and at most 256 on fewer than 20,000 rows, where there is also dropout of .3
    unless another is given: a net that knows few rows by heart misleads where inputs look different.
    """
    few = len(labels) < MANY_ROWS
    width, dropout = min(width, FEW_WIDTH) if few else width, FEW_DROPOUT * few if dropout is None else dropout
    inputs = columns if isinstance(columns, Standardised) else standardised(columns)
    taken = torch.from_numpy(inputs.columns)
    factor = 1.0 if inputs.directions is None else float(1 / taken.square().mean().sqrt().clamp_min(TINY))
    layers = _trained_small_net(taken * factor, torch.from_numpy(labels), num_classes, width, dropout)
    (weights, bias), outer = ((layer.weight.detach().numpy().T, layer.bias.detach().numpy()) for layer in layers)
    arrays = dict(zip(NAMES, (*inputs.for_originals(factor * weights, bias), *outer), strict=True))
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _trained_small_net(
    columns: torch.Tensor, labels: torch.Tensor, num_classes: int, width: int, dropout: float
) -> tuple[nn.Linear, nn.Linear]:
    total = _steps_of_small_net(len(labels), width * (columns.shape[1] + num_classes))
    with seeded(0), single_thread():
        inner, outer = nn.Linear(columns.shape[1], width), nn.Linear(width, num_classes)
        net = nn.Sequential(nn.Dropout(dropout), inner, nn.ReLU(), nn.Dropout(dropout), outer)
        adam = _AdamW([*net.parameters()])
        for step, rows in enumerate(itertools.islice(_batches_for_small_net(len(labels)), total)):
            loss = nn.functional.cross_entropy(net(columns.index_select(0, rows)), labels[rows])
            adam.step(loss, RATE * warm_cosine_rate((step + 1) / total))
    return inner, outer


class _AdamW:
    """AdamW by the kernel of ``torch.optim``, which itself takes a second to import PyTorch's compiler."""

    def __init__(self, weights: list[torch.Tensor]) -> None:
        self.weights, self.counts = weights, [torch.zeros(()) for _ in weights]
        self.means, self.squares = ([torch.zeros_like(weight) for weight in weights] for _ in range(2))

    def step(self, loss: torch.Tensor, rate: float) -> None:
        """Change the weights by the gradient of a loss."""
        gradients = [*torch.autograd.grad(loss, self.weights)]
        with torch.no_grad():
            torch._foreach_add_(self.counts, 1)
            torch._fused_adamw_(self.weights, gradients, self.means, self.squares, [], self.counts, lr=rate, **ADAMW)


def _steps_of_small_net(rows: int, weights: int) -> int:
    """Return the number of steps.

    >>> _steps_of_small_net(100, 1_000), _steps_of_small_net(50_000, 140_000), _steps_of_small_net(10**6, 700_000)
    (300, 3136, 1395)
    """
    most = int(MOST_PRODUCTS / (BATCH * weights))
    return max(min(EPOCHS * math.ceil(rows / BATCH), most), LEAST_STEPS)


def _batches_for_small_net(n: int) -> Iterator[torch.Tensor]:
    """Yield batches of rows, in a new order each time that all have been seen."""
    while True:
        yield from torch.split(torch.randperm(n), BATCH)


def small_net_logits(columns: torch.Tensor, arrays: Any) -> torch.Tensor:
    """Return the logits of columns (m, w) by the weights that :func:`fit_small_net` returned, float64 (m, K)."""
    inner, inner_bias, outer, outer_bias = (tensor(arrays[name]).double() for name in NAMES)
    return (columns.double() @ inner + inner_bias).relu() @ outer + outer_bias
