"""Make one of the committed results again: ``python -m benchmarks.results NAME [options]``; ``NAME --help`` tells more.

A table goes on where it was killed. ``results/README.md`` has what is in each folder, and how long it takes.
"""

from __future__ import annotations

import sys

from steepslope.cli import run_command
from steepslope.errors import unknown_name
from steepslope.files import imported_by_name

RESULTS = {
    "answers": "answers:answers",
    "audits": "audits:audits",
    "copies": "copies:copies",
    "coverage": "coverage:coverage",
    "false-alarms": "health_false_alarms:false_alarms",
    "following": "following:following",
    "guarantees": "guarantees:guarantees",
    "health": "health:health",
    "load": "load:load",
    "mixes": "mixes:mixes",
    "pictures": "pictures:pictures",
    "reliability": "reliability:reliability",
    "screenshots": "screenshots:screenshots",
    "sequences": "sequences:sequences",
    "standings": "standings:standings",
    "without-labels": "without_labels:without_labels",
}


def main(words: list[str]) -> int:
    """Run the function that the first word names with the options in the others, and return the exit code."""
    name = words[0] if words else ""
    if name not in RESULTS:
        print(f"benchmarks.results: {unknown_name('result', name, RESULTS)}", file=sys.stderr)
        return 2
    function = imported_by_name(f"benchmarks.results.{RESULTS[name]}")
    return run_command(function, words[1:], f"python -m benchmarks.results {name}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
