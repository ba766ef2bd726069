"""Predictions whose true risk is known, for the false alarms of the monitor: ties, tiny risks, 2 to 1,000 classes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from steepslope.gate import Gate
from steepslope.gate.calibration import CalibrationRows

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
POPULATION = 1_000_000


@dataclass(frozen=True, eq=False)
class Rows:
    """Trust logits, the classifier's own probability of its prediction, and which are correct, (n,) each."""

    trust_logit: Floats
    probability: Floats
    is_correct: Bools

    def judged(self, gate: Gate) -> CalibrationRows:
        """Return what a gate thinks of them."""
        accepted = gate.accepts(self.trust_logit)
        return CalibrationRows(gate.p_correct(self.trust_logit), self.is_correct, accepted, self.probability)


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

    def draw(self, n: int, seed: int) -> Rows:
        """Return n independent predictions."""
        rng = np.random.default_rng([seed, n])
        log_odds = self._rounded(rng.normal(self.mean, self.deviation, n))
        trust = self._rounded(log_odds + rng.normal(0, 1, n))
        own = self._rounded(1.4 * log_odds + rng.normal(0, 1, n))  # more sure than it is right
        least = 1 / self.classes
        return Rows(trust, least + (1 - least) * expit(own), rng.random(n) < expit(log_odds))

    def _rounded(self, values: Floats) -> Floats:
        return np.round(values / self.steps) * self.steps if self.steps else values

    @cached_property
    def population(self) -> Rows:
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
