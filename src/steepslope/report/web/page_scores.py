"""What a page's script knows of each score: operating points and the stops among them, P(correct), intervals, marks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from steepslope.evaluation.evaluation import Evaluation
from steepslope.evaluation.score import Scored
from steepslope.report.web.operating_points import OperatingPoints
from steepslope.report.web.probability import fitted_map

UNITS = {"logit": "log-odds", "probability": "probability", "rank": "its own scale"}
COVERAGES, RISKS, TPR = (0.8, 0.9, 0.95), (0.01, 0.02, 0.05), 0.95
BAND_POINTS = 120
LEAST_SHOWN = 0.02  # the coverage from which intervals are drawn
Stop = tuple[str, int]


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
    """Return the thresholds that gates certify for a score, as what is accepted above them, with a label each."""
    found = []
    for gate in scored.gates:
        for one in gate.certificates:
            if np.isfinite(one.threshold):
                group = "" if one.group is None else f", {one.group}"
                risk = one.risk_bound if one.max_risk is None else one.max_risk
                label = f"certified: risk ≤ {100 * risk:.3g} % (δ {100 * gate.aims.delta:g} %{group})"
                found.append((label, float(np.nextafter(one.threshold, -np.inf))))
    return found


def _score(scored: Scored, is_correct: Any, independent: bool) -> dict[str, Any]:
    promised = certified(scored)
    own = [] if scored.only_ranks else [scored.cut()]
    points = OperatingPoints.of(scored.confidence, is_correct, [*own, *(threshold for _, threshold in promised)])
    stops = [*_promised_stops(points, promised), *_stops(points, own)]
    low, high = points.risk_limits()
    fitted = fitted_map(scored, is_correct, np.ones(len(is_correct), dtype=bool))
    probability = scored.gates[0].p_correct if scored.gates else fitted
    limits = {"low": _short(low), "high": _short(high)} if independent else {}
    return {
        "name": scored.name,
        "unit": UNITS[scored.scale],
        "points": {
            **points.as_json(),
            **limits,
            **({} if probability is None else {"p": _short(probability(np.nan_to_num(points.threshold)))}),
        },
        "stops": [{"label": label, "place": place} for label, place in stops],
        "start": stops[0][1] if stops else len(points) // 2,
        "marks": [{"label": label, "coverage": _coverage(points, place)} for label, place in
                  _promised_stops(points, promised)],
        "bands": _bands(points, low, high) if independent else [],
    }  # fmt: skip


def _promised_stops(points: OperatingPoints, promised: list[tuple[str, float]]) -> list[Stop]:
    return [(label, points.at(threshold)) for label, threshold in promised]


def _stops(points: OperatingPoints, own: list[float]) -> Iterator[Stop]:
    """Yield places that readers look for: the score's own threshold, a TPR, coverages, and the most at a risk."""
    accepted = points.correct + points.wrong
    n, correct = int(accepted[-1]), int(points.correct[-1])
    yield from (("the score's own threshold", points.at(threshold)) for threshold in own)
    if correct:
        yield f"TPR {100 * TPR:g} %", int(np.argmax(points.correct >= TPR * correct))
    yield from ((f"coverage {100 * part:g} %", int(np.argmax(accepted >= part * n))) for part in COVERAGES)
    risk = points.wrong / np.maximum(accepted, 1)
    for most in RISKS:
        good = np.flatnonzero((risk <= most) & (accepted > 0))
        if len(good):
            yield f"risk ≤ {100 * most:g} % on these rows", int(good[-1])


def _coverage(points: OperatingPoints, place: int) -> float:
    return float((points.correct[place] + points.wrong[place]) / (points.correct[-1] + points.wrong[-1]))


def _bands(points: OperatingPoints, low: Any, high: Any) -> list[dict[str, float]]:
    places = np.unique(np.linspace(0, len(points) - 1, BAND_POINTS).astype(int)).tolist()
    rows = [{"coverage": _coverage(points, place), "low": float(low[place]), "high": float(high[place])}
            for place in places]  # fmt: skip
    return [{name: round(value, 5) for name, value in row.items()} for row in rows if row["coverage"] >= LEAST_SHOWN]


def _short(values: Any) -> list[float]:
    return [round(float(value), 5) for value in values]
