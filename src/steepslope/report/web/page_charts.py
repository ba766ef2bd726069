"""All charts of a page, by their names in it, with the title of each.

The charts of several runs side by side: a metric of every run and score, and one risk-coverage curve a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steepslope.oracle.search import Search
from steepslope.report.evaluation import Evaluation
from steepslope.report.web import charts
from steepslope.report.web.page_scores import ESTIMATES, UNITS, estimates, reliability


@dataclass(frozen=True, eq=False)
class PageCharts:
    """Specifications by name, and the titles of those that are many, by name."""

    specs: Mapping[str, charts.Spec]
    histograms: Mapping[str, str]
    reliabilities: Mapping[str, str]
    sweeps: Mapping[str, str]
    estimates: Mapping[str, Mapping[str, str]]


def page_charts(evaluation: Evaluation, searches: Mapping[str, Search]) -> PageCharts:
    """Return all charts; ``searches`` for slopes are known by the names of the oracles that they found."""
    names = [one.name for one in evaluation.scored]
    correct, independent = evaluation.predictions.is_correct, evaluation.rows[0].clusters is None
    lines = {
        "risk-coverage": charts.risk_coverage(
            names, charts.highest_risk((row.curve.coverage, row.curve.risk) for row in evaluation.rows)
        ),
        "roc": charts.roc(names),
        "precision-recall": charts.precision_recall(names),
    }
    histograms = {
        f"histogram-{place}": charts.histogram(one.name, one.confidence, correct, UNITS[one.scale])
        for place, one in enumerate(evaluation.scored)
    }
    judged = {
        f"reliability-{place}": {
            kind: reliability(p, correct, independent) for kind, p in estimates(one, correct).items()
        }
        for place, one in enumerate(evaluation.scored)
    }
    of_names = {
        f"reliability-{place}": charts.reliability(names[place], judged[f"reliability-{place}"], ESTIMATES)
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
        estimates={kind: {"color": charts.color(ESTIMATES.index(kind) + 1), "dash": "1 0"} for kind in kinds},
    )


def _sweeps(searches: Mapping[str, Search]) -> Iterator[tuple[str, charts.Spec]]:
    """Yield title and chart of each step of each search."""
    for name, search in searches.items():
        for field, symbol, trials in (
            ("alpha_neg", "α⁻", search.alpha_neg_trials),
            ("alpha_pos", "α⁺", search.alpha_pos_trials),
        ):
            title = f"{name}: {symbol}, the other slope frozen; {getattr(search, field):g} was chosen"
            rows = [{field: getattr(one, field), "TPR": one.tpr, "TNR": one.tnr, "AUC": one.auc} for one in trials]
            yield title, charts.sweep(title, [_without_nan(row) for row in rows], field, symbol)


def _without_nan(row: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if value != value else value for name, value in row.items()}


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
