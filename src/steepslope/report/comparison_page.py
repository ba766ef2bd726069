"""``compare.json``, ``compare.md`` and ``compare.html``: what `compare` leaves behind."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from steepslope.evaluation.comparison import Comparison, Run
from steepslope.evaluation.comparison_words import AURC_COUNTS, cautions, headline, sentences
from steepslope.metrics.curves import RiskCoverage
from steepslope.metrics.intervals import BOUNDS
from steepslope.metrics.measures import METRICS
from steepslope.report.comparison import TITLE, as_json, difference_grid, estimate_of, headings, run_grid, text
from steepslope.report.grid import estimate_cell
from steepslope.report.headline import Remark
from steepslope.report.summary import definitions
from steepslope.report.tables import DELTA
from steepslope.report.web import charts
from steepslope.report.web.downloads import as_csv
from steepslope.report.web.run_charts import BEST, dots, run_curves
from steepslope.report.web.shell import web_page
from steepslope.utilities.files import staged_folder, write_json
from steepslope.utilities.results import MADE, Result

COMPARISON = Result("a comparison", ("compare.json", "compare.md", "compare.html"), card="compare.json")
SCRIPTS = ("tables.js", "charts.js", "downloads.js", "compare.js")
CONTENTS = {"runs": "Runs and scores", "metrics": "A metric, run by run", "curves": "Risk and coverage",
            "differences": "Differences"}  # fmt: skip
CURVE_POINTS = 200
DEFINITIONS = {
    "run": "A report, by the name of its folder or by the name that was given to it.",
    "less": "The score of the baseline that is compared with it.",
    "how": "Paired: both runs on the same resamples of the same rows. Unpaired: each run on resamples of its own rows.",
    DELTA: "The paired difference of the AUC to MCP's within the run, in percent. Higher is better.",
}


def write_comparison(comparison: Comparison, out: str | Path, made: Mapping[str, Any] | None = None) -> None:
    """Write all files together, with what ``made`` them; earlier ones stay until the new ones are complete."""
    with staged_folder(out, last=COMPARISON.files[-1]) as staging:
        write_json(staging / COMPARISON.card, {**as_json(comparison), MADE: dict(made or {})})
        (staging / "compare.md").write_text(text(comparison), encoding="utf-8")
        (staging / "compare.html").write_text(page(comparison), encoding="utf-8")


def page(comparison: Comparison) -> str:
    """Return the comparison as one HTML page without outside parts."""
    runs = [run.name for run in comparison.runs]
    scores = list(dict.fromkeys(score for run in comparison.runs for score in run.scores))
    grids = run_grid(comparison), difference_grid(comparison)
    curves = [one for run in comparison.runs for one in _curves(run)]
    remarks = [
        *map(Remark, [*headings(comparison), AURC_COUNTS]),
        *(Remark(line, warns=True) for line in cautions(comparison)),
    ]
    data = {
        "metrics": {name: one.heading for name, one in METRICS.items()},
        "values": {name: list(_values(comparison, name)) for name in METRICS},
        "curves": curves,
        "charts": {"dots": dots(runs, scores), "curves": run_curves(runs, curves)},
        "files": {"metrics": _metrics_csv(comparison), "differences": _differences_csv(comparison)},
    }
    return web_page(
        "compare.html",
        title=TITLE,
        headline=headline(comparison),
        remarks=remarks,
        data=data,
        scripts=SCRIPTS,
        contents=CONTENTS,
        definitions={**definitions(grids), **DEFINITIONS},
        runs=grids[0],
        differences=grids[1],
        choices=[BEST, *scores],
        metrics=data["metrics"],
        of_scores=charts.looks(scores),
        of_runs=charts.looks(runs),
        sentences=sentences(comparison),
    )


def _values(comparison: Comparison, metric: str) -> Iterator[dict[str, Any]]:
    """Yield a metric of each run and score, in the units of its tables, where it is defined.

    Without resamples the interval is the value alone, and is not shown.
    """
    scale = METRICS[metric].scale
    for run in comparison.runs:
        for row in run.rows:
            value, low, high = (row[metric][bound] for bound in BOUNDS)
            if value is not None:
                ends = (value, value) if low is None else (low, high)
                interval = "" if low is None else estimate_cell(estimate_of(row[metric]), scale).aside
                numbers = zip(BOUNDS, (scale * number for number in (value, *ends)), strict=True)
                yield {"run": run.name, "score": row["score"], **dict(numbers), "interval": interval}


def _curves(run: Run) -> Iterator[dict[str, Any]]:
    """Yield the risk at each coverage of every score, with few points."""
    for score in run.scores:
        curve = RiskCoverage.of(run.ranked(score).ranking()).thinned(CURVE_POINTS)
        numbers = {"coverage": curve.coverage.round(5).tolist(), "risk": curve.risk.round(5).tolist()}
        yield {"run": run.name, "score": score, "best": score == run.best, **numbers}


def _metrics_csv(comparison: Comparison) -> str:
    lines = [
        {"run": run.name, "score": row["score"], "fit_rows": run.fit_rows.get(row["score"], 0), "metric": name,
         **{bound: row[name][bound] for bound in BOUNDS}}
        for run in comparison.runs for row in run.rows for name in METRICS
    ]  # fmt: skip
    return as_csv(pa.Table.from_pylist(lines)).decode()


def _differences_csv(comparison: Comparison) -> str:
    names = ("run", "score", "baseline", "baseline_score", "paired")
    lines = [
        {**{name: line[name] for name in names}, "metric": metric, **line[metric]}
        for line in as_json(comparison)["differences"] for metric in METRICS
    ]  # fmt: skip
    return as_csv(pa.Table.from_pylist(lines)).decode()
