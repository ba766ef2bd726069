"""Rows in blocks, so that mapped arrays need little memory."""

from __future__ import annotations

from collections.abc import Iterator

BLOCK_ROWS = 65_536


def blocks(n: int, size: int = BLOCK_ROWS) -> Iterator[slice]:
    """Cut 0…n−1 into slices of at most ``size`` rows.

    >>> list(blocks(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
