"""The charts of a page, as Vega-Lite specifications: plain data, which the page's script fills and the reader moves.

A chart names the data that the page gives it: ``curves``, a row for each score and operating point; ``bands``, the
intervals of the risk; ``now``, the operating point that the reader has chosen; ``certified``, certified thresholds.
Colours are the page's own, by name, so that a chart is light or dark as the page is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from steepslope.metrics.curves import Bools, Floats
from steepslope.report.evaluation import Evaluation
from steepslope.report.web.page_scores import ESTIMATES, UNITS, page_estimates, page_reliability

Spec = dict[str, Any]
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
COLORS = 7  # --c0 … --c6 of the page's style
DASHES: tuple[list[float], ...] = ([1, 0], [6, 2], [2, 2], [7, 2, 2, 2])
HEIGHT = 280
BINS = 40
FIRST_SHOWN = 0.1  # of coverage, before which risks jump
LEAST_AXIS, ROOM_ABOVE = 0.01, 1.15  # of the axis of risks
PERCENT = {"format": ".0%"}


@dataclass(frozen=True, eq=False)
class PageCharts:
    """Specifications by name, and the titles of those that are many, by name; ``estimates`` are a legend's lines."""

    specs: dict[str, Spec]
    histograms: dict[str, str] = field(default_factory=dict)
    reliabilities: dict[str, str] = field(default_factory=dict)
    estimates: dict[str, dict[str, str]] = field(default_factory=dict)


def page_charts(evaluation: Evaluation) -> PageCharts:
    """Return all charts."""
    names, correct = [one.name for one in evaluation.rows], evaluation.predictions.is_correct
    highest = highest_charted_risk((row.curve.coverage, row.curve.risk) for row in evaluation.rows)
    roc = "errors trusted (FPR)", "correct predictions trusted (TPR)"
    found = "errors found (recall)", "errors among what is held back (precision)"
    charts = PageCharts({
        "risk-coverage": risk_coverage_chart(names, highest),
        "roc": line_chart(names, "ROC", "fpr", "tpr", roc),
        "precision-recall": line_chart(names, "Precision and recall of errors", "recall", "precision", found),
    })  # fmt: skip
    for place, one in enumerate(evaluation.rows):
        charts.specs[key := f"histogram-{place}"] = histogram_chart(one.name, one.confidence, correct, UNITS[one.scale])
        charts.histograms[key] = one.name
        independent = evaluation.rows[0].resampled.clusters is None
        series = {kind: page_reliability(p, correct, independent) for kind, p in page_estimates(one, correct).items()}
        if series:
            charts.specs[key := f"reliability-{place}"] = reliability_chart(one.name, series)
            charts.reliabilities[key] = one.name
            charts.estimates.update({kind: {"color": _chart_color_of_estimate(kind), "dash": "1 0"} for kind in series})
    return charts


def risk_coverage_chart(names: Sequence[str], highest: float) -> Spec:
    """Return selective risk against coverage, with the chosen score's interval; ``highest`` ends the axis of risks."""
    x, y = (
        chart_quantity("coverage", "coverage", _chart_scale(0)),
        chart_quantity("low", "selective risk", _chart_scale(0, highest)),
    )
    band = chart_layer(
        "area", {"x": x, "y": y, "y2": {"field": "high"}}, "bands", opacity=0.18, color="var(--text)", clip=True
    )
    rule = chart_layer(
        "rule", {"x": x, "tooltip": {"field": "label"}}, "certified", strokeDash=[3, 3], color="var(--text)"
    )
    uses = ("curves", "now", "bands", "certified")
    title, titles = "Selective risk at each coverage", ("coverage", "selective risk")
    return line_chart(names, title, "coverage", "risk", titles, highest, [band, rule], uses)


def highest_charted_risk(curves: Iterable[tuple[ArrayLike, ArrayLike]]) -> float:
    """Return where the axis of risks ends, in (0, 1]: above all risks of coverages from a tenth on.

    ``curves`` are coverages and risks. However the first rows fall, whose risks jump, they do not rule the axis.

    >>> round(highest_charted_risk([([0.01, 0.5, 1], [1.0, 0.1, 0.2])]), 2), highest_charted_risk([])
    (0.23, 0.01)
    """
    shown = (np.asarray(risk)[np.asarray(coverage) >= FIRST_SHOWN] for coverage, risk in curves)
    highest = max((float(np.max(risks, initial=0)) for risks in shown), default=0.0)
    return min(1.0, max(LEAST_AXIS, ROOM_ABOVE * highest))


def line_chart(
    names: Sequence[str],
    title: str,
    x: str,
    y: str,
    titles: tuple[str, str],
    highest: float = 1.0,
    extra: Sequence[Spec] = (),
    uses: Sequence[str] = ("curves", "now"),
) -> Spec:
    """Return a chart of a line for each score over the operating points, with the point that is chosen.

    ``x`` and ``y`` are fractions that ``curves`` and ``now`` hold, ``y`` up to the ``highest``; the line of the chosen
    score is the widest. ``extra`` layers, with what they ``use``, lie below the lines.
    """
    axes = {
        "x": chart_quantity(x, titles[0], _chart_scale(0)),
        "y": chart_quantity(y, titles[1], _chart_scale(0, highest)),
    }
    width = {"condition": {"test": "datum.score === chosen", "value": 2.6}, "value": 1.2}
    order = {"field": "place", "type": "quantitative"}
    lines = chart_layer(
        "line", {**axes, "order": order, **chart_channels_by_score(names), "strokeWidth": width}, "curves", clip=True
    )
    tips = {**axes, "tooltip": chart_tooltip(x, y)}
    point = chart_layer("point", tips, "now", filled=True, size=90, color="var(--text)", clip=True)
    return chart(title, [*extra, lines, point], uses=uses)


def histogram_chart(name: str, confidence: Floats, is_correct: Bools, unit: str) -> Spec:
    """Return how confidences of correct and wrong predictions lie, each in percent of its side, on their own scale.

    What lies beyond the middle 99.8 % is counted in the bins at the ends.
    """
    edges = _histogram_chart_edges(confidence)
    inside = confidence.clip(edges[0], edges[-1])
    rows = [
        {"side": side, "from": float(low), "to": float(high), "part": round(float(part), 5)}
        for side, values in {"correct": inside[is_correct], "wrong": inside[~is_correct]}.items()
        if len(values)
        for low, high, part in zip(edges, edges[1:], np.histogram(values, edges)[0] / len(values), strict=False)
    ]
    colors = {"domain": ["correct", "wrong"], "range": ["var(--right)", "var(--wrong)"]}
    encoding = {
        "x": chart_quantity("from", unit, _chart_scale(edges[0], edges[-1]), axis={}), "x2": {"field": "to"},
        "y": chart_quantity("part", "of its side", stack=None), "y2": {"datum": 0},
        "fill": {"field": "side", "scale": colors, "legend": None},
        "tooltip": [
            {"field": "side", "title": "side"}, {"field": "from", "format": ".4~g", "title": "from"},
            {"field": "to", "format": ".4~g", "title": "to"},
            {"field": "part", "format": ".1%", "title": "of its side"},
        ],
    }  # fmt: skip
    threshold = {"x": {"field": "threshold", "type": "quantitative"}}
    rule = chart_layer("rule", threshold, "now", color="var(--text)", strokeWidth=1.5, clip=True)
    title = f"Confidences of correct and wrong predictions, {name}"
    return chart(title, [chart_layer("bar", encoding, rows, opacity=0.45), rule], ("now",), 150, own=name)


def _histogram_chart_edges(confidence: Floats) -> Floats:
    """Return the edges of bins around the middle 99.8 % of confidences, (BINS + 1,)."""
    finite = confidence[np.isfinite(confidence)]
    low, high = np.quantile(finite, [0.001, 0.999]) if len(finite) else (0.0, 1.0)
    spread = high - low if high > low else max(abs(low), 1.0) * 1e-3
    return np.asarray(np.linspace(low, low + spread, BINS + 1))


def reliability_chart(name: str, series: Mapping[str, Sequence[Mapping[str, float]]]) -> Spec:
    """Return how often predictions of some probability are correct, with intervals, a series for each estimate.

    Rows have ``predicted``, ``observed``, ``low`` and ``high``, in [0, 1].
    """
    rows = [{"series": kind, **row} for kind, found in series.items() for row in found]
    least = min([0.9, *(min(row["predicted"], row["low"]) for found in series.values() for row in found)])
    scale, counted = _chart_scale(max(0.0, least - 0.02)), "correct, as counted"
    colors = {"domain": [*ESTIMATES], "range": [*map(_chart_color_of_estimate, ESTIMATES)]}
    encoding = {
        "x": chart_quantity("predicted", "P(correct), as estimated", scale),
        "color": {"field": "series", "legend": None, "scale": colors},
    }
    observed, limits = chart_quantity("observed", counted, scale), chart_quantity("low", counted, scale)
    tips = chart_tooltip("predicted", "observed", "low", "high")
    diagonal = {"x": chart_quantity("x", "", scale), "y": chart_quantity("y", "", scale)}
    ends = [{"x": 0, "y": 0}, {"x": 1, "y": 1}]
    layers = [
        chart_layer("line", diagonal, ends, color="var(--quiet)", strokeDash=[3, 3], strokeWidth=1, clip=True),
        chart_layer("rule", {**encoding, "y": limits, "y2": {"field": "high"}}, rows, clip=True),
        chart_layer(
            "line", {**encoding, "y": observed, "tooltip": tips}, rows, point={"size": 40}, clip=True, strokeWidth=1
        ),
    ]
    return chart(f"P(correct) as it is estimated, and as it is counted, {name}", layers, height=240)


def _chart_color_of_estimate(kind: str) -> str:
    return chart_color(ESTIMATES.index(kind) + 1)


def chart_layer(mark: str, encoding: Spec, data: str | Sequence[Mapping[str, Any]], **look: Any) -> Spec:
    """Return a layer of marks; ``data`` are its rows, or the name of those that the page gives."""
    source = {"name": data} if isinstance(data, str) else {"values": list(data)}
    return {"data": source, "mark": {"type": mark, **look}, "encoding": encoding}


def chart_quantity(name: str, title: str, scale: Spec | None = None, axis: Spec | None = None, **further: Any) -> Spec:
    """Return how a number is shown along an axis: a fraction in percent, unless ``axis`` says otherwise."""
    found = {"title": title, **(PERCENT if axis is None else axis)}
    return {"field": name, "type": "quantitative", "axis": found, "scale": scale or {"nice": True}, **further}


def _chart_scale(low: float, high: float = 1) -> Spec:
    return {"domain": [low, high], "nice": False}


def chart_channels_by_score(names: Sequence[str]) -> Spec:
    """Return the colours and dashes of scores; the page has the legend."""
    ranges = {"color": [*map(chart_color, range(len(names)))], "strokeDash": [*map(chart_dash, range(len(names)))]}
    shown = {"field": "score", "type": "nominal", "legend": None}
    return {channel: {**shown, "scale": {"domain": [*names], "range": each}} for channel, each in ranges.items()}


def chart_looks(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the colour and dashes of each line, by its name, as a legend shows them."""
    return {
        name: {"color": chart_color(place), "dash": " ".join(f"{length:g}" for length in chart_dash(place))}
        for place, name in enumerate(names)
    }


def chart_color(place: int) -> str:
    """Return the page's name of the colour of a score."""
    return f"var(--c{place % COLORS})"


def chart_dash(place: int) -> list[float]:
    """Return the dashes of a score's line: scores that share a colour differ in these."""
    return DASHES[place // COLORS % len(DASHES)]


def chart_tooltip(*fields: str) -> list[dict[str, str]]:
    """Return what is shown of a point under the pointer, in percent."""
    return [{"field": name, "type": "quantitative", "format": ".2%"} for name in fields]


def chart(title: str, layers: Sequence[Spec], uses: Sequence[str] = (), height: int = HEIGHT, own: str = "") -> Spec:
    """Return a chart as wide as its place in the page; ``uses`` names the data that the page gives it.

    ``own`` is the score whose operating point alone it shows; without it, it shows that of the chosen score.
    """
    return {
        "$schema": SCHEMA,
        "description": title,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "params": [{"name": "chosen", "value": ""}],
        "usermeta": {"uses": list(uses), "own": own},
        "layer": list(layers),
    }
