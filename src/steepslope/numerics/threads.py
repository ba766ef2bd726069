"""On how many threads arrays are computed, whatever the environment says.

Threads that share a small product spin while they wait for each other: on a busy machine that takes seconds for what
one thread does in milliseconds. So all libraries compute on one thread, and large work is cut into slices of rows, for
threads that do not wait for each other.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import threadpoolctl
import torch

from steepslope.numerics.blocks import blocks

LARGE = 2e8  # multiplications from which slices pay: some 10 ms of one thread
MOST_THREADS = 8  # each needs memory of its own, some 30 MiB


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
    """NumPy's and SciPy's BLAS, whose threads are those of the process: one as long as any block is open."""

    def __init__(self) -> None:
        self.lock, self.blocks = threading.Lock(), 0

    @cached_property
    def libraries(self) -> list[Any]:
        return list(threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers)

    @contextmanager
    def limited(self) -> Iterator[None]:
        with self.lock:
            if self.blocks == 0:
                self.usual, self.before = torch.get_num_threads(), [one.num_threads for one in self.libraries]
                self._set([1] * len(self.before))
            self.blocks += 1
        try:
            yield
        finally:
            with self.lock:
                self.blocks -= 1
                if self.blocks == 0:  # what somebody else has set since stays
                    now = [one.num_threads for one in self.libraries]
                    self._set([usual if count == 1 else count for count, usual in zip(now, self.before, strict=True)])

    def _set(self, counts: list[int]) -> None:
        for library, count in zip(self.libraries, counts, strict=True):
            library.set_num_threads(count)
        # only the Python thread that set OpenBLAS first may set it again, until it says that it is done
        getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", lambda: None)()


_BLAS = _Blas()


@contextmanager
def single_thread() -> Iterator[None]:
    """Compute on one thread of PyTorch and of BLAS inside the block, which is fastest for small arrays.

    Afterwards all is as it was, also after an error. PyTorch's number is each Python thread's own; that of BLAS is the
    process's, and comes back when the last of several open blocks ends. A Python thread that first meets PyTorch while
    another is in a block begins with one thread of it, and stays with that.

    >>> with single_thread():
    ...     torch.get_num_threads()
    1
    """
    with _BLAS.limited(), on_threads(1):
        yield


def in_slices(work: Callable[[slice], Any], n: int, products: float) -> list[Any]:
    """Return what ``work`` makes of slices that cut 0…n−1, in order: of one, or of several at once if work is large.

    ``products`` is the number of multiplications in all. Each slice is computed on one thread, and there are at most as
    many as PyTorch has threads outside of :func:`single_thread`.

    >>> in_slices(lambda rows: rows, 10, products=1)
    [slice(0, 10, None)]
    """
    with single_thread():
        count = min(_BLAS.usual, MOST_THREADS, n) if products >= LARGE else 1
        if count == 1:
            return [work(slice(0, n))]
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work, blocks(n, -(-n // count))))
