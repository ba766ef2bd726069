"""Bets on a stream: that a mean has risen above a limit, or that rows are not drawn as the calibration rows were.

A bet multiplies its part of an e-value, row after row, by a factor whose mean is at most 1 while nothing is wrong. So
the e-value, which begins with 1, ever reaches 1/α with a probability of at most α (Ville, 1939; Waudby-Smith & Ramdas,
"Estimating means of bounded random variables by betting", arXiv 2010.09686). It is divided among bets of several sizes,
and among starts, one every ``BLOCK`` rows: what is kept for later starts has not been lost when a change comes late,
after however many rows.

Also here: a mean over a stream with the bets on its values, and its interval, which holds at all times together.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaln, logsumexp, xlogy

from steepslope.numerics import Counts, Floats

BLOCK = 64  # rows between two starts
PART = 8192  # rows at a time
MEAN_SIZES = np.geomspace(0.01, 0.95, 12)  # what a bet can lose of its stake on one row; λ is it over the limit
_CHANGE_SIZES = (0.08, 0.3)  # likewise
CUTS = np.array([0.05, 0.2, 0.5, 0.8, 0.95])  # bets are that more p-values than usual lie on one side
BINS = 64  # of ranks, with about as many calibration rows each; within one, a rank is drawn
_TIES = 1  # what random numbers are for; 0 is those of calibration rows
_RANKS = 2
EARLIER = np.tri(BLOCK, k=-1, dtype=np.bool_)  # which rows of a block come before which
EDGE = 1e-12
UNIT = 2**30  # values are summed as whole numbers of these parts, so that a sum has no rounding
LEAST = 100  # values that have a mean of their own
MOST_POINTS = 400  # of the history; then every second is dropped


@dataclass(frozen=True, kw_only=True)
class Bets:
    """A mixture of bets after ``rows`` values; here of one that gains nothing, for a mean that is only shown.

    ``logs`` are the logarithms of the parts of the e-value that are in play, none before the first value; what is kept
    for later starts is not counted.
    """

    rows: int = 0
    logs: tuple[float, ...] = ()

    def gains(self, values: Floats) -> tuple[Self, Floats]:
        """Return the bets that know further values (m,), and the logarithms of what each bet gains, (m, bets)."""
        return self, np.zeros((len(values), 1))

    def after(self, values: Floats) -> tuple[Self, Floats]:
        """Return the bets after further values (m,), in [0, 1], and the logarithm of the e-value after each, (m,).

        However a stream is cut into such parts, the result is the same to the bit.

        >>> bets, evidence = MeanBets(limit=0.1).after(np.tile([0.0, 1.0], 20))
        >>> bets.rows, evidence[[0, 1, 39]].round(1)
        (40, array([-1. , -0.2, 17.4]))
        """
        bets = self
        paths = [np.zeros(0)]
        for start in range(0, len(values), PART):
            bets, path = bets._mixed(values[start : start + PART])
            paths.append(path)
        return bets, np.concatenate(paths)

    def _mixed(self, values: Floats) -> tuple[Self, Floats]:
        bets, gains = self.gains(values)
        count = gains.shape[1]
        logs = np.array(self.logs or [-math.inf] * count)
        paths = []
        cuts = range(BLOCK - self.rows % BLOCK, len(values), BLOCK)
        for start, end in pairwise([0, *cuts, len(values)]):
            block, inside = divmod(self.rows + start, BLOCK)
            if inside == 0:  # the stakes of all starts, on all bets, sum to 1
                logs = np.logaddexp(logs, -math.log((block + 1) * (block + 2) * count))
            path = np.add.accumulate(np.vstack([logs, gains[start:end]]))  # in order, whatever the cut
            paths.append(path[1:])
            logs = path[-1]
        after = replace(bets, rows=self.rows + len(values), logs=tuple(logs.tolist()))
        return after, logsumexp(np.concatenate(paths), axis=1)


def _read_bets(content: Mapping[str, Any]) -> Bets:
    """Return the bets that JSON holds."""
    fields = dict(content)
    for name, value in content.items():
        if isinstance(value, list):
            fields[name] = tuple(value)
    if "edges" in fields:
        return ChangeBets(**fields)
    if "limit" in fields:
        return MeanBets(**fields)
    return Bets(**fields)


@dataclass(frozen=True, kw_only=True)
class MeanBets(Bets):
    """Bets that a mean lies above ``limit``, in (0, 1).

    One of size λ gains the factor 1 + λ(x − limit), whose mean is at most 1 while each value's mean, given those before
    it, is at most the limit.
    """

    limit: float

    def gains(self, values: Floats) -> tuple[Self, Floats]:
        """Return the same bets, and the logarithms of what each gains, (m, bets)."""
        return self, np.log1p(np.multiply.outer(values - self.limit, MEAN_SIZES / self.limit))


def _gains_of_change_bets() -> Floats:
    """Return the logarithm of what each bet gains, (6, bets), where p-values lie between two neighbouring cuts."""
    ends = np.array([0, *CUTS, 1])
    inside = (ends[:-1, None] + ends[1:, None]) / 2
    below = inside < CUTS
    gains = np.concatenate([below / CUTS - 1, ~below / (1 - CUTS) - 1], axis=1)
    sized: Floats = np.concatenate([size * gains for size in _CHANGE_SIZES], axis=1)
    return np.log1p(sized)


CHANGE_GAINS = _gains_of_change_bets()


@lru_cache(maxsize=64)
def _ordered_bet_edges(edges: tuple[float, ...], ties: tuple[float, ...]) -> tuple[Floats, Floats]:
    """Return the distinct edges, and what orders all, ties included: each lies between 2i + 1 and 2i + 2 of level i."""
    levels, place = np.unique(np.array(edges), return_inverse=True)
    return levels, 2 * place + 1 + np.array(ties)


@dataclass(frozen=True, kw_only=True)
class ChangeBets(Bets):
    """Bets that rows of a stream have other ranks than the calibration rows: that their conformal p-values are uneven.

    Rows that are drawn alike are exchangeable with the calibration rows, so the rank of a new row among these and all
    rows before it is uniform: its conformal p-value is uniform in [0, 1], and independent of all earlier ones, whatever
    the distribution is (Vovk, Gammerman & Shafer, "Algorithmic Learning in a Random World", 2005). Nothing is
    estimated, so a hundred calibration rows give as exact a test as a million, only a weaker one.

    ``edges`` are values of calibration rows, rising, at which bins of ranks end, and ``ties`` (in [0, 1]) what orders
    equal values; ``counts`` has, for each bin, the gaps between calibration values in it, and its values of the
    stream so far. Random numbers follow from ``seed``, which differs between calibration rows.
    """

    edges: tuple[float, ...]
    ties: tuple[float, ...]
    counts: tuple[int, ...]
    seed: int

    @classmethod
    def of(cls, values: Floats) -> Self:
        """Return the bets before the first value of a stream, from those of the calibration rows (n,).

        >>> bets = ChangeBets.of(np.arange(1_000.0))
        >>> len(bets.edges), sum(bets.counts)
        (63, 1001)
        >>> bets, evidence = bets.after(np.repeat([250.0, 750.0, 999.0], 50))
        >>> bool(evidence[-1] > 20)
        True
        """
        n = len(values)
        seed = zlib.crc32(values.tobytes())
        ties = np.random.default_rng([seed, 0]).random(n)
        order = np.lexsort((ties, values))
        ends = np.unique(np.ceil(np.arange(1, BINS) * (n + 1) / BINS).astype(np.int64))
        ends = ends[ends <= n]
        last = order[ends - 1]
        counts = np.diff([0, *ends, n + 1])
        edges = tuple(values[last].tolist())
        return cls(edges=edges, ties=tuple(ties[last].tolist()), counts=tuple(counts.tolist()), seed=seed)

    def gains(self, values: Floats) -> tuple[Self, Floats]:
        """Return the bets with the counts after further values, and the logarithms of what each gains, (m, bets)."""
        p_values, counts = self.p_values(values)
        gains = CHANGE_GAINS[np.searchsorted(CUTS, p_values, side="right")]
        return replace(self, counts=tuple(counts.tolist())), gains

    def p_values(self, values: Floats) -> tuple[Floats, Counts]:
        """Return the conformal p-values of the next values (m,), and the counts of bins after them, (bins,)."""
        m = len(values)
        num_bins = len(self.counts)
        bins = self._bins(values)
        block = np.arange(m) // BLOCK
        bins_of_blocks = np.full((-(-m // BLOCK), BLOCK), num_bins)  # the last block is filled up
        bins_of_blocks.ravel()[:m] = bins
        each = np.bincount(block * num_bins + bins, minlength=len(bins_of_blocks) * num_bins).reshape(-1, num_bins)
        after = np.array(self.counts) + np.cumsum(each, axis=0)
        start = after - each
        other = bins_of_blocks[:, None, :]
        itself = bins_of_blocks[:, :, None]
        below = np.count_nonzero(EARLIER & (other < itself), axis=2).ravel()[:m]
        same = np.count_nonzero(EARLIER & (other == itself), axis=2).ravel()[:m]
        inside = start[block, bins] + same
        below += (np.cumsum(start, axis=1) - start)[block, bins]  # what earlier blocks have in lower bins
        drawn = self._uniform(_RANKS, m)
        return (below + drawn * inside) / (sum(self.counts) + np.arange(m)), after[-1]

    def _bins(self, values: Floats) -> Counts:
        """Return the bin of each value, (m,): how many edges lie below it, by the draw where they are equal."""
        levels, edges = _ordered_bet_edges(self.edges, self.ties)
        above = np.searchsorted(levels, values)
        is_level = np.append(levels, np.inf)[above] == values
        drawn = self._uniform(_TIES, len(values))
        return np.asarray(np.searchsorted(edges, 2 * above + is_level * (1 + drawn)))

    def _uniform(self, purpose: int, count: int) -> Floats:
        """Return random numbers in [0, 1) for the next rows of a stream, the same however it is cut."""
        return np.random.Generator(np.random.PCG64([self.seed, purpose]).advance(self.rows)).random(count)


def mean_interval_by_bets(total: float, n: int, alpha: float) -> tuple[float, float]:
    """Return an interval of the mean of values in [0, 1] that holds at all n together with a probability of 1 − alpha.

    ``total`` is the sum of n values: of zeros and ones, how many are ones. The bets are mixed by the uniform
    distribution, so that the e-value has a closed form (Robbins, 1970); what it is for values between 0 and 1 is no
    more than it would be for zeros and ones.

    >>> [tuple(round(bound, 3) for bound in mean_interval_by_bets(errors, 1_000, 0.05)) for errors in (0, 30, 1_000)]
    [(0.0, 0.01), (0.014, 0.055), (0.99, 1.0)]
    """
    if n == 0:
        return 0.0, 1.0
    mean_found = total / n
    bet = float(betaln(total + 1, n - total + 1)) + math.log(alpha)

    def gain(mean: float) -> float:
        return bet - float(xlogy(total, mean) + xlogy(n - total, 1 - mean))

    low = 0.0
    high = 1.0
    if mean_found >= EDGE and gain(EDGE) >= 0:
        low = float(brentq(gain, EDGE, mean_found))
    if mean_found <= 1 - EDGE and gain(1 - EDGE) >= 0:
        high = float(brentq(gain, mean_found, 1 - EDGE))
    return low, high


class _Point(NamedTuple):
    """What was known after ``n`` values: at which ``row`` of the stream, their ``total`` and the ``evidence``."""

    row: int
    n: int
    total: int
    evidence: float


@dataclass(frozen=True)
class RunningMean:
    """The mean of values in [0, 1] so far, with bets on them.

    ``level`` bounds the probability of a false alarm; ``total`` is the sum of all values
    in whole units; ``alarm`` is the row of the stream at which the e-value reached 1/level, and ``alarm_count`` after
    how many values, None as long as it has not; ``history`` has a point every ``stride`` values.
    """

    bets: Bets
    level: float
    total: int = 0
    alarm: int | None = None
    stride: int = 1
    history: tuple[_Point, ...] = ()
    alarm_count: int | None = None

    def after(self, values: Floats, rows: Counts, now: int | None = None) -> RunningMean:
        """Return the mean after further values (m,), in [0, 1], each with its row of the stream, (m,), from 1 on.

        ``now`` is the latest row of the stream where values come late, such as labels: an alarm is raised there.
        """
        if len(values) == 0:
            return self
        bets, evidence = self.bets.after(values)
        totals = self.total + np.cumsum(np.floor(values * UNIT).astype(np.int64))
        mean = replace(self, bets=bets, total=int(totals[-1]))
        enough = np.flatnonzero(evidence >= self.needed)
        if self.alarm is None and len(enough):
            row = int(rows[enough[0]]) if now is None else now
            mean = replace(mean, alarm=row, alarm_count=self.count + int(enough[0]) + 1)
        counts = np.arange(self.count + 1, mean.count + 1)
        stride = self.stride
        while mean.count // stride > MOST_POINTS:
            stride *= 2
        history = [point for point in self.history if point.n % stride == 0]
        for k in np.flatnonzero(counts % stride == 0):
            history.append(_Point(int(rows[k]), int(counts[k]), int(totals[k]), float(evidence[k])))
        return replace(mean, stride=stride, history=tuple(history))

    @property
    def needed(self) -> float:
        """The evidence that makes an alarm, as the logarithm of an e-value."""
        return -math.log(self.level)

    @property
    def count(self) -> int:
        """How many values there were."""
        return self.bets.rows

    @property
    def mean(self) -> float | None:
        """The mean of all values; None of none."""
        if self.count == 0:
            return None
        return self.total / UNIT / self.count

    @property
    def latest(self) -> tuple[int, float] | None:
        """How many the latest values are, a tenth of all but at least 100, and their mean; None of fewer than that."""
        earlier = [point for point in self.history if point.n <= self.count - max(LEAST, self.count // 10)]
        if not earlier:
            return None
        count = self.count - earlier[-1].n
        return count, (self.total - earlier[-1].total) / UNIT / count

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return the interval of the mean that holds at all times together, as long as the mean stays as it is."""
        return mean_interval_by_bets(self.total / UNIT, self.count, alpha)

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Self:
        """Return the mean that JSON holds."""
        history = tuple(_Point(*point) for point in content["history"])
        return cls(**{**content, "bets": _read_bets(content["bets"]), "history": history})
