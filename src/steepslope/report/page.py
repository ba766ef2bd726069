"""A report, as `evaluate` leaves it: metrics.json, details.json, table.md, rows.parquet and report.html."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steepslope.files.artifact import MADE, Artifact
from steepslope.files.folders import write_json
from steepslope.outputs import ClassifierOutputs
from steepslope.report.evaluation import Evaluation
from steepslope.report.grid import Grid, markdown, plain
from steepslope.report.row_table import ROWS, write_report_rows
from steepslope.report.sentences import Remark, heading, headline, leader, remarks, sentences
from steepslope.report.sources import NO_SOURCES, Sources
from steepslope.report.tables import class_grids, definitions, detail_grids, main_grid, summary_grid
from steepslope.report.web import charts
from steepslope.report.web.gallery import gallery
from steepslope.report.web.page_scores import page_scores, promises
from steepslope.report.web.shell import web_page

REPORT = Artifact("a report", "made.json", files=("metrics.json", "details.json", "table.md", ROWS, "report.html"))
SCRIPTS = ("tables.js", "charts.js", "point.js", "gallery.js", "page.js")
SHOWN_GROUPS = 30  # in Markdown


def write_report(
    evaluation: Evaluation, out: str | Path, made: Mapping[str, Any] | None = None, sources: Sources = NO_SOURCES
) -> None:
    """Write the files together, with what ``made`` them; earlier ones stay until the new ones are complete."""
    with REPORT.staged(out) as staging:
        write_json(staging / REPORT.card, {MADE: dict(made or {})})
        write_json(staging / "metrics.json", [row.as_json() for row in evaluation.rows])
        write_json(staging / "details.json", [row.details_as_json() for row in evaluation.rows])
        write_report_rows(evaluation, staging / ROWS)
        groups = class_grids(evaluation, leader(evaluation.rows))
        (staging / "table.md").write_text(text(evaluation, groups), encoding="utf-8")
        (staging / "report.html").write_text(page(evaluation, sources, groups), encoding="utf-8")


def text(evaluation: Evaluation, groups: Sequence[Grid] = ()) -> str:
    """Return the report as Markdown; ``groups`` are its tables of classes and groups."""
    rows = evaluation.rows
    lines = "\n".join(f"- {plain(line)}" for line in (*sentences(rows), *evaluation.notes, *evaluation.cautions))
    grids = [*detail_grids(rows), *map(_shortened, groups)]
    parts = [plain(headline(rows)), heading(rows), markdown(main_grid(rows)), lines, *map(markdown, grids)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _shortened(grid: Grid) -> Grid:
    more = len(grid.rows) - SHOWN_GROUPS
    note = f"{grid.note} {more:,} more rows are in report.html." if more > 0 else grid.note
    return grid._replace(rows=grid.rows[:SHOWN_GROUPS], note=note)


def page(evaluation: Evaluation, sources: Sources = NO_SOURCES, groups: Sequence[Grid] = ()) -> str:
    """Return the report as one HTML page without outside parts; ``groups`` are as :func:`text` takes them."""
    rows, names, predictions = evaluation.rows, [one.name for one in evaluation.rows], evaluation.predictions
    best = names.index(leader(rows).name)
    shown, scores = charts.page_charts(evaluation), page_scores(evaluation)
    cards, summary, grids = gallery(evaluation, best, sources), summary_grid(rows), detail_grids(rows)
    data = {
        **scores,
        "leader": best,
        "charts": shown.specs,
        **cards.data,
        "classes": [*predictions.class_names] if isinstance(predictions, ClassifierOutputs) else [],
    }
    contents = {
        "scores": "Scores", "point": "Operating point", "confidences": "Confidences",
        **({"probability": "P(correct)"} if shown.reliabilities else {}),
        "gallery": "Gallery",
        **({"groups": "Classes and groups"} if groups else {}), "further": "Further tables",
        "definitions": "Definitions",
    }  # fmt: skip
    return web_page(
        title=evaluation.title or "Which predictions to trust", headline=headline(rows), data=data,
        remarks=[*remarks(rows), *map(Remark, evaluation.notes), *(Remark(one, True) for one in evaluation.cautions)],
        scripts=SCRIPTS,
        contents=contents, definitions=definitions([summary, *groups, *grids]), summary=summary, names=names,
        lines=charts.looks(names), sentences=sentences(rows), groups=groups, grids=grids, gallery=cards, shown=shown,
        promises=promises(evaluation), certified=any(one["certified"] for one in scores["scores"]),
        independent=rows[0].resampled.clusters is None,
    )  # fmt: skip
