"""The charts of a page, as Vega-Lite specifications: plain data, which the page's script fills and the reader moves.

``charts.json`` in ``assets/`` has them, with words such as ``@names`` where a report's own names and numbers go. A
chart names the data that the page gives it: ``curves``, a row for each score and operating point; ``bands``, the
intervals of the risk; ``now``, the operating point that the reader has chosen; ``certified``, certified thresholds.
Colours are the page's own, by name, so that a chart is light or dark as the page is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from steepslope.metrics import Bools, Floats
from steepslope.report._evaluation import Evaluation
from steepslope.report.web._page_scores import ESTIMATES, UNITS, page_reliability, page_score_estimates

TEMPLATES = files("steepslope.report.web") / "assets" / "charts.json"
PLACE = re.compile(r'"@(\w+)"')  # of a value in a template
OF_ALL_SCORES = ("risk-coverage", "roc", "precision-recall")
COLORS = 7  # --c0 … --c6 of the page's style
DASHES = ([1, 0], [6, 2], [2, 2], [7, 2, 2, 2])
BINS = 40
FIRST_SHOWN = 0.1  # of coverage, before which risks jump
LEAST_AXIS, ROOM_ABOVE = 0.01, 1.15  # of the axis of risks
LEAST_SHOWN, ROOM_BELOW = 0.9, 0.02  # of the axes of P(correct)
Looks = dict[str, dict[str, Any]]


def page_charts(evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    """Return all charts, by name; ``histogram-0`` and ``reliability-0`` are those of the first score."""
    templates = json.loads(TEMPLATES.read_text(encoding="utf-8"))

    def chart(kind: str, title: str = "", **values: Any) -> dict[str, Any]:
        template = json.dumps({**templates["every chart"], **templates[kind]})
        named = {"title": title, **values}
        spec: dict[str, Any] = json.loads(PLACE.sub(lambda place: json.dumps(named[place[1]]), template))
        return spec

    correct = evaluation.predictions.is_correct
    independent = evaluation.rows[0].resampled.clusters is None
    highest = highest_charted_risk((row.curve.coverage, row.curve.risk) for row in evaluation.rows)
    lines = _chart_channels(chart_looks([row.name for row in evaluation.rows]))
    charts = {kind: chart(kind, highest=highest, **lines) for kind in OF_ALL_SCORES}
    for place, row in enumerate(evaluation.rows):
        title = f"Confidences of correct and wrong predictions, {row.name}"
        values = histogram_chart_values(row.confidence, correct)
        charts[f"histogram-{place}"] = chart("histogram", title, name=row.name, unit=UNITS[row.scale], **values)
        series = {
            kind: page_reliability(p, correct, independent) for kind, p in page_score_estimates(row, correct).items()
        }
        if series:
            title = f"P(correct) as it is estimated, and as it is counted, {row.name}"
            groups: list[Any] = [{"series": kind, **group} for kind, of_kind in series.items() for group in of_kind]
            least = min([LEAST_SHOWN, *(min(group["predicted"], group["low"]) for group in groups)])
            shown = {"rows": groups, "ends": [max(0.0, least - ROOM_BELOW), 1]}
            charts[f"reliability-{place}"] = chart("reliability", title, **_chart_channels(estimate_looks()), **shown)
    return charts


def _chart_channels(looks: Looks) -> dict[str, Any]:
    return {
        "names": [*looks],
        "colors": [look["color"] for look in looks.values()],
        "dashes": [look["dash"] for look in looks.values()],
    }


def highest_charted_risk(curves: Iterable[tuple[ArrayLike, ArrayLike]]) -> float:
    """Return where the axis of risks ends, in (0, 1]: above all risks of coverages from a tenth on.

    ``curves`` are coverages and risks. However the first rows fall, whose risks jump, they do not rule the axis.

    >>> round(highest_charted_risk([([0.01, 0.5, 1], [1.0, 0.1, 0.2])]), 2), highest_charted_risk([])
    (0.23, 0.01)
    """
    shown = (np.asarray(risk)[np.asarray(coverage) >= FIRST_SHOWN] for coverage, risk in curves)
    highest = max((float(np.max(risks, initial=0)) for risks in shown), default=0.0)
    return min(1.0, max(LEAST_AXIS, ROOM_ABOVE * highest))


def histogram_chart_values(confidence: Floats, is_correct: Bools) -> dict[str, Any]:
    """Return how confidences (n,) of correct and wrong predictions lie, each in percent of its side: rows, and ends.

    What lies beyond the middle 99.8 % is counted in the bins at the ends.
    """
    finite = confidence[np.isfinite(confidence)]
    low, high = np.quantile(finite, [0.001, 0.999]) if len(finite) else (0.0, 1.0)
    spread = high - low if high > low else max(abs(low), 1.0) * 1e-3
    edges = np.linspace(low, low + spread, BINS + 1)
    inside = confidence.clip(edges[0], edges[-1])
    rows = [
        {"side": side, "from": float(start), "to": float(end), "part": round(float(part), 5)}
        for side, values in {"correct": inside[is_correct], "wrong": inside[~is_correct]}.items()
        if len(values)
        for start, end, part in zip(edges, edges[1:], np.histogram(values, edges)[0] / len(values), strict=False)
    ]
    return {"rows": rows, "ends": [edges[0], edges[-1]]}


def chart_looks(names: Iterable[str]) -> Looks:
    """Return the colour and dashes of each line, by its name; scores that share a colour differ in their dashes."""
    return {
        name: {"color": f"var(--c{place % COLORS})", "dash": DASHES[place // COLORS % len(DASHES)]}
        for place, name in enumerate(names)
    }


def estimate_looks() -> Looks:
    """Return the colour and dashes of each estimate of P(correct), by what it is; none has MCP's colour."""
    looks = chart_looks(["mcp", *ESTIMATES])
    return {kind: looks[kind] for kind in ESTIMATES}
