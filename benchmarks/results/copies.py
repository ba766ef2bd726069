"""How often the promise of a trusted classifier breaks where rows are repeated, and how much it accepts.

Run ``python -m benchmarks.results copies --help``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import NearestNeighbors

from benchmarks.results.kept_rows import Row, kept_rows, write_results
from steepslope import TrustedClassifier
from steepslope.numerics import _small_net as small_net
from steepslope.report import Cell, Grid, grid_in_markdown

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Made = tuple[Floats, Labels, NDArray[Any] | None]  # rows, labels, groups
Draw = np.random.Generator
DECIDED_BY = ("oracle", "promise", "trusted")
N, COLUMNS, NEW, RISK = 600, 6, 4_000, 0.1
RARE = 0.15  # share of the minority
LARGEST_GROUP = 20
TOGETHER = 20  # draws whose results are written together
STEPS = 30  # of the small nets, in place of 300: a promise does not depend on how well rows are ranked
HEADINGS = ["rows that are given to fit", "draws", "accepted, %", "wrong, %", "broken, %", "rows that count"]
NOTE = (
    f"A forest of 30 trees on {COLUMNS} columns, {N} different rows, a quarter of them to calibrate on; {RISK:.0%} is "
    f"promised at delta = 5 %. The small nets of the oracle learn for {STEPS} steps only. *Wrong* is the mean risk of "
    f"what is accepted of {NEW:,} new rows, by their true probabilities, and *broken* the share of draws in which it "
    "is higher than promised."
)


def chance_of_one(X: Floats, level: float = 0.0) -> Floats:
    """Return the probability that the class is 1, (n,)."""
    return np.asarray(1 / (1 + np.exp(-3 * (1.5 * X[:, 0] + X[:, 1] * X[:, 2] + 0.5 * X[:, 3] + level))))


def rows(n: int, draw: Draw, level: float = 0.0) -> Made:
    """Draw independent rows."""
    X = draw.normal(size=(n, COLUMNS))
    return X, (draw.random(n) < chance_of_one(X, level)).astype(np.int64), None


def repeated(times: int) -> Callable[[Draw], Made]:
    """Return a function that draws rows that all occur so many times."""

    def make(draw: Draw) -> Made:
        X, y, _ = rows(N, draw)
        return np.repeat(X, times, axis=0), np.repeat(y, times), None

    return make


def bootstrap(draw: Draw) -> Made:
    """Draw rows, and return a bootstrap sample of them."""
    X, y, _ = rows(N, draw)
    chosen = draw.integers(N, size=N)
    return X[chosen], y[chosen], None


def joined(draw: Draw) -> Made:
    """Draw rows that a join has multiplied, each up to ten times."""
    X, y, _ = rows(N, draw)
    chosen = np.repeat(np.arange(N), draw.integers(1, 11, size=N))
    return X[chosen], y[chosen], None


def with_noise(draw: Draw) -> Made:
    """Draw rows, each with a copy that differs by noise of 1e-5 standard deviations."""
    X, y, _ = rows(N, draw)
    return np.concatenate([X, X + 1e-5 * draw.normal(size=X.shape)]), np.tile(y, 2), None


def rare(draw: Draw) -> Made:
    """Draw rows with a rare class."""
    X, y, _ = rows(8 * N, draw)
    chosen = np.concatenate([np.flatnonzero(y == 0)[: round((1 - RARE) * N)], np.flatnonzero(y)[: round(RARE * N)]])
    return X[chosen], y[chosen], None


def oversampled(draw: Draw) -> Made:
    """Draw rows with a rare class, whose rows are repeated at random until they are half of all."""
    X, y, _ = rare(draw)
    more = draw.choice(np.flatnonzero(y), round((1 - 2 * RARE) * N))
    return np.concatenate([X, X[more]]), np.concatenate([y, y[more]]), None


def smote(draw: Draw) -> Made:
    """Draw rows with a rare class, and make more of these between neighbours until they are half of all."""
    X, y, _ = rare(draw)
    known = X[y == 1]
    near = NearestNeighbors(n_neighbors=6).fit(known).kneighbors(known, return_distance=False)[:, 1:]
    one = draw.integers(len(known), size=round((1 - 2 * RARE) * N))
    other = near[one, draw.integers(5, size=len(one))]
    made = known[one] + draw.random((len(one), 1)) * (known[other] - known[one])
    return np.concatenate([X, made]), np.concatenate([y, np.ones(len(made), np.int64)]), None


def patients(named: bool) -> Callable[[Draw], Made]:
    """Return a function that draws 1 to 20 similar rows of each patient, whose labels mostly agree."""

    def make(draw: Draw) -> Made:
        sizes = draw.integers(1, LARGEST_GROUP + 1, size=N // 2)
        groups = np.repeat(np.arange(len(sizes)), sizes)
        means, noise = draw.normal(size=(len(sizes), COLUMNS)), draw.normal(size=(len(groups), COLUMNS))
        X = np.sqrt(0.9) * means[groups] + np.sqrt(0.1) * noise
        coins = draw.random(len(sizes))[groups]  # one for all rows of a patient
        return X, (coins < chance_of_one(X)).astype(np.int64), groups if named else None

    return make


KINDS: dict[str, Callable[[Draw], Made]] = {
    "each once": lambda draw: rows(N, draw),
    "each twice": repeated(2),
    "each five times": repeated(5),
    "a bootstrap sample": bootstrap,
    "a rare class": rare,
    "the rare class repeated to half": oversampled,
    "1 to 20 rows of each patient, groups given": patients(True),
    "multiplied by a join, up to ten times": joined,
    "copies with noise of 1e-5": with_noise,
    "more of the rare class between neighbours (SMOTE)": smote,
    "1 to 20 rows of each patient, groups not given": patients(False),
}
OF_RARE = ("a rare class", "the rare class repeated to half", "more of the rare class between neighbours (SMOTE)")


def copies(out: str = "results/copies", work: str = "runs/copies", draws: int = 200) -> None:
    """Fit trusted classifiers to repeated rows, and write rows.json and table.md; resumes.

    Parameters
    ----------
    out
        Folder for the results.
    work
        Folder for results of each kind; those that are there already are not made again.
    draws
        Draws of each kind.
    """
    small_net.LEAST_STEPS, small_net.EPOCHS = STEPS, 1
    done: list[Row] = []
    for title, make in KINDS.items():
        found: list[Row] = []
        for first in range(0, draws, TOGETHER):
            folder, seeds = Path(work, title.replace(" ", "-"), str(first)), range(first, min(first + TOGETHER, draws))
            some = [partial(one_draw, make, seed, title in OF_RARE) for seed in seeds]
            found += kept_rows(folder, {"kind": title, "draws": len(some)}, partial(_all, some))
        means = {name: float(np.mean([row[name] for row in found])) for name in found[0]}
        done.append({"kind": title, "draws": len(found), **means})
        write_results(
            out, DECIDED_BY, done, grid_in_markdown(Grid("Repeated rows", HEADINGS, [*map(_line, done)], NOTE))
        )


def _all(some: Sequence[Callable[[], Row]]) -> list[Row]:
    return [one() for one in some]


def one_draw(make: Callable[[Draw], Made], seed: int, of_rare: bool) -> Row:
    """Return what one model accepts of new rows, how much of that is wrong, and whether it is more than promised."""
    draw = np.random.default_rng([seed, 48])
    X, y, groups = make(draw)
    order = draw.permutation(len(y))
    new, chance = new_rows(draw, of_rare)
    model = TrustedClassifier(RandomForestClassifier(30, random_state=seed), max_risk=RISK, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X[order], y[order], **({} if groups is None else {"groups": groups[order]}))
        labels, accepted = model.decide(new)
    wrong = np.where(labels == 1, 1 - chance, chance)
    risk = float(wrong[accepted].mean()) if accepted.any() else 0.0
    return {"accepted": float(accepted.mean()), "wrong": risk, "broken": float(risk > RISK), "n": model.gate_.n}


def new_rows(draw: Draw, of_rare: bool) -> tuple[Floats, Floats]:
    """Return new rows (NEW, COLUMNS), and how likely each is of class 1, which is rare if asked for.

    A row of the rare world is one of the usual world that is kept with a probability in proportion to how much more
    often it occurs there. So the mix of classes is that before rows of the rare class were repeated.
    """
    if not of_rare:
        new = draw.normal(size=(NEW, COLUMNS))
        return new, chance_of_one(new)
    new = draw.normal(size=(8 * NEW, COLUMNS))
    chance = chance_of_one(new)
    of_class_1 = RARE / chance.mean() * chance
    weight = of_class_1 + (1 - RARE) / (1 - chance.mean()) * (1 - chance)
    kept = np.flatnonzero(draw.random(len(new)) < weight / weight.max())[:NEW]
    return new[kept], (of_class_1 / weight)[kept]


def _line(row: Row) -> list[Cell]:
    shares = [f"{100 * row[name]:.1f}" for name in ("accepted", "wrong", "broken")]
    return [*map(Cell, [row["kind"], str(row["draws"]), *shares, f"{row['n']:.0f}"])]
