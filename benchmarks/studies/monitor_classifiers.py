"""The monitor's alarms for several classifiers of the same images, each with an oracle and a gate of its own.

Run ``python -m benchmarks.studies.monitor_classifiers --help``.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from benchmarks.studies.kept_rows import Row, kept_rows
from benchmarks.studies.monitor_delays import Bench
from benchmarks.studies.monitor_tables import ALL_SHIFTS, ERROR, METHODS, Rows, caught_by, error_of, kinds_of
from benchmarks.studies.monitored_streams import CALIBRATION, CLEAN, REPORTED, SEVERITIES, streams
from benchmarks.studies.monitoring import ORDERS, RISKS, shifts_of
from steepslope.cli.main import run
from steepslope.files.folders import staged_folder, write_json
from steepslope.monitor import ESTIMATORS
from steepslope.paper.tables import grouped
from steepslope.report.grid import Cell, Grid, markdown

ROWS, TABLE = "classifiers.json", "classifiers.md"
ABOUT = (
    "The five corruptions of the delays at severities 1, 3 and 5, for classifiers of Fashion-MNIST that were trained, "
    "and whose oracles were fitted, from several seeds. Nothing was chosen on them. Of the shifts that break the "
    "promise (*harmful*: the true risk of the accepted is above it, *clearly* where its lower 95 % bound is), and of "
    f"the others, those with an alarm in most of {ORDERS} orders of the stream; *clean* is a stream without a shift."
)


def monitor_classifiers(made: tuple[str, ...], data: str, work: str, out: str, rows: int = 2_500) -> None:
    """Count the monitor's alarms for several classifiers, and write classifiers.json and classifiers.md.

    Parameters
    ----------
    made
        Folders with a classifier each, its outputs and a fused oracle, as make monitoring makes them.
    data
        Data spec of Fashion-MNIST, such as idx:DIR.
    work
        Folder for what is counted; what is there already is not made again.
    out
        Folder for the results.
    rows
        Rows of each shift.
    """
    found = [row for folder in made for row in _rows_of(Path(folder), data, Path(work), rows)]
    with staged_folder(Path(out), last=TABLE) as staging:
        write_json(staging / ROWS, found)
        (staging / TABLE).write_text(_tables(found), encoding="utf-8")


def _rows_of(made: Path, data: str, work: Path, rows: int) -> list[Row]:
    shifts = [f"corrupt:{kind}:{severity}" for kind in REPORTED for severity in SEVERITIES]
    found = streams(made, data, work / made.name / "streams", [CALIBRATION, CLEAN, *shifts], rows)
    counted: list[Row] = []
    for risk in RISKS:
        bench = Bench.of(found[CALIBRATION], risk)
        key = {"orders": ORDERS, "rows": rows, "shifts": shifts}
        counted += kept_rows(work / made.name / f"shifts-{risk}", key, partial(shifts_of, bench, found))
    return [{"classifier": made.name, **row} for row in counted]


def _tables(rows: Rows) -> str:
    counts = [
        [Cell(name), Cell(f"{100 * risk:g} %"), Cell(kind), Cell(str(len(chosen)))]
        + [Cell(str(caught_by(chosen, method))) for method in ALL_SHIFTS]
        for (name, risk), some in grouped(rows, "classifier", "max_risk").items()
        for kind, chosen in kinds_of(some, risk).items()
    ]
    titles = ["classifier", "promised", "", "number", *(METHODS[name] for name in ALL_SHIFTS)]
    errors = [
        [Cell(name), Cell(f"{100 * next(row['accuracy'] for row in some if row['shift'] == CLEAN):.1f}")]
        + [error_of([row for row in some if row["shift"] != CLEAN], estimator) for estimator in ESTIMATORS]
        for name, some in grouped([row for row in rows if row["max_risk"] == RISKS[0]], "classifier").items()
    ]
    of_accuracy = Grid("Estimated accuracy", ["classifier", "accuracy, clean", *ESTIMATORS], errors)
    return "\n\n".join([ABOUT, markdown(Grid("Alarms", titles, counts)), ERROR, markdown(of_accuracy)]) + "\n"


if __name__ == "__main__":
    sys.exit(run(monitor_classifiers, sys.argv[1:], "python -m benchmarks.studies.monitor_classifiers"))
