"""From confidences and errors on calibration rows to the threshold of largest coverage that can be promised.

Thresholds of a fixed sequence are tested by exact tails (:mod:`steepslope.promise.sequence`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from steepslope.promise.certificate import (
    EXACT,
    NOTHING,
    TRUE_CLASS,
    Aim,
    Certificate,
    as_percent,
    binomial_tail,
    rows_needed,
)
from steepslope.promise.sample_size import sample_size_sentence
from steepslope.promise.sequence import Above, StartThreshold, last_passing_in_sequence, passes_by_p_value

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]
AT_HOME = 0.99  # share of the calibration rows: a gate that accepted all would accept any rows (LOG.md)
TAKEN = {  # why the thresholds that are possible are none of those that pass
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
    """Return the certificate of the lowest threshold that keeps the risk of what it accepts to ``max_risk``.

    With probability 1 − ``delta`` over the rows (n,), all thresholds that pass do so: each is tested by the exact tail
    of the binomial distribution, from the highest of the sequence down, until one fails. So it may as well be the
    lowest of the first ``possible`` ones, whatever that depends on. If higher ones pass and accept 99 % of the rows, it
    is the highest of these, so that rows unlike all others, whose confidence is low, are not accepted. A sequence that
    ends in −∞ may accept everything.

    >>> rows = np.arange(1000)
    >>> found = certify(-rows / 1000, rows % 10 * (rows > 500) < 9, -np.linspace(0, 1, 51), 0.02, 0.05)
    >>> found.threshold, found.accepted, found.errors, round(found.risk_bound, 4)
    (-0.54, 541, 4, 0.0168)
    """
    above = Above.from_rows(confidence, is_correct, thresholds)
    last_among, count = above.tests(max_risk, delta), len(thresholds)
    last = last_among(count if possible is None else possible)
    if last is None:
        is_taken = last_among(count) is not None
        why = TAKEN[aim] if is_taken else sample_size_sentence(above, max_risk, delta, aim)
        return Certificate(aim, NOTHING, above.n, 0, 0, delta, max_risk, group, why)
    floor = int(np.searchsorted(above.accepted, AT_HOME * above.n))
    if thresholds[-1] > -math.inf and floor < last and last_among(floor + 1) == floor:
        last = floor
    return above.certificate(aim, last, float(thresholds[last]), delta, max_risk, group)


def certify_true_classes(
    confidence: Floats, is_correct: Bools, names: NDArray[np.str_], thresholds: Floats, max_risk: float, delta: float
) -> tuple[Certificate, ...]:
    """Return the certificates of the true classes (n,), at the lowest threshold at which all of them pass.

    The number of a class's rows that are wrong above a threshold is binomial among all its rows, and only grows where
    the threshold falls. So the sequence is tested from its start, and the classes need not share delta: what is
    promised of all together fails only where the class that is the first to break its risk passes there (an
    intersection-union test: Berger, 1982). A class of too few rows is left out, and its certificate says so.
    """
    needed = rows_needed(max_risk, delta)
    counts = {
        str(name): Above.from_rows(confidence[names == name], is_correct[names == name], thresholds)
        for name in np.unique(names)
    }
    p_values = [binomial_tail(above.errors, above.n, max_risk) for above in counts.values() if above.n >= needed]
    last = None
    if p_values:
        passes = passes_by_p_value(np.max(p_values, axis=0))
        last, _ = last_passing_in_sequence([StartThreshold(0, delta, delta)], len(thresholds), passes)

    def certificate(name: str, above: Above) -> Certificate:
        if last is not None and above.n >= needed:
            return above.certificate(TRUE_CLASS, last, float(thresholds[last]), delta, max_risk, name)
        promise = f"{as_percent(max_risk, EXACT)} at delta {delta:g}"
        few = f"{above.n:,} rows are too few for {promise}, which takes at least {needed:,}"
        return Certificate(
            TRUE_CLASS, NOTHING, above.n, 0, 0, delta, max_risk, name, few if above.n < needed else UNFIT
        )

    return tuple(certificate(name, above) for name, above in counts.items())
