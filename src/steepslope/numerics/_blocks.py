"""Rows of large arrays in blocks, so that mapped files need little memory."""

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 65_536


def blocks(n: int, size: int = BLOCK_ROWS, first: int = 0) -> Iterator[slice]:
    """Cut ``first``…n−1, by default 0…n−1, into slices of at most ``size`` rows.

    >>> list(blocks(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return (slice(start, min(start + size, n)) for start in range(first, n, size))


def read_rows(array: NDArray[Any], rows: slice) -> NDArray[Any]:
    """Return a slice of the rows; those of a mapped file are copied, and the mapping's memory is released."""
    base: Any = array.base  # of a whole file: the mapping itself, where a view has another array
    if not isinstance(array, np.memmap) or not isinstance(base, mmap.mmap) or array.mode != "r":
        return array[rows]
    copied = np.array(array[rows])
    if hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
    return copied
