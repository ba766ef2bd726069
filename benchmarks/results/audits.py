"""Accepted rows that drift, of which few are labelled: how early a broken promise is certified, and how often in error.

Run ``python -m benchmarks.results audits --help``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.kept_rows import Row, write_results
from steepslope.monitor import Marked, harm_found_by_audit, risk_interval_by_audit
from steepslope.predict import audit_chances
from steepslope.report import Cell, Grid, grid_in_markdown

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
DECIDED_BY = ("monitor",)
ROWS, DAY, LABELS = 10_000, 1_000, 200
RISK, DELTA = 0.05, 0.05
CHANGE, TIMES, SPREAD = 3_000, 3.0, 0.35
HARM = DELTA / 2  # the part of delta that labels have
AUDIT, UNIFORM, MAPIE = "audit", "uniform", "uniform, MAPIE"
HEADINGS = [
    "stream", "labels", "risk, first and last day", "certified, %", "rows until", "labels until", "interval at the end",
    "interval ever misses, %",
]  # fmt: skip
NOTE = (
    f"{ROWS:,} accepted rows in ten days, of which about {LABELS} are labelled: drawn by an audit of each day, or "
    f"uniformly. {RISK:.0%} is promised. In the first three streams it is kept: at each row, P(wrong) is {RISK:.0%} at "
    f"most in the mean. In the others it breaks after {CHANGE:,} rows. *Certified*: labels call the gate harmful, "
    f"which may be so for {HARM:.1%} of the first three; *until* are medians of the streams that are certified, up to "
    f"the row whose label certifies it. The *interval* is that of the risk so far at {1 - DELTA:.0%}, which holds on "
    "all days together. MAPIE's RiskMonitoring has the same uniform labels, one-sided level and limit."
)


def usual(p_wrong: Floats) -> Floats:
    """Return P(wrong) as the gate estimates it, scaled to exactly what is promised."""
    return np.asarray(p_wrong * (RISK / p_wrong.mean()))


def misplaced(p_wrong: Floats) -> Floats:
    """Return a P(wrong) that has nothing to do with the estimate: as much as is promised in each row."""
    return np.full(ROWS, RISK)


def reversed_later(p_wrong: Floats) -> Floats:
    """Return the usual P(wrong), after the change with errors where the estimate is lowest, still as promised."""
    return np.where(late(), RISK * 2 * (p_wrong < np.median(p_wrong)), usual(p_wrong))


def all_fail(p_wrong: Floats) -> Floats:
    """Return a P(wrong) that rises by the same in each row."""
    return np.asarray(p_wrong + late() * (TIMES * RISK - p_wrong.mean()))


def doubtful_fail(p_wrong: Floats) -> Floats:
    """Return a P(wrong) that rises in proportion."""
    return p_wrong * np.where(late(), TIMES * RISK / p_wrong.mean(), 1)


def safest_fail(p_wrong: Floats) -> Floats:
    """Return a P(wrong) that rises where the estimate is lowest."""
    rise = 2 * (TIMES * RISK - p_wrong.mean())
    return np.asarray(p_wrong + late() * rise * (p_wrong < np.median(p_wrong)))


def slow(p_wrong: Floats) -> Floats:
    """Return a P(wrong) that rises slowly, in proportion, from the usual to five times the promise."""
    last = 5 * RISK / p_wrong.mean()
    return np.asarray(p_wrong * np.interp(np.arange(ROWS), [CHANGE, ROWS], [1, last]))


KEPT: dict[str, Callable[[Floats], Floats]] = {
    "at the promise": usual,
    "P(correct) knows nothing": misplaced,
    "errors move to the safest": reversed_later,
}
BROKEN: dict[str, Callable[[Floats], Floats]] = {
    "three times the promise, everywhere": all_fail,
    "three times, the doubtful fail": doubtful_fail,
    "three times, the safest fail": safest_fail,
    "slowly to five times": slow,
}


def audits(out: str = "results/audits", runs: int = 1_000) -> None:
    """Draw streams, label some of their rows, and write rows.json and table.md.

    Parameters
    ----------
    out
        Folder for the results.
    runs
        Streams of each kind.
    """
    ways = [AUDIT, UNIFORM, *([MAPIE] if find_spec("mapie") else [])]
    rows: list[Row] = []
    for title, drift in {**KEPT, **BROKEN}.items():
        found = [one_run(drift, seed, ways) for seed in range(runs)]
        rows += [{"stream": title, "labels": way, "runs": runs, **summary([one[way] for one in found])} for way in ways]
        write_results(out, DECIDED_BY, rows, grid_in_markdown(Grid("Audits", HEADINGS, [*map(_line, rows)], NOTE)))


def late() -> Bools:
    """Return which rows come after the change, (n,)."""
    return np.arange(ROWS) >= CHANGE


def one_run(drift: Callable[[Floats], Floats], seed: int, ways: list[str]) -> dict[str, Row]:
    """Return, for each way to label a stream and judge it, what was found."""
    rng = np.random.default_rng([seed, 4])
    p_wrong = np.minimum(SPREAD, rng.beta(0.35, 0.35 / (0.75 * RISK) - 0.35, ROWS))
    truth = np.clip(drift(p_wrong), 0, 1)
    is_wrong, coins = rng.random(ROWS) < truth, rng.random(ROWS)
    days = np.array_split(np.arange(ROWS), ROWS // DAY)
    chance = np.concatenate([audit_chances(1 - p_wrong[day], RISK, LABELS * DAY // ROWS) for day in days])
    even = np.full(ROWS, LABELS / ROWS)
    found = {}
    for way in ways:
        drawn_with = chance if way == AUDIT else even
        labelled = np.flatnonzero(coins < drawn_with)
        known = marked(p_wrong, is_wrong, labelled, drawn_with)
        alarm = by_mapie(is_wrong[labelled]) if way == MAPIE else harm_found_by_audit(known, RISK, HARM)
        row: Row = {"way": way, "first": truth[:DAY].mean(), "last": truth[-DAY:].mean(), "labels": alarm}
        row["row"] = None if alarm is None else int(labelled[alarm - 1]) + 1
        if way != MAPIE:
            row |= intervals(is_wrong, labelled, known, drawn_with)
        found[way] = row
    return found


def marked(p_wrong: Floats, is_wrong: Bools, labelled: NDArray[np.int64], chance: Floats) -> list[Marked]:
    """Return the rows with a label; a day is a file, whose least probability makes the weights."""
    least = np.repeat(chance.reshape(-1, DAY).min(axis=1), DAY)
    return [
        Marked(float(1 - p_wrong[row]), float(chance[row]), float(least[row] / chance[row]), not is_wrong[row])
        for row in labelled
    ]


def by_mapie(is_wrong: Bools) -> int | None:
    """Return after how many labels MAPIE finds a harmful shift, at the same level; None if it does not.

    It leaves one half of its test level to reference data, of which there are none here, and one half of the rest to
    the other side of its bound.
    """
    package = importlib.import_module("mapie.exchangeability_testing")
    watch = package.RiskMonitoring("accuracy", test_level=4 * HARM, threshold=RISK, warn=False)
    watch.update(np.zeros(len(is_wrong), np.int64), is_wrong.astype(np.int64))
    enough = np.flatnonzero(watch.online_risk_lower_bound_sequence_history > RISK)
    return int(enough[0]) + 1 if len(enough) else None


def intervals(is_wrong: Bools, labelled: NDArray[np.int64], known: list[Marked], chance: Floats) -> Row:
    """Return the interval of the risk at the end, and whether that of any day misses."""
    found: list[tuple[float, float]] = []
    missed = False
    for end in range(DAY, ROWS + 1, DAY):
        least = (float(chance[:DAY].min()), float(chance[:end].min()))
        found.append(risk_interval_by_audit(known[: np.searchsorted(labelled, end)], end, least, DELTA))
        missed |= not found[-1][0] <= is_wrong[:end].mean() <= found[-1][1]
    return {"low": found[-1][0], "high": found[-1][1], "missed": missed}


def summary(found: list[Row]) -> Row:
    """Return the means and medians of all streams of a kind."""
    certified = [one for one in found if one["row"] is not None]

    def mean(name: str) -> float | None:
        return float(np.mean([one[name] for one in found])) if name in found[0] else None

    def median(name: str) -> float | None:
        return float(np.median([one[name] for one in certified])) if certified else None

    return {
        "first": mean("first"), "last": mean("last"), "certified": len(certified) / len(found),
        "rows_until": median("row"), "labels_until": median("labels"), "low": mean("low"),
        "high": mean("high"), "missed": mean("missed"),
    }  # fmt: skip


def _line(row: Row) -> list[Cell]:
    def percent(name: str) -> str:
        return _shown(row[name], lambda value: f"{100 * value:.1f}")

    between = _shown(row["low"], lambda _: f"{percent('low')} to {percent('high')}")
    until = [_shown(row[name], "{:,.0f}".format) for name in ("rows_until", "labels_until")]
    risks = f"{percent('first')}, {percent('last')}"
    cells = [row["stream"], row["labels"], risks, percent("certified"), *until, between, percent("missed")]
    return [*map(Cell, cells)]


def _shown(value: Any, show: Callable[[Any], str]) -> str:
    return "–" if value is None else show(value)
