"""Which limit on P(correct) the labels of an audit ask for, where more of the accepted are wrong than was promised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from steepslope.monitor.state import Marked

ERRORS = 3  # that are promised among the latest labels, which tell how strict to be; older ones may be of better times
ACCEPT_NOTHING = 2.0  # a limit that no P(correct) reaches
TOLERATED = 0.7  # errors more than promised, up to which a gate that follows an audit accepts what it would by itself
STRICTEST = 3.5  # the excess from which on it wants the lowest risk
LEAST_RISK = 0.5  # which is this fraction of the promised one
ADDED = 0.5  # errors that it counts beside those found, so that few labels do not make a risk low


@dataclass(frozen=True)
class Limit:
    """A limit on P(correct): which part of the latest labels is at it or above, in [0, 1], and their estimated risk.

    It is 0 where all are, and ``ACCEPT_NOTHING`` where none is; then the risk is None.
    """

    p_correct: float = 0.0
    coverage: float = 1.0
    risk: float | None = None

    @property
    def is_between(self) -> bool:
        """Whether it leaves some, but not all."""
        return 0 < self.coverage < 1


@dataclass(frozen=True)
class Followed:
    """What a gate that follows its audit accepts next: what it would by itself, and is not below the limit.

    ``excess``: weighted errors above the promise, over the worst stretch that ends now.
    """

    excess: float
    limit: Limit


def latest_for(max_risk: float) -> int:
    """Return how many of the latest labels tell how strict to be."""
    return math.ceil(ERRORS / max_risk)


def limit_for(marked: Sequence[Marked], max_risk: float, more: float = 1.0) -> Limit:
    """Return the lowest limit on P(correct) at which the risk of predictions with labels is as low as it has to be.

    That risk is estimated, counting so many errors ``more`` than were found, so that few labels do not make it low. A
    label counts by its weight in its own file: a file of many predictions does not outweigh later ones.

    >>> labelled = [Marked(0.9, 0.1, 1.0, True)] * 40 + [Marked(0.8, 0.1, 1.0, False)] * 10
    >>> limit_for(labelled, max_risk=0.05)
    Limit(p_correct=0.9, coverage=0.8, risk=0.0243...)
    """
    if not marked:
        return Limit()
    p_correct, weights, right = (
        np.array(column, np.float64)
        for column in zip(*((one.p_correct, one.weight, one.is_correct) for one in marked), strict=True)
    )
    order = np.argsort(-p_correct, kind="stable")
    weights, p_correct = weights[order], p_correct[order]
    total = np.cumsum(weights)
    added = more * total / np.arange(1, len(total) + 1)
    risk = (np.cumsum(weights * (1 - right[order])) + added) / (total + added)
    is_last = np.append(p_correct[1:] != p_correct[:-1], True)  # of those with the same P(correct), all or none
    enough = np.flatnonzero((risk <= max_risk) & is_last)
    if not len(enough):
        return Limit(ACCEPT_NOTHING, 0.0)
    last = int(enough[-1])
    lowest = 0.0 if last == len(total) - 1 else float(p_correct[last])
    return Limit(lowest, float(total[last] / total[-1]), float(risk[last]))


def stricter_of(marked: Sequence[Marked], max_risk: float) -> Limit | None:
    """Return the limit that brings the risk of the latest accepted back; None if none does, or none is needed."""
    found = limit_for(_latest(marked, max_risk), max_risk)
    return found if found.is_between else None


def excess_of(marked: Sequence[Marked], max_risk: float) -> float:
    """Return how many errors more than were promised the labels show, over the worst stretch that ends now.

    Each label counts by its weight in its own file, at most 1, so the doubtful ones, drawn more often, do not count
    more. That is a cumulative sum (Page 1954), so good times before the stretch are no credit.

    >>> good, bad = Marked(0.9, 0.1, 1.0, True), Marked(0.9, 0.1, 1.0, False)
    >>> round(excess_of([good] * 1_000 + [bad] * 2, max_risk=0.05), 2)
    1.9
    """
    labelled = [one for one in marked if one.accepted and one.is_correct is not None]
    if not labelled:
        return 0.0
    sums = np.cumsum([one.weight * (one.is_wrong - max_risk) for one in labelled])
    return float(sums[-1] - min(0.0, sums.min()))


def followed(marked: Sequence[Marked], max_risk: float) -> Followed:
    """Return what a gate that follows its audit accepts next, by all rows that it drew, in order.

    As the excess grows, the wanted risk falls from the promised one to half of it. The limit is the lowest one at which
    the latest labels have that risk, of accepted rows and of rows below the last limit. So it is strict at once, and
    accepts more as soon as labels tell that it can.
    """
    excess = excess_of(marked, max_risk)
    if excess <= TOLERATED:
        return Followed(excess, Limit())
    wanted = max_risk * max(LEAST_RISK, 1 - (excess - TOLERATED) / (STRICTEST - TOLERATED))
    return Followed(excess, limit_for(_latest(marked, max_risk), wanted, ADDED))


def _latest(marked: Sequence[Marked], max_risk: float) -> list[Marked]:
    """Return the latest that have a label."""
    return [one for one in marked if one.is_correct is not None][-latest_for(max_risk) :]
