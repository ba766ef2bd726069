"""What a page's script knows of each score: operating points and the stops among them, P(correct), intervals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from steepslope.evaluation.evaluation import Evaluation
from steepslope.evaluation.score import Scored
from steepslope.gate.binomial import as_percent
from steepslope.gate.certificate import Certificate
from steepslope.report.web.operating_points import OperatingPoints, Stop
from steepslope.report.web.probability import fitted_map

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
    return [f"{name}: {one.words()}" for name, gate in gates for one in gate.certificates]


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
