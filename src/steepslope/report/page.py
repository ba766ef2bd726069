"""``metrics.json``, ``details.json``, ``table.md`` and ``report.html``: what `evaluate` and `demo` leave behind."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader
from numpy.typing import NDArray

from steepslope.evaluation.evaluation import Evaluation, Ids
from steepslope.evaluation.rows import Row
from steepslope.evaluation.score import Predictions, Scored
from steepslope.evaluation.verdicts import verdicts
from steepslope.outputs import ClassifierOutputs, Confidences
from steepslope.report import plots
from steepslope.report.detail_grids import detail_grids
from steepslope.report.grid import UNDEFINED, Cell, Grid, markdown
from steepslope.report.table import difference_grid, heading, main_grid
from steepslope.utilities.files import staged_folder, write_json

EXAMPLES = 10


def write_report(evaluation: Evaluation, out: Path) -> None:
    """Write the four files together; earlier ones stay until the new ones are complete."""
    with staged_folder(out, last="report.html") as staging:
        write_json(staging / "metrics.json", [row.as_json() for row in evaluation.rows])
        write_json(staging / "details.json", [row.details_as_json() for row in evaluation.rows])
        (staging / "table.md").write_text(text(evaluation), encoding="utf-8")
        (staging / "report.html").write_text(page(evaluation), encoding="utf-8")


def text(evaluation: Evaluation) -> str:
    """Return the report as Markdown."""
    rows = evaluation.rows
    words = "\n".join(f"- {line}" for line in verdicts(rows))
    parts = [heading(rows), markdown(main_grid(rows)), words, *map(markdown, lower_grids(rows))]
    return "\n\n".join(part for part in parts if part) + "\n"


def page(evaluation: Evaluation) -> str:
    """Return the report as one HTML page without outside parts."""
    environment = Environment(loader=PackageLoader("steepslope.report", "."), autoescape=True)
    rows, scored, predictions = evaluation.rows, evaluation.scored, evaluation.predictions
    return environment.get_template("page.html").render(
        title=evaluation.title,
        heading=heading(rows),
        main=main_grid(rows),
        verdicts=verdicts(rows),
        histograms=plots.histograms(scored, predictions.is_correct),
        risk_coverage=plots.risk_coverage(rows),
        grids=lower_grids(rows),
        examples=[(one.name, example_grids(one, predictions, evaluation.ids)) for one in scored],
    )


def lower_grids(rows: Sequence[Row]) -> list[Grid]:
    """Return the tables below the main one that have rows."""
    return [grid for grid in (difference_grid(rows), *detail_grids(rows)) if grid.rows]


def example_grids(scored: Scored, predictions: Predictions, ids: Ids) -> list[Grid]:
    """Return the least trusted predictions, and the most trusted errors, with what each evidence added, if known."""
    order = np.argsort(scored.confidence, kind="stable")
    errors = order[::-1][~predictions.is_correct[order[::-1]]]
    chosen = {"Least trusted": order[:EXAMPLES], "Most trusted errors": errors[:EXAMPLES]}
    return [_example_grid(title, scored, predictions, rows, ids) for title, rows in chosen.items()]


def _example_grid(title: str, scored: Scored, predictions: Predictions, rows: NDArray[np.int64], ids: Ids) -> Grid:
    columns, lines, note = ["id", "predicted", "label", "confidence (%)"], _examples(scored, predictions, rows, ids), ""
    if scored.explain is not None and isinstance(predictions, ClassifierOutputs) and len(rows):
        parts = scored.explain(predictions.subset(rows))
        columns += parts
        lines = [
            [*line, *(Cell(f"{added[index]:+.1f}") for added in parts.values())] for index, line in enumerate(lines)
        ]
        note = "After the confidence: what each kind of evidence added to the trust logit."
    return Grid(title, columns, lines, note)


def _examples(scored: Scored, predictions: Predictions, rows: NDArray[np.int64], ids: Ids) -> list[list[Cell]]:
    if isinstance(predictions, Confidences):
        predicted = [UNDEFINED] * len(rows)
        labels = [Cell("right" if right else "wrong") for right in predictions.is_correct[rows]]
    else:
        predicted = [Cell(str(value)) for value in predictions.predictions[rows]]
        labels = [Cell(str(value)) for value in predictions.labels[rows]]
    confidence = [Cell(f"{100 * value:.1f}") for value in scored.unit_confidence[rows]]
    return [list(line) for line in zip(map(Cell, ids(rows)), predicted, labels, confidence, strict=True)]
