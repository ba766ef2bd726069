"""Evidence that a mean has risen above a limit, by betting: false at any time with a probability of at most α.

A fortune of 1 is bet, row after row, on values in [0, 1] lying above the limit m: a bet of size λ multiplies its part
of the fortune by 1 + λ(x − m). While each value's mean, given those before it, is at most m, no strategy has an
expected gain, so the fortune ever reaches 1/α with a probability of at most α (Ville, 1939; Waudby-Smith & Ramdas,
"Estimating means of bounded random variables by betting", arXiv 2010.09686). Here it is divided among ``SIZES`` of
bets, and among starts, one every ``BLOCK`` rows: what is kept for later starts has not been lost when a rise comes
late, after however many rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Floats = NDArray[np.float64]
SIZES = np.geomspace(0.01, 0.95, 12)  # of what can be lost at once; λ is these over the limit
BLOCK = 64


@dataclass(frozen=True)
class Bets:
    """A fortune bet on a mean above ``limit``, in (0, 1), after ``rows`` values.

    ``logs`` are the logarithms of the parts of the fortune that are in play, one a size of bet; what is kept for later
    starts is not counted.
    """

    limit: float
    rows: int = 0
    logs: tuple[float, ...] = (-math.inf,) * len(SIZES)

    def after(self, values: Floats) -> tuple[Bets, Floats]:
        """Return the bets after further values (m,), in [0, 1], and the logarithm of the fortune after each, (m,).

        However a stream is cut into such parts, the result is the same to the bit.

        >>> bets, fortunes = Bets(0.1).after(np.tile([0.0, 1.0], 20))
        >>> bets.rows, fortunes[[0, 1, 39]].round(1)
        (40, array([-1. , -0.2, 17.4]))
        """
        gains = np.log1p(np.multiply.outer(values - self.limit, SIZES / self.limit))
        logs, paths = np.array(self.logs), []
        for start, end in self._blocks(len(values)):
            if (self.rows + start) % BLOCK == 0:
                logs = np.logaddexp(logs, _log_stake((self.rows + start) // BLOCK))
            paths.append(np.add.accumulate(np.vstack([logs, gains[start:end]]))[1:])  # in order, whatever the cut
            logs = paths[-1][-1]
        fortunes = logsumexp(np.concatenate(paths), axis=1) if paths else np.zeros(0)
        return Bets(self.limit, self.rows + len(values), tuple(logs.tolist())), fortunes

    def _blocks(self, count: int) -> Iterator[tuple[int, int]]:
        """Yield the parts of the next values that lie within a block each."""
        start = 0
        while start < count:
            end = min(count, start + BLOCK - (self.rows + start) % BLOCK)
            yield start, end
            start = end

    @cached_property
    def log_fortune(self) -> float:
        """The logarithm of the fortune."""
        return float(logsumexp(self.logs))


def _log_stake(block: int) -> float:
    """Return the logarithm of what is staked on each size of bet at the start of a block; all stakes sum to 1.

    >>> stakes = [len(SIZES) * math.exp(_log_stake(block)) for block in range(1_000)]
    >>> [round(one, 3) for one in stakes[:3]], round(sum(stakes), 3)
    ([0.5, 0.167, 0.083], 0.999)
    """
    return -math.log((block + 1) * (block + 2) * len(SIZES))
