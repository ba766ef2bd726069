"""Why nothing can be promised, and how many more rows, or which higher risk, would make a promise possible.

The advice comes true in about four of five repeated draws. The risk above a threshold is uncertain, with Jeffreys'
prior, so the number of errors in another draw is beta-binomial.
"""

from __future__ import annotations

import math
from bisect import bisect_left

import numpy as np
from scipy.stats import betabinom

from steepslope.promise._certificate import EXACT, Aim, as_percent, rows_needed
from steepslope.promise._sequence import Above, find_start_thresholds, most_passing_errors

STEPS = 64  # numbers of rows, and risks, that are tried
MOST_TIMES = 30  # advice names at most this many times the rows
OPEN = 1e-6
LIKELY = 0.8
PRIOR = 0.5  # Jeffreys'
WHOLE = 0.1  # from there on an advised risk has no decimals
NEAR = 0.9  # of the risk of all rows: from there on a promise helps nothing
DIGITS = 2  # significant ones of an advised number of rows


def sample_size_sentence(above: Above, risk: float, delta: float, aim: Aim) -> str:
    """Return why nothing can be promised, and what to do about it, as far as the counts tell."""
    clauses = [_why_sample_is_too_small(above, risk, delta, aim)]
    more = _rows_to_add_to_sample(above, risk, delta)
    if more is not None:
        clauses.append(f"about {more:,} more rows like these would do in about 4 of 5 draws")
    elif above.n:
        clauses.append(f"even {MOST_TIMES} times as many rows like these would probably not do")
    possible = _possible_risk_of_sample(above, risk, delta)
    if possible is not None:
        clauses.append(_sentence_on_possible_risk(above, risk, possible))
    return "; ".join(clauses)


def _sentence_on_possible_risk(above: Above, risk: float, possible: float) -> str:
    """Return which risk to promise in place of another one, or that it would be near that of all rows."""
    of_all = above.errors[-1] / max(above.accepted[-1], 1)
    if of_all > risk and possible > NEAR * of_all:
        lowest = f"near that of all of them, {as_percent(of_all)}"
        return f"with as many rows as now, the lowest risk you could usually guarantee is {lowest}"
    lowest = as_percent(possible, int(possible < WHOLE), math.ceil)
    return f"with as many rows like these, {lowest} is about the lowest risk you can usually guarantee"


def _why_sample_is_too_small(above: Above, risk: float, delta: float, aim: Aim) -> str:
    n = above.n
    needed = rows_needed(risk, delta)
    most = above.accepted.max(initial=0)
    promise = f"{as_percent(risk, EXACT)} at delta {delta:g}"
    if n < needed:
        return f"{n:,} rows are too few for {promise}, which takes at least {needed:,} accepted ones, all of them right"
    if most < needed:
        return f"the thresholds accept at most {most:,} of {n:,} rows, and {promise} takes at least {needed:,}"
    which = "least" if aim == "rejection" else "most"
    wrong = "right" if aim == "rejection" else "wrong"
    return f"among the {which} trusted of {n:,} rows too many are {wrong} for {as_percent(risk, EXACT)}"


def _rows_to_add_to_sample(above: Above, risk: float, delta: float) -> int | None:
    """Return how many more rows make a promise likely, rounded up; None if too many, or if the counts do not tell.

    >>> few, many = Above(58, np.array([58]), np.array([0])), Above(500, np.array([500]), np.array([31]))
    >>> _rows_to_add_to_sample(few, 0.05, 0.05), _rows_to_add_to_sample(many, 0.05, 0.05)
    (67, None)
    """
    totals = np.unique(np.ceil(above.n * np.geomspace(1, MOST_TIMES, STEPS)).astype(np.int64)) + 1
    place = bisect_left(totals, LIKELY, key=lambda total: _chance_of_larger_sample(above, int(total), risk, delta))
    if place == len(totals):
        return None
    rows = int(totals[place]) - above.n
    unit = int(10 ** max(0, len(str(rows)) - DIGITS))
    return -(-rows // unit) * unit


def _possible_risk_of_sample(above: Above, risk: float, delta: float) -> float | None:
    """Return a higher risk that as many rows could likely promise; None if there is none below 1.

    >>> round(_possible_risk_of_sample(Above(500, np.array([500]), np.array([30])), 0.05, 0.05) or 1, 3)
    0.097
    """
    risks = np.geomspace(risk, 1 - OPEN, STEPS)[1:-1]
    place = bisect_left(
        risks, LIKELY, key=lambda higher: _chance_of_larger_sample(above, above.n, float(higher), delta)
    )
    if place < len(risks):
        return float(risks[place])
    return None


def _chance_of_larger_sample(above: Above, total: int, risk: float, delta: float) -> float:
    """Return the probability, in [0, 1], that a draw of ``total`` rows like these supports a promise.

    It is that of the start threshold that most likely passes, so it is rather too low.
    """
    scaled = above.accepted
    if above.n:
        scaled = np.round(total / above.n * scaled).astype(np.int64)
    likely = 0.0
    for start in find_start_thresholds(scaled, total, risk, delta):
        rows = int(scaled[start.place])
        accepted = int(above.accepted[start.place])
        wrong = int(above.errors[start.place])
        bearable = np.arange(most_passing_errors(rows, risk, start.after_failure) + 1)
        chance = betabinom.pmf(bearable, rows, wrong + PRIOR, accepted - wrong + PRIOR).sum()
        likely = max(likely, float(chance))
    return likely
