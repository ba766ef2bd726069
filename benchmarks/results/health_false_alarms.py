"""Gates at work whose true risk is known and where nothing changes: how often they are called anything but healthy.

Run ``python -m benchmarks.results false-alarms --help``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from benchmarks.results.kept_rows import Row, kept_rows, write_results
from steepslope.gate import Gate
from steepslope.monitor import LABELS, Monitor
from steepslope.promise import CalibrationRows
from steepslope.report import Cell, Grid, grid_in_markdown

DECIDED_BY = ("promise", "monitor")
POPULATION = 1_000_000
SIZES, DELTA = (300, 5_000), 0.05
HEADINGS = ["world", "calibration rows", "streams", "promised", "broken", "changed", "harmful", "harmful, promise kept"]
NOTE = (
    "Each run draws calibration rows, calibrates a gate on them, from which its thresholds and P(correct) come too, "
    "and watches a stream of the same world, 100,000 rows unless said otherwise, all of whose accepted rows are "
    "labelled at once. *Promised* are the runs whose gate promises anything, *broken* those of them whose true risk is "
    "above the promise. With delta 5 %, *changed* may come in at most 2.5 % of the promised, and *harmful* in at most "
    "2.5 % of those that keep the promise."
)


@dataclass(frozen=True)
class World:
    """Log-odds of being correct are normal; the trust logit knows them but for noise, and so does the classifier.

    ``mean`` and ``deviation`` are those of the log-odds; the classifier's probability is at least 1/``classes``; all
    log-odds are rounded to multiples of ``steps``, if that is not 0.
    """

    title: str
    max_risk: float
    mean: float
    deviation: float
    classes: int = 10
    steps: float = 0.0

    def draw(self, n: int, seed: int) -> tuple[NDArray[np.float64], CalibrationRows]:
        """Return trust logits of n independent predictions, and the rest of what is known of them."""
        rng = np.random.default_rng([seed, n])
        log_odds = self._rounded(rng.normal(self.mean, self.deviation, n))
        trust = self._rounded(log_odds + rng.normal(0, 1, n))
        own = self._rounded(1.4 * log_odds + rng.normal(0, 1, n))  # more sure than it is right
        least, right = 1 / self.classes, rng.random(n) < expit(log_odds)
        probability, predicted = least + (1 - least) * expit(own), rng.integers(self.classes, size=n)
        return trust, CalibrationRows(np.zeros(n), np.zeros(n, np.bool_), probability, predicted, is_correct=right)

    def _rounded(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.round(values / self.steps) * self.steps if self.steps else values

    @cached_property
    def population(self) -> tuple[NDArray[np.float64], CalibrationRows]:
        """So many rows that their risks are those of the world."""
        return self.draw(POPULATION, 0)


WORLDS = (
    World("10 classes, 5 % promised", 0.05, 3.5, 2.0),
    World("ties: log-odds in whole numbers", 0.05, 3.5, 2.0, steps=1.0),
    World("tiny risks, 1 % promised", 0.01, 5.5, 2.0),
    World("2 classes, 10 % promised", 0.1, 2.0, 1.5, classes=2),
    World("1,000 classes, 10 % promised", 0.1, 1.5, 2.5, classes=1_000),
)


def false_alarms(
    work: str = "runs/false-alarms", out: str = "results/false-alarms", runs: int = 100, length: int = 100_000
) -> None:
    """Watch gates where nothing changes, and write rows.json and table.md.

    Parameters
    ----------
    work
        Folder for what is counted; what is there already is not made again.
    out
        Folder for the results.
    runs
        Runs of each world and number of calibration rows.
    length
        Rows of each stream.
    """
    rows: list[Row] = []
    for world in WORLDS:
        for n in SIZES:
            key = {"world": world.title, "n": n, "runs": runs, "length": length}
            make = partial(cell, world, n, runs, length)
            rows += [
                {**key, **row} for row in kept_rows(Path(work) / f"{world.title}-{n}".replace(" ", "-"), key, make)
            ]
            write_results(
                out, DECIDED_BY, rows, grid_in_markdown(Grid("False alarms", HEADINGS, [*map(_line, rows)], NOTE))
            )


def cell(world: World, n: int, runs: int, length: int) -> list[Row]:
    """Return one row: what happened in all runs of a world and number of calibration rows."""
    found = [one for seed in range(runs) if (one := one_run(world, n, length, seed)) is not None]
    kept = [one for one in found if one["true_risk"] <= world.max_risk]
    return [
        {
            "promised": len(found), "broken": len(found) - len(kept), "changed": _count(found, "changed"),
            "harmful": _count(found, "harmful"), "false_harmful": _count(kept, "harmful"),
        }
    ]  # fmt: skip


def one_run(world: World, n: int, length: int, seed: int) -> Row | None:
    """Calibrate on n rows, and watch a stream that is drawn alike; None where nothing can be promised."""
    trust, rows = world.draw(n, 2 * seed + 1)
    gate = Gate.calibrate(trust, rows.is_correct, world.max_risk, DELTA, of_log_odds=True, seed=seed)
    if not gate.promises[0].is_given:
        return None
    population, truth = world.population
    monitor = Monitor.of(gate, DELTA, rows=judged(gate, trust, rows))
    stream = judged(gate, *world.draw(length, 2 * seed + 2))
    monitor.update(stream.p_correct, stream.accepted, stream.probability, stream.predicted)
    monitor.label(stream.is_correct, stream.accepted)
    changed = any(name != LABELS for name in monitor.alarms)
    risk = float((~truth.is_correct[gate.accepts(population)]).mean())
    return {"true_risk": risk, "changed": changed, "harmful": LABELS in monitor.alarms}


def judged(gate: Gate, trust: NDArray[np.float64], rows: CalibrationRows) -> CalibrationRows:
    """Return what a gate makes of rows."""
    return CalibrationRows(
        gate.p_correct(trust), gate.accepts(trust), rows.probability, rows.predicted, is_correct=rows.is_correct
    )


def _count(rows: Sequence[Row], name: str) -> int:
    return sum(bool(row[name]) for row in rows)


def _line(row: Row) -> list[Cell]:
    names = ("n", "runs", "promised", "broken", "changed", "harmful", "false_harmful")
    return [Cell(row["world"]), *(Cell(f"{row[name]:,}") for name in names)]
