"""Several reports side by side, as what `compare` leaves: ``compare.json``, ``compare.md`` and ``compare.html``."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from steepslope.files.artifact import MADE, Artifact
from steepslope.files.folders import write_json
from steepslope.metrics.intervals import BOUNDS
from steepslope.metrics.measures import METRICS, table_metrics
from steepslope.metrics.selective import RiskCoverage
from steepslope.report.comparison import AURC_COUNTS, HEADLINED, Comparison, Rival, cautions, headline, sentences
from steepslope.report.evaluation import nan_to_none
from steepslope.report.grid import Cell, Grid, estimate_cell, markdown, plain, shortest_tails
from steepslope.report.row_table import as_csv
from steepslope.report.runs import Run
from steepslope.report.sentences import Remark, counts
from steepslope.report.tables import (
    DELTA,
    LOOKS,
    definitions,
    difference_cell,
    metric_cells,
    score_cell,
    terminal_titles,
    with_p,
)
from steepslope.report.web import charts
from steepslope.report.web.shell import web_page

TITLE = "Runs side by side"
HOW = (
    "In brackets the 95 % bootstrap interval, then the two-sided p of no difference. Paired: both runs on the same "
    "resamples of the same rows. Unpaired: each on resamples of its own. The best scores were chosen on these rows. "
    f"{AURC_COUNTS}"
)
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


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return what ``compare.json`` holds; what is undefined is null."""
    rivals = {rival.run.name: rival for rival in comparison.rivals}
    return {
        "baseline": comparison.baseline.name,
        "runs": [_run_as_json(run, rivals.get(run.name)) for run in comparison.runs],
        "rows": [
            {"run": run.name, **{name: nan_to_none(one) for name, one in score.metrics.items()}, **score.content,
             "errors": run.wrong}
            for run in comparison.runs for score in run.scores.values()
        ],
        "headline": headline(comparison),
        "cautions": cautions(comparison),
        "differences": [
            {"run": rival.run.name, "baseline": comparison.baseline.name, "paired": rival.paired, "score": one.score,
             "baseline_score": one.baseline_score, "of_best": one.of_best,
             "verdicts": {name: one.word(name) for name in HEADLINED},
             **{name: nan_to_none(difference) for name, difference in one.differences.items()}}
            for rival in comparison.rivals for one in rival.contrasts
        ],
        "sentences": sentences(comparison),
    }  # fmt: skip


def _run_as_json(run: Run, rival: Rival | None) -> dict[str, Any]:
    """Return a run's facts, and of all but the baseline whether it is paired with that, and by ids."""
    accuracy = (len(run) - run.wrong) / len(run)
    facts = {"run": run.name, "folder": run.folder, "n": len(run), "errors": run.wrong, "accuracy": accuracy}
    if rival is None:
        return {**facts, "best": run.best}
    by_ids = None if not rival.paired else not rival.guessed
    pairing = {"paired": rival.paired, "paired_by_ids": by_ids, "why_unpaired": rival.why_unpaired or None}
    return {**facts, "best": run.best, **pairing}


def headings(comparison: Comparison) -> list[str]:
    """Return a line on each run: what is common to all of its scores."""
    return [f"{run.name}: {counts(len(run), run.wrong)}" for run in comparison.runs]


def text(comparison: Comparison) -> str:
    """Return the comparison as Markdown."""
    lists = ("\n".join(f"- {plain(line)}" for line in lines) for lines in (headings(comparison), sentences(comparison)))
    grids = markdown(run_grid(comparison)), markdown(difference_grid(comparison))
    return "\n\n".join([f"# {TITLE}", plain(headline(comparison)), *lists, *grids]) + "\n"


def run_grid(comparison: Comparison) -> Grid:
    """Return a row for each score of each run: every metric with its interval, and the AUC's difference to MCP's."""
    columns = ["run", "score", "n", "errors", *(metric.heading for metric in METRICS.values()), DELTA]
    rows = [
        [Cell(run.name), score_cell(score), *(Cell(f"{count:,}") for count in (len(run), run.wrong)),
         *metric_cells(score, METRICS)]
        for run in comparison.runs for score in run.scores.values()
    ]  # fmt: skip
    note = f"In percent, with 95 % bootstrap intervals. {DELTA}: within each run, on its own rows."
    return Grid("Runs and scores", columns, rows, note)


def terminal_grid(comparison: Comparison) -> Grid:
    """Return the metrics of the main table, with a run and a score for a name; see :func:`terminal_titles`.

    Cells tell where a run is clear of the baseline.
    """
    looks = {
        (rival.run.name, one.score): [LOOKS[one.sign(name)] for name in table_metrics()]
        for rival in comparison.rivals for one in rival.contrasts if one.score == one.baseline_score
    }  # fmt: skip
    rows = []
    for run in comparison.runs:
        for score, tail in zip(run.scores, shortest_tails([*run.scores]), strict=True):
            cells = metric_cells(run.scores[score], table_metrics())
            for place, look in enumerate(looks.get((run.name, score), ())):
                cells[place] = cells[place]._replace(look=look)
            rows.append([Cell(f"{run.name} {tail}"), *cells])
    return Grid("", terminal_titles(), rows)


def difference_grid(comparison: Comparison) -> Grid:
    """Return every metric's difference to the baseline, a row for each pair of scores that is compared."""
    columns = ["run", "score", "less", "how", *(metric.heading for metric in METRICS.values())]
    first = comparison.baseline
    rows = [
        [
            Cell(rival.run.name),
            score_cell(rival.run.scores[one.score], "(best)" if one.of_best else ""),
            score_cell(first.scores[one.baseline_score]),
            Cell("paired" if rival.paired else "unpaired", "(without ids)" if rival.guessed else ""),
            *(with_p(difference_cell(metric, one.differences[name]), one.differences[name])
              for name, metric in METRICS.items()),
        ]
        for rival in comparison.rivals for one in rival.contrasts
    ]  # fmt: skip
    return Grid(f"Differences to {first.name}", columns, rows, HOW)


def page(comparison: Comparison) -> str:
    """Return the comparison as one HTML page without outside parts."""
    runs = [run.name for run in comparison.runs]
    scores = list(dict.fromkeys(score for run in comparison.runs for score in run.scores))
    grids = run_grid(comparison), difference_grid(comparison)
    curves = [curve for run in comparison.runs for curve in _curves(run)]
    data = {
        "metrics": {name: one.heading for name, one in METRICS.items()},
        "values": {name: list(_values(comparison, name)) for name in METRICS},
        "curves": curves,
        "charts": {"dots": charts.dots(runs, scores), "curves": charts.run_curves(runs, curves)},
        "files": {"metrics": as_csv(_metrics(comparison)), "differences": as_csv(_differences(comparison))},
    }
    return web_page(
        "compare.html", title=TITLE, headline=headline(comparison), data=data, scripts=SCRIPTS, contents=CONTENTS,
        remarks=[*map(Remark, [*headings(comparison), AURC_COUNTS]),
                 *(Remark(line, warns=True) for line in cautions(comparison))],
        definitions={**definitions(grids), **DEFINITIONS}, runs=grids[0], differences=grids[1],
        choices=[charts.BEST, *scores], metrics=data["metrics"], of_scores=charts.looks(scores),
        of_runs=charts.looks(runs), sentences=sentences(comparison),
    )  # fmt: skip


def _values(comparison: Comparison, metric: str) -> Iterator[dict[str, Any]]:
    """Yield a metric of each run and score, in the units of its tables, where it is defined.

    Without resamples the interval is the value alone, and is not shown.
    """
    scale = METRICS[metric].scale
    for run in comparison.runs:
        for score in run.scores.values():
            value, low, high = (score.metrics[metric][bound] for bound in BOUNDS)
            if value == value:
                ends = (value, value) if low != low else (low, high)
                numbers: dict[str, float] = dict(zip(BOUNDS, (scale * end for end in (value, *ends)), strict=True))
                interval = estimate_cell(score.metrics[metric], scale).aside
                yield {"run": run.name, "score": score.name, **numbers, "interval": interval}


def _curves(run: Run) -> Iterator[dict[str, Any]]:
    """Yield the risk at each coverage of every score, with few points."""
    for score in run.scores:
        curve = RiskCoverage.of(run.ranked(score).ranking()).thinned(CURVE_POINTS)
        numbers = {"coverage": curve.coverage.round(5).tolist(), "risk": curve.risk.round(5).tolist()}
        yield {"run": run.name, "score": score, "best": score == run.best, **numbers}


def _metrics(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {"run": run.name, "score": score.name, "fit_rows": score.fit_rows, "metric": name,
         **nan_to_none(estimate)}
        for run in comparison.runs for score in run.scores.values() for name, estimate in score.metrics.items()
    ]  # fmt: skip


def _differences(comparison: Comparison) -> list[dict[str, Any]]:
    names = ("run", "score", "baseline", "baseline_score", "paired")
    return [
        {**{name: line[name] for name in names}, "metric": metric, **line[metric]}
        for line in as_json(comparison)["differences"] for metric in METRICS
    ]  # fmt: skip
