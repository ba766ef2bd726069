"""What a trusted classifier writes for people and for a monitor: a file of decisions, and a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import narwhals as nw

from steepslope.gate import Gate
from steepslope.metrics import Groups
from steepslope.numerics import Counts
from steepslope.outputs import LABEL, ClassifierOutputs
from steepslope.predict import PredictOptions, write_decisions_on_outputs
from steepslope.promise import WhenChanged
from steepslope.report import Resources, evaluate_predictions, ids_of_evaluated, write_report

_SINGLE_SCORES = ("mcp", "margin", "entropy", "max_logit")  # that a report compares with the oracle
# On a card: enough to recognize a row by.
_SHOWN_COLUMNS = 4
_LONGEST_CELL = 40


def write_decisions(
    gate: Gate, outputs: ClassifierOutputs, groups: Any, path: Path, audit: int | None, when_changed: WhenChanged
) -> str:
    """Write what a gate decides of outputs to a file; return what has changed, in a sentence, or ""."""
    options = PredictOptions(audit=audit, when_changed=when_changed)
    return write_decisions_on_outputs(gate, outputs, groups, path, options).change


def write_report_on(
    gate: Gate,
    outputs: ClassifierOutputs,
    path: str | Path,
    title: str,
    notes: Sequence[str],
    bootstrap: int,
    X: Any = None,
) -> None:
    """Write a report about labelled outputs: a gate, its source, and single scores; X has the inputs, if known."""
    evaluation = evaluate_predictions(
        outputs,
        _SINGLE_SCORES if outputs.num_classes > 2 else _SINGLE_SCORES[:1],  # of two classes, all rank alike
        Resources(gates={"trusted": gate}),
        bootstrap=bootstrap,
        groups=Groups(outputs.require_labels(), outputs.label_names, LABEL),
    )
    told = replace(evaluation, title=title, notes=notes, ids=ids_of_evaluated(outputs), described=_first_columns(X))
    write_report(told, path, {"command": "report"})


def _first_columns(X: Any) -> Callable[[Counts], list[str]] | None:
    """Return what tells the first columns of some of a frame's rows; None where X is no frame."""
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if not isinstance(frame, nw.DataFrame):
        return None
    names = frame.columns[:_SHOWN_COLUMNS]

    def told(rows: Counts) -> list[str]:
        lines = []
        for row in frame[rows.tolist(), names].iter_rows():
            lines.append(" · ".join(f"{name} {_shortened(value)}" for name, value in zip(names, row, strict=True)))
        return lines

    return told


def _shortened(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    if len(text) <= _LONGEST_CELL:
        return text
    return f"{text[:_LONGEST_CELL]}…"
