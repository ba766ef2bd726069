"""Slow and plain ways to what the gate counts, and rows to count on."""

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = tuple[Floats, Bools]


def exact_tail(errors: int, accepted: int, risk: Fraction) -> Fraction:
    """Sum the probabilities of 0…errors among ``accepted``, in fractions."""
    terms = (math.comb(accepted, k) * risk**k * (1 - risk) ** (accepted - k) for k in range(errors + 1))
    return sum(terms, Fraction(0))


def rows_that_bear(n: int, risk: Fraction, delta: Fraction) -> int:
    """Return how many accepted rows bear three errors, or as many errors as half of n rows let be borne."""
    for errors in (3, 2, 1, 0):
        rows = _rows_with(errors, risk, delta)
        if rows <= n / 2:
            break
    return rows


@cache  # asked for each threshold of each example, and slow
def _rows_with(errors: int, risk: Fraction, delta: Fraction) -> int:
    return next(m for m in range(1, 10_000) if exact_tail(min(errors, m), m, risk) <= delta)


def slow_threshold(rows: Rows, thresholds: Floats, risk: Fraction, delta: Fraction) -> float:
    """Return the threshold that certify has to find, by a loop over thresholds and rows in fractions; ∞ for none."""
    confidence, is_correct = (values.tolist() for values in rows)
    n, counts = len(confidence), []
    for threshold in thresholds.tolist():
        kept = [right for value, right in zip(confidence, is_correct, strict=True) if value >= threshold]
        counts.append((len(kept), len(kept) - sum(kept)))
    found, level = math.inf, Fraction(0)
    shares = _shares([accepted for accepted, _ in counts], n, risk, delta)
    for place, (accepted, errors) in enumerate(counts):
        level += shares.get(place, Fraction(0))
        passes = level > 0 and exact_tail(errors, accepted, risk) <= level
        found, level = (float(thresholds[place]), level) if passes else (found, Fraction(0))
    return found


def _shares(accepted: Sequence[int], n: int, risk: Fraction, delta: Fraction) -> dict[int, Fraction]:
    """Return the places at which the sequence starts, with their shares of delta."""
    early, half = rows_that_bear(10**9, risk, delta / 2), (n + 1) // 2
    first, second = (sum(count < rows for count in accepted) for rows in (early, half))
    if 8 * early <= 3 * n and first < second < len(accepted):
        return {first: delta / 2, second: delta / 2}
    return {sum(count < rows_that_bear(n, risk, delta) for count in accepted): delta}


@st.composite
def rows_with_ties(draw: st.DrawFn, most: int = 120) -> Rows:
    """Draw rows of few distinct confidences, ±∞ among them, that are wrong more often where it is low, or not."""
    n = draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    levels = np.sort(draw(st.sampled_from(([0.5], [0.1, 0.7, 0.9], [-np.inf, -2.0, 0.0, 3.0, np.inf]))))
    places = rng.integers(len(levels), size=n)
    worst, best = draw(st.floats(0, 1)), draw(st.floats(0, 0.3))
    rates = np.linspace(worst, best, len(levels))
    return np.asarray(levels)[places], rng.random(n) >= rates[places]


def distinct_rows(n: int, seed: int) -> Rows:
    """Draw rows with distinct confidences in (0, 1), of which a tenth is wrong, nearly all where it is low."""
    rng = np.random.default_rng(seed)
    level = rng.random(n)
    return 1 - level, rng.random(n) >= 0.7 * level**6
