"""How often the monitor raises an alarm where nothing changes: gates calibrated and monitored on rows of known risk."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kept_rows import Row, kept_rows
from benchmarks.studies.monitor_world import WORLDS, World
from steepslope.cli.main import run
from steepslope.gate import Gate
from steepslope.monitor import SIGNALS, Monitor

SIZES = (300, 1_000, 5_000)
DELTA = 0.05
BLOCK = 100  # runs
LENGTH, LONG = 20_000, 100_000  # rows of a stream; of the longer ones of one world


def block(work: Path, name: str, n: int, length: int, number: int) -> list[Row]:
    """Return what happened in a block of runs, or find it in the work folder."""
    key: Row = {"world": name, "n": n, "length": length, "block": number, "runs": BLOCK, "delta": DELTA}
    key["signals"] = list(SIGNALS)
    seeds = range(number * BLOCK, (number + 1) * BLOCK)
    folder = work / f"{name}-{n}-{length}-{number}"
    return kept_rows(folder, key, lambda: [one_run(WORLDS[name], n, length, seed) for seed in seeds])


def one_run(world: World, n: int, length: int, seed: int) -> Row:
    """Calibrate on n rows, which fix the thresholds and the map too, and monitor a stream that is drawn alike."""
    rows = world.draw(n, 2 * seed + 1)
    gate = Gate.calibrate(rows.trust_logit, rows.is_correct, world.max_risk, DELTA, of_log_odds=True, seed=seed)
    if not gate.promises[0].is_given:
        return {"seed": seed, "promised": False}
    monitor = Monitor.of(gate, DELTA, rows=rows.judged(gate), on="overconfidence")
    stream = world.draw(length, 2 * seed + 2)
    judged = stream.judged(gate)
    monitor.update(judged.p_correct, judged.accepted, stream.probability)
    monitor.label(stream.is_correct, judged.accepted)
    alarms: dict[str, Any] = {name: track.alarm is not None for name, track in monitor.tracks.items()}
    return {
        "seed": seed, "promised": True, "true_risk": world.risk(gate), "labels": monitor.labelled.alarm is not None,
        "any": bool(monitor.alarms), **alarms,
    }  # fmt: skip


def cells() -> list[tuple[str, int, int]]:
    """Return the worlds, sizes and lengths."""
    return [*((name, n, LENGTH) for name in WORLDS for n in SIZES), *(("usual", n, LONG) for n in SIZES)]


def summaries(work: Path, runs: int) -> list[Row]:
    """Return a row a world, number of calibration rows and length of stream, over all runs."""
    return [
        summary(
            name, n, length, [row for number in range(runs // BLOCK) for row in block(work, name, n, length, number)]
        )
        for name, n, length in cells()
    ]


def summary(name: str, n: int, length: int, rows: Sequence[Row]) -> Row:
    """Return how many runs of a cell had an alarm, and in how many the gate itself had broken its promise."""
    given = [row for row in rows if row["promised"]]
    broken = [row["true_risk"] > WORLDS[name].max_risk for row in given]
    counts = {
        which: sum(row[which] for row in given) for which in ("overconfidence", "risk", "coverage", "labels", "any")
    }
    kept = [row for row, is_broken in zip(given, broken, strict=True) if not is_broken]
    false = {f"false_{which}": sum(row[which] for row in kept) for which in ("labels", "any")}
    return {
        "world": name, "n": n, "length": length, "runs": len(rows), "promised": len(given), "broken": sum(broken),
        **counts, **false, "mean_risk": float(np.mean([row["true_risk"] for row in given])) if given else None,
    }  # fmt: skip


def false_alarms(work: str, runs: int = 1_000) -> None:
    """Run all simulations, and keep what happened in the work folder.

    Parameters
    ----------
    work
        Folder for what is counted.
    runs
        Runs of each world and number of rows, a multiple of 100.
    """
    for row in summaries(Path(work), runs):
        print(row, flush=True)


if __name__ == "__main__":
    sys.exit(run(false_alarms, sys.argv[1:], "python -m benchmarks.studies.monitor_false_alarms"))
