"""Promises under another mix of classes: how often they break, and how much they accept, where the truth is known.

Run ``python -m benchmarks.results mixes --help``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.kept_rows import Row, kept_rows, write_results
from steepslope.errors import NoMixError, SteepslopeError
from steepslope.gate import Gate
from steepslope.outputs import ClassifierOutputs
from steepslope.report import Cell, Grid, grid_in_markdown
from steepslope.scores import MCP

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
DECIDED_BY = ("promise",)
DELTA = 0.1
CLASSES = 2, 10, 77
SIZES = 500, 2_000, 10_000
RISK = 0.05
EACH, STEPS = 10_000, 4_000  # rows of each class that are the population, and thresholds on it
LEAST, MOST = 2.4, 4.4  # how far logits of the true class are above the others, in their deviations
PLAIN, NAMED, ESTIMATED = "plain", "named", "estimated"
HEADINGS = [
    "classes", "mix to come", "rows", "best possible", "no mix named", "mix named", "mix estimated",
    "not made, %",
]  # fmt: skip
NOTE = (
    f"Coverage in percent under the mix to come, and in which part of draws more than {RISK:.0%} of what is accepted "
    f"is wrong, where δ = {DELTA:.0%}. MCP; each of {{draws:,}} draws has calibration rows, as many target rows "
    "without labels, and a mix of its own. *A little*: shares go up or down by up to 30 %. *One class twentyfold*: the "
    "odds of one class are 20 times as high. *Best possible*: the threshold chosen with all labels. *Not made*: an "
    "estimated mix was refused, nearly always since a class has fewer than 30 calibration rows; the column before "
    "it is of the other draws."
)


@dataclass(frozen=True)
class World:
    """Classes that come equally often, of which some are harder than others, and are taken for their neighbours."""

    classes: int

    def rows(self, labels: Counts, rng: np.random.Generator, harder: float = 0.0) -> Floats:
        """Return logits of rows of some classes, (n, K)."""
        levels = np.linspace(LEAST, MOST + np.log10(self.classes), self.classes) - harder
        logits = rng.normal(size=(len(labels), self.classes))
        rows = np.arange(len(labels))
        logits[rows, labels] += levels[labels]
        logits[rows, (labels + 1) % self.classes] += levels[labels] / 4
        return logits * 2

    @cached_property
    def population(self) -> tuple[Floats, Floats, Floats]:
        """Thresholds (t,), and which parts of each class are accepted at each, and accepted wrongly, (t, K) each."""
        rng = np.random.default_rng(77)
        parts = [self.rows(np.full(EACH, label), rng) for label in range(self.classes)]
        confidences = [MCP().confidence(ClassifierOutputs(logits)) for logits in parts]
        grid = np.quantile(np.concatenate(confidences), np.linspace(1, 0, STEPS))
        accepted, wrong = np.zeros((STEPS, self.classes)), np.zeros((STEPS, self.classes))
        for label, (confidence, logits) in enumerate(zip(confidences, parts, strict=True)):
            is_wrong = logits.argmax(axis=1) != label
            for part, some in ((accepted, confidence), (wrong, confidence[is_wrong])):
                part[:, label] = (len(some) - np.searchsorted(np.sort(some), grid)) / EACH
        return grid, accepted, wrong

    def truth(self, threshold: float, mix: Floats) -> tuple[float, float]:
        """Return the coverage and the risk of a threshold on the confidence, under a mix."""
        grid, accepted, wrong = self.population
        if threshold == np.inf:
            return 0.0, 0.0
        coverage, errors = (float(np.interp(-threshold, -grid, part @ mix)) for part in (accepted, wrong))
        return coverage, errors / coverage if coverage else 0.0

    def best(self, mix: Floats) -> float:
        """Return the largest coverage at which the risk is as promised."""
        _, accepted, wrong = self.population
        coverage = accepted @ mix
        fine = np.flatnonzero(wrong @ mix <= RISK * coverage)
        return float(coverage[fine[-1]]) if len(fine) else 0.0


def little(classes: int, rng: np.random.Generator) -> Floats:
    """Return shares that are up to 30 % off."""
    shares = rng.uniform(0.7, 1.3, classes)
    return np.asarray(shares / shares.sum())


def dirichlet(classes: int, rng: np.random.Generator, concentration: float) -> Floats:
    """Return shares of a Dirichlet distribution."""
    return np.asarray(rng.dirichlet(np.full(classes, concentration)))


def twentyfold(classes: int, rng: np.random.Generator) -> Floats:
    """Return shares of which one has odds twenty times as high; it is the hardest class, or any."""
    shares = np.ones(classes)
    shares[0 if rng.random() < 0.5 else rng.integers(classes)] = 20
    return np.asarray(shares / shares.sum())


MIXES: dict[str, Callable[[int, np.random.Generator], Floats]] = {
    "a little": little,
    "Dirichlet(.3)": partial(dirichlet, concentration=0.3),
    "one class twentyfold": twentyfold,
}


HARDER, UNKNOWN = 0.7, 0.1  # by how many deviations rows are less clear; the part of rows of none of the classes
CASES = {"mix alone": (0.0, 0.0), "rows that are harder": (HARDER, 0.0), "a tenth of no class": (0.0, UNKNOWN)}
REFUSED = (
    f"In which percent of draws `--target` finds that no mix of the classes explains the target, whose mix is of "
    f"Dirichlet(.3). *Harder*: the true class stands out by {HARDER} deviations less. *No class*: none stands out."
)


def mixes(work: str = "runs/mixes", out: str = "results/mixes", draws: int = 1_000) -> None:
    """Draw calibration rows and mixes to come, make gates, and write rows.json and table.md.

    Parameters
    ----------
    work
        Folder for what is counted, so that a killed run goes on.
    out
        Folder for the results.
    draws
        Draws for each number of classes, of rows, and kind of mix; a fifth as many where something else changes.
    """
    rows: list[Row] = []
    for classes in CLASSES:
        world = World(classes)
        for name, mix in MIXES.items():
            for n in SIZES:
                key = {"classes": classes, "mix": name, "n": n, "draws": draws}
                folder = Path(work) / f"{classes}-{list(MIXES).index(name)}-{n}"
                rows += [{**key, **one} for one in kept_rows(folder, key, partial(cell, world, mix, n, draws))]
    refused: list[Row] = []
    for classes in CLASSES[:2]:
        for n in SIZES:
            key = {"classes": classes, "n": n, "draws": draws // 5}
            make = partial(refusals, World(classes), n, draws // 5)
            refused += [{**key, **one} for one in kept_rows(Path(work) / f"refused-{classes}-{n}", key, make)]
    lines = [
        [*map(Cell, [str(row["classes"]), f"{row['n']:,}", *(f"{100 * row[name]:.1f}" for name in CASES)])]
        for row in refused
    ]
    tables = [
        Grid("Another mix of classes", HEADINGS, [*map(_line, rows)], NOTE.format(draws=draws)),
        Grid("Other changes than the mix", ["classes", "rows", *CASES], lines, REFUSED),
    ]
    write_results(out, DECIDED_BY, [*rows, *refused], "\n".join(map(grid_in_markdown, tables)))


def refusals(world: World, n: int, draws: int) -> list[Row]:
    """Return how often no mix is found to explain a target, of those draws in which that could be tested."""
    found: dict[str, list[bool]] = {name: [] for name in CASES}
    for seed in range(draws):
        for name, (harder, unknown) in CASES.items():
            rng = np.random.default_rng([seed, n, world.classes, 1])
            labels = rng.integers(world.classes, size=n)
            calibration = ClassifierOutputs(world.rows(labels, rng), labels)
            coming = world.rows(rng.choice(world.classes, n, p=rng.dirichlet(np.full(world.classes, 0.3))), rng, harder)
            coming[: int(unknown * n)] = 2 * rng.normal(size=(int(unknown * n), world.classes))
            try:
                Gate.of(MCP(), calibration, RISK, DELTA, target=ClassifierOutputs(coming))
                found[name].append(False)
            except NoMixError:
                found[name].append(True)
            except SteepslopeError:  # rows are too few to tell
                continue
    return [{name: float(np.mean(refused)) if refused else float("nan") for name, refused in found.items()}]


def cell(world: World, mix: Callable[[int, np.random.Generator], Floats], n: int, draws: int) -> list[Row]:
    """Return the row of one number of classes and of rows, and kind of mix."""
    found: dict[str, list[tuple[float, float]]] = {PLAIN: [], NAMED: [], ESTIMATED: []}
    best = []
    for seed in range(draws):
        rng = np.random.default_rng([seed, n, world.classes])
        shares = mix(world.classes, rng)
        best.append(world.best(shares))
        for name, threshold in thresholds(world, shares, n, rng).items():
            found[name].append(world.truth(threshold, shares))
    row: Row = {"best": float(np.mean(best)), "made": len(found[ESTIMATED]) / draws}
    for name, some in found.items():
        if some:
            coverage, risks = np.array(some).T
            row[name] = float(coverage.mean())
            row[f"{name}_broken"] = float((risks > RISK).mean())
    return [row]


def thresholds(world: World, shares: Floats, n: int, rng: np.random.Generator) -> dict[str, float]:
    """Return the threshold of each gate that can be made, by its name."""
    labels = np.concatenate([np.arange(world.classes), rng.integers(world.classes, size=n - world.classes)])
    calibration = ClassifierOutputs(world.rows(labels, rng), labels)
    target = ClassifierOutputs(world.rows(rng.choice(world.classes, n, p=shares), rng))
    named = {str(label): share for label, share in enumerate(shares)}
    make = partial(Gate.of, MCP(), calibration, RISK, DELTA)
    ways = {NAMED: partial(make, class_mix=named), ESTIMATED: partial(make, target=target)}
    found = {PLAIN: make().threshold}
    for name, way in ways.items():
        with suppress(SteepslopeError):  # such as of few rows of a class
            found[name] = way().threshold
    return found


def _line(row: Row) -> list[Cell]:
    def shown(name: str) -> str:
        return f"{100 * row[name]:.1f}, {100 * row[f'{name}_broken']:.1f} %" if name in row else "–"

    ways = [shown(name) for name in (PLAIN, NAMED, ESTIMATED)]
    numbers = [str(row["classes"]), row["mix"], f"{row['n']:,}", f"{100 * row['best']:.1f}"]
    return [*map(Cell, [*numbers, *ways, f"{100 * (1 - row['made']):.1f}"])]
