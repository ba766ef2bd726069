"""Run every benchmark, or those named: each line is printed, and added to a file, as soon as it is measured.

``python -m benchmarks [names] [--out FILE]``. A benchmark that fails prints its error, and the others go on; the exit
code is then 1. The file is Markdown, runs/bench.md by default.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path

from benchmarks.registry import BENCHMARKS
from benchmarks.timing import Comparison
from steepslope.errors import unknown_name


def main(names: list[str], out: Path) -> int:
    """Run the named benchmarks, all without names, and return the exit code."""
    for name in names:
        if name not in BENCHMARKS:
            sys.exit(f"benchmarks: {unknown_name('benchmark', name, BENCHMARKS)}")
    out.parent.mkdir(parents=True, exist_ok=True)
    failed = False
    with out.open("a", encoding="utf-8") as file:
        for line in ("| benchmark | ours | theirs | ratio | goal |", "|---|---:|---:|---:|---:|"):
            print(line, flush=True)
            print(line, file=file, flush=True)
        for name in names or BENCHMARKS:
            try:
                line = shown(name, BENCHMARKS[name].run())
            except Exception as error:  # whatever it is, the others are still measured
                traceback.print_exc()
                line, failed = (
                    f"| {name}: failed, {type(error).__name__}: {' '.join(str(error).split())} | | | | |",
                    True,
                )
            print(line, flush=True)
            print(line, file=file, flush=True)
    return int(failed)


def shown(name: str, result: Comparison) -> str:
    """Return the line of one benchmark."""
    times = f"{result.ours:.3g} s | {result.theirs:.3g} s | {result.ratio:.3g} | ≥ {result.goal:.3g}"
    return f"| {name}: {result.title} | {times} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(BENCHMARKS))
    parser.add_argument("--out", type=Path, default=Path("runs/bench.md"))
    options = parser.parse_args()
    sys.exit(main(options.names, options.out))
