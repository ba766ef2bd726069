"""A report, as `evaluate` leaves it: metrics.json, details.json, table.md, rows.npz and report.html."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steepslope.files import MADE, Artifact, write_json
from steepslope.report import _sentences as sentences
from steepslope.report._evaluation import Evaluation
from steepslope.report._grid import Grid, grid_in_markdown, list_in_markdown, plain_in_markdown
from steepslope.report._runs import ROWS, write_run_rows
from steepslope.report._sentences import Remark
from steepslope.report._tables import class_tables, detail_tables, main_table, summary_table, table_definitions
from steepslope.report.web import (
    NO_SOURCES,
    Sources,
    chart_looks,
    estimate_looks,
    fill_page_shell,
    gallery,
    page_charts,
    page_promises,
    page_scores,
)

REPORT = Artifact("a report", "made.json", files=("metrics.json", "details.json", "table.md", ROWS, "report.html"))
_SHOWN_GROUPS = 30  # in Markdown


def write_report(
    evaluation: Evaluation, out: str | Path, made: Mapping[str, Any] | None = None, sources: Sources = NO_SOURCES
) -> None:
    """Write the files together, with what ``made`` them; earlier ones stay until the new ones are complete."""
    with REPORT.staged(out) as staging:
        write_json(staging / REPORT.card, {MADE: dict(made or {})})
        write_json(staging / "metrics.json", [row.as_json() for row in evaluation.rows])
        write_json(staging / "details.json", [row.details_as_json() for row in evaluation.rows])
        write_run_rows(evaluation, staging / ROWS)
        groups = class_tables(evaluation, sentences.headline_row(evaluation.rows))
        (staging / "table.md").write_text(_markdown_page(evaluation, groups), encoding="utf-8")
        (staging / "report.html").write_text(_html_page(evaluation, sources, groups), encoding="utf-8")


def _markdown_page(evaluation: Evaluation, groups: Sequence[Grid]) -> str:
    """Return the report as Markdown; ``groups`` are its tables of classes and groups."""
    rows = evaluation.rows
    lines = [*sentences.evaluation_sentences(rows), *evaluation.notes, *evaluation.cautions]
    sections = [
        plain_in_markdown(sentences.headline_sentence(rows)),
        sentences.heading_sentence(rows),
        grid_in_markdown(main_table(rows)),
        list_in_markdown(lines),
        *map(grid_in_markdown, detail_tables(rows)),
        *map(_groups_in_markdown, groups),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _groups_in_markdown(grid: Grid) -> str:
    note = grid.note
    more = len(grid.rows) - _SHOWN_GROUPS
    if more > 0:
        note += f" {more:,} more rows are in report.html."
    return grid_in_markdown(grid._replace(rows=grid.rows[:_SHOWN_GROUPS], note=note))


def _html_page(evaluation: Evaluation, sources: Sources = NO_SOURCES, groups: Sequence[Grid] = ()) -> str:
    """Return the report as one HTML page without outside parts; ``groups`` are as :func:`_markdown_page` takes them."""
    rows = evaluation.rows
    names = [row.name for row in rows]
    leader = names.index(sentences.headline_row(rows).name)
    looks = chart_looks(names)
    specs = page_charts(evaluation)
    scores = page_scores(evaluation)
    cards = gallery(evaluation, leader, sources)
    summary = summary_table(rows)
    grids = detail_tables(rows)
    return fill_page_shell(
        data={
            **scores,
            **cards.data,
            "leader": leader,
            "charts": specs,
            "looks": {**looks, **estimate_looks()},
            "classes": [*evaluation.predictions.class_names],
        },
        definitions=table_definitions([summary, *groups, *grids]),
        title=evaluation.title or "Which predictions to trust",
        headline=sentences.headline_sentence(rows),
        meanings=sentences.names_sentence(rows),
        remarks=[
            *sentences.remark_sentences(rows),
            *map(Remark, evaluation.notes),
            *(Remark(caution, warns=True) for caution in evaluation.cautions),
        ],
        sentences=sentences.evaluation_sentences(rows),
        summary=summary,
        groups=groups,
        grids=grids,
        names=names,
        looks=looks,
        charts=specs,
        estimates=estimate_looks(),
        gallery=cards,
        promises=page_promises(evaluation),
        certified=any(score["certified"] for score in scores["scores"]),
        independent=rows[0].resampled.clusters is None,
    )
