"""Evidence that a mean has risen above a limit, by betting; the probability that it is ever false is at most α.

A fortune of 1 is bet, row after row, on values in [0, 1] lying above the limit m: a bet of size λ multiplies its part
of the fortune by 1 + λ(x − m). While each value's mean, given those before it, is at most m, no strategy has an
expected gain, so the fortune ever reaches 1/α with a probability of at most α (Ville, 1939; Waudby-Smith & Ramdas,
"Estimating means of bounded random variables by betting", arXiv 2010.09686). Here it is divided among ``SIZES`` of
bets, and among starts, one every ``BLOCK`` rows: what is kept for later starts has not been lost when a rise comes
late, after however many rows.

Also here: an interval of a stream's mean that holds at all times together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

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
        for start, end in blocks(self.rows, len(values)):
            block, inside = divmod(self.rows + start, BLOCK)
            if inside == 0:  # the stakes of all blocks, on all sizes, sum to 1
                logs = np.logaddexp(logs, -math.log((block + 1) * (block + 2) * len(SIZES)))
            paths.append(np.add.accumulate(np.vstack([logs, gains[start:end]]))[1:])  # in order, whatever the cut
            logs = paths[-1][-1]
        bets = Bets(self.limit, self.rows + len(values), tuple(logs.tolist()))
        return bets, logsumexp(np.concatenate(paths), axis=1)

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Self:
        """Return the bets that JSON holds; raise a ``ValueError`` for numbers that no stream has."""
        bets = cls(**{**content, "logs": tuple(map(float, content["logs"]))})
        if not (0 < bets.limit < 1 and bets.rows >= 0 and len(bets.logs) == (len(SIZES) if bets.rows else 0)):
            raise ValueError("expected a limit in (0, 1) and as many bets as there are sizes")
        return bets


@dataclass(frozen=True)
class NoBets:
    """What stands for bets where a mean is only shown, not tested, after ``rows`` values."""

    rows: int = 0

    def after(self, values: Floats) -> tuple[NoBets, Floats]:
        """Return the same after further values (m,), and no evidence, (m,)."""
        return NoBets(self.rows + len(values)), np.zeros(len(values))

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Self:
        """Return what JSON holds; raise a ``ValueError`` for another number of rows than there can be."""
        return cls(rows=int(content["rows"]))


def blocks(rows: int, count: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of the next values of a stream, after so many rows, that lie within a block each."""
    start = 0
    while start < count:
        end = min(count, start + BLOCK - (rows + start) % BLOCK)
        yield start, end
        start = end


EDGE = 1e-12


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
