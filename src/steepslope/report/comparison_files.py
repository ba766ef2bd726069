"""Several reports side by side, as what `compare` leaves: ``compare.json`` and ``compare.md``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steepslope.files.artifact import MADE, Artifact
from steepslope.files.folders import write_json
from steepslope.metrics.measures import METRICS, Metric
from steepslope.report.comparison import (
    AURC_COUNTS,
    HEADLINED,
    Comparison,
    Rival,
    comparison_cautions,
    comparison_headline,
    comparison_sentences,
)
from steepslope.report.evaluation import nan_to_none
from steepslope.report.grid import Cell, Grid, grid_in_markdown, plain_in_markdown
from steepslope.report.runs import Run
from steepslope.report.sentences import count_sentence
from steepslope.report.tables import DELTA, difference_table_cell, metric_table_cells, table_cell_with_p

TITLE = "Runs side by side"
HOW = (
    "In brackets the 95 % bootstrap interval, then the two-sided p of no difference. Paired: both runs on the same "
    "resamples of the same rows. Unpaired: each on resamples of its own. The best scores were chosen on these rows. "
    f"{AURC_COUNTS}"
)
COMPARISON = Artifact("a comparison", "compare.json", files=("compare.json", "compare.md"))


def write_comparison(comparison: Comparison, out: str | Path, made: Mapping[str, Any] | None = None) -> None:
    """Write both files together, with what ``made`` them; earlier ones stay until the new ones are complete."""
    with COMPARISON.staged(out) as staging:
        write_json(staging / COMPARISON.card, {**comparison_as_json(comparison), MADE: dict(made or {})})
        (staging / "compare.md").write_text(comparison_in_markdown(comparison), encoding="utf-8")


def comparison_as_json(comparison: Comparison) -> dict[str, Any]:
    """Return what ``compare.json`` holds; what is undefined is null."""
    rivals = {rival.run.name: rival for rival in comparison.rivals}
    return {
        "baseline": comparison.baseline.name,
        "runs": [_compared_run_as_json(run, rivals.get(run.name)) for run in comparison.runs],
        "rows": [
            {"run": run.name, **{name: nan_to_none(one) for name, one in score.metrics.items()}, **score.content,
             "errors": run.wrong}
            for run in comparison.runs for score in run.scores.values()
        ],
        "headline": comparison_headline(comparison),
        "cautions": comparison_cautions(comparison),
        "differences": [
            {"run": rival.run.name, "baseline": comparison.baseline.name, "paired": rival.paired, "score": one.score,
             "baseline_score": one.baseline_score, "of_best": one.of_best,
             "verdicts": {name: one.word(name) for name in HEADLINED},
             **{name: nan_to_none(difference) for name, difference in one.differences.items()}}
            for rival in comparison.rivals for one in rival.contrasts
        ],
        "sentences": comparison_sentences(comparison),
    }  # fmt: skip


def _compared_run_as_json(run: Run, rival: Rival | None) -> dict[str, Any]:
    """Return a run's facts, and of all but the baseline whether it is paired with that, and by ids."""
    accuracy = (len(run) - run.wrong) / len(run)
    facts = {"run": run.name, "n": len(run), "errors": run.wrong, "accuracy": accuracy}
    if rival is None:
        return {**facts, "best": run.best}
    by_ids = None if not rival.paired else not rival.guessed
    pairing = {"paired": rival.paired, "paired_by_ids": by_ids, "why_unpaired": rival.why_unpaired or None}
    return {**facts, "best": run.best, **pairing}


def comparison_headings(comparison: Comparison) -> list[str]:
    """Return a line on each run: what is common to all of its scores."""
    return [f"{run.name}: {count_sentence(len(run), run.wrong)}" for run in comparison.runs]


def comparison_in_markdown(comparison: Comparison) -> str:
    """Return the comparison as Markdown."""
    lists = (
        "\n".join(f"- {plain_in_markdown(line)}" for line in lines)
        for lines in (comparison_headings(comparison), comparison_sentences(comparison))
    )
    grids = grid_in_markdown(compared_runs_grid(comparison)), grid_in_markdown(comparison_difference_grid(comparison))
    return "\n\n".join([f"# {TITLE}", plain_in_markdown(comparison_headline(comparison)), *lists, *grids]) + "\n"


def compared_runs_grid(comparison: Comparison, metrics: Mapping[str, Metric] = METRICS) -> Grid:
    """Return a row for each score of each run: metrics with their intervals, and the AUC's difference to MCP's."""
    columns = ["run", "score", *(metric.heading for metric in metrics.values()), DELTA]
    rows = [
        [Cell(run.name), Cell(score.name), *metric_table_cells(score, metrics)]
        for run in comparison.runs
        for score in run.scores.values()
    ]
    note = f"In percent, with 95 % bootstrap intervals. {DELTA}: within each run, on its own rows."
    return Grid("Runs and scores", columns, rows, note)


def comparison_difference_grid(comparison: Comparison) -> Grid:
    """Return every metric's difference to the baseline, a row for each pair of scores that is compared."""
    columns = ["run", "score", "less", "how", *(metric.heading for metric in METRICS.values())]
    first = comparison.baseline
    rows = [
        [
            Cell(rival.run.name),
            Cell(one.score, "(best)" if one.of_best else ""),
            Cell(one.baseline_score),
            Cell("paired" if rival.paired else "unpaired", "(without ids)" if rival.guessed else ""),
            *(table_cell_with_p(difference_table_cell(metric, one.differences[name]), one.differences[name])
              for name, metric in METRICS.items()),
        ]
        for rival in comparison.rivals for one in rival.contrasts
    ]  # fmt: skip
    return Grid(f"Differences to {first.name}", columns, rows, HOW)
