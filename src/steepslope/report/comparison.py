"""Several reports side by side: their tables, and all of it as JSON and as Markdown."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from steepslope.evaluation.comparison import Comparison, Contrast, Rival, Run
from steepslope.evaluation.comparison_words import AURC_COUNTS, HEADLINED, cautions, headline, sentences
from steepslope.evaluation.rows import nan_to_none
from steepslope.evaluation.score import BASELINE
from steepslope.metrics.intervals import BOUNDS, Difference, Estimate
from steepslope.metrics.measures import METRICS, Metric, table_metrics
from steepslope.report.grid import UNDEFINED, Cell, Grid, estimate_cell, markdown
from steepslope.report.screen import COLOURS
from steepslope.report.summary import difference_cell
from steepslope.report.tables import DELTA, terminal_titles
from steepslope.utilities.short_names import shortest_tails

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
