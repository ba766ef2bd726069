"""All charts of a page, by their names in it, with the title of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from steepslope.evaluation.evaluation import Evaluation
from steepslope.oracle.search import Search
from steepslope.report.web import charts
from steepslope.report.web.page_scores import UNITS
from steepslope.report.web.probability import ESTIMATES, estimates, reliability


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
