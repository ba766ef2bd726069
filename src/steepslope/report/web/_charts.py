"""The charts of a page, as Vega-Lite specifications: plain data, which the page's script fills and the reader moves.

``charts.json`` in ``assets/`` has them, with words such as ``@names`` where a report's own names and numbers go. A
chart names the data that the page gives it: ``curves``, a row for each score and operating point; ``bands``, the
intervals of the risk; ``now``, the operating point that the reader has chosen; ``certified``, certified thresholds.
Colours are the page's own, by name, so that a chart is light or dark as the page is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

import numpy as np

from steepslope.metrics import Bools, Floats
from steepslope.report._evaluation import Evaluation, Row
from steepslope.report.web._page_scores import ESTIMATES, UNITS, page_reliability, page_score_estimates

_TEMPLATES = files("steepslope.report.web") / "assets" / "charts.json"
_PLACE = re.compile(r'"@(\w+)"')  # of a value in a template
_OF_ALL_SCORES = ("risk-coverage", "roc", "precision-recall")
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


def page_charts(evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    """Return all charts, by name; ``histogram-0`` and ``reliability-0`` are those of the first score."""
    templates = json.loads(_TEMPLATES.read_text(encoding="utf-8"))

    def chart(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
        template = json.dumps({**templates["every chart"], **templates[kind]})
        filled = _PLACE.sub(lambda place: json.dumps(values[place[1]]), template)
        spec: dict[str, Any] = json.loads(filled)
        return spec

    is_correct = evaluation.predictions.is_correct
    independent = evaluation.rows[0].resampled.clusters is None
    lines = {"highest": _highest_risk(evaluation.rows), **_channels(chart_looks([row.name for row in evaluation.rows]))}
    charts = {kind: chart(kind, lines) for kind in _OF_ALL_SCORES}
    for place, row in enumerate(evaluation.rows):
        bars = {
            "title": f"Confidences of correct and wrong predictions, {row.name}",
            "name": row.name,
            "unit": UNITS[row.scale],
            **_histogram_values(row.confidence, is_correct),
        }
        charts[f"histogram-{place}"] = chart("histogram", bars)
        groups: list[dict[str, Any]] = []
        for kind, probability in page_score_estimates(row, is_correct).items():
            for group in page_reliability(probability, is_correct, independent):
                groups.append({"series": kind, **group})
        if groups:
            least = min(min(group["predicted"], group["low"]) for group in groups)
            dots = {
                "title": f"P(correct) as it is estimated, and as it is counted, {row.name}",
                "rows": groups,
                "ends": [max(0.0, min(_LEAST_SHOWN, least) - _ROOM_BELOW), 1],
                **_channels(estimate_looks()),
            }
            charts[f"reliability-{place}"] = chart("reliability", dots)
    return charts


def _channels(looks: _Looks) -> dict[str, Any]:
    return {
        "names": [*looks],
        "colors": [look["color"] for look in looks.values()],
        "dashes": [look["dash"] for look in looks.values()],
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


def _histogram_values(confidence: Floats, is_correct: Bools) -> dict[str, Any]:
    """Return how confidences (n,) of correct and wrong predictions lie, each in percent of its side: rows, and ends.

    What lies beyond the middle 99.8 % is counted in the bins at the ends.
    """
    finite = confidence[np.isfinite(confidence)]
    low, high = np.quantile(finite, [0.001, 0.999]) if len(finite) else (0.0, 1.0)
    spread = high - low
    if not high > low:
        spread = max(abs(low), 1.0) * 1e-3
    edges = np.linspace(low, low + spread, _BINS + 1)
    inside = confidence.clip(edges[0], edges[-1])
    rows = []
    for side, values in (("correct", inside[is_correct]), ("wrong", inside[~is_correct])):
        if len(values):
            parts = np.histogram(values, edges)[0] / len(values)
            for start, end, part in zip(edges.tolist(), edges[1:].tolist(), parts.tolist(), strict=False):
                rows.append({"side": side, "from": start, "to": end, "part": round(part, 5)})
    return {"rows": rows, "ends": [edges[0], edges[-1]]}


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
