"""The charts of several runs side by side: a metric of every run and score, and one risk-coverage curve a run."""

from collections.abc import Mapping, Sequence
from typing import Any

from steepslope.report.web import charts

BEST = "the best of each run"  # in place of a score's name
LINE, LEAST_HEIGHT = 16, 120  # pixels


def dots(runs: Sequence[str], scores: Sequence[str]) -> charts.Spec:
    """Return a dot and an interval for each run and score, of the metric that is chosen in the page.

    The page gives it ``dots``: rows with ``run``, ``score``, ``value``, ``low``, ``high``, and ``interval`` in words.
    """
    places = {
        "y": {"field": "run", "type": "nominal", "sort": list(runs), "title": None,
              "axis": {"labelLimit": 240, "grid": True, "tickBand": "extent"}},
        "yOffset": {"field": "score", "type": "nominal", "sort": list(scores)},
        **charts.by_score(scores),
    }  # fmt: skip
    del places["strokeDash"]
    tips = [{"field": name, "type": "nominal"} for name in ("run", "score", "interval")]
    tips.insert(2, {"field": "value", "type": "quantitative", "format": ".2f"})
    axis = {"zero": False, "nice": True}
    interval = {
        "data": {"name": "dots"},
        "mark": {"type": "rule", "strokeWidth": 1.5},
        "encoding": {"x": charts.quantity("low", "", axis, {}), "x2": {"field": "high"}, **places},
    }
    dot = {
        "data": {"name": "dots"},
        "mark": {"type": "point", "filled": True, "size": 50, "opacity": 1},
        "encoding": {"x": charts.quantity("value", "", axis, {}), **places, "tooltip": tips},
    }
    height = max(LEAST_HEIGHT, LINE * len(runs) * (len(scores) + 1))
    return charts.chart("A metric of every run and score", [interval, dot], uses=("dots",), height=height)


def run_curves(runs: Sequence[str], curves: Sequence[Mapping[str, Any]]) -> charts.Spec:
    """Return selective risk against coverage, a line a run, of the score that is chosen in the page."""
    highest = charts.highest_risk((one["coverage"], one["risk"]) for one in curves)
    titles = "coverage", "selective risk"
    return charts.line_chart(runs, "Selective risk at each coverage", "coverage", "risk", titles, highest)
