"""Where to start a sequence of thresholds: how much each way to test accepts, and how often its promise breaks.

Run ``python -m benchmarks.results sequences --help``. MAPIE is no dependency; its columns are there if it can be
imported.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaln

from benchmarks.results.guarantee_rivals import first_rows
from benchmarks.results.kept_rows import Row, kept_rows, write_results
from benchmarks.results.sequence_worlds import CHOSEN_ON, LAST_LOOK, REAL, ROUNDING, Counts, Draws, World
from steepslope.errors import require, whole
from steepslope.numerics import binomial_tail
from steepslope.promise import (
    Above,
    StartThreshold,
    find_start_thresholds,
    find_start_thresholds_at,
    rows_needed,
    rows_of_start_thresholds,
)
from steepslope.report import Cell, Grid, grid_in_markdown
from steepslope_lab.paper.tables import grouped_rows

DECIDED_BY = ("promise",)
SIZES, DELTA = (100, 300, 1_000, 5_000), 0.05
COARSE = 20  # thresholds of Bonferroni and Holm
STARTS, MAPIE_DRAWS = 5, 200
SPLIT, SEVERAL = "split_fixed_sequence", "several starts"
NONE = -1
Way = Callable[[Draws, float, float, int], Counts]  # of draws, a risk, delta and a seed: the last that passes, (d,)
NOTE = (
    "Mean coverage in the population, in percent, over draws of n calibration rows. In brackets: the percentage of "
    "draws in which the true risk of what is accepted is above the promised one. Delta is 5 %. *Hindsight* is the "
    "largest coverage of that risk, for those who know it. *MAPIE's best* is the one of its ways that accepts most "
    "in that line: Holm, a fixed sequence, one with five starts, a split one."
)


def sequences(work: str = "runs/sequences", out: str = "results/sequences", draws: int = 1_000) -> None:
    """Draw calibration rows of known risk, test a sequence in every way, and write rows.json and table.md.

    Parameters
    ----------
    work
        Folder for counts; those that are there already are not made again.
    out
        Folder for the results.
    draws
        Draws of each world and number of rows; MAPIE, which is slow, gets the first 200.
    """
    require("draws", draws, whole(1))
    ways = WAYS | (MAPIE if find_spec("mapie") else {})
    sets = {"Chosen on": CHOSEN_ON, "Last look": LAST_LOOK, "Last look, real rows": [make() for make in REAL]}
    rows: list[Row] = []
    for title, worlds in sets.items():
        for world in worlds:
            for n in SIZES:
                about = {"set": title, "world": world.title, "max_risk": world.max_risk, "n": n, "draws": draws}
                key = {**about, "ways": list(ways)}
                folder = Path(work) / f"{title}-{world.title}-{world.max_risk}-{n}".replace(" ", "-")
                rows += [{**about, **row} for row in kept_rows(folder, key, partial(cell, world, n, draws, ways))]
    write_results(out, DECIDED_BY, rows, table(rows))


def cell(world: World, n: int, draws: int, ways: Mapping[str, Way]) -> list[Row]:
    """Return a row for each way: its mean coverage, and how often it breaks its promise or makes none."""
    seed = n + sum(world.title.encode())
    drawn = world.draw(n, draws, seed)
    rows = []
    for name, way in ways.items():
        last = way(drawn, world.max_risk, DELTA, seed)
        passes = last > NONE
        coverage = np.where(passes, world.coverages[last], 0)
        broken = passes & (world.risks[last] > world.max_risk + ROUNDING)
        numbers = {"coverage": coverage, "broken": broken, "nothing": ~passes}
        means = {key: round(float(values.mean()), 6) for key, values in numbers.items()}
        rows.append({"way": name, "hindsight": round(world.hindsight, 6), **means})
    return rows


def by_starts(found: Sequence[StartThreshold], draws: Draws, risk: float) -> Counts:
    """Return the last threshold that passes in each draw, as :meth:`Above.last_passing` does for one."""
    last, goes_on = np.full(len(draws.errors), NONE), np.zeros(len(draws.errors), np.bool_)
    p_values = binomial_tail(draws.errors, draws.accepted, risk)
    ends = [*(start.place for start in found), len(draws.accepted)][1:]
    for start, end in zip(found, ends, strict=True):
        begins = goes_on | (p_values[:, start.place] <= start.after_failure)
        passes = np.pad(p_values[:, start.place : end] <= start.level, ((0, 0), (0, 1)))
        run = np.argmin(passes, axis=1) * begins
        last = np.where(run > 0, start.place + run - 1, last)
        goes_on = run == end - start.place
    return last


def ours(draws: Draws, risk: float, delta: float, seed: int) -> Counts:
    """Test from our start thresholds."""
    last = by_starts(find_start_thresholds(draws.accepted, draws.n, risk, delta), draws, risk)
    alone = Above(draws.n, draws.accepted, draws.errors[0]).tests(risk, delta).last_passing()
    assert last[0] == (NONE if alone is None else alone)
    return last


def before(draws: Draws, risk: float, delta: float, seed: int) -> Counts:
    """Test from start thresholds of 1.5 times the rows each, the first of which bears three errors."""
    early = rows_needed(risk, delta / 2, 3)
    rows = [early]
    while rows[-1] * 1.5 <= draws.n:
        rows.append(math.ceil(rows[-1] * 1.5))
    if early > 3 / 8 * draws.n:
        rows = [first_rows(draws.n, risk, delta)]
    return by_starts(
        find_start_thresholds_at(np.array(rows), np.full(len(rows), 0.4), draws.accepted, risk, delta), draws, risk
    )


def fallback(draws: Draws, risk: float, delta: float, seed: int) -> Counts:
    """Share delta evenly among our start thresholds; an unbroken run hands its share on (Wiens, 2003)."""
    rows = np.array(rows_of_start_thresholds(draws.n, risk, delta))
    places = np.unique(np.searchsorted(draws.accepted, rows))
    places = places[places < len(draws.accepted)]
    last, level = np.full(len(draws.errors), NONE), np.zeros(len(draws.errors))
    p_values = binomial_tail(draws.errors, draws.accepted, risk)
    for place, end in zip(places, [*places, len(draws.accepted)][1:], strict=True):
        level = level + delta / len(places)
        run = np.argmin(np.pad(p_values[:, place:end] <= level[:, None], ((0, 0), (0, 1))), axis=1)
        last = np.where(run > 0, place + run - 1, last)
        level = np.where(run == end - place, level, 0)
    return last


def from_places(draws: Draws, places: Counts, risk: float, delta: float) -> Counts:
    """Test a fixed sequence that starts at another place in each draw, (d,)."""
    passes = binomial_tail(draws.errors, draws.accepted, risk) <= delta
    is_before = np.arange(len(draws.accepted)) < places[:, None]
    run = np.argmin(np.pad(passes | is_before, ((0, 0), (0, 1))), axis=1)
    return np.where(run > places, run - 1, NONE)


def one_start(draws: Draws, risk: float, delta: float, seed: int) -> Counts:
    """Test from the first threshold that accepts enough rows to bear three errors."""
    place = int(np.searchsorted(draws.accepted, first_rows(draws.n, risk, delta)))
    return from_places(draws, np.full(len(draws.errors), place), risk, delta)


def split(draws: Draws, risk: float, delta: float, seed: int) -> Counts:
    """Choose the start by the labels of half of the rows, as the least p-value, and test on the other half."""
    first, second = draws.part(0.5, seed)
    return from_places(second, np.argmin(binomial_tail(first.errors, first.accepted, risk), axis=1), risk, delta)


def confidence_sequence(draws: Draws, risk: float, delta: float, seed: int) -> Counts:
    """Bet against the risk with a uniform mixture of lower ones, at every threshold at once (Robbins, 1970)."""
    wrong, right = draws.errors, draws.accepted - draws.errors
    with np.errstate(divide="ignore"):  # where hardly any lower risk is likely
        mixture = betaln(wrong + 1, right + 1) + np.log(betainc(wrong + 1, right + 1, risk) / risk)
    return last_of(mixture - wrong * math.log(risk) - right * math.log1p(-risk) >= -math.log(delta))


def bonferroni(draws: Draws, risk: float, delta: float, seed: int) -> Counts:
    """Test each of twenty thresholds at a twentieth of delta."""
    return last_of(coarse_p_values(draws, risk) <= delta / COARSE)


def holm(draws: Draws, risk: float, delta: float, seed: int) -> Counts:
    """Test twenty thresholds by Holm's rule, from the smallest p-value on."""
    p_values = coarse_p_values(draws, risk)
    ordered = np.pad(np.sort(p_values, axis=1)[:, :COARSE], ((0, 0), (1, 0)), constant_values=NONE)
    fails = np.pad(ordered > delta / (COARSE + 1 - np.arange(ordered.shape[1])), ((0, 0), (0, 1)), constant_values=True)
    largest = np.take_along_axis(ordered, np.argmax(fails, axis=1)[:, None] - 1, axis=1)
    return last_of(p_values <= largest)


def coarse_p_values(draws: Draws, risk: float) -> NDArray[np.float64]:
    """Return exact p-values of twenty thresholds, and 1 for the others."""
    places = np.unique(np.linspace(0, len(draws.accepted) - 1, COARSE + 1).astype(np.int64)[1:])
    p_values = np.ones(draws.errors.shape)
    p_values[:, places] = binomial_tail(draws.errors[:, places], draws.accepted[places], risk)
    return p_values


def last_of(passes: NDArray[np.bool_]) -> Counts:
    """Return the place of the last that passes in each draw, (d,)."""
    place = passes.shape[1] - 1 - np.argmax(passes[:, ::-1], axis=1)
    return np.where(passes.any(axis=1), place, NONE)


def mapie(draws: Draws, risk: float, delta: float, seed: int, way: str = "bonferroni_holm") -> Counts:
    """Test with MAPIE's p-values and procedures at those of 100 even thresholds that accept a tenth or more."""
    draws = Draws(draws.n, draws.accepted, draws.errors[:MAPIE_DRAWS])
    places = np.unique(np.linspace(0, len(draws.accepted), 101).astype(np.int64)[10:] - 1)
    places = places[draws.accepted[np.maximum(places, 0)] * (places >= 0) > 1]
    learnt, tested = draws.part(0.5, seed) if way == SPLIT else (draws, draws)
    counted, orders = _mapie_p_values(tested, places, risk), _mapie_orders(learnt, places, risk, way)
    procedure = importlib.import_module("mapie.risk_control.fwer_control")
    found = np.full(len(counted), NONE)
    for draw, (p_values, order) in enumerate(zip(counted, orders, strict=True)):
        method = procedure.FWERFixedSequenceTesting(STARTS) if way == SEVERAL else way
        valid = procedure.control_fwer(p_values[order], delta, method)
        found[draw] = places[order[valid]].max(initial=NONE)
    return found


def _mapie_p_values(draws: Draws, places: Counts, risk: float) -> NDArray[np.float64]:
    p_value = importlib.import_module("mapie.risk_control.methods").compute_hoeffding_bentkus_p_value
    rows = draws.accepted[places]
    return np.array([p_value(wrong / rows, rows, risk, binary=True)[:, 0] for wrong in draws.errors[:, places]])


def _mapie_orders(draws: Draws, places: Counts, risk: float, way: str) -> list[Counts]:
    """Return the order of tests in each draw: from the highest down, or as ``learn_fixed_sequence_order`` learns it."""
    if way != SPLIT:
        return [np.arange(len(places))] * len(draws.errors)
    orders = []
    for values in _mapie_p_values(draws, places, risk):
        nearest = np.abs(values - np.logspace(-25, 0, 1_000)[:, None]).argmin(axis=1)
        _, first = np.unique(nearest, return_index=True)
        orders.append(nearest[np.sort(first)])
    return orders


WAYS: dict[str, Way] = {
    "ours": ours,
    "before": before,
    "one start": one_start,
    "fallback": fallback,
    "split": split,
    "confidence sequence": confidence_sequence,
    "Holm": holm,
    "Bonferroni": bonferroni,
}
MAPIE: dict[str, Way] = {
    "MAPIE, Holm": mapie,
    "MAPIE, fixed sequence": partial(mapie, way="fixed_sequence"),
    "MAPIE, five starts": partial(mapie, way=SEVERAL),
    "MAPIE, split": partial(mapie, way=SPLIT),
}


def table(rows: Sequence[Row]) -> str:
    """Return the means over the worlds of each set, and a table for each set, with a line for each world and n."""
    grids = [_means(rows), *(_grid(title, same) for title, same in grouped_rows(rows, "set").items())]
    return (
        "\n\n".join([NOTE, f"{rows[0]['draws']:,} draws, {MAPIE_DRAWS} for MAPIE.", *map(grid_in_markdown, grids)])
        + "\n"
    )


def _means(rows: Sequence[Row]) -> Grid:
    ways = list(dict.fromkeys(row["way"] for row in rows))
    lines = []
    for (title, n), same in grouped_rows(rows, "set", "n").items():
        of_way = {way: [row for row in same if row["way"] == way] for way in ways}
        means = {way: np.mean([row["coverage"] for row in one]) for way, one in of_way.items()}
        most = {way: max(row["broken"] for row in one) for way, one in of_way.items()}
        hindsight = np.mean([row["hindsight"] for row in of_way[ways[0]]])
        cells = [_number(float(means[way]), most[way]) for way in ways]
        lines.append([Cell(f"{title}, {n:,}"), Cell(f"{100 * hindsight:.1f}"), *cells])
    return Grid("Means over worlds, in brackets the most broken of any", ["set, n", "hindsight", *ways], lines)


def _grid(title: str, rows: Sequence[Mapping[str, Any]]) -> Grid:
    ways = [way for way in dict.fromkeys(row["way"] for row in rows) if way not in MAPIE]
    best = ["MAPIE's best"] if any(row["way"] in MAPIE for row in rows) else []
    lines = []
    for (world, risk, n), same in grouped_rows(rows, "world", "max_risk", "n").items():
        of_way = {row["way"]: row for row in same}
        shown = [of_way[way] for way in ways]
        if best:
            shown.append(max((row for row in same if row["way"] in MAPIE), key=lambda row: row["coverage"]))
        cells = [_number(row["coverage"], row["broken"]) for row in shown]
        lines.append([Cell(f"{world}: {100 * risk:g} %, {n:,}"), Cell(f"{100 * same[0]['hindsight']:.0f}"), *cells])
    return Grid(title, ["world: risk, n", "hindsight", *ways, *best], lines)


def _number(coverage: float, broken: float) -> Cell:
    return Cell(f"{100 * coverage:.1f}", f"({100 * broken:.1f})")
