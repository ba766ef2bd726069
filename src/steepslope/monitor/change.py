"""Evidence that a stream is not drawn as the calibration rows were: conformal p-values, and bets that they are uneven.

Rows that are drawn alike are exchangeable with the calibration rows, so the rank of a new row among these and all rows
before it is uniform: its conformal p-value u is uniform in [0, 1], and independent of all earlier ones, whatever the
distribution is (Vovk, Gammerman & Shafer, "Algorithmic Learning in a Random World", 2005). A fortune is bet against
that, as :mod:`~steepslope.monitor.bounds` bets on means: it reaches 1/α at any time with a probability of at most α.
Nothing is estimated, so a hundred calibration rows give as exact a test as a million, only a weaker one.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from steepslope.monitor.bounds import BLOCK, blocks

Floats = NDArray[np.float64]
BINS = 64  # of ranks, with about as many calibration rows each; within one, a rank is drawn
CUTS = np.array([0.05, 0.2, 0.5, 0.8, 0.95])  # bets are that more p-values than usual lie on one side
SIZES = (0.08, 0.3)  # the part of its stake that a bet can lose on one row
TIES, RANKS = 1, 2  # what random numbers are for; 0 is those of calibration rows
PART = 8192  # rows at a time


@lru_cache(maxsize=64)
def _ordered(edges: tuple[float, ...], ties: tuple[float, ...]) -> tuple[Floats, Floats]:
    """Return the distinct edges, and what orders all, ties included: each lies between 2i + 1 and 2i + 2 of level i."""
    levels, place = np.unique(np.array(edges), return_inverse=True)
    return levels, 2 * place + 1 + np.array(ties)


def _bets() -> Floats:
    """Return the logarithm of what each bet gains, (bets,), where p-values lie between two neighbouring cuts, (6,)."""
    inside = np.convolve([0, *CUTS, 1], [0.5, 0.5], "valid")[:, None]
    below = inside < CUTS
    gains = np.concatenate([below / CUTS - 1, ~below / (1 - CUTS) - 1], axis=1)
    return np.asarray(np.log1p(np.concatenate([size * gains for size in SIZES], axis=1)))


BETS = _bets()
COUNT = BETS.shape[1]
EARLIER = np.tri(BLOCK, k=-1, dtype=np.bool_)  # which rows of a block come before which


@dataclass(frozen=True)
class ChangeBets:
    """A fortune bet on rows of a stream having other ranks than the calibration rows, after ``rows`` values.

    ``edges`` are values of calibration rows, rising, at which bins of ranks end, and ``ties`` (in [0, 1]) what orders
    equal values; ``counts`` has, for each bin, the gaps between calibration values in it, and its values of the
    stream so far. Random numbers follow from ``seed``, which differs between calibration rows. ``logs`` are the
    logarithms of the parts of the fortune in play, none before the first value.
    """

    edges: tuple[float, ...]
    ties: tuple[float, ...]
    counts: tuple[int, ...]
    seed: int
    rows: int = 0
    logs: tuple[float, ...] = ()

    @classmethod
    def of(cls, values: Floats) -> Self:
        """Return the bets before the first value of a stream, from those of the calibration rows (n,).

        >>> bets = ChangeBets.of(np.arange(100.0))
        >>> len(bets.edges), sum(bets.counts)
        (63, 101)
        """
        n, seed = len(values), zlib.crc32(values.tobytes())
        ties = np.random.default_rng([seed, 0]).random(n)
        order = np.lexsort((ties, values))
        ends = np.unique(np.ceil(np.arange(1, BINS) * (n + 1) / BINS).astype(np.int64))
        ends = ends[ends <= n]
        last = order[ends - 1]
        counts = np.diff([0, *ends, n + 1])
        return cls(tuple(values[last].tolist()), tuple(ties[last].tolist()), tuple(counts.tolist()), seed)

    def after(self, values: Floats) -> tuple[ChangeBets, Floats]:
        """Return the bets after further values (m,), and the logarithm of the fortune after each, (m,).

        However a stream is cut into such parts, the result is the same to the bit.

        >>> bets, fortunes = ChangeBets.of(np.arange(1_000.0)).after(np.repeat([250.0, 750.0, 999.0], 50))
        >>> bool(fortunes[-1] > 20)
        True
        """
        bets, paths = self, [np.zeros(0)]
        for start in range(0, len(values), PART):
            bets, fortunes = bets._after(values[start : start + PART])
            paths.append(fortunes)
        return bets, np.concatenate(paths)

    def _after(self, values: Floats) -> tuple[ChangeBets, Floats]:
        p_values, counts = self.p_values(values)
        gains = BETS[np.searchsorted(CUTS, p_values, side="right")]
        logs, paths = np.array(self.logs or np.full(COUNT, -math.inf)), []
        for start, end in blocks(self.rows, len(values)):
            block, inside = divmod(self.rows + start, BLOCK)
            if inside == 0:  # the stakes of all blocks, on all bets, sum to 1
                logs = np.logaddexp(logs, -math.log((block + 1) * (block + 2) * COUNT))
            paths.append(np.add.accumulate(np.vstack([logs, gains[start:end]]))[1:])  # in order, whatever the cut
            logs = paths[-1][-1]
        after = replace(self, counts=tuple(counts.tolist()), rows=self.rows + len(values), logs=tuple(logs.tolist()))
        return after, logsumexp(np.concatenate(paths), axis=1)

    def p_values(self, values: Floats) -> tuple[Floats, NDArray[np.int64]]:
        """Return the conformal p-values of the next values (m,), and the counts of bins after them, (bins,)."""
        m, size = len(values), len(self.counts)
        bins, block = self._bins(values), np.arange(m) // BLOCK
        rows = np.full((-(-m // BLOCK), BLOCK), size)  # in blocks, the last of them filled up
        rows.ravel()[:m] = bins
        each = np.bincount(block * size + bins, minlength=len(rows) * size).reshape(-1, size)
        after = np.array(self.counts) + np.cumsum(each, axis=0)
        start = after - each
        other, itself = rows[:, None, :], rows[:, :, None]
        below, same = (
            np.count_nonzero(EARLIER & found, axis=2).ravel()[:m] for found in (other < itself, other == itself)
        )
        inside = start[block, bins] + same
        below = below + (np.cumsum(start, axis=1) - start)[block, bins]
        drawn = self._uniform(RANKS, m)
        return (below + drawn * inside) / (sum(self.counts) + np.arange(m)), after[-1]

    def _bins(self, values: Floats) -> NDArray[np.int64]:
        """Return the bin of each value, (m,): how many edges lie below it, by the draw where they are equal."""
        levels, edges = _ordered(self.edges, self.ties)
        above = np.searchsorted(levels, values)
        is_level = np.append(levels, np.inf)[above] == values
        drawn = self._uniform(TIES, len(values))
        return np.asarray(np.searchsorted(edges, 2 * above + is_level * (1 + drawn)))

    def _uniform(self, purpose: int, count: int) -> Floats:
        """Return random numbers in [0, 1) for the next rows of a stream, the same however it is cut."""
        return np.random.Generator(np.random.PCG64([self.seed, purpose]).advance(self.rows)).random(count)

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Self:
        """Return the bets that JSON holds; raise a ``ValueError`` for numbers that no stream has."""
        found: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in content.items()}
        bets = cls(**found)
        if not (
            len(bets.edges) == len(bets.ties) == len(bets.counts) - 1
            and len(bets.logs) == (COUNT if bets.rows else 0)
            and min(bets.counts) > 0 <= bets.rows
        ):
            raise ValueError("expected one bin more than edges, and none or all of the bets")
        return bets
