"""Predictions whose true risk is known, for the false alarms of the monitor: ties, tiny risks, 2 to 1,000 classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from benchmarks.studies.kept_rows import Row, kept_rows
from benchmarks.studies.monitored_streams import Stream
from steepslope.gate import Gate
from steepslope.monitor import SIGNALS, Monitor

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
POPULATION = 1_000_000


@dataclass(frozen=True)
class World:
    """Log-odds of being correct are normal; the trust logit knows them but for noise, and so does the classifier.

    ``mean`` and ``deviation`` are those of the log-odds; ``classes`` bound the probability from below; ``steps`` are
    those that all numbers are rounded to, 0 for none.
    """

    title: str
    max_risk: float
    mean: float
    deviation: float
    classes: int = 10
    steps: float = 0.0

    def draw(self, n: int, seed: int) -> Stream:
        """Return n independent predictions."""
        rng = np.random.default_rng([seed, n])
        log_odds = self._rounded(rng.normal(self.mean, self.deviation, n))
        trust = self._rounded(log_odds + rng.normal(0, 1, n))
        own = self._rounded(1.4 * log_odds + rng.normal(0, 1, n))  # more sure than it is right
        least = 1 / self.classes
        return Stream(trust, least + (1 - least) * expit(own), rng.random(n) < expit(log_odds))

    def _rounded(self, values: Floats) -> Floats:
        return np.round(values / self.steps) * self.steps if self.steps else values

    @cached_property
    def population(self) -> Stream:
        """So many rows that their risks are those of the world."""
        return self.draw(POPULATION, 0)

    def risk(self, gate: Gate) -> float:
        """Return the true risk of what a gate accepts; 0 of nothing."""
        accepted = gate.accepts(self.population.trust_logit)
        return float((~self.population.is_correct[accepted]).mean()) if accepted.any() else 0.0


WORLDS = {
    "usual": World("10 classes, 5 % promised", 0.05, 3.5, 2.0),
    "ties": World("ties: log-odds in whole numbers", 0.05, 3.5, 2.0, steps=1.0),
    "tiny": World("tiny risks, 1 % promised", 0.01, 5.5, 2.0),
    "two": World("2 classes, 10 % promised", 0.1, 2.0, 1.5, classes=2),
    "thousand": World("1,000 classes, 10 % promised", 0.1, 1.5, 2.5, classes=1_000),
}


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
    alarms: dict[str, Any] = {name: mean.alarm is not None for name, mean in monitor.means.items()}
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
