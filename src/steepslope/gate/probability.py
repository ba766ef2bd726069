"""From any confidence to a probability of being correct, by a slope and an offset learnt on calibration rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from steepslope.errors import SteepslopeError
from steepslope.files.folders import field
from steepslope.numerics.linear import fit_calibration

Floats = NDArray[np.float64]
TINY = 1e-9  # probabilities nearer to 0 or 1 are taken for that


@dataclass(frozen=True)
class ProbabilityMap:
    """P(correct) = sigmoid(slope · (x − centre) / scale + offset) of a confidence x, of its log-odds if ``is_unit``."""

    slope: float
    offset: float
    centre: float = 0.0
    scale: float = 1.0
    is_unit: bool = False

    @classmethod
    def of(cls, confidence: Floats, is_correct: NDArray[np.bool_], of_log_odds: bool = False) -> ProbabilityMap:
        """Learn the map (Platt, 1999) on rows (n,).

        Log-odds are changed little where rows are few; confidences in [0, 1] are turned into log-odds; any others are
        standardised.

        >>> found = ProbabilityMap.of(np.repeat([0.2, 0.9], 500), np.arange(1000) % 10 < np.repeat([3, 8], 500))
        >>> found(np.array([0.2, 0.9])).round(2)
        array([0.3, 0.8])
        """
        is_unit = not of_log_odds and bool(((confidence >= 0) & (confidence <= 1)).all())
        plain = cls(1.0, 0.0, is_unit=is_unit)
        inputs = plain._inputs(confidence)
        centre, scale = (0.0, 1.0) if of_log_odds or is_unit else (float(inputs.mean()), float(inputs.std()) or 1.0)
        slope, offset = fit_calibration((inputs - centre) / scale, is_correct)
        return cls(slope, offset, centre, scale, is_unit)

    def __call__(self, confidence: Floats) -> Floats:
        """Return the probability that each prediction is correct, (n,), in [0, 1]."""
        return np.asarray(expit(self.slope * (self._inputs(confidence) - self.centre) / self.scale + self.offset))

    def inverse(self, probability: float) -> float:
        """Return the confidence that stands for a probability in (0, 1)."""
        inputs = (float(logit(probability)) - self.offset) / self.slope * self.scale + self.centre
        return float(expit(inputs)) if self.is_unit else inputs

    def _inputs(self, confidence: Floats) -> Floats:
        if self.is_unit:
            return np.asarray(logit(np.clip(confidence, TINY, 1 - TINY)))
        limits = np.finfo(np.float32)
        return np.clip(confidence, limits.min, limits.max).astype(np.float64)

    def as_json(self) -> dict[str, Any]:
        """Return its numbers by name."""
        return asdict(self)

    @classmethod
    def read(cls, content: Mapping[str, Any], path: Path) -> ProbabilityMap:
        """Return the map that JSON holds."""
        numbers = {name: float(field(content, name, (int, float), path)) for name in NAMES}
        if not (np.isfinite([*numbers.values()]).all() and numbers["slope"] > 0 and numbers["scale"] > 0):
            raise SteepslopeError(f"expected a slope and scale > 0, found {numbers}", path)
        return cls(**numbers, is_unit=field(content, "is_unit", bool, path))


NAMES = ("slope", "offset", "centre", "scale")
