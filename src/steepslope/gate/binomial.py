"""What counts of errors promise: exact tails and bounds of the binomial distribution, on whole numbers."""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta, binom

from steepslope.checks import Check, number, require, whole

MOST_ROWS = 10**9
MOST_DIGITS = 9  # of a percentage
PROBABILITY: Check = number(1e-30, 1 - 1e-9)  # groups and starts divide delta


def tail(errors: ArrayLike, accepted: ArrayLike, risk: float) -> NDArray[np.float64]:
    """Return the probability of so few errors, or fewer, among so many rows if each is wrong with ``risk``.

    It is the p-value of the claim that the risk is at most that; 1 of no rows.

    >>> tail([0, 1], [59, 59], 0.05).round(3)
    array([0.048, 0.199])
    """
    return np.asarray(binom.cdf(errors, accepted, risk))


def risk_bound(errors: int, accepted: int, delta: float) -> float:
    """Return the least risk that so few errors exclude with confidence 1 − delta (Clopper & Pearson, 1934); 1 of none.

    >>> round(risk_bound(0, 59, 0.05), 4), risk_bound(0, 0, 0.05)
    (0.0495, 1.0)
    """
    return 1.0 if errors >= accepted else float(beta.ppf(1 - delta, errors + 1, accepted - errors))


def interval(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of a fraction by Clopper & Pearson (1934).

    >>> interval(0, 0), tuple(round(bound, 3) for bound in interval(8, 10))
    ((0.0, 1.0), (0.444, 0.975))
    """
    side = (1 - level) / 2
    low = 0.0 if successes == 0 else float(beta.ppf(side, successes, n - successes + 1))
    return low, risk_bound(successes, n, side)


@cache
def rows_needed(risk: float, delta: float, errors: int = 0) -> int:
    """Return how many accepted rows it takes to promise a risk, although so many of them are wrong.

    Without errors it is m₀ = ⌈ln delta / ln(1 − risk)⌉: with fewer rows nothing can be promised.

    >>> [rows_needed(risk, delta=0.05) for risk in (0.05, 0.02, 0.01)], rows_needed(0.05, 0.05, errors=3)
    ([59, 149, 299], 153)
    """
    require("max_risk", risk, PROBABILITY)
    require("delta", delta, PROBABILITY)
    require("errors", errors, whole(0, MOST_ROWS))
    low, high = errors, max(1, 2 * errors)
    while high < MOST_ROWS and tail(errors, high, risk) > delta:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if tail(errors, middle, risk) > delta else (low, middle)
    return high


def as_percent(fraction: float, digits: int = 1, side: Callable[[float], float] = round) -> str:
    """Write a fraction in percent, without zeros at its end, and with as many digits as tell it from 0 and from 1.

    ``side`` is where it is rounded to: ``math.ceil`` keeps an upper bound one.

    >>> as_percent(0.02), as_percent(0.0154), as_percent(0.00002), as_percent(0.99999)
    ('2 %', '1.5 %', '0.002 %', '99.999 %')
    >>> from math import ceil, floor
    >>> as_percent(0.0154, side=ceil), as_percent(0.07, side=ceil), as_percent(0.9858, side=floor)
    ('1.6 %', '7 %', '98.5 %')
    """
    while 0 < fraction < 1 and digits < MOST_DIGITS and _rounded(100 * fraction, digits, side) in (0, 100):
        digits += 1
    text = f"{_rounded(100 * fraction, digits, side):.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def _rounded(value: float, digits: int, side: Callable[[float], float]) -> float:
    """Return a number with so many digits, up or down, but for what floats themselves are off by."""
    return round(value, digits) if side is round else side(round(value * 10.0**digits, 4)) / 10.0**digits
