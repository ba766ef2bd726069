"""The charts of a page, as Vega-Lite specifications: plain data, which the page's script fills and the reader moves.

A chart names the data that the page gives it: ``curves``, a row for each score and operating point; ``bands``, the
intervals of the risk; ``now``, the operating point that the reader has chosen; ``certified``, certified thresholds.
Colours are the page's own, by name, so that a chart is light or dark as the page is.

All charts of a page, by their names in it, with the title of each.

The charts of several runs side by side: a metric of every run and score, and one risk-coverage curve a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.oracle.search import Search
from steepslope.report.evaluation import Evaluation
from steepslope.report.web.page_scores import ESTIMATES, UNITS, estimates, reliability

Spec = dict[str, Any]
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
COLORS = 7  # --c0 … --c6 of the page's style
DASHES: tuple[list[float], ...] = ([1, 0], [6, 2], [2, 2], [7, 2, 2, 2])
HEIGHT = 280
BINS = 40
FIRST_SHOWN = 0.1  # of coverage, before which risks jump
LEAST_AXIS, ROOM_ABOVE = 0.01, 1.15  # of the axis of risks
PERCENT = {"format": ".0%"}
UNIT = {"domain": [0, 1], "nice": False}


def highest_risk(curves: Iterable[tuple[ArrayLike, ArrayLike]]) -> float:
    """Return where the axis of risks ends, in (0, 1]: above all risks of coverages from a tenth on.

    ``curves`` are coverages and risks. However the first rows fall, whose risks jump, they do not rule the axis.

    >>> round(highest_risk([([0.01, 0.5, 1], [1.0, 0.1, 0.2])]), 2), highest_risk([])
    (0.23, 0.01)
    """
    highest = LEAST_AXIS / ROOM_ABOVE
    for coverage, risk in curves:
        shown = np.asarray(risk)[np.asarray(coverage) >= FIRST_SHOWN]
        highest = max(highest, float(np.max(shown, initial=0)))
    return min(1.0, ROOM_ABOVE * highest)


def color(place: int) -> str:
    """Return the page's name of the colour of a score."""
    return f"var(--c{place % COLORS})"


def dash(place: int) -> list[float]:
    """Return the dashes of a score's line: scores that share a colour differ in these."""
    return DASHES[place // COLORS % len(DASHES)]


def looks(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the colour and dashes of each line, by its name, as a legend shows them."""
    dashes = (" ".join(f"{length:g}" for length in dash(place)) for place in range(len(names)))
    return {
        name: {"color": color(place), "dash": one} for place, (name, one) in enumerate(zip(names, dashes, strict=True))
    }


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
    axes = {"x": quantity(x, titles[0], UNIT), "y": quantity(y, titles[1], {"domain": [0, highest], "nice": False})}
    chosen = {"condition": {"test": "datum.score === chosen", "value": 2.6}, "value": 1.2}
    lines = {
        "data": {"name": "curves"},
        "mark": {"type": "line", "clip": True},
        "encoding": {
            **axes,
            "order": {"field": "place", "type": "quantitative"},
            **by_score(names),
            "strokeWidth": chosen,
        },
    }
    point = {
        "data": {"name": "now"},
        "mark": {"type": "point", "filled": True, "size": 90, "color": "var(--text)", "clip": True},
        "encoding": {**axes, "tooltip": tooltip(x, y)},
    }
    return chart(title, [*extra, lines, point], uses=uses)


def risk_coverage(names: Sequence[str], highest: float) -> Spec:
    """Return selective risk against coverage, with the chosen score's interval; ``highest`` ends the axis of risks."""
    scale = {"domain": [0, highest], "nice": False}
    band = {
        "data": {"name": "bands"},
        "mark": {"type": "area", "opacity": 0.18, "color": "var(--text)", "clip": True},
        "encoding": {"x": quantity("coverage", "coverage", UNIT), "y": quantity("low", "selective risk", scale),
                     "y2": {"field": "high"}},
    }  # fmt: skip
    certified = {
        "data": {"name": "certified"},
        "mark": {"type": "rule", "strokeDash": [3, 3], "color": "var(--text)"},
        "encoding": {"x": quantity("coverage", "coverage", UNIT), "tooltip": {"field": "label"}},
    }
    title, uses = "Selective risk at each coverage", ("curves", "now", "bands", "certified")
    return line_chart(
        names, title, "coverage", "risk", ("coverage", "selective risk"), highest, [band, certified], uses
    )


def roc(names: Sequence[str]) -> Spec:
    """Return the ROC curve: correct predictions that are trusted against errors that are."""
    axes = ("errors trusted (FPR)", "correct predictions trusted (TPR)")
    return line_chart(names, "ROC", "fpr", "tpr", axes)


def precision_recall(names: Sequence[str]) -> Spec:
    """Return precision against recall of the errors, which are found by low confidence."""
    axes = ("errors found (recall)", "errors among what is held back (precision)")
    return line_chart(names, "Precision and recall of errors", "recall", "precision", axes)


def histogram(name: str, confidence: NDArray[np.float64], is_correct: NDArray[np.bool_], unit: str) -> Spec:
    """Return how confidences of correct and wrong predictions lie, each in percent of its side, on their own scale.

    What lies beyond the middle 99.8 % is counted in the bins at the ends.
    """
    edges = _edges(confidence)
    inside = confidence.clip(edges[0], edges[-1])
    sides = {"correct": inside[is_correct], "wrong": inside[~is_correct]}
    rows = [
        {"side": side, "from": float(low), "to": float(high), "part": round(float(part), 5)}
        for side, values in sides.items()
        if len(values)
        for low, high, part in zip(edges, edges[1:], np.histogram(values, edges)[0] / len(values), strict=False)
    ]
    sided = {"field": "side", "scale": {"domain": ["correct", "wrong"], "range": ["var(--right)", "var(--wrong)"]},
             "legend": None}  # fmt: skip
    encoding = {
        "x": quantity("from", unit, {"domain": [edges[0], edges[-1]], "nice": False}, axis={}),
        "x2": {"field": "to"},
        "y": quantity("part", "of its side", stack=None),
        "y2": {"datum": 0},
    }
    bars = {
        "data": {"values": rows},
        "mark": {"type": "bar", "opacity": 0.45},
        "encoding": encoding | {"fill": sided, "tooltip": [
            {"field": "side", "title": "side"}, {"field": "from", "format": ".4~g", "title": "from"},
            {"field": "to", "format": ".4~g", "title": "to"},
            {"field": "part", "format": ".1%", "title": "of its side"},
        ]},
    }  # fmt: skip
    rule = {
        "data": {"name": "now"},
        "mark": {"type": "rule", "color": "var(--text)", "strokeWidth": 1.5, "clip": True},
        "encoding": {"x": {"field": "threshold", "type": "quantitative"}},
    }
    return chart(f"Confidences of correct and wrong predictions, {name}", [bars, rule], ("now",), 150, own=name)


def _edges(confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the edges of bins around the middle 99.8 % of confidences, (BINS + 1,)."""
    finite = confidence[np.isfinite(confidence)]
    low, high = np.quantile(finite, [0.001, 0.999]) if len(finite) else (0.0, 1.0)
    spread = high - low if high > low else max(abs(low), 1.0) * 1e-3
    return np.asarray(np.linspace(low, low + spread, BINS + 1))


def reliability_chart(name: str, series: Mapping[str, Sequence[Mapping[str, float]]], kinds: Sequence[str]) -> Spec:
    """Return how often predictions of some probability are correct, with intervals, a series for each estimate.

    ``kinds`` are the estimates that there may be, which have the same colours in all  Rows have ``predicted``,
    ``observed``, ``low`` and ``high``, in [0, 1].
    """
    rows = [{"series": name, **row} for name, found in series.items() for row in found]
    least = min([0.9, *(min(row["predicted"], row["low"]) for found in series.values() for row in found)])
    scale = {"domain": [max(0.0, least - 0.02), 1], "nice": False}
    encoding = {
        "x": quantity("predicted", "P(correct), as estimated", scale),
        "y": quantity("observed", "correct, as counted", scale),
        "color": {"field": "series", "legend": None,
                  "scale": {"domain": [*kinds], "range": [color(place + 1) for place in range(len(kinds))]}},
    }  # fmt: skip
    ideal = {
        "data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
        "mark": {"type": "line", "color": "var(--quiet)", "strokeDash": [3, 3], "strokeWidth": 1, "clip": True},
        "encoding": {"x": quantity("x", "", scale), "y": quantity("y", "", scale)},
    }
    bars = {"mark": {"type": "rule", "clip": True}, "encoding": {
        **encoding, "y": quantity("low", "correct, as counted", scale), "y2": {"field": "high"}}}  # fmt: skip
    points = {
        "mark": {"type": "line", "point": {"size": 40}, "clip": True, "strokeWidth": 1},
        "encoding": encoding | {"tooltip": tooltip("predicted", "observed", "low", "high")},
    }
    values = {"data": {"values": rows}}
    title = f"P(correct) as it is estimated, and as it is counted, {name}"
    return chart(title, [ideal, values | bars, values | points], height=240)


def sweep(title: str, rows: Sequence[Mapping[str, float | None]], field: str, axis: str) -> Spec:
    """Return TPR, TNR and AUC against a slope of the steep slope loss, one of its two as the ``field`` names it."""
    names = ["TPR", "TNR", "AUC"]
    lines = {
        "data": {"values": list(rows)},
        "transform": [{"fold": names, "as": ["metric", "value"]}],
        "mark": {"type": "line", "point": {"size": 40}},
        "encoding": {
            "x": quantity(field, axis, axis={}),
            "y": quantity("value", "on the held-out rows"),
            "color": {"field": "metric", "scale": {"domain": names, "range": [color(place) for place in range(3)]},
                      "legend": {"orient": "top", "title": None}},
        },
    }  # fmt: skip
    return chart(title, [lines], height=200)


def quantity(
    field: str, title: str, scale: Spec | None = None, axis: Spec | None = None, **further: Any
) -> dict[str, Any]:
    """Return how a number is shown along an axis: a fraction in percent, unless ``axis`` says otherwise."""
    found = {"title": title, **(PERCENT if axis is None else axis)}
    return {"field": field, "type": "quantitative", "axis": found, "scale": scale or {"nice": True}, **further}


def by_score(names: Sequence[str]) -> dict[str, Any]:
    """Return the colours and dashes of scores; the page has the legend."""
    domain = list(names)
    colors = {"domain": domain, "range": [color(place) for place in range(len(domain))]}
    dashes = {"domain": domain, "range": [dash(place) for place in range(len(domain))]}
    return {
        "color": {"field": "score", "type": "nominal", "scale": colors, "legend": None},
        "strokeDash": {"field": "score", "type": "nominal", "scale": dashes, "legend": None},
    }


def tooltip(*fields: str) -> list[dict[str, str]]:
    """Return what is shown of a point under the pointer, in percent."""
    return [{"field": field, "type": "quantitative", "format": ".2%"} for field in fields]


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


@dataclass(frozen=True, eq=False)
class PageCharts:
    """Specifications by name, and the titles of those that are many, by name."""

    specs: Mapping[str, Spec]
    histograms: Mapping[str, str]
    reliabilities: Mapping[str, str]
    sweeps: Mapping[str, str]
    estimates: Mapping[str, Mapping[str, str]]


def page_charts(evaluation: Evaluation, searches: Mapping[str, Search]) -> PageCharts:
    """Return all charts; ``searches`` for slopes are known by the names of the oracles that they found."""
    names = [one.name for one in evaluation.scored]
    correct, independent = evaluation.predictions.is_correct, evaluation.rows[0].clusters is None
    lines = {
        "risk-coverage": risk_coverage(
            names, highest_risk((row.curve.coverage, row.curve.risk) for row in evaluation.rows)
        ),
        "roc": roc(names),
        "precision-recall": precision_recall(names),
    }
    histograms = {
        f"histogram-{place}": histogram(one.name, one.confidence, correct, UNITS[one.scale])
        for place, one in enumerate(evaluation.scored)
    }
    judged = {
        f"reliability-{place}": {
            kind: reliability(p, correct, independent) for kind, p in estimates(one, correct).items()
        }
        for place, one in enumerate(evaluation.scored)
    }
    of_names = {
        f"reliability-{place}": reliability_chart(names[place], judged[f"reliability-{place}"], ESTIMATES)
        for place in range(len(names))
        if judged[f"reliability-{place}"]
    }
    sweeps = {f"sweep-{place}": one for place, one in enumerate(_sweeps(searches))}
    kinds = [kind for kind in ESTIMATES if any(kind in series for series in judged.values())]
    return PageCharts(
        specs={**lines, **histograms, **of_names, **{key: spec for key, (_, spec) in sweeps.items()}},
        histograms={f"histogram-{place}": name for place, name in enumerate(names)},
        reliabilities={key: names[int(key.rpartition("-")[2])] for key in of_names},
        sweeps={key: title for key, (title, _) in sweeps.items()},
        estimates={kind: {"color": color(ESTIMATES.index(kind) + 1), "dash": "1 0"} for kind in kinds},
    )


def _sweeps(searches: Mapping[str, Search]) -> Iterator[tuple[str, Spec]]:
    """Yield title and chart of each step of each search."""
    for name, search in searches.items():
        for field, symbol, trials in (
            ("alpha_neg", "α⁻", search.alpha_neg_trials),
            ("alpha_pos", "α⁺", search.alpha_pos_trials),
        ):
            title = f"{name}: {symbol}, the other slope frozen; {getattr(search, field):g} was chosen"
            rows = [{field: getattr(one, field), "TPR": one.tpr, "TNR": one.tnr, "AUC": one.auc} for one in trials]
            yield title, sweep(title, [_without_nan(row) for row in rows], field, symbol)


def _without_nan(row: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if value != value else value for name, value in row.items()}


BEST = "the best of each run"  # in place of a score's name
LINE, LEAST_HEIGHT = 16, 120  # pixels


def dots(runs: Sequence[str], scores: Sequence[str]) -> Spec:
    """Return a dot and an interval for each run and score, of the metric that is chosen in the page.

    The page gives it ``dots``: rows with ``run``, ``score``, ``value``, ``low``, ``high``, and ``interval`` in words.
    """
    places = {
        "y": {"field": "run", "type": "nominal", "sort": list(runs), "title": None,
              "axis": {"labelLimit": 240, "grid": True, "tickBand": "extent"}},
        "yOffset": {"field": "score", "type": "nominal", "sort": list(scores)},
        **by_score(scores),
    }  # fmt: skip
    del places["strokeDash"]
    tips = [{"field": name, "type": "nominal"} for name in ("run", "score", "interval")]
    tips.insert(2, {"field": "value", "type": "quantitative", "format": ".2f"})
    axis = {"zero": False, "nice": True}
    interval = {
        "data": {"name": "dots"},
        "mark": {"type": "rule", "strokeWidth": 1.5},
        "encoding": {"x": quantity("low", "", axis, {}), "x2": {"field": "high"}, **places},
    }
    dot = {
        "data": {"name": "dots"},
        "mark": {"type": "point", "filled": True, "size": 50, "opacity": 1},
        "encoding": {"x": quantity("value", "", axis, {}), **places, "tooltip": tips},
    }
    height = max(LEAST_HEIGHT, LINE * len(runs) * (len(scores) + 1))
    return chart("A metric of every run and score", [interval, dot], uses=("dots",), height=height)


def run_curves(runs: Sequence[str], curves: Sequence[Mapping[str, Any]]) -> Spec:
    """Return selective risk against coverage, a line a run, of the score that is chosen in the page."""
    highest = highest_risk((one["coverage"], one["risk"]) for one in curves)
    titles = "coverage", "selective risk"
    return line_chart(runs, "Selective risk at each coverage", "coverage", "risk", titles, highest)
