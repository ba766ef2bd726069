"""Evidence that a mean has risen above a limit, by betting: false at any time with a probability of at most α.

A fortune of 1 is bet, row after row, on values in [0, 1] lying above the limit m: a bet of size λ multiplies its part
of the fortune by 1 + λ(x − m). While each value's mean, given those before it, is at most m, no strategy has an
expected gain, so the fortune ever reaches 1/α with a probability of at most α (Ville, 1939; Waudby-Smith & Ramdas,
"Estimating means of bounded random variables by betting", arXiv 2010.09686). Here it is divided among ``SIZES`` of
bets, and among starts, one every ``BLOCK`` rows: what is kept for later starts has not been lost when a rise comes
late, after however many rows.

Bounds of means: of calibration rows, once; and of a stream, at all times together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betaln, logsumexp, xlogy

Floats = NDArray[np.float64]
SIZES = np.geomspace(0.01, 0.95, 12)  # of what can be lost at once; λ is these over the limit
BLOCK = 64


@dataclass(frozen=True)
class Bets:
    """A fortune bet on a mean above ``limit``, in (0, 1), after ``rows`` values.

    ``logs`` are the logarithms of the parts of the fortune that are in play, one a size of bet, none before the first
    value; what is kept for later starts is not counted.
    """

    limit: float
    rows: int = 0
    logs: tuple[float, ...] = ()

    def after(self, values: Floats) -> tuple[Bets, Floats]:
        """Return the bets after further values (m,), in [0, 1], and the logarithm of the fortune after each, (m,).

        However a stream is cut into such parts, the result is the same to the bit.

        >>> bets, fortunes = Bets(0.1).after(np.tile([0.0, 1.0], 20))
        >>> bets.rows, fortunes[[0, 1, 39]].round(1)
        (40, array([-1. , -0.2, 17.4]))
        """
        if len(values) == 0:
            return self, np.zeros(0)
        gains = np.log1p(np.multiply.outer(values - self.limit, SIZES / self.limit))
        logs, paths = np.array(self.logs or np.full(len(SIZES), -math.inf)), []
        for start, end in self._blocks(len(values)):
            block, inside = divmod(self.rows + start, BLOCK)
            if inside == 0:  # the stakes of all blocks, on all sizes, sum to 1
                logs = np.logaddexp(logs, -math.log((block + 1) * (block + 2) * len(SIZES)))
            paths.append(np.add.accumulate(np.vstack([logs, gains[start:end]]))[1:])  # in order, whatever the cut
            logs = paths[-1][-1]
        bets = Bets(self.limit, self.rows + len(values), tuple(logs.tolist()))
        return bets, logsumexp(np.concatenate(paths), axis=1)

    def _blocks(self, count: int) -> Iterator[tuple[int, int]]:
        """Yield the parts of the next values that lie within a block each."""
        start = 0
        while start < count:
            end = min(count, start + BLOCK - (self.rows + start) % BLOCK)
            yield start, end
            start = end


STEPS = 2**12  # that values are rounded down to, so that millions of rows cost no more than thousands
EDGE = 1e-12


def mean_lower_bound(values: Floats, alpha: float) -> float:
    """Return a lower bound, at a confidence of 1 − alpha, of the mean of independent values (n,) in [0, 1].

    It is the highest mean against which bets on these rows do not win 1/alpha, whatever their order; 0 of no rows.

    >>> 0.07 < mean_lower_bound(np.repeat([0.0, 1.0], [900, 100]), 0.05) < 0.1
    True
    """
    counts = np.bincount(np.floor(values * STEPS).astype(np.int64), minlength=STEPS + 1)
    places = np.flatnonzero(counts)
    levels, times = places / STEPS, counts[places]

    def gain(mean: float) -> float:
        logs = times @ np.log1p(np.multiply.outer(levels - mean, SIZES / mean))
        return float(logsumexp(logs)) - math.log(len(SIZES)) + math.log(alpha)

    highest = float(levels @ times) / max(1, len(values))
    if highest < EDGE or gain(EDGE) < 0:
        return 0.0
    return float(brentq(gain, EDGE, highest))


def mean_upper_bound(values: Floats, alpha: float) -> float:
    """Return an upper bound, at a confidence of 1 − alpha, of the mean of independent values (n,) in [0, 1]."""
    return 1.0 - mean_lower_bound(1.0 - values, alpha)


def risk_upper_bound(
    estimated: Floats, accepted: NDArray[np.bool_], most: float, alpha: float, groups: int = 1
) -> float:
    """Return an upper bound of the mean estimated risk of accepted rows, although they chose threshold and map.

    Parameters
    ----------
    estimated
        Estimated risks, 1 − P(correct), of all calibration rows (n,).
    accepted
        Which of them are accepted, (n,).
    most
        The highest estimated risk that can be accepted.
    alpha
        Probability, over the draw of the rows, that the mean is higher.
    groups
        How many groups have a threshold of their own.

    Notes
    -----
    P(correct) rises with the confidence, whatever map was learnt, and rows are accepted from a threshold on. So for any
    m, (estimated − m) · accepted is a function of the confidence alone that rises once, from 0 to ``most`` − m, and
    then falls to −m at the lowest: its variation is at most 2 · ``most`` − m. By the inequality of Dvoretzky, Kiefer &
    Wolfowitz (Massart, 1990) the distribution of the confidence is nowhere further from that of n rows than
    e = √(ln(2 / alpha) / 2n), so the means of all such functions lie within e times their variation, together.

    >>> risk_upper_bound(np.full(1_000, 0.02), np.ones(1_000, np.bool_), 0.1, 0.05) > 0.02
    True
    """
    n, off = max(1, len(estimated)), distance(len(estimated), alpha / groups)
    total = float(estimated[accepted].sum()) / n
    return min(most, (total + 2 * groups * most * off) / (float(accepted.sum()) / n + groups * off))


def distance(n: int, alpha: float) -> float:
    """Return how far a distribution is, at most, from that of n of its rows, with a probability of 1 − alpha.

    The inequality of Dvoretzky, Kiefer & Wolfowitz, with the constant of Massart (1990).

    >>> round(distance(1_000, 0.05), 3)
    0.043
    """
    return math.sqrt(math.log(2 / alpha) / (2 * max(1, n)))


def mean_interval(total: float, n: int, alpha: float) -> tuple[float, float]:
    """Return an interval of the mean of values in [0, 1] that holds at all n together with a probability of 1 − alpha.

    ``total`` is the sum of n values: of zeros and ones, how many are ones. The bets are mixed by the uniform
    distribution, so that the fortune has a closed form (Robbins, 1970); what it is for values between 0 and 1 is no
    more than it would be for zeros and ones.

    >>> [tuple(round(bound, 3) for bound in mean_interval(errors, 1_000, 0.05)) for errors in (0, 30, 1_000)]
    [(0.0, 0.01), (0.014, 0.055), (0.99, 1.0)]
    """
    if n == 0:
        return 0.0, 1.0
    found = total / n
    bet = float(betaln(total + 1, n - total + 1)) + math.log(alpha)

    def gain(mean: float) -> float:
        return bet - float(xlogy(total, mean) + xlogy(n - total, 1 - mean))

    low = 0.0 if found < EDGE or gain(EDGE) < 0 else float(brentq(gain, EDGE, found))
    high = 1.0 if found > 1 - EDGE or gain(1 - EDGE) < 0 else float(brentq(gain, found, 1 - EDGE))
    return low, high
