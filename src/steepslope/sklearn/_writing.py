"""What a trusted classifier writes for people and for a monitor: a file of decisions, and a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from steepslope.gate import Gate
from steepslope.metrics import Groups
from steepslope.outputs import LABEL, ClassifierOutputs
from steepslope.predict import PredictOptions, write_decisions_on_outputs
from steepslope.promise import WhenChanged
from steepslope.report import Resources, evaluate_predictions, write_report

_SINGLE_SCORES = ("mcp", "margin", "entropy", "max_logit")  # that a report compares with the oracle


def write_decisions(
    gate: Gate, outputs: ClassifierOutputs, groups: Any, path: Path, audit: int | None, when_changed: WhenChanged
) -> str:
    """Write what a gate decides of outputs to a file; return what has changed, in a sentence, or ""."""
    options = PredictOptions(audit=audit, when_changed=when_changed)
    return write_decisions_on_outputs(gate, outputs, groups, path, options).change


def write_report_on(
    gate: Gate, outputs: ClassifierOutputs, path: str | Path, title: str, notes: Sequence[str], bootstrap: int
) -> None:
    """Write a report about labelled outputs: a gate, its source, and single scores."""
    evaluation = evaluate_predictions(
        outputs,
        _SINGLE_SCORES,
        Resources(gates={"trusted": gate}),
        bootstrap=bootstrap,
        groups=Groups(outputs.require_labels(), outputs.label_names, LABEL),
    )
    write_report(replace(evaluation, title=title, notes=notes), path, {"command": "report"})
