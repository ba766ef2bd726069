"""How much can be promised, and how often a promise breaks: our gate beside others, where the truth is known.

Run ``python -m benchmarks.results guarantees --help``. MAPIE, which is no dependency, gets its columns
where it can be imported.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results.guarantee_rivals import MAPIE, RIVALS, Draw, Rival
from benchmarks.results.guarantee_world import OTHERS, WORLDS, World, true_risk
from benchmarks.results.kept_rows import Row, kept_rows, write_results
from steepslope.errors import require, whole
from steepslope.report import Cell, Grid, grid_in_markdown
from steepslope_lab.paper.tables import grouped_rows

DECIDED_BY = ("promise",)
SIZES, RISKS, DELTAS = (200, 1_000, 10_000), (0.01, 0.02, 0.05, 0.1), (0.05, 0.1)
BLOCK = 200  # draws; those of the first block are MAPIE's too, which is slow
ROUNDING = 1e-9
NOTE = (
    "Mean coverage in the population, over draws of n calibration rows; in brackets the fraction of draws in which the "
    "true risk of what is accepted is above the promised one. *Hindsight* is the largest coverage of that risk, for "
    "those who know it. No promise that holds wherever the risk rises with coverage has a mean coverage above the "
    "*ceiling*."
)
REMEDY = (
    ", without those of its own thresholds that accept nothing: their p-values are NaN, and nothing would be promised"
)
Block = tuple[str, int, int, bool]  # world, n, number of the block, whether MAPIE is there


def guarantees(
    work: str = "runs/guarantees", out: str = "results/guarantees", draws: int = 2_000, processes: int = 2
) -> None:
    """Draw calibration rows of a known risk, promise by every method, and write rows.json and table.md.

    Parameters
    ----------
    work
        Folder for what is counted, a file for every 200 draws; those that are there already are not made again.
    out
        Folder for the results, written when all is there.
    draws
        Draws of each world and number of rows; a multiple of 200.
    processes
        Processes, a core each.
    """
    count = require("draws", draws, whole(BLOCK)) // BLOCK
    has_mapie = importlib.util.find_spec("mapie") is not None
    blocks = [(world, n, block, has_mapie) for world in WORLDS for n in SIZES for block in range(count)]
    with ProcessPoolExecutor(processes) as pool:
        counted = [row for rows in pool.map(partial(block_rows, Path(work)), blocks) for row in rows]
    rows = summaries(counted)
    write_results(out, DECIDED_BY, rows, tables(rows))


def block_rows(work: Path, block: Block) -> list[Row]:
    """Return the counts of a block of draws, or find them in the work folder."""
    world, n, number, has_mapie = block
    rivals = {**RIVALS, **(MAPIE if has_mapie and number == 0 else {})}
    key = {"world": world, "n": n, "block": number, "draws": BLOCK, "rivals": list(rivals)}
    return kept_rows(work / f"{world}-{n}-{number}", key, lambda: _counted(world, n, number, rivals))


def _counted(name: str, n: int, number: int, rivals: Mapping[str, Rival]) -> list[Row]:
    world = WORLDS[name]
    settings = list(product(rivals, RISKS, DELTAS))
    found: dict[tuple[str, float, float], list[float]] = {one: [] for one in settings}
    for seed in range(number * BLOCK, (number + 1) * BLOCK):
        draw = world.draw(n, seed)
        for one, coverage in _coverages(world, draw, rivals, settings):
            found[one].append(coverage)
    about = {"world": name, "n": n}
    return [
        {**about, "max_risk": risk, "delta": delta, "method": method, "coverages": np.round(found[one], 6).tolist()}
        for one in settings
        for method, risk, delta in [one]
    ]


def _coverages(
    world: World, draw: Draw, rivals: Mapping[str, Rival], settings: Sequence[tuple[str, float, float]]
) -> Iterator[tuple[tuple[str, float, float], float]]:
    for method, risk, delta in settings:
        yield (method, risk, delta), world.coverage(rivals[method](draw, risk, delta))


def summaries(counted: Sequence[Row]) -> list[Row]:
    """Return a row a world, n, risk, delta and method, over all draws."""
    columns = ("world", "n", "max_risk", "delta", "method")
    rows = []
    for values, same in grouped_rows(counted, *columns).items():
        about = dict(zip(columns, values, strict=True))
        world, n, risk, delta = (about[name] for name in columns[:-1])
        coverages = np.concatenate([one["coverages"] for one in same])
        rows.append({**about, **_summary(coverages, risk), **_at_best(world, n, risk, delta)})
    return rows


def _summary(coverages: np.ndarray[Any, np.dtype[np.float64]], risk: float) -> Row:
    broken = true_risk(coverages) > risk + ROUNDING
    error = float(coverages.std(ddof=1)) / math.sqrt(len(coverages))
    return {
        "draws": len(coverages), "coverage": float(coverages.mean()), "standard_error": error,
        "violations": float(broken.mean()), "nothing": float((coverages == 0).mean()),
    }  # fmt: skip


def _at_best(world: str, n: int, risk: float, delta: float) -> Row:
    return {"hindsight": WORLDS[world].hindsight(risk), "ceiling": round(WORLDS[world].ceiling(n, risk, delta), 6)}


def tables(rows: Sequence[Row]) -> str:
    """Return a table a world and delta: a line each n and risk, a column each method."""
    parts = [
        grid_in_markdown(_grid(world, delta, same))
        for (world, delta), same in grouped_rows(rows, "world", "delta").items()
    ]
    draws = sorted({f"{row['draws']:,} ({row['method']})" for row in rows if row["method"] in MAPIE})
    most = max(row["draws"] for row in rows)
    others = f"Our sequence of thresholds comes from the confidences of {OTHERS:,} other rows."
    counts = f"{most:,} draws" + (f"; {', '.join(draws)}{REMEDY}" if draws else "") + f". {others}"
    return "\n\n".join([NOTE, counts, *parts]) + "\n"


def _grid(world: str, delta: float, rows: Sequence[Mapping[str, Any]]) -> Grid:
    methods = list(dict.fromkeys(row["method"] for row in rows))
    lines = [
        [Cell(f"{n:,}, {100 * risk:g} %"), _number(same[0]["hindsight"]), _number(same[0]["ceiling"])]
        + [_number(row["coverage"], f"({row['violations']:.3f})") for row in same]
        for (n, risk), same in grouped_rows(rows, "n", "max_risk").items()
    ]
    return Grid(f"{WORLDS[world].title}, delta {delta:g}", ["n, risk", "hindsight", "ceiling", *methods], lines)


def _number(value: float, aside: str = "") -> Cell:
    return Cell(f"{value:.2f}", aside)
