"""The number of threads that compute on arrays, whatever the environment says.

Threads that share a small product spin while they wait for each other. On a busy machine, this takes seconds for work
that one thread does in milliseconds. So all libraries compute on one thread, and large work is cut into slices of rows
for threads that do not wait for each other.
"""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import threadpoolctl

from steepslope.numerics._blocks import blocks

LARGE = 2e8  # multiplications, about 10 ms of one thread: slices pay from here on
MOST_THREADS = 8  # each needs about 30 MiB of memory


class _Blas:
    """All BLAS libraries of the process. They have one thread as long as any :func:`single_thread` block is open."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.blocks = 0
        self.modules = 0
        self.libraries: list[Any] = []

    def _find_libraries(self) -> None:
        """Look for libraries again, which takes a millisecond, if a module was imported since the last time."""
        if self.modules != len(sys.modules):
            self.modules = len(sys.modules)
            self.libraries = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers

    @contextmanager
    def limited(self) -> Iterator[None]:
        with self.lock:
            if self.blocks == 0:
                self._find_libraries()
                self.before = [library.num_threads for library in self.libraries]
                self.usual = max(self.before, default=1)
                self._set([1] * len(self.before))
            self.blocks += 1
        try:
            yield
        finally:
            with self.lock:
                self.blocks -= 1
                if self.blocks == 0:  # a number that other code has set since then stays
                    now = [library.num_threads for library in self.libraries]
                    pairs = zip(now, self.before, strict=True)
                    self._set([before if count == 1 else count for count, before in pairs])

    def _set(self, counts: list[int]) -> None:
        for library, count in zip(self.libraries, counts, strict=True):
            library.set_num_threads(count)
        # OpenBLAS takes numbers only from the Python thread that set one first, until this ends its control
        getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", lambda: None)()


_BLAS = _Blas()


@contextmanager
def single_thread() -> Iterator[None]:
    """Compute on one thread of BLAS inside the block, which is fastest for small arrays.

    The number of threads applies to the whole process. It is restored when the last open block ends, even by an error.
    """
    with _BLAS.limited():
        yield


def in_slices(work: Callable[[slice], Any], n: int, products: float) -> list[Any]:
    """Return the results of ``work`` on slices of 0…n−1, in order: one slice, or parallel ones if the work is large.

    ``products`` is the total number of multiplications. Each slice is computed on one thread, and there are at most as
    many as BLAS has threads outside :func:`single_thread`.

    >>> in_slices(lambda rows: rows, 10, products=1)
    [slice(0, 10, None)]
    """
    with single_thread():
        count = min(_BLAS.usual, MOST_THREADS, n)
        if products < LARGE or count <= 1:
            return [work(slice(0, n))]
        return side_by_side(work, list(blocks(n, -(-n // count))))


def side_by_side(work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """Return the results of ``work`` on some items, in order; several run at once, each on one thread of BLAS.

    >>> side_by_side(lambda number: number**2, [1, 2, 3])
    [1, 4, 9]
    """
    with single_thread():
        count = min(_BLAS.usual, MOST_THREADS, len(items))
        if count <= 1:
            return [work(item) for item in items]
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(work, items))
