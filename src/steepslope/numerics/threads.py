"""On how many threads arrays are computed, whatever the environment says.

Threads that share a small product spin while they wait for each other: on a busy machine that takes seconds for what
one thread does in milliseconds. So all libraries compute on one thread, and large work is cut into slices of rows, for
threads that do not wait for each other.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

import threadpoolctl
import torch
from threadpoolctl import ThreadpoolController

from steepslope.numerics.blocks import blocks

LARGE = 2e8  # multiplications from which slices pay: some 10 ms of one thread
MOST_THREADS = 8  # each needs memory of its own, some 30 MiB


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Compute on so many of PyTorch's threads inside the block, whatever the cores: on their number sums depend."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Blas:
    """All BLAS libraries of this process, NumPy's and SciPy's."""

    def __init__(self) -> None:
        self.libraries = ThreadpoolController().select(user_api="blas").lib_controllers

    def limit(self) -> list[int]:
        """Put all on one thread; return how many each had."""
        before = [library.num_threads for library in self.libraries]
        self._set([1] * len(before))
        return before

    def restore(self, before: list[int]) -> None:
        """Give back what :meth:`limit` returned, but to a library that somebody else has set since."""
        now = [library.num_threads for library in self.libraries]
        self._set([count if one == 1 else one for count, one in zip(before, now, strict=True)])

    def _set(self, counts: list[int]) -> None:
        for library, count in zip(self.libraries, counts, strict=True):
            library.set_num_threads(count)
        # threadpoolctl lets nobody but the first Python thread set OpenBLAS, unless it is told that this one is done
        getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", lambda: None)()


class _Blocks:
    """The blocks on one thread that are open in this process; BLAS is limited from the first to the last of them."""

    def __init__(self) -> None:
        self.lock, self.here = threading.Lock(), threading.local()
        self.count, self.usual = 0, 1
        self.blas: list[int] = []

    def enter(self) -> None:
        """Open a block in this Python thread, and note how many threads of PyTorch's it had before."""
        with self.lock:
            before = torch.get_num_threads()
            if self.count == 0:
                self.usual, self.blas = before, _blas().limit()
            self.count += 1
            # 1 is also what a Python thread begins with that first meets PyTorch in the block of another
            self.here.usual = self.usual if before == 1 else before
            torch.set_num_threads(1)

    def leave(self) -> None:
        """Close the block of this Python thread; all is as it was before."""
        with self.lock:
            torch.set_num_threads(self.here.usual)
            self.here.usual = None
            self.count -= 1
            if self.count == 0:
                _blas().restore(self.blas)

    def usual_here(self) -> int | None:
        """Return how many threads this Python thread had before its block; None outside."""
        return getattr(self.here, "usual", None)


@cache
def _blas() -> _Blas:
    return _Blas()


_BLOCKS = _Blocks()


@contextmanager
def single_thread() -> Iterator[None]:
    """Compute on one thread of PyTorch and of BLAS inside the block, which is fastest for small arrays.

    Afterwards all is as it was, also after an error. PyTorch's number is each Python thread's own; that of BLAS is the
    process's, and comes back when the last of several blocks ends. Python threads that first use PyTorch while a block
    of another is open begin with one thread, and get the other's number back from a block of their own.

    >>> with single_thread():
    ...     torch.get_num_threads()
    1
    """
    if _BLOCKS.usual_here() is not None:
        yield
        return
    _BLOCKS.enter()
    try:
        yield
    finally:
        _BLOCKS.leave()


def in_slices(work: Callable[[slice], Any], n: int, products: float) -> list[Any]:
    """Return what ``work`` makes of slices that cut 0…n−1, in order: of one, or of several at once if work is large.

    ``products`` is the number of multiplications in all. Each slice is computed on one thread. There are at most as
    many as PyTorch has threads outside of :func:`single_thread`, and as the process may use cores.

    >>> in_slices(lambda rows: rows, 10, products=1)
    [slice(0, 10, None)]
    """
    usual = _BLOCKS.usual_here() or torch.get_num_threads()
    count = min(usual, cores(), MOST_THREADS, n) if products >= LARGE else 1
    with single_thread():
        if count == 1:
            return [work(slice(0, n))]
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work, blocks(n, -(-n // count))))
