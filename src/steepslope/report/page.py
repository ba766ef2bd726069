"""``metrics.json``, ``table.md`` and ``report.html``: what `evaluate` and `demo` leave behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader

from steepslope.evaluation import Row, Scored, verdict
from steepslope.files import staged_folder, write_json
from steepslope.outputs import ClassifierOutputs
from steepslope.report import plots, table

EXAMPLES = 10


@dataclass(frozen=True)
class Example:
    """One prediction, for the page: its id, what was predicted and true, and its confidence in percent."""

    id: str
    predicted: int
    label: int
    confidence: str


def write_report(
    out: Path, title: str, outputs: ClassifierOutputs, scored: Sequence[Scored], rows: Sequence[Row]
) -> None:
    """Write the three files together; earlier ones stay until the new ones are complete."""
    with staged_folder(out, last="report.html") as staging:
        write_json(staging / "metrics.json", [row.as_json() for row in rows])
        (staging / "table.md").write_text(table.markdown(rows), encoding="utf-8")
        (staging / "report.html").write_text(page(title, outputs, scored, rows), encoding="utf-8")


def page(title: str, outputs: ClassifierOutputs, scored: Sequence[Scored], rows: Sequence[Row]) -> str:
    """Return the report as one HTML page without outside parts."""
    template = Environment(loader=PackageLoader("steepslope.report", "."), autoescape=True).get_template(
        "page.html"
    )
    return template.render(
        title=title,
        heading=table.heading(rows),
        titles=table.titles(),
        cells=[table.cells(row) for row in rows],
        verdicts=[verdict(row) for row in rows[1:]],
        histograms=plots.histograms(scored, outputs.is_correct),
        risk_coverage=plots.risk_coverage(scored, outputs.is_correct),
        examples=[(one.name, *examples(one, outputs)) for one in scored],
    )


def examples(scored: Scored, outputs: ClassifierOutputs) -> tuple[list[Example], list[Example]]:
    """Return the least trusted predictions, and the most trusted errors."""
    order = np.argsort(scored.confidence, kind="stable")
    least = order[:EXAMPLES]
    errors = order[::-1][~outputs.is_correct[order[::-1]]][:EXAMPLES]
    return [_example(scored, outputs, row) for row in least], [
        _example(scored, outputs, row) for row in errors
    ]


def _example(scored: Scored, outputs: ClassifierOutputs, row: int) -> Example:
    name = str(row) if outputs.ids is None else str(outputs.ids[row])
    confidence = 100 / (1 + np.exp(-np.clip(scored.confidence[row], -700, 700)))
    return Example(name, int(outputs.predictions[row]), int(outputs.labels[row]), f"{confidence:.1f}")
