"""A classifier whose risk at each coverage is known, and what can be reached at best on rows drawn from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri
from scipy.stats import binom

from benchmarks.results.guarantee_rivals import Draw

Floats = NDArray[np.float64]
OFFSET, SLOPE, CURVATURE = -4.2098206, 2.12457529, 0.05375412  # 6.9 % errors; risks of 2 % and 1 % at .83 and .68
OTHERS = 1_000  # rows without labels, whose confidences fix our thresholds
GRID = 100_000
ROUNDING = 1e-9


def error_probability(level: Floats) -> Floats:
    """Return the probability that a prediction is wrong at each level of coverage in (0, 1); it rises."""
    normal = ndtri(level)
    return np.asarray(expit(OFFSET + SLOPE * normal + CURVATURE * np.maximum(normal, 0) ** 2))


@dataclass(frozen=True)
class World:
    """Predictions whose confidence is 1 less their level of coverage, rounded down to one of ``ties`` if there are any.

    Parameters
    ----------
    title
        What it is called in the table.
    ties
        How many distinct confidences there are, alike in number; None for all distinct.
    """

    title: str
    ties: int | None = None

    def draw(self, n: int, seed: int) -> Draw:
        """Draw n rows."""
        rng = np.random.default_rng(seed)
        level = 1 - rng.random(n)
        is_correct = rng.random(n) >= error_probability(np.minimum(level, 1 - 1e-12))
        return Draw(self._confidence(level), is_correct, self._confidence(1 - rng.random(OTHERS)), seed)

    def _confidence(self, level: Floats) -> Floats:
        return 1 - (level if self.ties is None else np.ceil(level * self.ties) / self.ties)

    def coverage(self, threshold: float) -> float:
        """Return the fraction of all predictions to come whose confidence is at least a threshold."""
        level = min(1.0, max(0.0, 1 - threshold))
        return level if self.ties is None else math.floor(level * self.ties + ROUNDING) / self.ties

    @property
    def coverages(self) -> Floats:
        """The coverages that a threshold can have, ascending."""
        return np.arange(1, GRID + 1) / GRID if self.ties is None else np.arange(1, self.ties + 1) / self.ties

    def hindsight(self, risk: float) -> float:
        """Return the largest coverage whose true risk is at most so much; 0 if there is none."""
        within = self.coverages[true_risk(self.coverages) <= risk]
        return float(within[-1]) if len(within) else 0.0

    def ceiling(self, n: int, risk: float, delta: float) -> float:
        """Return an upper bound of the expected coverage of any method whose promise holds wherever the risk rises.

        A method that reaches a coverage more often than the most powerful test at ``delta`` of the claim that the risk
        there, or further on, is ``risk`` would break its promise where that claim is true. The number of accepted rows
        is taken for its mean.
        """
        coverages = np.unique(np.concatenate([self.coverages[:: max(1, len(self.coverages) // 1000)], [1.0]]))
        powers = np.maximum(power(np.round(coverages * n), risk, true_risk(coverages), delta), delta)
        return float(np.mean(np.maximum.accumulate(powers[::-1])))


def true_risk(coverage: Floats | float) -> Floats:
    """Return the fraction of errors among the most trusted predictions at coverages in [0, 1]."""
    return np.asarray(np.interp(coverage, *_RISKS))


def _risks() -> tuple[Floats, Floats]:
    middles = (np.arange(GRID) + 0.5) / GRID
    edges = np.arange(1, GRID + 1)
    return np.append(0, edges / GRID), np.append(0, np.cumsum(error_probability(middles)) / edges)


def power(rows: Floats, risk: float, truth: Floats, delta: float) -> Floats:
    """Return how often the most powerful test at ``delta``, which may cast lots, finds risks of ``truth`` below one."""
    most = binom.ppf(delta, rows, risk) - 1  # errors up to which it always finds so
    under = np.where(most >= 0, binom.cdf(most, rows, risk), 0)
    lots = (delta - under) / np.maximum(binom.pmf(most + 1, rows, risk), 1e-300)
    below = np.where(most >= 0, binom.cdf(most, rows, truth), 0)
    return np.asarray(below + np.clip(lots, 0, 1) * binom.pmf(most + 1, rows, truth))


_RISKS = _risks()
WORLDS = {"continuous": World("all confidences distinct"), "tied": World("eight distinct confidences", ties=8)}
