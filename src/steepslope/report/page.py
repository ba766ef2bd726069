"""Reading again what a report's folder holds: ``metrics.json`` and ``rows.parquet``.

``metrics.json``, ``details.json``, ``table.md``, ``rows.parquet`` and ``report.html``: what `evaluate` leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steepslope.files.artifact import MADE, Artifact
from steepslope.files.folders import write_json
from steepslope.outputs import ClassifierOutputs
from steepslope.report.evaluation import Evaluation
from steepslope.report.grid import Grid, markdown
from steepslope.report.row_table import ROWS, metrics_csv, packed_rows, write_report_rows
from steepslope.report.sentences import Remark, heading, headline, leader, remarks, verdicts
from steepslope.report.tables import class_grids, definitions, detail_grids, main_grid, summary_grid
from steepslope.report.web import charts
from steepslope.report.web.charts import page_charts
from steepslope.report.web.gallery import NO_SOURCES, Sources, gallery
from steepslope.report.web.page_scores import page_scores, promises
from steepslope.report.web.shell import web_page

REPORT = Artifact("a report", "made.json", files=("metrics.json", "details.json", "table.md", ROWS, "report.html"))
SCRIPTS = ("tables.js", "charts.js", "point.js", "gallery.js", "downloads.js", "page.js")
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
        groups = _class_grids(evaluation)
        (staging / "table.md").write_text(text(evaluation, groups), encoding="utf-8")
        (staging / "report.html").write_text(page(evaluation, sources, groups), encoding="utf-8")


def text(evaluation: Evaluation, groups: Sequence[Grid] | None = None) -> str:
    """Return the report as Markdown; ``groups`` are its tables of classes and groups, if they are made already."""
    rows = evaluation.rows
    words = "\n".join(f"- {line}" for line in verdicts(rows))
    grids = [*detail_grids(rows), *map(_shortened, _class_grids(evaluation) if groups is None else groups)]
    parts = [headline(rows), heading(rows), markdown(main_grid(rows)), words, *map(markdown, grids)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _shortened(grid: Grid) -> Grid:
    more = len(grid.rows) - SHOWN_GROUPS
    note = f"{grid.note} {more:,} more rows are in report.html." if more > 0 else grid.note
    return grid._replace(rows=grid.rows[:SHOWN_GROUPS], note=note)


def page(evaluation: Evaluation, sources: Sources = NO_SOURCES, groups: Sequence[Grid] | None = None) -> str:
    """Return the report as one HTML page without outside parts; ``groups`` are as :func:`text` takes them."""
    rows, names = evaluation.rows, [one.name for one in evaluation.scored]
    best = names.index(leader(rows).name)
    chosen = page_charts(evaluation, sources.sweeps)
    packed, scores = packed_rows(evaluation), page_scores(evaluation)
    found = gallery(evaluation, best, sources)
    data = {
        **scores,
        "leader": best,
        "charts": chosen.specs,
        **found.data,
        "classes": _classes(evaluation),
        "files": {"metrics": metrics_csv(rows), "rows": packed},
    }
    summary, grids = summary_grid(rows), detail_grids(rows)
    groups = _class_grids(evaluation) if groups is None else groups
    return web_page(
        "page.html",
        title=evaluation.title or "Which predictions to trust",
        headline=headline(rows),
        remarks=[*remarks(rows), *(Remark(one, warns=True) for one in evaluation.cautions)],
        data=data,
        scripts=SCRIPTS,
        contents=_contents(chosen, bool(groups)),
        definitions=definitions([summary, *groups, *grids]),
        summary=summary,
        names=names,
        lines=charts.looks(names),
        verdicts=verdicts(rows),
        groups=groups,
        grids=grids,
        promises=promises(evaluation),
        certified=any(one["certified"] for one in scores["scores"]),
        independent=rows[0].clusters is None,
        gallery=found,
        has_rows=packed is not None,
        shown=chosen,
    )


def _classes(evaluation: Evaluation) -> list[str]:
    predictions = evaluation.predictions
    return [*predictions.class_names] if isinstance(predictions, ClassifierOutputs) else []


def _contents(shown: Any, has_groups: bool) -> dict[str, str]:
    return {
        "scores": "Scores",
        "point": "Operating point",
        "confidences": "Confidences",
        **({"probability": "P(correct)"} if shown.reliabilities else {}),
        **({"slopes": "Slopes"} if shown.sweeps else {}),
        "gallery": "Gallery",
        **({"groups": "Classes and groups"} if has_groups else {}),
        "further": "Further tables",
        "definitions": "Definitions",
    }


def _class_grids(evaluation: Evaluation) -> list[Grid]:
    names = [one.name for one in evaluation.scored]
    return class_grids(evaluation, evaluation.scored[names.index(leader(evaluation.rows).name)])
