"""``metrics.json``, ``details.json``, ``table.md`` and ``report.html``: what `evaluate` and `demo` leave behind."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader
from numpy.typing import NDArray

from steepslope.evaluation.evaluation import Evaluation, Ids, verdicts
from steepslope.evaluation.score import Predictions, Scored
from steepslope.outputs import Confidences
from steepslope.report import plots
from steepslope.report.grid import UNDEFINED, Cell, Grid, markdown
from steepslope.report.tables import detail_grids, heading, main_grid
from steepslope.utilities.files import staged_folder, write_json
from steepslope.utilities.results import MADE, Result

EXAMPLES = 10
REPORT = Result("a report", ("metrics.json", "details.json", "table.md", "report.html"), card="made.json")


def write_report(evaluation: Evaluation, out: str | Path, made: Mapping[str, Any] | None = None) -> None:
    """Write the four files together, with what ``made`` them; earlier ones stay until the new ones are complete."""
    with staged_folder(out, last=REPORT.files[-1]) as staging:
        write_json(staging / REPORT.card, {MADE: dict(made or {})})
        write_json(staging / "metrics.json", [row.as_json() for row in evaluation.rows])
        write_json(staging / "details.json", [row.details_as_json() for row in evaluation.rows])
        (staging / "table.md").write_text(text(evaluation), encoding="utf-8")
        (staging / "report.html").write_text(page(evaluation), encoding="utf-8")


def text(evaluation: Evaluation) -> str:
    """Return the report as Markdown."""
    rows = evaluation.rows
    words = "\n".join(f"- {line}" for line in verdicts(rows))
    parts = [heading(rows), markdown(main_grid(rows)), words, *map(markdown, detail_grids(rows))]
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
        grids=detail_grids(rows),
        examples=[(one.name, example_grids(one, predictions, evaluation.ids)) for one in scored],
    )


def example_grids(scored: Scored, predictions: Predictions, ids: Ids) -> list[Grid]:
    """Return the least trusted predictions, and the most trusted errors, with what each evidence added, if known."""
    order = np.argsort(scored.confidence, kind="stable")
    errors = order[::-1][~predictions.is_correct[order[::-1]]]
    chosen = {"Least trusted": order[:EXAMPLES], "Most trusted errors": errors[:EXAMPLES]}
    return [_example_grid(title, scored, predictions, rows, ids) for title, rows in chosen.items()]


def _example_grid(title: str, scored: Scored, predictions: Predictions, rows: NDArray[np.int64], ids: Ids) -> Grid:
    columns: dict[str, Iterable[Any]] = {"id": ids(rows)}
    if isinstance(predictions, Confidences):
        columns["predicted"] = [UNDEFINED.text] * len(rows)
        columns["label"] = ["right" if right else "wrong" for right in predictions.is_correct[rows]]
    else:
        by_kind = {"predicted": predictions.predictions[rows], "label": predictions.require_labels()[rows]}
        columns |= {name: _by_name(labels, predictions.classes) for name, labels in by_kind.items()}
    columns["confidence (%)"] = [f"{100 * value:.1f}" for value in scored.unit_confidence[rows]]
    note = ""
    if scored.explain is not None and len(rows):
        parts = scored.explain(rows)
        columns |= {name: [f"{value:+.1f}" for value in added] for name, added in parts.items()}
        note = "After the confidence: what each kind of evidence added to the trust logit."
    lines = [[Cell(str(value)) for value in line] for line in zip(*columns.values(), strict=True)]
    return Grid(title, list(columns), lines, note)


def _by_name(labels: NDArray[np.int64], classes: Sequence[str] | None) -> Sequence[Any]:
    """Return labels by the names of their classes; as they are where these have none."""
    return labels.tolist() if classes is None else [classes[label] for label in labels]
