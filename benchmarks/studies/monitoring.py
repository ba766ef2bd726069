"""The monitor, measured: false alarms, delays, harmless shifts, and estimates of accuracy, on simulated and real rows.

Run ``python -m benchmarks.studies.monitoring --help``. MAPIE, which is no dependency, gets its columns
where it can be imported.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.studies.kept_rows import ROWS, TABLE, Row, kept_rows
from benchmarks.studies.monitor_delays import CANDIDATES, SEEDS, Bench, alarms, delays, mapie_alarms, truth, turning
from benchmarks.studies.monitor_false_alarms import summaries
from benchmarks.studies.monitor_tables import accuracy_figure, harm_figure, tables
from benchmarks.studies.monitored_streams import CALIBRATION, CLEAN, REPORTED, SEVERITIES, Stream, shift_names, streams
from steepslope.cli.main import run
from steepslope.files.folders import staged_folder, write_json
from steepslope.gate.calibration import CalibrationRows
from steepslope.monitor import SIGNALS
from steepslope.report.style import write_png
from steepslope.shifts.distortions import CHOSEN_ON

RISKS = (0.02, 0.05)
ORDERS = 5  # of each shift's stream, where only alarms are counted
GROUPS = ("corruptions", "other distortions", "distortions chosen on")


def monitoring(made: str, data: str, work: str, out: str, runs: int = 1_000, rows: int = 2_500) -> None:
    """Measure the monitor, and write rows.json, table.md and two figures.

    Parameters
    ----------
    made
        Folder with a classifier of Fashion-MNIST, its outputs and a fused oracle (make monitoring makes them).
    data
        Data spec of Fashion-MNIST, such as idx:DIR.
    work
        Folder for what is counted; what is there already is not made again.
    out
        Folder for the results, written when all is there.
    runs
        Simulated runs of each kind, a multiple of 100.
    rows
        Rows of each shift.
    """
    folder, names = Path(work), shift_names()
    found = streams(Path(made), data, folder / "streams", [CALIBRATION, CLEAN, *names], rows)
    measured: dict[str, Any] = {"delays": [], "shifts": [], "candidates": []}
    for risk in RISKS:
        bench = Bench.of(found[CALIBRATION], risk)
        for name in (f"corrupt:{kind}:{severity}" for kind in REPORTED for severity in SEVERITIES):
            methods = _delays(folder / f"delays-{risk}-{name}", bench, found[CLEAN], found[name], rows)
            about = {"shift": name, "max_risk": risk, **truth(bench, found[name])}
            measured["delays"].append({**about, "methods": methods})
        make, key = partial(shifts_of, bench, found), {"orders": ORDERS, "rows": rows, "signals": list(SIGNALS)}
        measured["shifts"] += kept_rows(folder / f"shifts-{risk}", key, make)
        measured["candidates"] += _candidates(bench, found, risk)
    measured["false_alarms"] = summaries(folder / "false-alarms", runs)
    _write(Path(out), measured)


def group_of(name: str) -> str:
    """Return which of the groups a shift is of."""
    method, _, rest = name.partition(":")
    return GROUPS[0] if method == "corrupt" else GROUPS[2] if rest.partition(":")[0] in CHOSEN_ON else GROUPS[1]


def _delays(folder: Path, bench: Bench, clean: Stream, shifted: Stream, rows: int) -> Row:
    """Return the delays of all methods; those of MAPIE, which is slow, are kept apart."""
    key = {"orders": SEEDS, "rows": rows}
    ours = kept_rows(folder, {**key, "signals": list(SIGNALS)}, lambda: [delays(bench, clean, shifted, alarms)])
    path = folder.with_name(f"{folder.name}-mapie")
    return {**ours[0], **kept_rows(path, key, lambda: [delays(bench, clean, shifted, mapie_alarms)])[0]}


def shifts_of(bench: Bench, found: Mapping[str, Stream]) -> list[Row]:
    """Return what is true and estimated of every shift, and in how many orders each method has an alarm."""
    rows = []
    for name, stream in found.items():
        if name == CALIBRATION:
            continue
        each = [alarms(bench, turning(found[CLEAN], stream, seed)) for seed in range(ORDERS)]
        counts = {method: sum(one[method] is not None for one in each) for method in each[0]}
        about = {"shift": name, "group": "clean" if name == CLEAN else group_of(name)}
        rows.append({**about, "max_risk": bench.gate.promises[0].max_risk, **truth(bench, stream), "alarms": counts})
    return rows


def _candidates(bench: Bench, found: Mapping[str, Stream], risk: float) -> list[Row]:
    """Return how well each candidate for harm tells, of two shifts, the one that breaks the promise."""
    rows: list[Row] = []
    for group in GROUPS:
        judged = [bench.judged(found[name]) for name in found if name in shift_names() and group_of(name) == group]
        is_harm = np.array([_wrong(one) > risk * int(one.accepted.sum()) for one in judged])
        for name, candidate in CANDIDATES.items():
            values = np.array([candidate(one) for one in judged])
            pairs = values[is_harm][:, None] - values[~is_harm]
            auc = float((pairs > 0).mean() + 0.5 * (pairs == 0).mean())
            counts = {"harmful": int(is_harm.sum()), "shifts": len(judged)}
            rows.append({"max_risk": risk, "group": group, "candidate": name, **counts, "auc": auc})
    return rows


def _wrong(rows: CalibrationRows) -> int:
    """Return how many of the accepted are wrong."""
    return int((~rows.is_correct[rows.accepted]).sum())


def _write(out: Path, measured: Mapping[str, Any]) -> None:
    figures = {
        "accuracy.png": accuracy_figure(measured["shifts"], GROUPS, RISKS[-1]),
        "harm.png": harm_figure(measured["shifts"], GROUPS, RISKS[-1]),
    }
    with staged_folder(out, last=TABLE) as staging:
        write_json(staging / ROWS, dict(measured))
        for name, figure in figures.items():
            write_png(figure, staging / name)
        (staging / TABLE).write_text(tables(measured), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(run(monitoring, sys.argv[1:], "python -m benchmarks.studies.monitoring"))
