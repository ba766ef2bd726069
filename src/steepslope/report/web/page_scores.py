"""Where a threshold can lie: what is accepted above it, of correct and of wrong predictions, exactly counted.

A page lets its reader move along these points; between them nothing is interpolated. However many rows there are, a few
hundred points are kept: evenly spaced in coverage and, since errors are few, in the errors that are accepted.

Whether estimates of P(correct) are right: predictions of like probability, and how many of them are correct.

What a page's script knows of each score: operating points and the stops among them, P(correct), intervals.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from steepslope.gate.calibration import ProbabilityMap
from steepslope.gate.certificate import Certificate, as_percent, interval
from steepslope.metrics.curves import Floats, Ranking, rank_rows
from steepslope.report.confidences import Scored
from steepslope.report.evaluation import Evaluation

BY_COVERAGE, BY_ERRORS = 400, 200
COVERAGES, RISKS, TPR = (0.8, 0.9, 0.95), (0.01, 0.02, 0.05), 0.95  # to which a reader can go
LEVEL = 0.95
Places = NDArray[np.intp]
Stop = tuple[str, int]


@dataclass(frozen=True, eq=False)
class OperatingPoints:
    """Thresholds (p,), from one that accepts nothing to one that accepts all, and what lies above each.

    ``threshold`` float64 (p,) falls; predictions are accepted whose confidence is greater. Where it can, it lies half
    way between two confidences of the rows, so that > and ≥ accept the same. The last accepts all rows, −∞ too.
    ``correct`` and ``wrong`` (p,) count the accepted predictions. ``stops`` are what some of these points stand for,
    and their places.
    """

    threshold: Floats
    correct: NDArray[np.int64]
    wrong: NDArray[np.int64]
    stops: tuple[Stop, ...] = ()

    @classmethod
    def of(cls, confidence: Floats, is_correct: NDArray[np.bool_], also: Iterable[float] = ()) -> OperatingPoints:
        """Count above a few hundred thresholds of the rows (n,), and above each threshold in ``also``.

        >>> points = OperatingPoints.of(np.array([0.9, 0.5, 0.1]), np.array([True, True, False]), also=[0.5])
        >>> points.threshold.round(2).tolist(), points.correct.tolist(), points.wrong.tolist()
        ([0.9, 0.7, 0.5, 0.3, 0.1], [0, 1, 1, 2, 2], [0, 0, 0, 0, 1])
        """
        ranking = rank_rows(confidence, is_correct).ranking()
        between, targets = _thresholds(ranking.threshold), dict(_targets(ranking))
        chosen = between[np.union1d(_spread(ranking), np.array([*targets.values()], dtype=np.intp))]
        thresholds = np.unique(np.concatenate([chosen, np.fromiter(also, dtype=np.float64)]))[::-1]
        counts = np.array([ranking.above(float(threshold)) for threshold in thresholds], dtype=np.int64)
        counts[-1] = ranking.n_correct, ranking.n_wrong
        points = cls(thresholds, counts[:, 0], counts[:, 1])
        stops = tuple((name, points.at(float(between[place]))) for name, place in targets.items())
        return replace(points, stops=stops)

    def __len__(self) -> int:
        return len(self.threshold)

    def at(self, threshold: float) -> int:
        """Return the place of the lowest threshold that is not below this one."""
        return int(np.searchsorted(-self.threshold, -threshold, side="right")) - 1

    def risk_limits(self) -> tuple[Floats, Floats]:
        """Return the exact binomial interval of the risk at each point, (p,) each; 0 and 1 where nothing is accepted.

        Clopper and Pearson (1934), at 95 %: rows that depend on one another make it too narrow.
        """
        tail, accepted = (1 - LEVEL) / 2, self.correct + self.wrong
        low = beta.ppf(tail, self.wrong, self.correct + 1)
        high = beta.ppf(1 - tail, self.wrong + 1, self.correct)
        some = accepted > 0
        return np.where(some & (self.wrong > 0), low, 0.0), np.where(some & (self.correct > 0), high, 1.0)

    def as_json(self) -> dict[str, Any]:
        """Return what a page needs, by name."""
        return {
            "threshold": np.nan_to_num(self.threshold).tolist(),
            "correct": self.correct.tolist(),
            "wrong": self.wrong.tolist(),
        }


def _spread(ranking: Ranking) -> Places:
    """Return places of :func:`_thresholds`, (at most 602,): the ends, and what is evenly spaced in both counts."""
    ends = [0, len(ranking.threshold)]
    by_coverage = np.searchsorted(ranking.accepted, np.linspace(0, ranking.n, BY_COVERAGE)) + 1
    by_errors = np.searchsorted(ranking.wrong_above, np.linspace(0, ranking.n_wrong, BY_ERRORS)) + 1
    return np.concatenate([ends, by_coverage, by_errors]).clip(0, len(ranking.threshold))


def _targets(ranking: Ranking) -> Iterator[Stop]:
    """Yield what readers look for, and its place: a TPR, some coverages, the most that is accepted at some risks."""
    if ranking.n_correct:
        yield f"TPR {100 * TPR:g} %", int(np.argmax(ranking.correct_above / ranking.n_correct >= TPR)) + 1
    for coverage in COVERAGES:
        yield f"coverage {100 * coverage:g} %", int(np.argmax(ranking.accepted / ranking.n >= coverage)) + 1
    for risk in RISKS:
        good = np.flatnonzero(ranking.risk_above <= risk)
        if len(good):
            yield f"risk ≤ {100 * risk:g} % on these rows", int(good[-1]) + 1


def _thresholds(confidences: Floats) -> Floats:
    """Return thresholds above, between and below confidences that fall, (g + 1,)."""
    upper, lower = confidences[:-1], confidences[1:]
    with np.errstate(invalid="ignore", over="ignore"):
        middle = lower + (upper - lower) / 2
    middle = np.where((middle > lower) & (middle < upper), middle, np.nextafter(upper, -np.inf))
    ends = np.nextafter(confidences[:1], np.inf), np.nextafter(confidences[-1:], -np.inf)
    return np.concatenate([ends[0], middle, ends[1]])


GROUPS = 10
LEARNT_ON = 100_000  # rows at most: two numbers are learnt
AS_IT_IS, LEARNT, OF_GATE = "the confidence, taken as a probability", "a map learnt on the other half", "the gate's map"
ESTIMATES = (AS_IT_IS, LEARNT, OF_GATE)
Bools = NDArray[np.bool_]


def estimates(scored: Scored, is_correct: Bools, seed: int = 0) -> dict[str, Floats]:
    """Return all estimates of P(correct) that a score gives, (n,) each, by what they are.

    They are its confidence, if that claims to be a probability, which the sigmoid of the steep slope loss does not; a
    map learnt on one half of these rows for the other, if each half has errors and correct predictions; and the map of
    a gate, if one ranks by this score.
    """
    found: dict[str, Floats] = {}
    if not scored.only_ranks and scored.natural_cut is None:
        found[AS_IT_IS] = scored.unit_confidence
    learnt = cross_fitted(scored, is_correct, seed)
    if learnt is not None:
        found[LEARNT] = learnt
    if scored.gates:
        found[OF_GATE] = scored.gates[0].p_correct(scored.confidence)
    return found


def cross_fitted(scored: Scored, is_correct: Bools, seed: int = 0) -> Floats | None:
    """Return P(correct) of each row, (n,), by a map learnt on the half that it is not in; None where that cannot be."""
    halves = np.random.default_rng(seed).permutation(len(is_correct)) % 2 == 0
    found = np.empty(len(is_correct))
    for half in (halves, ~halves):
        fitted = fitted_map(scored, is_correct, ~half)
        if fitted is None:
            return None
        found[half] = fitted(scored.confidence[half])
    return found


def fitted_map(scored: Scored, is_correct: Bools, rows: Bools) -> ProbabilityMap | None:
    """Return the map from confidence to P(correct) of some rows; None where they lack a side."""
    chosen = np.flatnonzero(rows)
    chosen = chosen[:: -(-len(chosen) // LEARNT_ON) or 1]
    right = is_correct[chosen]
    if right.all() or not right.any():
        return None
    return ProbabilityMap.from_rows(scored.confidence[chosen], right, of_log_odds=scored.scale == "logit")


def reliability(probability: Floats, is_correct: Bools, independent: bool = True) -> list[Mapping[str, float]]:
    """Return ten groups of equal size by probability: its mean, and the fraction correct with its 95 % interval.

    The exact interval (Clopper & Pearson, 1934) is that of ``independent`` rows; for others it is the fraction alone.

    >>> reliability(np.repeat([0.2, 0.8], 50), np.arange(100) >= 50)[0]["observed"]
    0.0
    """
    order = np.argsort(probability, kind="stable")
    parts = [rows for rows in np.array_split(order, GROUPS) if len(rows)]
    return [_group(probability[rows], is_correct[rows], independent) for rows in parts]


def _group(probability: Floats, is_correct: Bools, independent: bool) -> Mapping[str, float]:
    observed = float(is_correct.mean())
    low, high = interval(int(is_correct.sum()), len(is_correct)) if independent else (observed, observed)
    numbers = {"predicted": float(probability.mean()), "observed": observed, "low": low, "high": high}
    return {name: round(value, 5) for name, value in numbers.items()}


UNITS = {"logit": "log-odds", "probability": "probability", "rank": "its own scale"}
OF_GATE, OF_THESE_ROWS = "by the gate's map", "by a map learnt on these rows"
BAND_POINTS = 120
LEAST_SHOWN = 0.02  # the coverage from which intervals are drawn


def page_scores(evaluation: Evaluation) -> dict[str, Any]:
    """Return the numbers of rows and of correct ones, and all scores, as JSON holds them."""
    is_correct = evaluation.predictions.is_correct
    independent = evaluation.rows[0].clusters is None
    return {
        "n": len(is_correct),
        "correct": int(is_correct.sum()),
        "scores": [_score(one, is_correct, independent) for one in evaluation.scored],
    }


def certified(scored: Scored) -> list[tuple[str, float]]:
    """Return the thresholds that gates certify for all predictions of a score, with a label each.

    What is accepted lies above them (>). The thresholds of groups are none of all predictions.
    """
    found = []
    for gate in scored.gates:
        for one in () if gate.has_groups else gate.certificates:
            if one.is_given and one.threshold < np.inf:
                found.append((_label(one), float(np.nextafter(one.threshold, -np.inf))))
    return found


def _label(one: Certificate) -> str:
    """Return what a certificate promises, never more: an upper bound is rounded up."""
    risk = as_percent(one.risk_bound if one.max_risk is None else one.max_risk, 2, math.ceil)
    return f"certified: risk ≤ {risk} (δ {as_percent(one.delta, 2, math.ceil)})"


def promises(evaluation: Evaluation) -> list[str]:
    """Return what all gates promise, or why they promise nothing, a line each."""
    gates = [(one.name, gate) for one in evaluation.scored for gate in one.gates]
    return [f"{name}: {one.sentences()}" for name, gate in gates for one in gate.certificates]


def _score(scored: Scored, is_correct: Any, independent: bool) -> dict[str, Any]:
    promised = certified(scored)
    own = [] if scored.only_ranks else [("the score's own threshold", scored.cut())]
    points = OperatingPoints.of(scored.confidence, is_correct, [threshold for _, threshold in (*promised, *own)])
    stops = [*_places(points, promised), *_places(points, own), *points.stops]
    return {
        "name": scored.name,
        "unit": UNITS[scored.scale],
        "points": {**points.as_json(), **_limits(points, independent), **_probability(scored, is_correct, points)},
        "stops": [{"label": label, "place": place} for label, place in stops],
        "start": stops[0][1],
        "certified": [{"label": label, "coverage": _coverage(points, place)} for label, place in
                      _places(points, promised)],
        "bands": _bands(points) if independent else [],
    }  # fmt: skip


def _places(points: OperatingPoints, named: list[tuple[str, float]]) -> list[Stop]:
    return [(label, points.at(threshold)) for label, threshold in named]


def _limits(points: OperatingPoints, independent: bool) -> dict[str, list[float]]:
    """Return the exact interval of the risk; nothing for dependent rows, for which it is too narrow."""
    return dict(zip(("low", "high"), map(_short, points.risk_limits()), strict=True)) if independent else {}


def _probability(scored: Scored, is_correct: Any, points: OperatingPoints) -> dict[str, Any]:
    """Return P(correct) at each threshold, and where the map comes from; nothing where none can be learnt."""
    all_rows = np.ones(len(is_correct), dtype=bool)
    found = scored.gates[0].p_correct if scored.gates else fitted_map(scored, is_correct, all_rows)
    if found is None:
        return {}
    return {"p": _short(found(np.nan_to_num(points.threshold))), "p_by": OF_GATE if scored.gates else OF_THESE_ROWS}


def _coverage(points: OperatingPoints, place: int) -> float:
    return float((points.correct[place] + points.wrong[place]) / (points.correct[-1] + points.wrong[-1]))


def _bands(points: OperatingPoints) -> list[dict[str, float]]:
    low, high = points.risk_limits()
    places = np.unique(np.linspace(0, len(points) - 1, BAND_POINTS).astype(int)).tolist()
    rows = [{"coverage": _coverage(points, place), "low": float(low[place]), "high": float(high[place])}
            for place in places]  # fmt: skip
    return [{name: round(value, 5) for name, value in row.items()} for row in rows if row["coverage"] >= LEAST_SHOWN]


def _short(values: Any) -> list[float]:
    return [round(float(value), 5) for value in values]
