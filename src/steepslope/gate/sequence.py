"""Thresholds that are fixed before the labels of the calibration rows are seen, and tested from the highest down.

Fixed-sequence testing (Bauer, 1991; Angelopoulos et al., "Learn then Test", 2021): each threshold is tested at the
level at which the sequence starts, as long as all before it have passed, so however many there are costs nothing.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.checks import require, whole
from steepslope.errors import SteepslopeError, explained
from steepslope.gate.binomial import rows_needed

Floats = NDArray[np.float64]
THRESHOLDS = 400  # more gain nothing (LOG.md)
BORNE = 3  # errors that the first threshold has to bear: with fewer, one unlucky row ends the sequence (LOG.md)
LEAST_SPLIT = 10


def numbers(values: ArrayLike, place: str) -> Floats:
    """Return values as float64 (m,), one alone as (1,); raise at a place unless they are numbers, none of them NaN."""
    with explained("expected numbers (m,)", place, (TypeError, ValueError)):
        found = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if found.ndim != 1:
        raise SteepslopeError(f"expected numbers (m,), found shape {found.shape}", place)
    if np.isnan(found).any():
        rows = np.flatnonzero(np.isnan(found))
        raise SteepslopeError(f"expected numbers (m,), none of them NaN, found NaN in row {rows[0]}", place)
    return found


def threshold_sequence(confidence: ArrayLike, most: int = THRESHOLDS) -> Floats:
    """Return thresholds at even steps of coverage on other rows than those to calibrate on, highest first, (t,).

    ``confidence`` (n,) are those of any rows like them, such as the oracle's fit set. The last threshold, −∞, accepts
    everything. There are at most ``most``, a whole number >= 2.

    >>> threshold_sequence([0.1, 0.2, 0.3], most=4)
    array([ 0.3,  0.2,  0.1, -inf])
    """
    require("most", most, whole(2))
    limits = np.finfo(np.float64)
    values = np.sort(np.clip(numbers(confidence, "confidence"), limits.min / 2, limits.max / 2))
    places = np.linspace(len(values) - 1, 0, most - 1) if len(values) else np.zeros(0)
    inside = np.interp(places, np.arange(len(values)), values) if len(values) else places
    return np.append(np.unique(inside)[::-1], -np.inf)


def checked_sequence(thresholds: ArrayLike) -> Floats:
    """Return a sequence as float64 (t,), without any +∞, which stands for a gate that accepts nothing.

    Raise unless it falls, or stays, from one to the next, holds no NaN, and something is left.
    """
    sequence = numbers(thresholds, "thresholds")
    rising = np.flatnonzero(sequence[1:] > sequence[:-1])
    if len(rising):
        place = int(rising[0])
        found = f"found {sequence[place + 1]:g} after {sequence[place]:g}"
        raise SteepslopeError(f"expected the highest first, {found}", "thresholds")
    below = sequence[sequence < np.inf]
    if len(below) == 0:
        raise SteepslopeError(f"expected at least one below ∞, found {len(sequence)} in all", "thresholds")
    return below


def split_rows(n: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut the rows 0…n−1 into those that fix a sequence, 2√n of them, and those that are calibrated on."""
    order = np.random.default_rng(seed).permutation(n)
    count = min(n // 2, max(LEAST_SPLIT, round(2 * math.sqrt(n))))
    return np.sort(order[:count]), np.sort(order[count:])


def first_rows(n: int, risk: float, delta: float) -> int:
    """Return how many of n rows the first threshold that is tested has to accept, at least.

    As many as bear three errors, or fewer where that would be more than half of all rows; at least
    as many as it takes to promise anything. It does not depend on labels.

    >>> first_rows(10_000, 0.02, 0.05), first_rows(500, 0.02, 0.05), first_rows(100, 0.02, 0.05)
    (386, 236, 149)
    """
    for errors in range(BORNE, -1, -1):
        needed = rows_needed(risk, delta, errors)
        if needed <= n / 2:
            return needed
    return rows_needed(risk, delta)
