"""Predictions whose risk at each coverage is known, and calibration rows drawn from them: counts above thresholds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, ndtri
from sklearn.model_selection import cross_val_predict
from sklearn.naive_bayes import GaussianNB

from sklearn import datasets

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
GRID = 20_000
THRESHOLDS = 400
LEVELS = (np.arange(GRID) + 0.5) / GRID  # of coverage, from the most trusted prediction on
ROUNDING = 1e-9


def steps(counts: Counts) -> Counts:
    """Return how much each count adds to the one before it, along the last axis."""
    return np.asarray(np.diff(counts, prepend=0), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Draws:
    """Counts of draws of n calibration rows above each threshold: accepted (t,), wrong (d, t), highest first."""

    n: int
    accepted: Counts
    errors: Counts

    def part(self, share: float, seed: int) -> tuple[Draws, Draws]:
        """Split the rows of each draw at random, stratified by thresholds, into a share of them and the rest."""
        between = steps(self.accepted)
        first = steps(np.round(share * self.accepted).astype(np.int64))
        wrong = steps(self.errors)
        taken = np.random.default_rng(seed).hypergeometric(wrong, between - wrong, first)
        split = [(first, taken), (between - first, wrong - taken)]
        one, other = (Draws(int(rows.sum()), np.cumsum(rows), np.cumsum(bad, axis=1)) for rows, bad in split)
        return one, other


@dataclass(frozen=True, eq=False)
class World:
    """Predictions that are wrong with a known probability at each level of coverage.

    Parameters
    ----------
    title
        What it is called in the table.
    max_risk
        The risk that is promised.
    rates
        The probabilities, (g,), from the most trusted prediction to the least.
    ties
        How many distinct confidences there are, each as frequent; None if all are distinct.
    """

    title: str
    max_risk: float
    rates: Floats
    ties: int | None = None

    @cached_property
    def coverages(self) -> Floats:
        """The coverages of the thresholds, ascending, (t,)."""
        count = self.ties or THRESHOLDS
        return np.arange(1, count + 1) / count

    @cached_property
    def risks(self) -> Floats:
        """The true risk above each threshold, (t,)."""
        return np.asarray(self._wrong / (self.coverages * len(self.rates)))

    @cached_property
    def _wrong(self) -> Floats:
        edges = np.arange(len(self.rates) + 1)
        return np.asarray(np.interp(self.coverages * len(self.rates), edges, np.append(0, np.cumsum(self.rates))))

    @property
    def hindsight(self) -> float:
        """The largest coverage whose true risk is at most the promised one."""
        return float(self.coverages[self.risks <= self.max_risk + ROUNDING].max(initial=0))

    def draw(self, n: int, draws: int, seed: int) -> Draws:
        """Draw n rows so many times; each threshold accepts as many of them as expected."""
        accepted = np.round(self.coverages * n).astype(np.int64)
        rates = np.diff(self._wrong, prepend=0) / np.diff(self.coverages * len(self.rates), prepend=0)
        sizes = steps(accepted)
        wrong = np.random.default_rng(seed).binomial(sizes, np.clip(rates, 0, 1), (draws, len(sizes)))
        return Draws(n, accepted, np.cumsum(wrong, axis=1))


def rising(error_rate: float, slope: float) -> Floats:
    """Return error rates that rise by a logistic function of the normal quantile of coverage."""
    normal = ndtri(LEVELS)
    place = brentq(lambda start: float(expit(start + slope * normal).mean()) - error_rate, -30, 30)
    return np.asarray(expit(place + slope * normal))


def noisy(rates: Floats, share: float) -> Floats:
    """Return error rates where a share of the labels is wrong, whatever is predicted."""
    return share + (1 - share) * rates


def overconfident(rates: Floats, share: float, rate: float) -> Floats:
    """Return error rates that are at least ``rate`` among a share of the most trusted."""
    return np.where(share > LEVELS, np.maximum(rates, rate), rates)


def waves(rates: Floats, height: float, count: float, phase: float = 0.0) -> Floats:
    """Return error rates with waves, so that the risk rises and falls."""
    return np.clip(rates * (1 + height * np.sin(2 * np.pi * (count * LEVELS + phase))), 0, 1)


def step(place: float, before: float, after: float) -> Floats:
    """Return one error rate up to a coverage, and another beyond."""
    return np.where(place > LEVELS, before, after)


def _named(*worlds: tuple[str, float, Floats] | tuple[str, float, Floats, int]) -> list[World]:
    return [World(*one) for one in worlds]


CHOSEN_ON = _named(
    ("rises, 2 % wrong", 0.01, rising(0.02, 2.0)),
    ("rises, 7 % wrong", 0.02, rising(0.07, 2.2)),
    ("rises, 20 % wrong", 0.1, rising(0.2, 1.5)),
    ("rises, 50 % wrong", 0.25, rising(0.5, 1.5)),
    ("rises slowly, 35 % wrong", 0.25, rising(0.35, 0.6)),
    ("10 % of labels wrong", 0.25, noisy(rising(0.3, 1.2), 0.1)),
    ("2 % of labels wrong", 0.05, noisy(rising(0.1, 2.0), 0.02)),
    ("8 % wrong among the top 3 %", 0.02, overconfident(rising(0.07, 2.2), 0.03, 0.08)),
    ("15 % wrong among the top 5 %", 0.1, overconfident(rising(0.2, 1.5), 0.05, 0.15)),
    ("35 % wrong among the top 5 %", 0.25, overconfident(rising(0.4, 1.2), 0.05, 0.35)),
    ("ten distinct confidences", 0.05, rising(0.1, 1.8), 10),
    ("waves", 0.25, waves(np.where(LEVELS < 0.7, 0.2, 0.4), 0.6, 4, 0.16)),
    ("perfect ranking", 0.05, step(0.9, 0.0, 1.0)),
    ("random ranking", 0.05, np.full(GRID, 0.04)),
    ("random ranking, 20 % wrong", 0.25, np.full(GRID, 0.2)),
    ("a step", 0.02, step(0.6, 0.012, 0.15)),
)
LAST_LOOK = _named(
    ("rises, 12 % wrong", 0.05, rising(0.12, 1.6)),
    ("rises, 4 % wrong", 0.01, rising(0.04, 2.4)),
    ("rises, 30 % wrong", 0.1, rising(0.3, 2.0)),
    ("rises slowly, 28 % wrong", 0.2, rising(0.28, 0.7)),
    ("rises, 45 % wrong", 0.25, rising(0.45, 1.1)),
    ("5 % of labels wrong", 0.1, noisy(rising(0.14, 1.7), 0.05)),
    ("4 % wrong among the top 10 %", 0.05, overconfident(rising(0.09, 1.9), 0.1, 0.04)),
    ("28 % wrong among the top 8 %", 0.25, overconfident(rising(0.36, 1.0), 0.08, 0.28)),
    ("ten distinct confidences, 40 % wrong", 0.25, rising(0.4, 1.0), 10),
    ("waves on a slope", 0.1, waves(rising(0.16, 1.0), 0.5, 3.3, 0.4)),
    ("random ranking, 8 % wrong", 0.1, np.full(GRID, 0.08)),
    ("random ranking, 6 % wrong: nothing to promise", 0.05, np.full(GRID, 0.06)),
    ("a step at .45", 0.1, step(0.45, 0.06, 0.3)),
)


def real(noise: float, max_risk: float, name: str) -> World:
    """Return out-of-fold predictions of Gaussian naive Bayes by their largest probability; labels may be redrawn."""
    inputs, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(len(labels)) < noise, rng.permutation(labels), labels)
    probabilities = cross_val_predict(GaussianNB(), inputs, labels, cv=5, method="predict_proba")
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    wrong = (probabilities.argmax(axis=1) != labels)[order].astype(np.float64)
    return World(f"{name.replace('_', ' ')}, {100 * noise:g} % of labels redrawn", max_risk, wrong)


REAL: list[Callable[[], World]] = [
    partial(real, noise, risk, name)
    for name, noise, risk in [
        ("digits", 0.0, 0.05), ("digits", 0.0, 0.1), ("digits", 0.2, 0.25), ("digits", 0.3, 0.25),
        ("breast_cancer", 0.0, 0.05), ("breast_cancer", 0.1, 0.1), ("wine", 0.0, 0.02), ("wine", 0.2, 0.1),
    ]
]  # fmt: skip
