"""Several reports side by side: their tables, and all of it as JSON and as Markdown.

``compare.json``, ``compare.md`` and ``compare.html``: what `compare` leaves behind.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from steepslope.files.artifact import MADE, Artifact
from steepslope.files.folders import write_json
from steepslope.metrics.intervals import BOUNDS, Difference, Estimate
from steepslope.metrics.measures import METRICS, Metric, table_metrics
from steepslope.metrics.selective import RiskCoverage
from steepslope.report.comparison import (
    AURC_COUNTS,
    HEADLINED,
    Comparison,
    Contrast,
    Rival,
    cautions,
    headline,
    sentences,
)
from steepslope.report.confidences import BASELINE
from steepslope.report.evaluation import nan_to_none
from steepslope.report.grid import UNDEFINED, Cell, Grid, estimate_cell, markdown, shortest_tails
from steepslope.report.row_table import as_csv
from steepslope.report.runs import Run
from steepslope.report.screen import COLOURS
from steepslope.report.sentences import Remark
from steepslope.report.tables import DELTA, definitions, difference_cell, terminal_titles
from steepslope.report.web import charts
from steepslope.report.web.charts import BEST, dots, run_curves
from steepslope.report.web.shell import web_page

TITLE = "Runs side by side"
PAIRING = {True: "paired", False: "unpaired"}
HOW = (
    "In brackets the 95 % bootstrap interval, then the two-sided p of no difference. Paired: both runs on the same "
    "resamples of the same rows. Unpaired: each on resamples of its own. The best scores were chosen on these rows. "
    f"{AURC_COUNTS}"
)


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return what ``compare.json`` holds; what is undefined is null."""
    rivals = {rival.run.name: rival for rival in comparison.rivals}
    return {
        "baseline": comparison.baseline.name,
        "runs": [_run_as_json(run, rivals.get(run.name)) for run in comparison.runs],
        "rows": [{"run": run.name, **row, "errors": run.errors} for run in comparison.runs for row in run.rows],
        "headline": headline(comparison),
        "cautions": cautions(comparison),
        "differences": [
            {"run": rival.run.name, "baseline": comparison.baseline.name, "paired": rival.paired, **_as_json(one)}
            for rival in comparison.rivals for one in rival.contrasts
        ],
        "sentences": sentences(comparison),
    }  # fmt: skip


def _run_as_json(run: Run, rival: Rival | None) -> dict[str, Any]:
    """Return a run's facts, and of all but the baseline whether it is paired with that, and by ids."""
    pairing: dict[str, Any] = {}
    if rival is not None:
        known = None if not rival.paired else not rival.guessed
        pairing = {"paired": rival.paired, "paired_by_ids": known, "why_unpaired": rival.why_unpaired or None}
    accuracy = float(np.mean(run.is_correct))
    facts = {"run": run.name, "folder": run.folder, "n": len(run), "errors": run.errors, "accuracy": accuracy}
    return {**facts, "best": run.best, **pairing}


def _as_json(contrast: Contrast) -> dict[str, Any]:
    return {
        "score": contrast.score,
        "baseline_score": contrast.baseline_score,
        "of_best": contrast.of_best,
        "verdicts": {name: contrast.word(name) for name in HEADLINED},
        **{name: nan_to_none(one) for name, one in contrast.differences.items()},
    }


def headings(comparison: Comparison) -> list[str]:
    """Return a line on each run: what is common to all of its scores."""
    return [
        f"{run.name}: {len(run):,} predictions, {run.errors:,} wrong (accuracy {100 * np.mean(run.is_correct):.2f} %)"
        for run in comparison.runs
    ]


def text(comparison: Comparison) -> str:
    """Return the comparison as Markdown."""
    words = "\n".join(f"- {line}" for line in sentences(comparison))
    lines = "\n".join(f"- {line}" for line in headings(comparison))
    parts = [
        f"# {TITLE}",
        headline(comparison),
        lines,
        words,
        markdown(run_grid(comparison)),
        markdown(difference_grid(comparison)),
    ]
    return "\n\n".join(parts) + "\n"


def run_grid(comparison: Comparison) -> Grid:
    """Return a row for each score of each run: every metric with its interval, and the AUC's difference to MCP's."""
    columns = ["run", "score", "n", "errors", *(metric.heading for metric in METRICS.values()), DELTA]
    rows = [_run_cells(run, row) for run in comparison.runs for row in run.rows]
    note = f"In percent, with 95 % bootstrap intervals. {DELTA}: within each run, on its own rows."
    return Grid("Runs and scores", columns, rows, note)


def _run_cells(run: Run, row: Mapping[str, Any]) -> list[Cell]:
    counts = Cell(f"{len(run):,}"), Cell(f"{run.errors:,}")
    return [Cell(run.name), _score_cell(run, row["score"]), *counts, *_metric_cells(row, METRICS), _delta_cell(row)]


def _score_cell(run: Run, score: str, remark: str = "") -> Cell:
    """Return the name of a score, with a remark and a warning where it was fitted on the rows of its run."""
    seen = run.fit_rows.get(score, 0)
    warning = f"◄ FITTED ON {seen:,} OF THESE ROWS" if seen else ""
    return Cell(score, f"{remark} {warning}".strip())


def _metric_cells(row: Mapping[str, Any], metrics: Mapping[str, Metric]) -> Iterator[Cell]:
    return (estimate_cell(estimate_of(row[name]), metric.scale) for name, metric in metrics.items())


def _delta_cell(row: Mapping[str, Any]) -> Cell:
    return UNDEFINED if row["score"] == BASELINE else estimate_cell(estimate_of(row["delta_auc_vs_mcp"]), sign="+")


def estimate_of(stored: Mapping[str, float | None]) -> Estimate:
    """Return an estimate as JSON holds it, with NaN for null."""
    value, low, high = (np.nan if (one := stored[bound]) is None else one for bound in BOUNDS)
    return Estimate(value=value, low=low, high=high)


def terminal_grid(comparison: Comparison) -> Grid:
    """Return the metrics of the main table, with a run and a score for a name; see :func:`terminal_titles`."""
    rows = [
        [Cell(f"{run.name} {score}"), *_metric_cells(row, table_metrics()), _delta_cell(row)]
        for run in comparison.runs
        for row, score in zip(run.rows, shortest_tails([row["score"] for row in run.rows]), strict=True)
    ]
    return Grid("", terminal_titles(), rows)


def terminal_styles(comparison: Comparison) -> list[list[str]]:
    """Return how each cell of :func:`terminal_grid` looks: green or red where a run is clear of the baseline."""
    signs = {
        (rival.run.name, one.score): [COLOURS[one.sign(name)] for name in table_metrics()]
        for rival in comparison.rivals for one in rival.contrasts if one.score == one.baseline_score
    }  # fmt: skip
    none = [""] * len(table_metrics())
    return [["", *signs.get((run.name, row["score"]), none), ""] for run in comparison.runs for row in run.rows]


def difference_grid(comparison: Comparison) -> Grid:
    """Return every metric's difference to the baseline, a row for each pair of scores that is compared."""
    columns = ["run", "score", "less", "how", *(metric.heading for metric in METRICS.values())]
    rows = [
        [Cell(rival.run.name), *_names(one, rival.run, comparison.baseline), how, *difference_cells(one.differences)]
        for rival in comparison.rivals for how in [_how(rival)] for one in rival.contrasts
    ]  # fmt: skip
    return Grid(f"Differences to {comparison.baseline.name}", columns, rows, HOW)


def _how(rival: Rival) -> Cell:
    return Cell(PAIRING[rival.paired], "(without ids)" if rival.guessed else "")


def _names(contrast: Contrast, run: Run, baseline: Run) -> Iterable[Cell]:
    best = "(best)" if contrast.of_best else ""
    return _score_cell(run, contrast.score, best), _score_cell(baseline, contrast.baseline_score)


def difference_cells(differences: Mapping[str, Difference]) -> Iterator[Cell]:
    """Return each metric's difference with its interval and p, as far as they are defined."""
    for name, metric in METRICS.items():
        cell, p = difference_cell(metric, differences[name]), differences[name]["p"]
        yield cell if np.isnan(p) else cell._replace(aside=f"{cell.aside} p {p:.3f}")


COMPARISON = Artifact("a comparison", "compare.json", files=("compare.json", "compare.md", "compare.html"))
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
    with COMPARISON.staged(out) as staging:
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
