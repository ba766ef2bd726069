"""A gate that follows its audit, day by day: how much of what it accepts is wrong, and how much it accepts.

Run ``python -m benchmarks.results following --help``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.kept_rows import Row, write_results
from steepslope.gate import ACCEPT_NOTHING
from steepslope.monitor import (
    Marked,
    follow_audit,
    harm_found_by_audit,
    latest_audited_labels,
    limit_by_audit,
    risk_interval_by_audit,
)
from steepslope.predict import audit_chances
from steepslope.report import Cell, Grid, grid_in_markdown

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rule = Callable[[list[Marked]], float]
DECIDED_BY = ("monitor",)
DAYS, LABELS = 40, 25
SIZES = np.where(np.arange(DAYS) % 7 < 5, 600, 250)  # rows a day; there are fewer at weekends
DAY_OF = np.repeat(np.arange(DAYS), SIZES)
RISK, DELTA = 0.05, 0.05
USUAL, WORSE, SPREAD = 0.8, 3.0, 0.35  # times the promised risk; the largest P(wrong) that a gate accepts
BREAKS, MENDED = 10, 20  # days
HEADINGS = [
    "stream", "the gate", "risk of all accepted, %", "19 of 20 are below", "accepted, %", "until day 10", "to day 20",
    "from then on", "best possible", "largest excess", "interval ever misses, %",
]  # fmt: skip
NOTE = (
    f"{DAYS} days of {SIZES.max()} predictions, at weekends {SIZES.min()}, that a gate accepts by itself at a promise "
    f"of {RISK:.0%}; about {LABELS} a day are labelled, before the next. Usually {USUAL * RISK:.0%} are wrong; in most "
    f"streams something happens on day {BREAKS}. *Follows*: its limit on P(correct) is that of `monitor --follow`. "
    f"*Latest labels*: the lowest limit at which the latest {latest_audited_labels(RISK)} labels have the promised "
    "risk. *Stops*: accepts nothing once labels call it harmful. *Best possible*: the limits that accept most, chosen "
    "with each day's true risk, such that this is at most as promised. The *excess* is that of errors over the "
    f"promise, over the worst stretch of days. The *interval* is that of the risk so far, at {1 - DELTA:.0%}."
)


def between(first: int, last: int = DAYS) -> Bools:
    """Return which rows are of some days, (n,)."""
    return (first <= DAY_OF) & (last > DAY_OF)


def times(p_wrong: Floats, factor: float | Floats) -> Floats:
    """Return P(wrong) in proportion to the estimate, as many times what is promised in the mean."""
    return np.asarray(p_wrong * factor * RISK / p_wrong.mean())


def everywhere(p_wrong: Floats, late: Bools) -> Floats:
    """Return a P(wrong) that rises by the same in each row."""
    return np.asarray(times(p_wrong, USUAL) + late * (WORSE - USUAL) * RISK)


def safest(p_wrong: Floats, late: Bools) -> Floats:
    """Return a P(wrong) that rises where the estimate is lowest."""
    return np.asarray(times(p_wrong, USUAL) + late * 2 * (WORSE - USUAL) * RISK * (p_wrong < np.median(p_wrong)))


DRIFTS: dict[str, Callable[[Floats], Floats]] = {
    "nothing happens": lambda p: times(p, USUAL),
    "risk as promised": lambda p: times(p, 1),
    "three times the promise, the doubtful fail": lambda p: times(p, np.where(between(BREAKS), WORSE, USUAL)),
    "the doubtful fail for ten days": lambda p: times(p, np.where(between(BREAKS, MENDED), WORSE, USUAL)),
    "the doubtful fail every other week": lambda p: times(p, np.where(DAY_OF // 7 % 2 == 1, WORSE, USUAL)),
    "slowly to five times, the doubtful fail": lambda p: times(p, np.interp(DAY_OF, [BREAKS, DAYS], [USUAL, 5])),
    "three times the promise, everywhere": lambda p: everywhere(p, between(BREAKS)),
    "everywhere, for ten days": lambda p: everywhere(p, between(BREAKS, MENDED)),
    "three times the promise, the safest fail": lambda p: safest(p, between(BREAKS)),
    "half are wrong for ten days": lambda p: np.where(between(BREAKS, MENDED), 0.5, times(p, USUAL)),
}


def _stops(marked: list[Marked]) -> float:
    used = [one for one in marked if one.accepted]
    return 0.0 if harm_found_by_audit(used, RISK, DELTA / 2) is None else ACCEPT_NOTHING


FOLLOWS = "follows"
RULES: dict[str, Rule] = {
    "plain": lambda _: 0.0,
    FOLLOWS: lambda marked: follow_audit(marked, RISK).limit.p_correct,
    "latest labels": lambda marked: limit_by_audit(marked[-latest_audited_labels(RISK) :], RISK, 0.0).p_correct,
    "stops": _stops,
}


def following(out: str = "results/following", runs: int = 200) -> None:
    """Draw streams, let gates follow the labels of an audit, and write rows.json and table.md.

    Parameters
    ----------
    out
        Folder for the results.
    runs
        Streams of each kind.
    """
    rows: list[Row] = []
    for title, drift in DRIFTS.items():
        for way, rule in RULES.items():
            found = [one_run(drift, rule, seed) for seed in range(runs)]
            rows.append({"stream": title, "gate": way, "runs": runs, **summary(found)})
            write_results(
                out, DECIDED_BY, rows, grid_in_markdown(Grid("Gates that follow", HEADINGS, [*map(_line, rows)], NOTE))
            )


def one_run(drift: Callable[[Floats], Floats], rule: Rule, seed: int) -> dict[str, float | Floats]:
    """Return how a gate does on one stream: the risk of all, what is accepted each day, and what the labels tell."""
    rng = np.random.default_rng([seed, 8])
    p_wrong = np.minimum(SPREAD, rng.beta(0.35, 0.35 / (0.75 * RISK) - 0.35, len(DAY_OF)))
    truth = np.clip(drift(p_wrong), 0, 1)
    is_wrong, coins = rng.random(len(truth)) < truth, rng.random(len(truth))
    accepted = np.zeros(len(truth), np.bool_)
    marked: list[Marked] = []
    limit, least, missed = 0.0, list[float](), False
    for rows in by_day(np.arange(len(truth))):
        accepted[rows] = 1 - p_wrong[rows] >= limit
        chance = audit_chances(1 - p_wrong[rows], RISK, LABELS)
        marked += [
            Marked(1 - p_wrong[row], one, chance.min() / one, not is_wrong[row], bool(accepted[row]))
            for row, one in zip(rows, chance, strict=True)
            if coins[row] < one
        ]
        limit = rule(marked)
        if accepted[rows].any():
            least.append(float(chance[accepted[rows]].min()))
        if rule is RULES[FOLLOWS]:
            used = [one for one in marked if one.accepted]
            low, high = risk_interval_by_audit(used, int(accepted.sum()), (least[0], min(least)), DELTA)
            missed |= not low <= is_wrong[accepted].mean() <= high
    daily = np.array([part.sum() for part in by_day(accepted)])
    excess = np.array([part.sum() for part in by_day(truth * accepted)]) - RISK * daily
    sums = np.concatenate([[0], np.cumsum(excess)])
    return {
        "risk": float(truth[accepted].mean()), "coverage": daily, "best": best_coverage(p_wrong, truth),
        "excess": float((sums - np.minimum.accumulate(sums)).max()), "missed": float(missed),
    }  # fmt: skip


def by_day(array: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the parts of an array (n,) of each day."""
    return np.split(array, np.cumsum(SIZES)[:-1])


def best_coverage(p_wrong: Floats, truth: Floats) -> float:
    """Return what can be accepted at most with a limit a day, so that each day's true risk is as promised."""
    kept = 0
    for estimated, wrong in zip(by_day(p_wrong), by_day(truth), strict=True):
        risks = np.cumsum(wrong[np.argsort(estimated, kind="stable")]) / np.arange(1, len(wrong) + 1)
        kept += int(np.flatnonzero(risks <= RISK * (1 + 1e-9))[-1:].sum() + (risks <= RISK).any())
    return kept / len(truth)


def summary(found: list[dict[str, float | Floats]]) -> Row:
    """Return the means over all streams of a kind."""
    accepted = np.array([one["coverage"] for one in found]).mean(axis=0)
    risks = np.array([one["risk"] for one in found])
    parts = {"until": slice(0, BREAKS), "during": slice(BREAKS, MENDED), "after": slice(MENDED, DAYS)}
    coverage = {name: float(accepted[days].sum() / SIZES[days].sum()) for name, days in parts.items()}
    return {
        "risk": float(risks.mean()), "high": float(np.quantile(risks, 0.95)),
        "coverage": float(accepted.sum() / SIZES.sum()), **coverage,
        **{name: float(np.mean([one[name] for one in found])) for name in ("best", "excess", "missed")},
    }  # fmt: skip


def _line(row: Row) -> list[Cell]:
    percents = ("risk", "high", "coverage", "until", "during", "after", "best")
    cells = [row["stream"], row["gate"], *(f"{100 * row[name]:.1f}" for name in percents)]
    missed = f"{100 * row['missed']:.1f}" if row["gate"] == FOLLOWS else "–"
    return [*map(Cell, [*cells, f"{row['excess']:.0f}", missed])]
