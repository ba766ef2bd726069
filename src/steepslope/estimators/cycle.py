"""The learning rate of fits on columns: one cycle."""

from __future__ import annotations

import math


def warm_cosine(done: float) -> float:
    """Return the share of the highest learning rate: up in the first tenth, then down along a cosine.

    >>> [round(warm_cosine(done), 3) for done in (0.05, 0.1, 0.55, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    """
    return min(done / 0.1, 0.5 * (1 + math.cos(math.pi * (max(done, 0.1) - 0.1) / 0.9)))
