"""Run every benchmark, or those named, and print medians and ratios."""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from benchmarks.metrics import metrics_against_scikit_learn
from benchmarks.timing import Comparison
from steepslope.errors import unknown_name

BENCHMARKS: dict[str, Callable[[], Comparison]] = {"metrics": metrics_against_scikit_learn}


def main(names: list[str]) -> None:
    """Run the named benchmarks, all without names."""
    for name in names:
        if name not in BENCHMARKS:
            sys.exit(f"benchmarks: {unknown_name('benchmark', name, BENCHMARKS)}")
    table = Table("benchmark", "ours", "theirs", "ratio", "goal")
    for name in names or BENCHMARKS:
        result = BENCHMARKS[name]()
        table.add_row(
            result.title,
            f"{result.ours:.3g} s",
            f"{result.theirs:.3g} s",
            f"{result.ratio:.1f}",
            f"≥ {result.goal:g}",
        )
    Console(width=140).print(table)


main(sys.argv[1:])
