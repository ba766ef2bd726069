"""Train an oracle's weights on columns with PyTorch: what ``Oracle.fit`` runs, as the entry point ``columns``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn

from steepslope.errors import SteepslopeError, require_known
from steepslope.files import bar
from steepslope.heads import HEADS
from steepslope.nets._seeding import on_threads, seeded
from steepslope.numerics import Floats, blocks, scale_of_columns, single_thread, warm_cosine_rate
from steepslope.oracle import PIECE_ROWS, ColumnSettings, FitRows

_TARGET_STEPS = 3_000
BATCH = 256  # predictions in a step
_WEIGHT_DECAY = 0.1
BLOCK_PIECES = 64  # pieces in memory at once, and as many being read
BLOCK_ROWS = PIECE_ROWS * BLOCK_PIECES


class _Head(nn.Module):
    """The weights of a head; ``kind`` is a name in :data:`HEADS`."""

    def __init__(self, kind: str, width: int) -> None:
        super().__init__()
        require_known("head", kind, HEADS)
        self.function = HEADS[kind]
        bound = width**-0.5
        self.weight = nn.Parameter(torch.empty(width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, representation: Tensor) -> Tensor:
        """Map (n, width) to trust logits (n,)."""
        z: Tensor = self.function(representation, self.weight, self.bias)
        return z


class OracleNet(nn.Module):
    """Columns (n, width) -> standardised -> ReLU layers -> head -> trust logit (n,)."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int, hidden: tuple[int, ...], head: str) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        layers: list[nn.Module] = []
        for after in hidden:
            layers += [nn.Linear(width, after), nn.ReLU()]
            width = after
        self.body = nn.Sequential(*layers)
        self.head = _Head(head, width)

    def standardise(self, rows: FitRows) -> None:
        """Take mean and scale from the fit set; a constant column keeps the scale 1."""
        mean, deviation = rows.moments()
        self.mean.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(scale_of_columns(mean, deviation, rows.read(slice(0, 1)).dtype)))

    def forward(self, columns: Tensor) -> Tensor:
        """Return the trust logits."""
        return self.trust_logit((columns - self.mean) / self.scale)

    def trust_logit(self, standardised: Tensor) -> Tensor:
        """Return the trust logits of columns that are standardised already."""
        z: Tensor = self.head(self.body(standardised))
        return z


def fit_oracle_net(
    rows: FitRows, loss: Callable[[Tensor, Tensor], Tensor], settings: ColumnSettings
) -> dict[str, Floats]:
    """Build a net from the seed, standardise it on the rows and minimise the mean loss; return its weights.

    The optimizer is AdamW with a one-cycle cosine; without ``epochs``, there are as many as make about 3,000 steps.
    """
    with seeded(settings.seed), single_thread(), on_threads(1):
        net = OracleNet(rows.read(slice(0, 1)).shape[1], settings.hidden, settings.head)
        net.standardise(rows)
        _minimise_net_loss(net, rows, loss, settings)
    if not all(bool(weight.isfinite().all()) for weight in net.parameters()):
        raise SteepslopeError("the loss became NaN: a lower learning rate or smaller alphas may help")
    return {name: weight.numpy() for name, weight in net.double().state_dict().items()}


def _shuffled_blocks(rows: FitRows, mean: Tensor, scale: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all rows once in random order, in blocks that fit in memory: columns, and targets.

    The columns are standardised, or in float16 as they are, of a set of several blocks. A block gathers pieces from
    all over the set, since neighbouring rows are often of one class. The next block is read while one is in use.
    """
    *whole, last = blocks(rows.n, PIECE_ROWS)
    shuffled = [whole[index] for index in torch.randperm(len(whole)).tolist()]
    shuffled.append(last)
    first, *further = [shuffled[pieces] for pieces in blocks(len(shuffled), BLOCK_PIECES)]
    if not further:  # no thread for it: Python can wait forever for one that finds no memory
        yield _block(rows, first, mean, scale)
        return
    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(_block, rows, first, mean, scale)
        for some in [*further, None]:
            block = following.result()
            if some is not None:
                following = reader.submit(_block, rows, some, mean, scale)
            yield block


def _block(rows: FitRows, chosen: Sequence[slice], mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    if rows.n > BLOCK_ROWS and rows.halves is not None:
        columns = torch.from_numpy(np.concatenate([rows.halves[piece] for piece in chosen]))
    else:
        sizes = [piece.stop - piece.start for piece in chosen]
        columns = torch.empty((sum(sizes), len(mean)), dtype=torch.float32)
        for part, piece in zip(torch.split(columns, sizes), chosen, strict=True):
            values = torch.from_numpy(np.require(rows.read(piece), requirements=["C", "W"]))
            torch.sub(values, mean, out=part).div_(scale)
    return columns, torch.from_numpy(np.concatenate([rows.target[piece] for piece in chosen]))


def _minimise_net_loss(
    net: OracleNet, rows: FitRows, loss: Callable[[Tensor, Tensor], Tensor], settings: ColumnSettings
) -> None:
    epochs = settings.epochs or max(1, round(_TARGET_STEPS / math.ceil(rows.n / BATCH)))
    steps = epochs * sum(math.ceil((block.stop - block.start) / BATCH) for block in blocks(rows.n, BLOCK_ROWS))
    optimizer = torch.optim.AdamW(net.parameters(), settings.learning_rate, weight_decay=_WEIGHT_DECAY, fused=True)
    cycle = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_cosine_rate((step + 1) / steps))
    with bar("fitting", steps) as progress:
        for columns, target in _batches_for_net(net, rows, epochs):
            optimizer.zero_grad()
            mean_loss = loss(net.trust_logit(columns), target).mean()
            mean_loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            cycle.step()
            progress.update()


def _batches_for_net(net: OracleNet, rows: FitRows, epochs: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of all epochs; a fit set of one block is read once."""
    in_memory = []
    if rows.n <= BLOCK_ROWS:
        in_memory = list(_shuffled_blocks(rows, net.mean, net.scale))
    for _ in range(epochs):
        for columns, target in in_memory or _shuffled_blocks(rows, net.mean, net.scale):
            for batch in torch.split(torch.randperm(len(target)), BATCH):
                chosen = columns.index_select(0, batch)
                if chosen.dtype == torch.float16:
                    chosen = (chosen - net.mean).div_(net.scale)
                yield chosen, target.index_select(0, batch)
