"""Where the tests of a sequence of thresholds start, and at which level each of them is made.

One start is fragile: a few early errors end the sequence where a later threshold would pass. So it starts again at
thresholds that accept more rows. The levels of the starts are those of a group-sequential test: of errors that come
with the same risk throughout, the count above a later threshold holds the count above an earlier one, so the chances
that one of them is low by accident overlap, and are worth more than shares of delta that add up to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from scipy.stats import binom

from steepslope.gate.certificate import rows_needed

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
BORNE = 3  # errors that the first threshold has to bear: with fewer, one unlucky row ends the sequence (LOG.md)
EARLY = 3 / 8  # of the rows: where the first start would accept more, there is no second (LOG.md)
FURTHER = 1.5  # a start accepts so many times the rows of the one before it (LOG.md)
SHARE = 0.4  # of the level of runs that go on: at this, a further start begins anew (LOG.md)


@dataclass(frozen=True)
class Start:
    """A place in the sequence where tests start anew.

    ``anew`` is the level of its own test where the tests before it have failed; ``level`` that of all tests from there
    to the next start, as long as none fails.
    """

    place: int
    anew: float
    level: float


def first_rows(n: int, risk: float, delta: float) -> int:
    """Return how many of n rows a single start has to accept, at least.

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


def starts(accepted: Counts, n: int, risk: float, delta: float) -> list[Start]:
    """Return where tests start, whatever the labels are; none where no threshold accepts enough rows.

    ``accepted`` (t,) are how many of n rows each threshold of the sequence accepts, ascending. Where the risk rises
    with coverage, the promise is exact: let H be the first threshold whose risk is too high. What is wrongly passed is
    H, in a run of tests that all passed, or a later start; all of these have at least as many errors as at ``risk``,
    and the levels are such that together they pass with a probability of at most delta. Which starts come after H
    depends on how many rows H and later thresholds accept, not on labels above H.

    >>> found = starts(np.arange(0, 801, 100), 800, 0.05, 0.05)
    >>> [(one.place, round(one.anew, 3), round(one.level, 3)) for one in found]
    [(2, 0.032, 0.032), (3, 0.015, 0.037), (4, 0.017, 0.043), (6, 0.02, 0.05)]
    """
    early = rows_needed(risk, delta / 2, BORNE)
    rows = [first_rows(n, risk, delta)] if early > EARLY * n else _rows_of_starts(early, n)
    places, first = np.unique(np.searchsorted(accepted, rows), return_index=True)
    inside = places < len(accepted)
    least, places = np.asarray(rows)[first][inside], places[inside]
    anew, levels = _levels(least, accepted[places], risk, delta)
    return [Start(int(place), *both) for place, *both in zip(places, anew, levels, strict=True)]


def _rows_of_starts(early: int, n: int) -> list[int]:
    rows = [early]
    while (further := int(np.ceil(FURTHER * rows[-1]))) <= n:
        rows.append(further)
    return rows


def _levels(least: Counts, accepted: Counts, risk: float, delta: float) -> tuple[list[float], list[float]]:
    """Return the levels anew and of the runs on, (s,) each: a run and the starts after it use up delta together.

    ``least`` (s,) rows are accepted by any threshold from a start on, and ``accepted`` by the start itself. Of tests at
    one level, that of the fewest rows overlaps the least with those of later starts, so its level holds for all.
    """
    if len(least) == 0:
        return [], []
    levels, anew = [delta], [SHARE * delta]
    most = most_errors(accepted[-1], risk, anew[0])
    passes_later = np.ones(max(0, most) + 1) * (most >= 0)  # by how many errors there are above the start
    for place in range(len(least) - 2, -1, -1):
        rows, later = least[place], accepted[place + 1]
        levels.append(_level(rows, _before(passes_later, later - rows, risk), risk, delta))
        anew.append(SHARE * levels[-1])
        passes_later = _before(passes_later, later - accepted[place], risk)[: accepted[place] + 1]
        passes_later[: most_errors(accepted[place], risk, anew[-1]) + 1] = 1.0
    return [levels[-1], *anew[:-1][::-1]], levels[::-1]


def most_errors(rows: int, risk: float, level: float) -> int:
    """Return up to how many errors among so many rows pass a test at a level; −1 where none does."""
    most = int(binom.ppf(level, rows, risk))
    return most - int(binom.cdf(most, rows, risk) > level)


def _before(passes: Floats, rows: int, risk: float) -> Floats:
    """Return the probability to pass, by how many errors there are so many rows earlier."""
    coming = binom.pmf(np.arange(len(passes)), rows, risk)
    found: Floats = fftconvolve(passes, coming[::-1])[len(passes) - 1 :]
    return np.clip(found, 0, 1)


def _level(rows: int, passes_later: Floats, risk: float, delta: float) -> float:
    """Return the level of a test on so many rows that passes, or is followed by one that does, in delta of draws.

    Between two numbers of errors, the test may cast lots: the level is that of the test that does.
    """
    chance = binom.pmf(np.arange(len(passes_later)), rows, risk)
    alone = np.append(0, np.cumsum(chance))
    together = alone + np.append(0, np.cumsum(-chance * passes_later)) + float(chance @ passes_later)
    return float(np.interp(delta, together, alone))
