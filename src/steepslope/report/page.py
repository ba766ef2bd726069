"""``metrics.json``, ``details.json``, ``table.md`` and ``report.html``: what `evaluate` and `demo` leave behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader
from numpy.typing import NDArray

from steepslope.evaluation.details import Details
from steepslope.evaluation.rows import Row, Scored, verdicts
from steepslope.outputs import ClassifierOutputs, Confidences
from steepslope.report import plots
from steepslope.report.detail_grids import detail_grids
from steepslope.report.grid import UNDEFINED, Cell, Grid, markdown
from steepslope.report.table import difference_grid, heading, main_grid
from steepslope.utilities.files import staged_folder, write_json

EXAMPLES = 10
Predictions = ClassifierOutputs | Confidences
Ids = Callable[[NDArray[np.int64]], list[str]]


@dataclass(frozen=True, eq=False)
class Report:
    """All that a report shows of one evaluation; ``ids`` names rows."""

    title: str
    predictions: Predictions
    ids: Ids
    scored: Sequence[Scored]
    rows: Sequence[Row]
    details: Sequence[Details]

    @property
    def grids(self) -> list[Grid]:
        """The tables below the main one."""
        return [grid for grid in (difference_grid(self.rows), *detail_grids(self.details)) if grid.rows]


def write_report(report: Report, out: Path) -> None:
    """Write the four files together; earlier ones stay until the new ones are complete."""
    with staged_folder(out, last="report.html") as staging:
        write_json(staging / "metrics.json", [row.as_json() for row in report.rows])
        write_json(staging / "details.json", [one.as_json() for one in report.details])
        (staging / "table.md").write_text(text(report), encoding="utf-8")
        (staging / "report.html").write_text(page(report), encoding="utf-8")


def text(report: Report) -> str:
    """Return the report as Markdown."""
    words = "\n".join(f"- {line}" for line in verdicts(report.rows))
    parts = [heading(report.rows), markdown(main_grid(report.rows)), words, *map(markdown, report.grids)]
    return "\n\n".join(part for part in parts if part) + "\n"


def page(report: Report) -> str:
    """Return the report as one HTML page without outside parts."""
    environment = Environment(loader=PackageLoader("steepslope.report", "."), autoescape=True)
    is_correct = report.predictions.is_correct
    return environment.get_template("page.html").render(
        title=report.title,
        heading=heading(report.rows),
        main=main_grid(report.rows),
        verdicts=verdicts(report.rows),
        histograms=plots.histograms(report.scored, is_correct),
        risk_coverage=plots.risk_coverage(report.rows),
        grids=report.grids,
        examples=[(one.name, example_grids(one, report.predictions, report.ids)) for one in report.scored],
    )


def example_grids(scored: Scored, predictions: Predictions, ids: Ids) -> list[Grid]:
    """Return the least trusted predictions, and the most trusted errors, with what each evidence added, if known."""
    order = np.argsort(scored.confidence, kind="stable")
    errors = order[::-1][~predictions.is_correct[order[::-1]]]
    chosen = {"Least trusted": order[:EXAMPLES], "Most trusted errors": errors[:EXAMPLES]}
    return [_example_grid(title, scored, predictions, rows, ids) for title, rows in chosen.items()]


def _example_grid(title: str, scored: Scored, predictions: Predictions, rows: NDArray[np.int64], ids: Ids) -> Grid:
    columns, lines, note = ["id", "predicted", "label", "confidence (%)"], _examples(scored, predictions, rows, ids), ""
    if scored.explain is not None and isinstance(predictions, ClassifierOutputs) and len(rows):
        shares = scored.explain(predictions.subset(rows))
        columns += shares
        lines = [
            [*line, *(Cell(f"{share[index]:+.1f}") for share in shares.values())] for index, line in enumerate(lines)
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
