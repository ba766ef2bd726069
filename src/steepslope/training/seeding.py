"""One seed for a stretch of code that draws from torch's generator, which is left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from ``seed`` inside the block, and put the generator's state back after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
