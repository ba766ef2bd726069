"""The charts of a page: what lies on their axes, and which marks show which rows; ``charts.js`` draws them.

A layer has rows of its own, or names the data that the page gives it: ``curves``, a row for each score and operating
point; ``bands``, the intervals of the risk; ``now``, the operating point that the reader has chosen; ``certified``,
certified thresholds. Colours are the page's own, by name, so that a chart is light or dark as the page is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from steepslope.metrics import Bools, Floats
from steepslope.report._evaluation import Evaluation, Row
from steepslope.report.web._page_scores import ESTIMATES, UNITS, page_reliability, page_score_estimates

_COLORS = 7  # --c0 … --c6 of the page's style
_DASHES = ([1, 0], [6, 2], [2, 2], [7, 2, 2, 2])
_BINS = 40
_FIRST_SHOWN = 0.1  # of coverage, before which risks jump
# The axis of risks ends this much above the highest risk, and not below the least.
_ROOM_ABOVE = 1.15
_LEAST_AXIS = 0.01
# The axes of P(correct) start this much below the lowest probability, and below this one in any case.
_ROOM_BELOW = 0.02
_LEAST_SHOWN = 0.9
_Looks = dict[str, dict[str, Any]]
Chart = dict[str, Any]
_DASHED = "stroke: var(--quiet); stroke-dasharray: 3 3"
_NOW = "stroke: var(--text); stroke-width: 1.5"


def page_charts(evaluation: Evaluation) -> dict[str, Chart]:
    """Return all charts, by name; ``histogram-0`` and ``reliability-0`` are those of the first score."""
    is_correct = evaluation.predictions.is_correct
    independent = evaluation.rows[0].resampled.clusters is None
    charts = {
        "risk-coverage": _risk_coverage(_highest_risk(evaluation.rows)),
        "roc": _curves("ROC", _axis("errors trusted (FPR)"), "fpr", _axis("correct predictions trusted (TPR)"), "tpr"),
        "precision-recall": _curves(
            "Precision and recall of errors",
            _axis("errors found (recall)"),
            "recall",
            _axis("errors among the held back"),
            "precision",
        ),
    }
    for place, row in enumerate(evaluation.rows):
        charts[f"histogram-{place}"] = _histogram(row, is_correct)
        groups: list[dict[str, Any]] = []
        for kind, probability in page_score_estimates(row, is_correct).items():
            for group in page_reliability(probability, is_correct, independent):
                groups.append({"series": kind, **group})
        if groups:
            charts[f"reliability-{place}"] = _reliability(row.name, groups)
    return charts


def _axis(title: str, low: float = 0.0, high: float = 1.0, *, percent: bool = True) -> dict[str, Any]:
    return {"title": title, "domain": [low, high], "percent": percent}


def _curves(description: str, x: dict[str, Any], x_name: str, y: dict[str, Any], y_name: str) -> Chart:
    """Return a chart with a line for each score, and a dot at the operating point."""
    layers = [
        {"mark": "line", "data": "curves", "x": x_name, "y": y_name, "by": "score"},
        {"mark": "dot", "data": "now", "x": x_name, "y": y_name},
    ]
    return {"description": description, "own": None, "height": 280, "x": x, "y": y, "layers": layers}


def _risk_coverage(highest: float) -> Chart:
    y = _axis("selective risk", high=highest)
    chart = _curves("Selective risk at each coverage", _axis("coverage"), "coverage", y, "risk")
    band = {"mark": "area", "data": "bands", "x": "coverage"}
    certified = {
        "mark": "rule",
        "data": "certified",
        "x": "coverage",
        "style": "stroke: var(--text); stroke-dasharray: 3 3",
    }
    chart["layers"] = [band, certified, *chart["layers"]]
    return chart


def _histogram(row: Row, is_correct: Bools) -> Chart:
    """Return how the confidences of a score lie, of correct and of wrong predictions, with its threshold."""
    bars, low, high = _histogram_bars(row.confidence, is_correct)
    most = max(bar["part"] for bar in bars)
    return {
        "description": f"Confidences of correct and wrong predictions, {row.name}",
        "own": row.name,
        "height": 170,
        "x": _axis(UNITS[row.scale], low, high, percent=False),
        "y": _axis("of its side", high=1.05 * most),
        "layers": [{"mark": "bar", "rows": bars}, {"mark": "rule", "data": "now", "x": "threshold", "style": _NOW}],
    }


def _reliability(name: str, groups: list[dict[str, Any]]) -> Chart:
    """Return how estimates of P(correct) agree with what is counted in groups of rows."""
    least = min(min(group["predicted"], group["low"]) for group in groups)
    low = max(0.0, min(_LEAST_SHOWN, least) - _ROOM_BELOW)
    places = {"rows": groups, "x": "predicted", "y": "observed", "by": "series"}
    diagonal = {"mark": "diagonal", "style": _DASHED}
    return {
        "description": f"P(correct) as it is estimated, and as it is counted, {name}",
        "own": None,
        "height": 240,
        "x": _axis("P(correct), as estimated", low),
        "y": _axis("correct, as counted", low),
        "layers": [diagonal, *({"mark": mark, **places} for mark in ("interval", "line", "dot"))],
    }


def _highest_risk(rows: Iterable[Row]) -> float:
    """Return where the axis of risks ends, in (0, 1]: above all risks of coverages from a tenth on.

    However the first rows fall, whose risks jump, they do not rule the axis.
    """
    highest = 0.0
    for row in rows:
        shown = row.curve.risk[row.curve.coverage >= _FIRST_SHOWN]
        highest = max(highest, float(np.max(shown, initial=0)))
    return min(1.0, max(_LEAST_AXIS, _ROOM_ABOVE * highest))


def _histogram_bars(confidence: Floats, is_correct: Bools) -> tuple[list[dict[str, Any]], float, float]:
    """Return how confidences (n,) of correct and wrong predictions lie, each in parts of its side: bars, and both ends.

    What lies beyond the middle 99.8 % is counted in the bins at the ends.
    """
    finite = confidence[np.isfinite(confidence)]
    low, high = np.quantile(finite, [0.001, 0.999]) if len(finite) else (0.0, 1.0)
    spread = high - low
    if not high > low:
        spread = max(abs(low), 1.0) * 1e-3
    edges = np.linspace(low, low + spread, _BINS + 1)
    inside = confidence.clip(edges[0], edges[-1])
    bars = []
    for side, values in (("correct", inside[is_correct]), ("wrong", inside[~is_correct])):
        if len(values):
            parts = np.histogram(values, edges)[0] / len(values)
            for start, end, part in zip(edges.tolist(), edges[1:].tolist(), parts.tolist(), strict=False):
                bars.append({"side": side, "from": start, "to": end, "part": round(part, 5)})
    return bars, float(edges[0]), float(edges[-1])


def chart_looks(names: Iterable[str]) -> _Looks:
    """Return the colour and dashes of each line, by its name; scores that share a colour differ in their dashes."""
    looks = {}
    for place, name in enumerate(names):
        dash = _DASHES[place // _COLORS % len(_DASHES)]
        looks[name] = {"color": f"var(--c{place % _COLORS})", "dash": dash}
    return looks


def estimate_looks() -> _Looks:
    """Return the colour and dashes of each estimate of P(correct), by what it is; none has MCP's colour."""
    looks = chart_looks(["mcp", *ESTIMATES])
    return {kind: looks[kind] for kind in ESTIMATES}
