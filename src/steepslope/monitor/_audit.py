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
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.optimize import brentq
from scipy.special import logsumexp

from steepslope.gate import ACCEPT_NOTHING
from steepslope.monitor._state import Marked
from steepslope.numerics import Bools, Floats
from steepslope.promise import MeanBets

_ERRORS = 3  # that are promised among the latest labels, which tell how strict to be; older ones may be of better times
TOLERATED = 0.7  # the CUSUM up to which a gate that follows an audit accepts what it would by itself
STRICTEST = 3.5  # the CUSUM from which on it wants the lowest risk
_LEAST_RISK = 0.5  # which is this fraction of the promised one
_ADDED = 0.5  # errors that it counts more than were found, so that few labels do not make a risk low

# Bets on how many are wrong have sizes in units of the least probability of a first audit, and shares of an e-value.
# Sizes go far down, since later audits may draw with lower probabilities.
MORE_SIZES = 10 * 2.5 ** -np.arange(14.0)
MORE_SHARES = np.full(14, 1 / 14)
FEWER_SIZES = -0.95 * 1.5 ** -np.arange(25.0)
FEWER_SHARES = 1 / np.arange(1.0, 26) / (1 / np.arange(1.0, 26)).sum()


@dataclass(frozen=True)
class Limit:
    """A limit on P(correct): which part of the latest labels is at it or above, in [0, 1], and their estimated risk.

    The limit is 0 where all are, and ``ACCEPT_NOTHING`` where none is; then the risk is None.
    """

    p_correct: float = 0.0
    coverage: float = 1.0
    risk: float | None = None


@dataclass(frozen=True)
class _Followed:
    """What a gate that follows its audit accepts next: what it would by itself, and is not below the limit.

    ``cusum``: weighted errors above the promise, over the worst stretch that ends now.
    """

    cusum: float
    limit: Limit


@dataclass(frozen=True)
class Audited:
    """What is known of ``accepted`` predictions by the ``labels`` of those that audits drew.

    ``waiting`` of those drawn have no label yet; if the gate follows its audit, these include rows below its limit.
    ``risk`` is the estimated fraction of the accepted that is wrong (Hájek 1971), None without labels. ``low`` and
    ``high`` are an interval of it that holds at all times together.

    ``alarm`` is the number of predictions, and ``alarm_labels`` the number of labels, after which it was found that
    more are wrong than was promised; None while it was not. ``followed`` is what is accepted next if the gate follows
    its audit, else None. If it follows, the alarm is about the risk of all predictions so far. It ends once this risk
    is no longer clearly more than was promised.
    """

    accepted: int
    labels: int
    waiting: int
    risk: float | None
    low: float
    high: float
    alarm: int | None = None
    alarm_labels: int | None = None
    followed: _Followed | None = None


def risk_by_audit(marked: Sequence[Marked]) -> float | None:
    """Return the estimated fraction of all that is wrong, in [0, 1]; None without a label."""
    labelled = [row for row in marked if row.is_correct is not None]
    if not labelled:
        return None
    wrong = math.fsum(1 / row.chance for row in labelled if not row.is_correct)
    return wrong / math.fsum(1 / row.chance for row in labelled)


def risk_interval_by_audit(
    marked: Sequence[Marked], accepted: int, chances: tuple[float, float], alpha: float
) -> tuple[float, float]:
    """Return an interval of the fraction of the accepted so far that is wrong.

    It holds at all times together with a probability of at least 1 − alpha, whatever has changed. Those without a label
    yet count as wrong above, and as right below. ``chances`` are the least probability of being drawn in the first
    audit, and in all.

    >>> labelled = [Marked(0.9, 0.1, 1.0, True)] * 97 + [Marked(0.9, 0.1, 1.0, False)] * 3
    >>> risk_interval_by_audit(labelled, 1_000, (0.1, 0.1), 0.05)
    (0.003, 0.126...)
    """
    if accepted == 0:
        return 0.0, 1.0
    first, least = chances
    wrong = np.array([row.chance for row in marked if row.is_wrong])
    all_wrong = np.array([row.chance for row in marked if not row.is_correct])
    right = sum(bool(row.is_correct) for row in marked)
    evidence = partial(_audit_evidence, least=least, level=alpha / 2)
    more = partial(evidence, sizes=MORE_SIZES * first, shares=MORE_SHARES, wrong=wrong)
    fewer = partial(evidence, sizes=FEWER_SIZES * first, shares=FEWER_SHARES, wrong=all_wrong)
    low: float = 0
    if more(0) > 0:
        low = accepted if more(accepted) >= 0 else brentq(more, 0, accepted)
    high: float = accepted
    if fewer(accepted) > 0:
        high = brentq(fewer, 0, accepted)
    ends = np.clip([low, high], len(wrong), accepted - right)  # also where the bets are against every count
    return float(ends[0]) / accepted, float(ends[1]) / accepted


def _audit_evidence(count: float, sizes: Floats, shares: Floats, wrong: Floats, least: float, level: float) -> float:
    """Return by how much the e-value against so many wrong ones exceeds 1/level, in logarithms.

    A bet that an audit with a lower probability has made too large has lost its share.
    """
    alive = sizes > -least
    if not alive.any():
        return -math.inf
    gains = np.log1p(np.divide.outer(sizes[alive], wrong)).sum(axis=1) - count * np.log1p(sizes[alive])
    return float(logsumexp(gains, b=shares[alive])) + math.log(level)


def harm_found_by_audit(marked: Sequence[Marked], promised: float, level: float) -> int | None:
    """Return after how many of the drawn, in the order in which they were counted, more are wrong than was promised.

    None if there is no such evidence; the chance that it is false at any time is at most ``level``. Those without a
    label yet count as right, so it does not matter which labels come first, or never.
    """
    is_wrong = np.array([row.is_wrong for row in marked], np.bool_)
    weights = np.array([row.weight for row in marked])
    _, evidence = MeanBets(limit=promised).after(_weighted_audit_errors(is_wrong, weights, promised))
    enough = np.flatnonzero(evidence >= -math.log(level))
    if len(enough):
        return int(enough[0]) + 1
    return None


def _weighted_audit_errors(is_wrong: Bools, weights: Floats, promised: float) -> Floats:
    """Return what labels are worth as evidence that more than was promised are wrong, in [0, 1], (m,).

    ``weights`` (m,), in (0, 1], are a constant over the probability of being drawn, so that each is as if all had been
    drawn alike: where the accepted are wrong as often as promised, the mean is ``promised``. A weight of 1 leaves 0 and
    1 as they are.
    """
    wrong = is_wrong.astype(np.float64)
    return np.where(weights == 1, wrong, promised + weights * (wrong - promised))


def latest_audited_labels(max_risk: float) -> int:
    """Return how many of the latest labels tell how strict to be."""
    return math.ceil(_ERRORS / max_risk)


def limit_by_audit(marked: Sequence[Marked], max_risk: float, more: float = _ADDED) -> Limit:
    """Return the lowest limit on P(correct) at which the risk of predictions with labels is as low as it has to be.

    That risk is estimated, counting so many errors ``more`` than were found, so that few labels do not make it low. A
    label counts by its weight in its own file: a file of many predictions does not outweigh later ones.

    >>> labelled = [Marked(0.9, 0.1, 1.0, True)] * 40 + [Marked(0.8, 0.1, 1.0, False)] * 10
    >>> limit_by_audit(labelled, max_risk=0.05, more=1.0)
    Limit(p_correct=0.9, coverage=0.8, risk=0.0243...)
    """
    if not marked:
        return Limit()
    ordered = sorted(marked, key=lambda row: row.p_correct, reverse=True)
    p_correct = np.array([row.p_correct for row in ordered])
    weights = np.array([row.weight for row in ordered])
    is_wrong = np.array([row.is_wrong for row in ordered])
    total = np.cumsum(weights)
    added = more * total / np.arange(1, len(total) + 1)
    risk = (np.cumsum(weights * is_wrong) + added) / (total + added)
    is_last = np.append(p_correct[1:] != p_correct[:-1], True)  # of those with the same P(correct), all or none
    enough = np.flatnonzero((risk <= max_risk) & is_last)
    if not len(enough):
        return Limit(ACCEPT_NOTHING, 0.0)
    last = int(enough[-1])
    is_all = last == len(total) - 1
    limit = 0.0 if is_all else float(p_correct[last])
    return Limit(limit, float(total[last] / total[-1]), float(risk[last]))


def _audit_cusum(marked: Sequence[Marked], max_risk: float) -> float:
    """Return how many errors more than were promised the labels show, over the worst stretch that ends now.

    Each label counts by its weight in its own file, at most 1, so the doubtful ones, drawn more often, do not count
    more. That is a cumulative sum (Page 1954), so good times before the stretch are no credit.

    >>> good, bad = Marked(0.9, 0.1, 1.0, True), Marked(0.9, 0.1, 1.0, False)
    >>> round(_audit_cusum([good] * 1_000 + [bad] * 2, max_risk=0.05), 2)
    1.9
    """
    labelled = [row for row in marked if row.accepted and row.is_correct is not None]
    if not labelled:
        return 0.0
    sums = np.cumsum([row.weight * (row.is_wrong - max_risk) for row in labelled])
    return float(sums[-1] - min(0.0, sums.min()))


def follow_audit(marked: Sequence[Marked], max_risk: float) -> _Followed:
    """Return what a gate that follows its audit accepts next, by all rows that it drew, in order.

    As the CUSUM grows, the wanted risk falls from the promised one to half of it. The limit is the lowest one at which
    the latest labels have that risk, of accepted rows and of rows below the last limit. So it is strict at once, and
    accepts more as soon as labels tell that it can.
    """
    cusum = _audit_cusum(marked, max_risk)
    if cusum <= TOLERATED:
        return _Followed(cusum, Limit())
    strictness = (cusum - TOLERATED) / (STRICTEST - TOLERATED)
    wanted = max_risk * max(_LEAST_RISK, 1 - strictness)
    labelled = [row for row in marked if row.is_correct is not None]
    latest = labelled[-latest_audited_labels(max_risk) :]
    return _Followed(cusum, limit_by_audit(latest, wanted))
