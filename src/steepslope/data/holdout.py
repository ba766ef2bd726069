"""The hold-out split: which training rows a classifier is fitted to, and which it never sees."""

import numpy as np
from numpy.typing import NDArray

from steepslope.checks import SEED, require
from steepslope.errors import SteepslopeError

SPLIT_SEED = 42


def holdout_split(n: int, holdout: int | None, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut the training rows 0…n−1 into (fitted on, held out), each in ascending order.

    Without a number, 10,000 rows are held out, but at most half: errors are needed to learn from, and a
    classifier makes few on what it was fitted to.

    >>> fitted, held_out = holdout_split(60_000, None, seed=42)
    >>> len(fitted), len(held_out)
    (50000, 10000)
    """
    count = min(10_000, n // 2) if holdout is None else holdout
    if not 0 < count < n:
        raise SteepslopeError(f"expected 1 to {n - 1} of the {n} training rows, found {count}", "holdout")
    require("split_seed", seed, SEED)
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[count:]), np.sort(order[:count])
