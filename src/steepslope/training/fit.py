"""Train an oracle's weights on columns in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from steepslope.errors import SteepslopeError
from steepslope.heads import Head
from steepslope.progress import bar
from steepslope.training.seeding import seeded, single_thread

TARGET_STEPS = 3_000


class OracleNet(nn.Module):
    """Columns (n, width) -> standardised -> ReLU layers -> head -> trust logit (n,)."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int, hidden: tuple[int, ...], head: str) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        layers: list[nn.Module] = []
        for before, after in zip((width, *hidden), hidden, strict=False):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = Head(head, (width, *hidden)[-1])

    def standardise(self, columns: NDArray[np.float32]) -> None:
        """Take mean and scale from the fit set; a constant column keeps the scale 1."""
        deviation = columns.std(axis=0, dtype=np.float64)
        self.mean.copy_(torch.from_numpy(columns.mean(axis=0, dtype=np.float64)))
        self.scale.copy_(torch.from_numpy(np.where(deviation > 0, deviation, 1.0)))

    def forward(self, columns: Tensor) -> Tensor:
        """Return the trust logits."""
        trust_logit: Tensor = self.head(self.body((columns - self.mean) / self.scale))
        return trust_logit


@dataclass(frozen=True)
class Schedule:
    """AdamW with a one-cycle cosine; without ``epochs``, as many as make about 3,000 steps, at least one."""

    epochs: int | None
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int

    def epochs_for(self, n: int) -> int:
        """Return the number of passes over n rows."""
        return self.epochs or max(1, round(TARGET_STEPS / math.ceil(n / self.batch_size)))


def fit_net(
    build: Callable[[], OracleNet],
    columns: NDArray[np.float32],
    target: NDArray[np.float32] | NDArray[np.bool_],
    loss: Callable[[Tensor, Tensor], Tensor],
    schedule: Schedule,
) -> OracleNet:
    """Build a net from the seed, standardise it on the columns (n, d) and minimise the mean loss."""
    with seeded(schedule.seed), single_thread():
        net = build()
        net.standardise(columns)
        _minimise(net, torch.from_numpy(columns), torch.from_numpy(target), loss, schedule)
    if not all(bool(weight.isfinite().all()) for weight in net.parameters()):
        raise SteepslopeError("the loss became NaN or infinite: a lower learning rate or smaller alphas may help")
    return net.eval()


def _minimise(
    net: OracleNet,
    columns: Tensor,
    target: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    schedule: Schedule,
) -> None:
    steps = schedule.epochs_for(len(target)) * math.ceil(len(target) / schedule.batch_size)
    optimizer = torch.optim.AdamW(
        net.parameters(), schedule.learning_rate, weight_decay=schedule.weight_decay, fused=True
    )
    cycle = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_cosine((step + 1) / steps))
    with bar() as progress:
        task = progress.add_task("fitting", total=steps)
        for rows in _batches(len(target), schedule.batch_size, steps):
            optimizer.zero_grad()
            mean_loss = loss(net(columns[rows]), target[rows]).mean()
            mean_loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            cycle.step()
            progress.advance(task)


def warm_cosine(done: float) -> float:
    """Return the share of the highest learning rate: up in the first tenth, then down along a cosine.

    >>> [round(warm_cosine(done), 3) for done in (0.05, 0.1, 0.55, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    """
    return min(done / 0.1, 0.5 * (1 + math.cos(math.pi * (max(done, 0.1) - 0.1) / 0.9)))


def _batches(n: int, batch_size: int, steps: int) -> Iterator[Tensor]:
    while steps > 0:
        for rows in torch.split(torch.randperm(n), batch_size):
            yield rows
            steps -= 1
