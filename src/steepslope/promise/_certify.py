"""The threshold of largest coverage that can be promised, from confidences and errors on calibration rows.

The thresholds of a fixed sequence are tested by exact tails (:mod:`steepslope.promise._sequence`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from steepslope.numerics import Bools, Floats, binomial_tail
from steepslope.promise._certificate import EXACT, NOTHING, TRUE_CLASS, Aim, Certificate, as_percent, rows_needed
from steepslope.promise._rows import Names
from steepslope.promise._sample_size import sample_size_sentence
from steepslope.promise._sequence import Above, FixedSequence, StartThreshold

_AT_HOME = 0.99  # share of the calibration rows: a gate that accepted all of them would accept any row
TAKEN = {  # why none of the possible thresholds passes, although others do
    "rejection": "too few predictions lie below all that are accepted, or too many of those are right",
    "risk": "the promises of the true classes leave only thresholds that accept too few, or too many wrong ones",
}
UNFIT = "even at the highest threshold too many of a true class are accepted under another label"


def certify(
    confidence: Floats,
    is_correct: Bools,
    thresholds: Floats,
    max_risk: float,
    delta: float,
    group: str | None = None,
    aim: Aim = "risk",
    possible: int | None = None,
) -> Certificate:
    """Return the certificate of the lowest threshold that keeps the risk of the accepted to ``max_risk``.

    Each threshold of the sequence is tested by the exact binomial tail, from the highest down, until one fails. With
    probability 1 − ``delta`` over random rows (n,), all thresholds that pass keep the risk. So the lowest of only the
    first ``possible`` thresholds may be taken, whatever their number depends on. If a higher one passes and accepts
    99 % of the rows, the highest of these is taken: rows unlike all others, whose confidence is low, are then not
    accepted. A sequence that ends in −∞ may accept everything.

    >>> rows = np.arange(1000)
    >>> promise = certify(-rows / 1000, rows % 10 * (rows > 500) < 9, -np.linspace(0, 1, 51), 0.02, 0.05)
    >>> promise.threshold, promise.accepted, promise.errors, round(promise.risk_bound, 4)
    (-0.54, 541, 4, 0.0168)
    """
    above = Above.from_rows(confidence, is_correct, thresholds)
    tests = above.tests(max_risk, delta)
    last = tests.last_passing(possible)
    if last is None:
        why = TAKEN.get(aim, "")
        if tests.last_passing() is None:
            why = sample_size_sentence(above, max_risk, delta, aim)
        return Certificate(aim, NOTHING, above.n, 0, 0, delta, max_risk, group, why)
    floor = int(np.searchsorted(above.accepted, _AT_HOME * above.n))
    if thresholds[-1] > -math.inf and floor < last and tests.last_passing(floor + 1) == floor:
        last = floor
    return above.certificate(aim, last, float(thresholds[last]), delta, max_risk, group)


def shares_of_groups(sizes: Sequence[int], risk: float | None, delta: float) -> list[float]:
    """Return the share of delta for each group, (g,), by the groups' numbers of rows, (g,).

    The k largest groups get delta / k, for the largest k with which each of them has enough rows for a promise. All
    others get delta / (k + 1), with which none of them has enough. Without a risk, every group has enough.

    Numbers of rows do not depend on labels. So, whatever they are, each of the k promises fails with a probability of
    at most delta / k, and any of them with at most delta. The others promise nothing, so they cannot fail.

    >>> shares_of_groups([500, 8, 400, 1], 0.05, 0.06)
    [0.03, 0.02, 0.03, 0.02]
    """
    order = np.argsort(-np.asarray(sizes), kind="stable")
    enough = 0
    for count, place in enumerate(order, 1):
        if risk is None or sizes[place] >= rows_needed(risk, delta / count):
            enough = count
    ranks = np.argsort(order).tolist()
    return [delta / (enough + (rank >= enough)) for rank in ranks]


def certify_true_classes(
    confidence: Floats, is_correct: Bools, names: Names, thresholds: Floats, max_risk: float, delta: float
) -> tuple[Certificate, ...]:
    """Return the certificates of the true classes (n,), at the lowest threshold at which all of them pass.

    The number of a class's errors above a threshold is binomial among all its rows, and only grows as the threshold
    falls. So the sequence is tested from its start, and the classes need not share delta: the joint promise fails only
    if the first class to break its risk passes where it does so (an intersection-union test: Berger, 1982). A class
    with too few rows is left out, and its certificate says so.
    """
    needed = rows_needed(max_risk, delta)
    counts = {}
    for name in np.unique(names):
        of_class = names == name
        counts[str(name)] = Above.from_rows(confidence[of_class], is_correct[of_class], thresholds)
    p_values = [binomial_tail(above.errors, above.n, max_risk) for above in counts.values() if above.n >= needed]
    last = None
    if p_values:
        last = FixedSequence([StartThreshold(0, delta, delta)], np.max(p_values, axis=0)).last_passing()
    promise = f"{as_percent(max_risk, EXACT)} at delta {delta:g}"
    certificates = []
    for name, above in counts.items():
        if above.n < needed:
            why = f"{above.n:,} rows are too few for {promise}, which takes at least {needed:,}"
        elif last is None:
            why = UNFIT
        else:
            threshold = float(thresholds[last])
            certificates.append(above.certificate(TRUE_CLASS, last, threshold, delta, max_risk, name))
            continue
        certificates.append(Certificate(TRUE_CLASS, NOTHING, above.n, 0, 0, delta, max_risk, name, why))
    return tuple(certificates)
