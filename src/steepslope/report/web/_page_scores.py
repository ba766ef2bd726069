"""What a page's script knows of each score: where its threshold can lie, intervals, and P(correct).

At each threshold it is counted exactly what is accepted above it, of correct and of wrong predictions. A page lets its
reader move along these points; between them nothing is interpolated. However many rows there are, a few hundred points
are kept: evenly spaced in coverage and, since errors are few, in the errors that are accepted.

Whether estimates of P(correct) are right is counted too: predictions of like probability, and how many are correct.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.metrics import Bools, Floats, Ranking, rank_rows
from steepslope.numerics import binomial_interval, clopper_pearson
from steepslope.promise import ProbabilityMap, as_percent
from steepslope.report._confidences import Scored
from steepslope.report._evaluation import Evaluation

BY_COVERAGE, BY_ERRORS = 400, 200
COVERAGES, RISKS, TPR = (0.8, 0.9, 0.95), (0.01, 0.02, 0.05), 0.95  # to which a reader can go
LEVEL = 0.95
UNITS = {"logit": "log-odds", "probability": "probability", "rank": "its own scale"}
GROUPS = 10
LEARNT_ON = 100_000  # rows at most: two numbers are learnt
ESTIMATES = ("the confidence, taken as a probability", "a map learnt on the other half", "the gate's map")
AS_IT_IS, LEARNT, OF_GATE = ESTIMATES
Stop = tuple[str, float]  # what a threshold stands for, and the threshold


def page_scores(evaluation: Evaluation) -> dict[str, Any]:
    """Return the numbers of rows and of correct ones, and all scores, as JSON holds them."""
    is_correct = evaluation.predictions.is_correct
    independent = evaluation.rows[0].resampled.clusters is None
    scores = [_page_score(row, is_correct, independent) for row in evaluation.rows]
    return {"n": len(is_correct), "correct": int(is_correct.sum()), "scores": scores}


def _page_score(scored: Scored, is_correct: Bools, independent: bool) -> dict[str, Any]:
    promised = certified_page_stops(scored)
    own_stop = [] if scored.only_ranks else [("the score's own threshold", scored.cut())]
    points, targets = page_points(scored.confidence, is_correct, [threshold for _, threshold in (*promised, *own_stop)])
    stops = [(label, points.at(threshold)) for label, threshold in (*promised, *own_stop, *targets)]
    low, high = clopper_pearson(points.wrong, points.correct + points.wrong, (1 - LEVEL) / 2)
    limits = {"low": _page_numbers(low), "high": _page_numbers(high)}
    return {
        "name": scored.name,
        "unit": UNITS[scored.scale],
        "points": {
            "threshold": np.nan_to_num(points.threshold).tolist(), "correct": points.correct.tolist(),
            "wrong": points.wrong.tolist(),
            **(limits if independent else {}),  # of dependent rows they are too narrow
            **_page_probability(scored, is_correct, points.threshold),
        },
        "stops": [{"label": label, "place": place} for label, place in stops],
        "start": stops[0][1],
        "certified": len(promised),  # of the first stops
    }  # fmt: skip


def certified_page_stops(scored: Scored) -> list[Stop]:
    """Return the thresholds that gates certify for all predictions of a score, with a label each.

    What is accepted lies above them (>). The thresholds of groups are none of all predictions. A label never promises
    more than the certificate: an upper bound is rounded up.
    """
    stops = []
    for gate in scored.gates:
        for promise in () if gate.has_groups else gate.certificates:
            if promise.is_given and promise.threshold < np.inf:
                risk = as_percent(promise.risk_bound if promise.max_risk is None else promise.max_risk, 2, math.ceil)
                label = f"certified: risk ≤ {risk} (δ {as_percent(promise.delta, 2, math.ceil)})"
                stops.append((label, float(np.nextafter(promise.threshold, -np.inf))))
    return stops


def page_promises(evaluation: Evaluation) -> list[str]:
    """Return what all gates promise, or why they promise nothing, a line each."""
    gates = [(one.name, gate) for one in evaluation.rows for gate in one.gates]
    return [f"{name}: {one.sentences()}" for name, gate in gates for one in gate.certificates]


def _page_probability(scored: Scored, is_correct: Bools, thresholds: Floats) -> dict[str, Any]:
    """Return P(correct) at each threshold, and where the map comes from; nothing where none can be learnt."""
    probability: Callable[[Floats], Floats] | None = page_probability_map(
        scored, is_correct, np.ones(len(is_correct), dtype=np.bool_)
    )
    source = "by a map learnt on these rows"
    if scored.gates:
        probability, source = scored.gates[0].p_correct, "by the gate's map"
    return {} if probability is None else {"p": _page_numbers(probability(np.nan_to_num(thresholds))), "p_by": source}


def _page_numbers(values: Iterable[float]) -> list[float]:
    return [round(float(value), 5) for value in values]


@dataclass(frozen=True, eq=False)
class PagePoints:
    """Thresholds (p,), from one that accepts nothing to one that accepts all, and what lies above each.

    ``threshold`` float64 (p,) falls; predictions are accepted whose confidence is greater. Where it can, it lies half
    way between two confidences of the rows, so that > and ≥ accept the same. The last accepts all rows, −∞ too.
    ``correct`` and ``wrong`` (p,) count the accepted predictions.
    """

    threshold: Floats
    correct: NDArray[np.int64]
    wrong: NDArray[np.int64]

    def at(self, threshold: float) -> int:
        """Return the place of the lowest threshold that is not below this one."""
        return int(np.searchsorted(-self.threshold, -threshold, side="right")) - 1


def page_points(confidence: Floats, is_correct: Bools, also: Iterable[float] = ()) -> tuple[PagePoints, list[Stop]]:
    """Count above a few hundred thresholds of the rows (n,), and above each in ``also``; return what readers look for.

    >>> points, _ = page_points(np.array([0.9, 0.5, 0.1]), np.array([True, True, False]), also=[0.5])
    >>> points.threshold.round(2).tolist(), points.correct.tolist(), points.wrong.tolist()
    ([0.9, 0.7, 0.5, 0.3, 0.1], [0, 1, 1, 2, 2], [0, 0, 0, 0, 1])
    """
    ranking = rank_rows(confidence, is_correct).ranking()
    between, targets = _page_thresholds(ranking.threshold), dict(_page_targets(ranking))
    by_coverage = np.searchsorted(ranking.accepted, np.linspace(0, ranking.n, BY_COVERAGE)) + 1
    by_errors = np.searchsorted(ranking.wrong_above, np.linspace(0, ranking.n_wrong, BY_ERRORS)) + 1
    places = np.concatenate([[0, len(between) - 1], by_coverage, by_errors, [*targets.values()]]).astype(np.intp)
    chosen = between[places.clip(0, len(between) - 1)]
    thresholds = np.unique(np.concatenate([chosen, np.fromiter(also, dtype=np.float64)]))[::-1]
    counts = np.array([ranking.above(float(threshold)) for threshold in thresholds], dtype=np.int64)
    counts[-1] = ranking.n_correct, ranking.n_wrong
    points = PagePoints(thresholds, counts[:, 0], counts[:, 1])
    return points, [(label, float(between[place])) for label, place in targets.items()]


def _page_targets(ranking: Ranking) -> Iterator[tuple[str, int]]:
    """Yield what readers look for, and its place: a TPR, some coverages, the most that is accepted at some risks."""
    if ranking.n_correct:
        yield f"TPR {100 * TPR:g} %", int(np.argmax(ranking.correct_above / ranking.n_correct >= TPR)) + 1
    for coverage in COVERAGES:
        yield f"coverage {100 * coverage:g} %", int(np.argmax(ranking.accepted / ranking.n >= coverage)) + 1
    for risk in RISKS:
        good = np.flatnonzero(ranking.risk_above <= risk)
        if len(good):
            yield f"risk ≤ {100 * risk:g} % on these rows", int(good[-1]) + 1


def _page_thresholds(confidences: Floats) -> Floats:
    """Return thresholds above, between and below confidences that fall, (g + 1,)."""
    upper, lower = confidences[:-1], confidences[1:]
    with np.errstate(invalid="ignore", over="ignore"):
        middle = lower + (upper - lower) / 2
    middle = np.where((middle > lower) & (middle < upper), middle, np.nextafter(upper, -np.inf))
    ends = np.nextafter(confidences[:1], np.inf), np.nextafter(confidences[-1:], -np.inf)
    return np.concatenate([ends[0], middle, ends[1]])


def page_score_estimates(scored: Scored, is_correct: Bools, seed: int = 0) -> dict[str, Floats]:
    """Return all estimates of P(correct) that a score gives, (n,) each, by what they are.

    They are its confidence, if that claims to be a probability, which the sigmoid of the steep slope loss does not; a
    map learnt on one half of these rows for the other, if each half has errors and correct predictions; and the map of
    a gate, if one ranks by this score.
    """
    estimates: dict[str, Floats] = {}
    if not scored.only_ranks and scored.natural_cut is None:
        estimates[AS_IT_IS] = scored.unit_confidence
    halves = np.random.default_rng(seed).permutation(len(is_correct)) % 2 == 0
    maps = [(half, page_probability_map(scored, is_correct, ~half)) for half in (halves, ~halves)]
    learnt = np.full(len(is_correct), np.nan)
    for half, fitted in maps:
        if fitted is not None:
            learnt[half] = fitted(scored.confidence[half])
    if all(fitted is not None for _, fitted in maps):
        estimates[LEARNT] = learnt
    if scored.gates:
        estimates[OF_GATE] = scored.gates[0].p_correct(scored.confidence)
    return estimates


def page_probability_map(scored: Scored, is_correct: Bools, rows: Bools) -> ProbabilityMap | None:
    """Return the map from confidence to P(correct) of some rows; None where they lack a side."""
    chosen = np.flatnonzero(rows)
    chosen = chosen[:: -(-len(chosen) // LEARNT_ON) or 1]
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
    for rows in np.array_split(np.argsort(probability, kind="stable"), min(GROUPS, len(probability))):
        observed = float(is_correct[rows].mean())
        low, high = binomial_interval(int(is_correct[rows].sum()), len(rows)) if independent else (observed, observed)
        numbers = _page_numbers([float(probability[rows].mean()), observed, low, high])
        groups.append(dict(zip(("predicted", "observed", "low", "high"), numbers, strict=True)))
    return groups
