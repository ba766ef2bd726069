"""`steepslope evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from steepslope.outputs import ClassifierOutputs


def evaluate(outputs: str, out: str, scores: str = "mcp", bootstrap: int = 1000, seed: int = 0) -> None:
    """Evaluate scores and oracles on outputs: metrics.json, table.md and report.html.

    Parameters
    ----------
    outputs
        Folder or file of outputs (.npz, .csv, .parquet), of rows that nothing was fitted to.
    out
        Folder for the results.
    scores
        Names of scores and folders of oracles, separated by commas; mcp is always among them.
    bootstrap
        Resamples for the intervals; 0 leaves them out.
    seed
        Fixes the resamples.
    """
    names = [name.strip() for name in scores.split(",") if name.strip()]
    evaluate_outputs(
        ClassifierOutputs.load(outputs), names, Path(out), f"Trust in {outputs}", bootstrap, seed
    )


def evaluate_outputs(
    outputs: ClassifierOutputs, names: Sequence[str], out: Path, title: str, bootstrap: int, seed: int
) -> None:
    """Score, evaluate, write the report, and print the table with what it says in words."""
    from steepslope.evaluation import score_outputs, table_rows, verdict
    from steepslope.report.page import write_report
    from steepslope.report.table import terminal

    scored = score_outputs(names, outputs)
    rows = table_rows(scored, outputs.is_correct, bootstrap, seed)
    write_report(out, title, outputs, scored, rows)
    screen = Console(highlight=False)
    screen.print(terminal(rows))
    for row in rows[1:]:
        screen.print(verdict(row), soft_wrap=True)
    screen.print(f"report: {out / 'report.html'}", soft_wrap=True)
