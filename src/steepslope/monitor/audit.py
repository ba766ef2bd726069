"""What the labels of an audit tell of all that was accepted, whatever has changed: how many are wrong, and what to do.

An audit draws each accepted prediction i with a known probability π_i, by a coin of its own. Let S be how many of the
accepted are wrong, and W those of them that were drawn. For any s > −min π the mean of Π_W (1 + s/π_i)/(1 + s)^S is 1
after any number of predictions: the factor of a wrong one has the mean (1 − π + π(1 + s/π))/(1 + s) = 1, and a right
one has none. So the probability that it ever reaches 1/α is at most α (Ville 1939), and S for which it does are ruled
out. Nothing is assumed of the predictions or their errors, only that each coin is independent of whether the
prediction is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import logsumexp

from steepslope.monitor.bounds import Bets
from steepslope.monitor.limit import Followed, Limit
from steepslope.monitor.state import Marked

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class CountBets:
    """Bets on how many are wrong: their ``sizes`` in units of the least probability of a first audit, and ``parts``.

    Each has its share of the parts of a fortune. Sizes go far down, since later audits may draw with lower
    probabilities.
    """

    sizes: Floats
    parts: Floats

    @property
    def shares(self) -> Floats:
        """Which part of the fortune is bet on each size; they sum to 1."""
        return np.asarray(self.parts / self.parts.sum())


ON_MORE = CountBets(10 * 2.5 ** -np.arange(14.0), np.ones(14))
ON_FEWER = CountBets(-0.95 * 1.5 ** -np.arange(25.0), 1 / np.arange(1.0, 26))


@dataclass(frozen=True)
class Audited:
    """What is known of ``accepted`` predictions by the ``labels`` of those that audits drew.

    ``waiting`` of those drawn have no label yet, of a gate that follows also below its limit. ``risk`` is the estimated
    fraction of the accepted that is wrong (Hájek 1971), None without labels, and ``low`` and ``high`` are an interval
    of it that holds at all times together.
    ``alarm`` is after how many predictions, ``alarm_labels`` after how many labels, it was found that more are wrong
    than was promised; None while it was not. ``stricter`` may bring the risk back; None where nothing known does.
    ``followed`` is what is accepted next where the gate follows the audit, None where it does not: ``alarm`` is then of
    the risk of all so far, and gone once that is not clearly more than was promised.
    """

    accepted: int
    labels: int
    waiting: int
    risk: float | None
    low: float
    high: float
    alarm: int | None = None
    alarm_labels: int | None = None
    stricter: Limit | None = None
    followed: Followed | None = None

    @classmethod
    def read(cls, content: Mapping[str, Any] | None) -> Self | None:
        """Return what JSON holds."""
        if content is None:
            return None
        stricter, followed = content["stricter"], content["followed"]
        return cls(**{
            **content, "stricter": None if stricter is None else Limit(**stricter),
            "followed": None if followed is None else Followed(followed["excess"], Limit(**followed["limit"])),
        })  # fmt: skip


def risk_of(marked: Sequence[Marked]) -> float | None:
    """Return the estimated fraction of all that is wrong, in [0, 1]; None without a label."""
    weights = [(1 / one.chance, one.is_correct) for one in marked if one.is_correct is not None]
    total = math.fsum(weight for weight, _ in weights)
    return math.fsum(weight for weight, right in weights if not right) / total if weights else None


def interval_of(
    marked: Sequence[Marked], accepted: int, chances: tuple[float, float], alpha: float
) -> tuple[float, float]:
    """Return an interval of the fraction of the accepted so far that is wrong.

    It holds at all times together with a probability of at least 1 − alpha, whatever has changed. Those without a label
    yet count as wrong above, and as right below. ``chances`` are the least probability of being drawn in the first
    audit, and in all.

    >>> labelled = [Marked(0.9, 0.1, 1.0, True)] * 97 + [Marked(0.9, 0.1, 1.0, False)] * 3
    >>> interval_of(labelled, 1_000, (0.1, 0.1), 0.05)
    (0.003, 0.126...)
    """
    if accepted == 0:
        return 0.0, 1.0
    first, least = chances
    wrong = np.array([one.chance for one in marked if one.is_wrong])
    all_wrong = np.array([one.chance for one in marked if not one.is_correct])
    right = sum(bool(one.is_correct) for one in marked)
    more = partial(_evidence, bets=ON_MORE, wrong=wrong, first=first, least=least, alpha=alpha / 2)
    fewer = partial(_evidence, bets=ON_FEWER, wrong=all_wrong, first=first, least=least, alpha=alpha / 2)
    low = 0 if more(0) <= 0 else accepted if more(accepted) >= 0 else brentq(more, 0, accepted)
    high = accepted if fewer(accepted) <= 0 else brentq(fewer, 0, accepted)
    return max(low, len(wrong)) / accepted, min(high, accepted - right) / accepted


def _evidence(count: float, bets: CountBets, wrong: Floats, first: float, least: float, alpha: float) -> float:
    """Return by how much the evidence against so many wrong ones exceeds 1/alpha, in logarithms.

    A bet that an audit with a lower probability has made too large has lost its share.
    """
    sizes = bets.sizes * first
    alive = sizes > -least
    if not alive.any():
        return -math.inf
    gains = np.log1p(np.divide.outer(sizes[alive], wrong)).sum(axis=1) - count * np.log1p(sizes[alive])
    return float(logsumexp(gains, b=bets.shares[alive])) + math.log(alpha)


def harm_after(marked: Sequence[Marked], promised: float, level: float) -> int | None:
    """Return after how many of the drawn, in the order in which they were counted, more are wrong than was promised.

    None if there is no such evidence; the probability that it is ever false is at most ``level``. Those without a label
    yet count as right, so it does not matter which labels come first, or never.
    """
    is_wrong = np.array([one.is_wrong for one in marked], np.bool_)
    weights = np.array([one.weight for one in marked])
    _, evidence = Bets(promised).after(weighted_errors(is_wrong, weights, promised))
    enough = np.flatnonzero(evidence >= -math.log(level))
    return int(enough[0]) + 1 if len(enough) else None


def weighted_errors(is_wrong: Bools, weights: Floats, promised: float) -> Floats:
    """Return what labels are worth as evidence that more than was promised are wrong, in [0, 1], (m,).

    ``weights`` (m,), in (0, 1], are a constant over the probability of being drawn, so that each is as if all had been
    drawn alike: where the accepted are wrong as often as promised, the mean is ``promised``. A weight of 1 leaves 0 and
    1 as they are.
    """
    wrong = is_wrong.astype(np.float64)
    return np.where(weights == 1, wrong, promised + weights * (wrong - promised))
