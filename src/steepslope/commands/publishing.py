"""What `evaluate` and `demo` do with an evaluation: write the report, and print the table and what it means."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from steepslope.evaluation.evaluation import Evaluation
from steepslope.evaluation.verdicts import verdicts
from steepslope.report.grid import terminal
from steepslope.report.page import write_report
from steepslope.report.table import heading, main_grid, terminal_titles


def publish(evaluation: Evaluation, out: Path) -> None:
    """Write the report, and print the table with what it means in words."""
    write_report(evaluation, out)
    screen = Console(highlight=False, markup=False)
    screen.print(heading(evaluation.rows))
    screen.print(terminal(main_grid(evaluation.rows), terminal_titles()))
    for line in verdicts(evaluation.rows):
        screen.print(line, soft_wrap=True)
    screen.print(f"report: {out / 'report.html'}", soft_wrap=True)
