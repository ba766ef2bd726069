"""Draws and sums of PyTorch that are always the same: one number for several parts, and blocks of code."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seed_of(*parts: object) -> int:
    """Return a number of 256 bits that some parts, such as a seed and an image's id, decide together.

    >>> seed_of(0, "a") == seed_of("0/a") != seed_of(1, "a")
    True
    """
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest())


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from ``seed`` inside the block, and put torch's CPU generator back as it was after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Compute on so many of PyTorch's threads inside the block, however many cores there are: sums depend on that."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
