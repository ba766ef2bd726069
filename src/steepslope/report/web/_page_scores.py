"""What a page's script knows of each score: where its threshold can lie, intervals, and P(correct).

At each threshold it is counted exactly what is accepted above it, of correct and of wrong predictions. A page lets its
reader move along these points; between them nothing is interpolated. However many rows there are, a few hundred points
are kept: evenly spaced in coverage and, since errors are few, in the errors that are accepted.

Whether estimates of P(correct) are right is counted too: predictions of like probability, and how many are correct.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from steepslope.metrics import Bools, Floats, Ranking, rank_rows
from steepslope.numerics import Counts, binomial_interval, clopper_pearson
from steepslope.promise import ProbabilityMap, as_percent
from steepslope.report._confidences import Scored
from steepslope.report._evaluation import Evaluation

_BY_COVERAGE = 400  # points that are evenly spaced by coverage
_BY_ERRORS = 200  # and by errors
# Points that a reader can go to.
_COVERAGES = (0.8, 0.9, 0.95)
_RISKS = (0.01, 0.02, 0.05)
_TPR = 0.95
_LEVEL = 0.95
UNITS = {"logit": "log-odds", "probability": "probability", "rank": "its own scale"}
_GROUPS = 10
_LEARNT_ON = 100_000  # rows at most: two numbers are learnt
ESTIMATES = ("the confidence, taken as a probability", "a map learnt on the other half", "the gate's map")
AS_IT_IS, LEARNT, _OF_GATE = ESTIMATES
Stop = tuple[str, float]  # what a threshold stands for, and the threshold


def page_scores(evaluation: Evaluation) -> dict[str, Any]:
    """Return the numbers of rows and of correct ones, and all scores, as JSON holds them."""
    is_correct = evaluation.predictions.is_correct
    independent = evaluation.rows[0].resampled.clusters is None
    scores = [_page_score(row, is_correct, independent) for row in evaluation.rows]
    return {"n": len(is_correct), "correct": int(is_correct.sum()), "scores": scores}


def _page_score(scored: Scored, is_correct: Bools, independent: bool) -> dict[str, Any]:
    certified = _certified_page_stops(scored)
    fixed = [*certified]
    if not scored.only_ranks:
        fixed.append(("the score's own threshold", scored.cut()))
    points, targets = _page_points(scored.confidence, is_correct, [threshold for _, threshold in fixed])
    stops = [{"label": label, "place": points.at(threshold)} for label, threshold in (*fixed, *targets)]
    shown: dict[str, Any] = {
        "threshold": np.nan_to_num(points.threshold).tolist(),
        "correct": points.correct.tolist(),
        "wrong": points.wrong.tolist(),
    }
    if independent:  # of dependent rows they are too narrow
        low, high = clopper_pearson(points.wrong, points.correct + points.wrong, (1 - _LEVEL) / 2)
        shown |= {"low": _page_numbers(low), "high": _page_numbers(high)}
    return {
        "name": scored.name,
        "unit": UNITS[scored.scale],
        "points": shown | _page_probability(scored, is_correct, points.threshold),
        "stops": stops,
        "start": stops[0]["place"],
        "certified": len(certified),  # of the first stops
    }


def _certified_page_stops(scored: Scored) -> list[Stop]:
    """Return the thresholds that gates certify for all predictions of a score, with a label each.

    What is accepted lies above them (>). The thresholds of groups are none of all predictions. A label never promises
    more than the certificate: an upper bound is rounded up.
    """
    stops = []
    for gate in scored.gates:
        if gate.has_groups:
            continue
        for promise in gate.certificates:
            if promise.is_given and promise.threshold < np.inf:
                bound = promise.risk_bound if promise.max_risk is None else promise.max_risk
                risk = as_percent(bound, 2, math.ceil)
                label = f"certified: risk ≤ {risk} (δ {as_percent(promise.delta, 2, math.ceil)})"
                stops.append((label, float(np.nextafter(promise.threshold, -np.inf))))
    return stops


def page_promises(evaluation: Evaluation) -> list[str]:
    """Return what all gates promise, or why they promise nothing, a line each."""
    lines = []
    for row in evaluation.rows:
        for gate in row.gates:
            lines += [f"{row.name}: {certificate.sentences()}" for certificate in gate.certificates]
    return lines


def _page_probability(scored: Scored, is_correct: Bools, thresholds: Floats) -> dict[str, Any]:
    """Return P(correct) at each threshold, and where the map comes from; nothing where none can be learnt."""
    finite = np.nan_to_num(thresholds)
    if scored.gates:
        return {"p": _page_numbers(scored.gates[0].p_correct(finite)), "p_by": "by the gate's map"}
    learnt = _probability_map(scored, is_correct, np.ones(len(is_correct), dtype=np.bool_))
    if learnt is None:
        return {}
    return {"p": _page_numbers(learnt(finite)), "p_by": "by a map learnt on these rows"}


def _page_numbers(values: Iterable[float]) -> list[float]:
    return [round(float(value), 5) for value in values]


@dataclass(frozen=True, eq=False)
class _PagePoints:
    """Thresholds (p,), from one that accepts nothing to one that accepts all, and what lies above each.

    ``threshold`` float64 (p,) falls; predictions are accepted whose confidence is greater. Where it can, it lies half
    way between two confidences of the rows, so that > and ≥ accept the same. The last accepts all rows, −∞ too.
    ``correct`` and ``wrong`` (p,) count the accepted predictions.
    """

    threshold: Floats
    correct: Counts
    wrong: Counts

    def at(self, threshold: float) -> int:
        """Return the place of the lowest threshold that is not below this one."""
        return int(np.searchsorted(-self.threshold, -threshold, side="right")) - 1


def _page_points(confidence: Floats, is_correct: Bools, also: Iterable[float] = ()) -> tuple[_PagePoints, list[Stop]]:
    """Count above a few hundred thresholds of the rows (n,), and above each in ``also``; return what readers look for.

    >>> points, _ = _page_points(np.array([0.9, 0.5, 0.1]), np.array([True, True, False]), also=[0.5])
    >>> points.threshold.round(2).tolist(), points.correct.tolist(), points.wrong.tolist()
    ([0.9, 0.7, 0.5, 0.3, 0.1], [0, 1, 1, 2, 2], [0, 0, 0, 0, 1])
    """
    ranking = rank_rows(confidence, is_correct).ranking()
    between = _page_thresholds(ranking.threshold)
    targets = dict(_page_targets(ranking))
    by_coverage = np.searchsorted(ranking.accepted, np.linspace(0, ranking.n, _BY_COVERAGE)) + 1
    by_errors = np.searchsorted(ranking.wrong_above, np.linspace(0, ranking.n_wrong, _BY_ERRORS)) + 1
    places = np.concatenate([[0, len(between) - 1], by_coverage, by_errors, [*targets.values()]]).astype(np.intp)
    chosen = between[places.clip(0, len(between) - 1)]
    thresholds = np.unique(np.concatenate([chosen, np.fromiter(also, dtype=np.float64)]))[::-1]
    counts = np.array([ranking.above(float(threshold)) for threshold in thresholds], dtype=np.int64)
    counts[-1] = ranking.n_correct, ranking.n_wrong
    points = _PagePoints(thresholds, counts[:, 0], counts[:, 1])
    return points, [(label, float(between[place])) for label, place in targets.items()]


def _page_targets(ranking: Ranking) -> Iterator[tuple[str, int]]:
    """Yield what readers look for, and its place: a TPR, some coverages, the most that is accepted at some risks."""
    if ranking.n_correct:
        yield f"TPR {100 * _TPR:g} %", int(np.argmax(ranking.correct_above / ranking.n_correct >= _TPR)) + 1
    for coverage in _COVERAGES:
        yield f"coverage {100 * coverage:g} %", int(np.argmax(ranking.accepted / ranking.n >= coverage)) + 1
    for risk in _RISKS:
        good = np.flatnonzero(ranking.risk_above <= risk)
        if len(good):
            yield f"risk ≤ {100 * risk:g} % on these rows", int(good[-1]) + 1


def _page_thresholds(confidences: Floats) -> Floats:
    """Return thresholds above, between and below confidences that fall, (g + 1,)."""
    upper = confidences[:-1]
    lower = confidences[1:]
    with np.errstate(invalid="ignore", over="ignore"):
        middle = lower + (upper - lower) / 2
    middle = np.where((middle > lower) & (middle < upper), middle, np.nextafter(upper, -np.inf))
    first = np.nextafter(confidences[:1], np.inf)
    last = np.nextafter(confidences[-1:], -np.inf)
    return np.concatenate([first, middle, last])


def page_score_estimates(scored: Scored, is_correct: Bools) -> dict[str, Floats]:
    """Return all estimates of P(correct) that a score gives, (n,) each, by what they are.

    They are its confidence, if that claims to be a probability, which the sigmoid of the steep slope loss does not; a
    map learnt on one half of these rows for the other, if each half has errors and correct predictions; and the map of
    a gate, if one ranks by this score.
    """
    estimates: dict[str, Floats] = {}
    if not scored.only_ranks and scored.natural_cut is None:
        estimates[AS_IT_IS] = scored.unit_confidence
    half = np.random.default_rng(0).permutation(len(is_correct)) % 2 == 0
    of_half = _probability_map(scored, is_correct, half)
    of_other = _probability_map(scored, is_correct, ~half)
    if of_half is not None and of_other is not None:
        learnt = np.empty(len(is_correct))
        learnt[half] = of_other(scored.confidence[half])
        learnt[~half] = of_half(scored.confidence[~half])
        estimates[LEARNT] = learnt
    if scored.gates:
        estimates[_OF_GATE] = scored.gates[0].p_correct(scored.confidence)
    return estimates


def _probability_map(scored: Scored, is_correct: Bools, rows: Bools) -> ProbabilityMap | None:
    """Return the map from confidence to P(correct) of some rows; None where they lack a side."""
    chosen = np.flatnonzero(rows)
    chosen = chosen[:: -(-len(chosen) // _LEARNT_ON) or 1]
    right = is_correct[chosen]
    if right.all() or not right.any():
        return None
    return ProbabilityMap.from_rows(scored.confidence[chosen], right, of_log_odds=scored.scale == "logit")


def page_reliability(probability: Floats, is_correct: Bools, independent: bool = True) -> list[Mapping[str, float]]:
    """Return ten groups of equal size by probability: its mean, and the fraction correct with its 95 % interval.

    The exact interval (Clopper & Pearson, 1934) is that of ``independent`` rows; for others it is the fraction alone.

    >>> page_reliability(np.repeat([0.2, 0.8], 50), np.arange(100) >= 50)[0]["observed"]
    0.0
    """
    groups: list[Mapping[str, float]] = []
    for rows in np.array_split(np.argsort(probability, kind="stable"), min(_GROUPS, len(probability))):
        observed = float(is_correct[rows].mean())
        low = high = observed
        if independent:
            low, high = binomial_interval(int(is_correct[rows].sum()), len(rows))
        numbers = _page_numbers([float(probability[rows].mean()), observed, low, high])
        groups.append(dict(zip(("predicted", "observed", "low", "high"), numbers, strict=True)))
    return groups
