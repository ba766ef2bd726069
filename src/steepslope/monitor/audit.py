"""What the labels of an audit tell of all that was accepted, whatever has changed: how many are wrong, and what to do.

An audit draws each accepted prediction i with a known probability π_i, by a coin of its own. Let S be how many of the
accepted are wrong, and w those of them that were drawn. For any s in (−min π, ∞) the mean of Π_w (1 + s/π_i)/(1 + s)^S
is 1 after any number of predictions: the factor of a wrong one has the mean (1 − π + π(1 + s/π))/(1 + s) = 1, and a
right one has none. So the probability that it ever reaches 1/α is at most α (Ville 1939), and S for which it does are
ruled out. Nothing is assumed of the predictions or their errors, only that each coin is independent of what it is for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import logsumexp

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Drawn = Sequence[tuple[float, float, bool | None]]  # P(correct), the probability of being drawn, whether it is correct
DOWN = -np.array([0.95, *np.geomspace(0.6, 0.02, 8)])  # of the least probability of the first audit
UP = np.geomspace(0.02, 10.0, 10)  # of the same
ERRORS = 3  # as many are promised among the latest labels, which tell how strict to be now: more are of times gone by


class Stricter(NamedTuple):
    """A limit on P(correct): which part of the accepted it keeps, in (0, 1), and the estimated risk of these."""

    p_correct: float
    kept: float
    risk: float


@dataclass(frozen=True, eq=False)
class Audited:
    """What is known of ``accepted`` predictions by the ``labels`` of those that audits drew.

    ``wrong`` (w,) and ``waiting`` (v,) are the probabilities of being drawn, of those that were drawn and turned out
    wrong, and that have no label yet; ``total`` is the sum of 1/π of those with a label. ``first`` and ``least`` are
    the least probability of any accepted prediction in the first audit, and in all. ``stricter`` is what would bring
    the risk back, None where nothing is known that does, or nothing has to.
    """

    accepted: int
    labels: int
    total: float
    wrong: Floats
    waiting: Floats
    first: float
    least: float
    stricter: Stricter | None = None

    @classmethod
    def of(cls, drawn: Drawn, accepted: int, first: float, least: float, stricter: Stricter | None = None) -> Audited:
        """Return what is known by the predictions that audits drew."""
        labelled = [chance for _, chance, is_correct in drawn if is_correct is not None]
        wrong = [chance for _, chance, is_correct in drawn if is_correct is not None and not is_correct]
        waiting = [chance for _, chance, is_correct in drawn if is_correct is None]
        total = math.fsum(1 / chance for chance in labelled)
        return cls(accepted, len(labelled), total, np.array(wrong), np.array(waiting), first, least, stricter)

    @property
    def risk(self) -> float | None:
        """The estimated fraction of the accepted that is wrong (Hájek 1971); None without a label."""
        return float((1 / self.wrong).sum()) / self.total if self.labels else None

    def as_json(self, alpha: float) -> dict[str, Any]:
        """Return what is known as JSON holds it, with the interval of 1 − alpha."""
        known = {"accepted": self.accepted, "labels": self.labels, "waiting": len(self.waiting), "risk": self.risk}
        stricter = None if self.stricter is None else self.stricter._asdict()
        return {**known, "interval": list(self.interval(alpha)), "stricter": stricter}

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return an interval of the fraction of the accepted so far that is wrong.

        It holds at all times together with a probability of at least 1 − alpha, whatever has changed. Those without a
        label yet count as wrong above, and as right below.

        >>> Audited.of([(0.9, 0.1, True)] * 97 + [(0.9, 0.1, False)] * 3, 1_000, 0.1, 0.1).interval(0.05)
        (0.003, 0.132...)
        """
        if self.accepted == 0:
            return 0.0, 1.0
        n, right = self.accepted, self.labels - len(self.wrong)
        high = partial(_excess, sizes=DOWN * self.first, wrong=np.append(self.wrong, self.waiting), alpha=alpha / 2,
                       least=self.least)  # fmt: skip
        low = partial(_excess, sizes=UP * self.first, wrong=self.wrong, alpha=alpha / 2, least=self.least)
        most = n if high(n) <= 0 else brentq(high, 0, n)
        fewest = 0 if low(0) <= 0 else n if low(n) >= 0 else brentq(low, 0, n)
        return max(fewest, len(self.wrong)) / n, min(most, n - right) / n


def _excess(count: float, sizes: Floats, wrong: Floats, alpha: float, least: float) -> float:
    """Return by how much the evidence against so many wrong ones exceeds 1/alpha, in logarithms.

    Bets of different ``sizes`` have equal parts of the fortune; one that an audit with a lower probability has made
    too large has lost its part.
    """
    bets = sizes[sizes > -least]
    logs = np.log1p(np.divide.outer(bets, wrong)).sum(axis=1) - count * np.log1p(bets)
    return float(logsumexp(logs)) - math.log(len(sizes)) + math.log(alpha) if len(bets) else -math.inf


def weighted_errors(is_wrong: Bools, weights: Floats, promised: float) -> Floats:
    """Return what labels are worth as evidence that more than was promised are wrong, in [0, 1], (m,).

    ``weights`` (m,), in (0, 1], are a constant over the probability of being drawn, so that each is as if all had been
    drawn alike: where the accepted are wrong as often as promised, the mean is ``promised``. A weight of 1 leaves 0 and
    1 as they are.
    """
    wrong = is_wrong.astype(np.float64)
    return np.where(weights == 1, wrong, promised + weights * (wrong - promised))


def latest_for(max_risk: float) -> int:
    """Return how many of the latest labels tell how strict to be."""
    return math.ceil(ERRORS / max_risk)


def stricter_of(drawn: Drawn, max_risk: float) -> Stricter | None:
    """Return the lowest limit on P(correct) that brings the risk of the latest accepted back, if there is one.

    ``drawn`` are the latest that have labels. The risk of those above a limit is estimated by their labels, counting
    one more error than was found, so that few labels do not make it low. None if no limit is low enough, or if none is
    needed.
    """
    if not drawn:
        return None
    order = np.argsort([-p_correct for p_correct, _, _ in drawn], kind="stable")
    p_correct, chance, right = (np.array(column, np.float64)[order] for column in zip(*drawn, strict=True))
    weights = 1 / chance
    total = np.cumsum(weights)
    one = total / np.arange(1, len(total) + 1)
    risk = (np.cumsum(weights * (1 - right)) + one) / (total + one)
    is_last = np.append(p_correct[1:] != p_correct[:-1], True)  # of those with the same P(correct), all or none
    enough = np.flatnonzero((risk <= max_risk) & is_last)
    if not len(enough) or enough[-1] == len(total) - 1:
        return None
    last = enough[-1]
    return Stricter(float(p_correct[last]), float(total[last] / total[-1]), float(risk[last]))
