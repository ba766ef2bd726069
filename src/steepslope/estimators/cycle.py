"""Half a cosine, along which learning rates fall, and the one cycle of fits on columns."""

import math


def cosine(done: float, whole: float = 1.0) -> float:
    """Return how much is left, in [0, 1], when ``done`` of ``whole`` is over: half a cosine.

    >>> [round(cosine(done), 3) for done in (0.0, 0.25, 0.5, 1.0)]
    [1.0, 0.854, 0.5, 0.0]
    """
    return 0.5 * (1 + math.cos(math.pi * done / whole))


def warm_cosine(done: float) -> float:
    """Return the fraction of the highest learning rate: up in the first tenth, then down along a cosine.

    >>> [round(warm_cosine(done), 3) for done in (0.05, 0.1, 0.55, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    """
    return min(done / 0.1, cosine(max(done, 0.1) - 0.1, 0.9))
