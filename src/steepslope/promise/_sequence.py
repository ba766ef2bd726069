"""The fixed sequence of tests behind every promise: where it starts, the level of each test, and where it ends.

The thresholds are fixed before the labels are seen. They are tested from the highest down, as long as all before have
passed, so many thresholds cost no more than one (Bauer, 1991; Angelopoulos et al., "Learn then Test", 2021). The tests
may be exact tails or bets.

A sequence with one start threshold is fragile: a few early errors end it where a later threshold would pass. So after a
failure, tests start again at a threshold that accepts more rows. The levels are those of a group-sequential test. The
errors above a later threshold include those above an earlier one, so the chances that one of these counts is low by
accident overlap, and the levels may add up to more than delta.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import fftconvolve
from scipy.stats import binom

from steepslope.errors import SteepslopeError, require, whole
from steepslope.numerics import Bools, Counts, Floats, binomial_tail
from steepslope.promise._certificate import Aim, Certificate, rows_needed
from steepslope.promise._rows import checked_numbers

Passes = Callable[[int, float], bool]  # whether the hypothesis at a place passes its test at a level
FURTHER = 1.25  # the ratio of the rows that successive start thresholds accept; 1.5 or 2 gain less
BORNE = 3  # errors with which a start threshold below half of the rows has to pass, so one unlucky row ends no run
THRESHOLDS = 400  # with 2,000, a tenth of a point more is accepted
BELOW = 4.0 ** np.arange(-5, 1)  # distances of thresholds below all confidences, in ranges of the confidences
MANY = 20  # if half of the rows can pass with this many errors, tests also start beyond half; fewer would cost more
SHARE = 0.5  # of its nominal level, for a start threshold after a failure; .6 costs where few rows can be accepted
_LATE_SHARE = 0.2  # the same beyond half of the rows, where the risk hardly rises, so little is enough


def threshold_sequence(confidence: ArrayLike, most: int = THRESHOLDS) -> Floats:
    """Return thresholds at even steps of coverage, highest first, float64 (t,).

    ``confidence`` (n,) are those of rows like the calibration rows, but not these, such as the oracle's fit set. At
    most ``most`` thresholds, a whole number >= 2, lie within them. A few more lie below, the last by the range of the
    confidences. None is −∞, so even a gate that may accept all calibration rows leaves rows to review that are unlike
    all of these. Without confidences, −∞ is the only threshold.

    >>> threshold_sequence([0.1, 0.2, 0.3], most=3).round(4)
    array([ 0.3   ,  0.2   ,  0.1   ,  0.0998,  0.0992,  0.0969,  0.0875,
            0.05  , -0.1   ])
    """
    require("most", most, whole(2))
    limits = np.finfo(np.float64)
    values = np.sort(np.clip(checked_numbers(confidence, "confidence"), limits.min / 4, limits.max / 4))
    if not len(values):
        return np.array([-math.inf])
    inside = np.interp(np.linspace(len(values) - 1, 0, most), np.arange(len(values)), values)
    width = values[-1] - values[0] or max(1.0, abs(values[0]))
    below = values[0] - BELOW * width
    return np.unique(np.append(inside, below))[::-1]


def checked_threshold_sequence(thresholds: ArrayLike) -> Floats:
    """Return a sequence as float64 (t,), without +∞, which stands for a gate that accepts nothing.

    Raise if it rises anywhere, holds NaN, or nothing is left.
    """
    sequence = checked_numbers(thresholds, "thresholds")
    rising = np.flatnonzero(sequence[1:] > sequence[:-1])
    if len(rising):
        place = int(rising[0])
        found = f"found {sequence[place + 1]:g} after {sequence[place]:g}"
        raise SteepslopeError(f"expected the highest first, {found}", "thresholds")
    below = sequence[sequence < np.inf]
    if len(below) == 0:
        raise SteepslopeError(f"expected at least one below ∞, found {len(sequence)} in all", "thresholds")
    return below


@dataclass(frozen=True)
class StartThreshold:
    """A start threshold, by its place in the sequence.

    ``level`` is the nominal level, that of all tests from there to the next start threshold, as long as none fails.
    ``after_failure`` is the level of its own test if the tests before it have failed. If it ``adds``, the level of a
    run that reaches it is added to its own.
    """

    place: int
    after_failure: float
    level: float
    adds: bool = False

    @classmethod
    def sharing(cls, places: Sequence[int], delta: float) -> list[Self]:
        """Return start thresholds that share delta equally (the fallback procedure: Wiens, 2003)."""
        share = delta / max(1, len(places))
        return [cls(place, share, share, adds=True) for place in places]


def last_passing_in_sequence(
    start_thresholds: Sequence[StartThreshold], count: int, passes: Passes
) -> tuple[int | None, float]:
    """Return the place of the last of ``count`` hypotheses that passes, None if none does, and the level of its test.

    Tests begin at a start threshold, and go on past the next one until a test fails. Then they begin at the next.
    """
    last = None
    level_of_last = 0.0
    carried = None  # the level of a run that has reached the next start threshold
    ends = [*(start.place for start in start_thresholds[1:]), count]
    for start, end in zip(start_thresholds, ends, strict=False):
        level = start.level
        if carried is None:
            begins = start.place < count and passes(start.place, start.after_failure)
        else:
            begins = True
            level += carried if start.adds else 0.0
        place = start.place
        end = min(end, count)
        while begins and place < end and passes(place, level):
            last = place
            level_of_last = level
            place += 1
        carried = level if begins and place == end else None
    return last, level_of_last


@dataclass(frozen=True, eq=False)
class FixedSequence:
    """Hypotheses in a fixed order, by their p-values (t,), and the start thresholds at which runs of tests begin.

    >>> sequence = FixedSequence(StartThreshold.sharing([0], 0.05), np.array([0.01, 0.04, 0.2, 0.001]))
    >>> sequence.last_passing(), sequence.last_passing(count=1)
    (1, 0)
    """

    start_thresholds: Sequence[StartThreshold]
    p_values: Floats

    def last_passing(self, count: int | None = None) -> int | None:
        """Return the place of the last of the first ``count`` hypotheses that passes, None if none does."""
        if count is None:
            count = len(self.p_values)
        last, _ = last_passing_in_sequence(
            self.start_thresholds, count, lambda place, level: bool(self.p_values[place] <= level)
        )
        return last


def rows_of_start_thresholds(n: int, risk: float, delta: float) -> list[int]:
    """Return how many of n rows each start threshold has to accept at least, ascending. Labels do not matter.

    One start threshold accepts half of the rows, or rather the fewest rows that pass with as many errors as half can.
    If half of the rows pass with no error, it accepts the fewest that do. Each earlier one accepts 1.25 times fewer
    rows, as long as these pass with three errors at half of delta. If half of the rows pass with many errors, each
    later one accepts 1.25 times more.

    >>> rows_of_start_thresholds(1_000, 0.05, 0.05), rows_of_start_thresholds(500, 0.02, 0.05)
    ([197, 247, 308, 386, 482], [236])
    """
    borne = max(0, most_passing_errors(n // 2, risk, delta))
    half = rows_needed(risk, delta, borne)
    least = min(half, rows_needed(risk, delta / 2, BORNE))
    most = n if borne >= MANY else half
    first = math.ceil(math.log(least / half, FURTHER))
    last = math.floor(math.log(most / half, FURTHER))
    return [round(half * FURTHER**step) for step in range(first, last + 1)]


def find_start_thresholds(accepted: Counts, n: int, risk: float, delta: float) -> list[StartThreshold]:
    """Return the start thresholds, which do not depend on labels; none if no threshold accepts enough rows.

    ``accepted`` (t,), ascending, says how many of n rows each threshold of the sequence accepts.

    If the risk rises with coverage, the promise is exact. Let H be the first threshold whose risk is too high. Only H,
    at the end of a run in which all tests passed, and later start thresholds can pass wrongly. The errors above each of
    these are at least as many as at ``risk``, and the levels are such that any of them passes with a probability of at
    most delta. Which start thresholds come after H depends on how many rows H and later thresholds accept, not on
    labels above H. If the risk also falls with coverage, no proof is known: risks that were made to break the promise
    did so with a probability of about delta at most.

    >>> starts = find_start_thresholds(np.arange(0, 801, 100), 800, 0.05, 0.05)
    >>> [(start.place, round(start.after_failure, 3), round(start.level, 3)) for start in starts]
    [(2, 0.036, 0.036), (3, 0.021, 0.042), (4, 0.025, 0.05)]
    """
    rows = np.array(rows_of_start_thresholds(n, risk, delta))
    return find_start_thresholds_at(rows, np.where(2 * rows > n, _LATE_SHARE, SHARE), accepted, risk, delta)


def find_start_thresholds_at(
    rows: Counts, shares: Floats, accepted: Counts, risk: float, delta: float
) -> list[StartThreshold]:
    """Return the start thresholds that accept at least ``rows``, each with its share of the level after a failure.

    ``rows`` and ``shares`` (s,) go from the fewest rows to the most. A number of rows that no threshold accepts is left
    out.
    """
    places, first = np.unique(np.searchsorted(accepted, rows), return_index=True)
    is_reached = places < len(accepted)
    places = places[is_reached]
    first = first[is_reached]
    after_failure, levels = _levels_of_sequence(rows[first], accepted[places], shares[first], risk, delta)
    return list(map(StartThreshold, places.tolist(), after_failure, levels))


def _levels_of_sequence(
    least: Counts, accepted: Counts, shares: Floats, risk: float, delta: float
) -> tuple[list[float], list[float]]:
    """Return the levels after a failure and the nominal ones, (s,) each.

    A run at its nominal level and all later start thresholds use up delta together. Any threshold from a start
    threshold on accepts at least ``least`` (s,) rows, and the start threshold itself ``accepted`` (s,). Of tests at one
    level, that of the fewest rows overlaps the least with later start thresholds, so its level holds for all.
    """
    if len(least) == 0:
        return [], []
    levels = [delta]  # from the last start threshold to the first
    after_failure = [float(shares[-1]) * delta]
    most = most_passing_errors(accepted[-1], risk, after_failure[0])
    passes_later = np.ones(max(0, most) + 1) * (most >= 0)  # by the number of errors above the start threshold
    for place in range(len(least) - 2, -1, -1):
        rows = least[place]
        later = accepted[place + 1]
        passes = _passing_chance_before(passes_later, later - rows, risk)
        level = _level_in_sequence(rows, passes, risk, delta)
        levels.append(level)
        after_failure.append(float(shares[place]) * level)
        rows = accepted[place]
        passes_later = _passing_chance_before(passes_later, later - rows, risk)[: rows + 1]
        passes_later[: most_passing_errors(rows, risk, after_failure[-1]) + 1] = 1.0
    after_failure[-1] = levels[-1]  # nothing has failed before the first
    return after_failure[::-1], levels[::-1]


@dataclass(frozen=True, eq=False)
class Above:
    """How many of n calibration rows each threshold of a sequence accepts, and how many of these are wrong, (t,)."""

    n: int
    accepted: Counts
    errors: Counts

    @classmethod
    def from_rows(cls, confidence: Floats, is_correct: Bools, thresholds: Floats) -> Above:
        """Count the rows (n,) with a confidence of at least each threshold (t,); ties are accepted as a whole."""
        order = np.argsort(-confidence, kind="stable")
        accepted = np.searchsorted(-confidence[order], -thresholds, side="right").astype(np.int64)
        wrong = np.concatenate([[0], np.cumsum(~is_correct[order], dtype=np.int64)])
        return cls(len(confidence), accepted, wrong[accepted])

    def certificate(
        self, aim: Aim, place: int, threshold: float, delta: float, max_risk: float | None, group: str | None
    ) -> Certificate:
        """Return the certificate of one threshold of the sequence, by its place."""
        accepted = int(self.accepted[place])
        return Certificate(aim, threshold, self.n, accepted, int(self.errors[place]), delta, max_risk, group)

    def tests(self, risk: float, delta: float) -> FixedSequence:
        """Return the tests of all thresholds, each of the hypothesis that its risk is ``risk`` or more."""
        start_thresholds = find_start_thresholds(self.accepted, self.n, risk, delta)
        return FixedSequence(start_thresholds, binomial_tail(self.errors, self.accepted, risk))


def most_passing_errors(rows: int, risk: float, level: float) -> int:
    """Return the most errors among ``rows`` rows with which a test passes at a level; −1 if it cannot pass."""
    most = int(binom.ppf(level, rows, risk))
    return most - int(binom.cdf(most, rows, risk) > level)


def _passing_chance_before(passes: Floats, rows: int, risk: float) -> Floats:
    """Return the probability to pass by the number of errors before the last ``rows`` rows, (e,)."""
    between = binom.pmf(np.arange(len(passes)), rows, risk)
    return np.asarray(np.clip(fftconvolve(passes, between[::-1])[len(passes) - 1 :], 0, 1))


def _level_in_sequence(rows: int, passes_later: Floats, risk: float, delta: float) -> float:
    """Return the level of a test on ``rows`` rows such that it, or a later test, passes with probability delta.

    The test is randomised between two numbers of errors, and the level is that of the randomised test.
    """
    chance = binom.pmf(np.arange(len(passes_later)), rows, risk)
    alone = np.append(0, np.cumsum(chance))
    together = alone + np.append(0, np.cumsum(-chance * passes_later)) + float(chance @ passes_later)
    return float(np.interp(delta, together, alone))
