"""Where a threshold can lie: what is accepted above it, of correct and of wrong predictions, exactly counted.

A page lets its reader move along these points; between them nothing is interpolated. However many rows there are, a few
hundred points are kept: evenly spaced in coverage and, since errors are few, in the errors that are accepted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from steepslope.metrics.curves import Floats, Ranking, rank_rows

BY_COVERAGE, BY_ERRORS = 400, 200
LEVEL = 0.95
Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class OperatingPoints:
    """Thresholds (p,), from one that accepts nothing to one that accepts all, and what lies above each.

    ``threshold`` float64 (p,) falls; predictions are accepted whose confidence is greater. Where it can, it lies half
    way between two confidences of the rows, so that > and ≥ accept the same. ``correct`` and ``wrong`` (p,) count the
    accepted predictions.
    """

    threshold: Floats
    correct: NDArray[np.int64]
    wrong: NDArray[np.int64]

    @classmethod
    def of(cls, confidence: Floats, is_correct: NDArray[np.bool_], also: Iterable[float] = ()) -> OperatingPoints:
        """Count above a few hundred thresholds of the rows (n,), and above each threshold in ``also``.

        >>> points = OperatingPoints.of(np.array([0.9, 0.5, 0.1]), np.array([True, True, False]), also=[0.5])
        >>> points.threshold.round(2).tolist(), points.correct.tolist(), points.wrong.tolist()
        ([0.9, 0.7, 0.5, 0.3, 0.1], [0, 1, 1, 2, 2], [0, 0, 0, 0, 1])
        """
        ranking = rank_rows(confidence, is_correct).ranking()
        places = _places(ranking)
        thresholds = np.concatenate([_between(ranking.threshold)[places], np.fromiter(also, dtype=np.float64)])
        return cls._at(ranking, np.unique(thresholds)[::-1])

    @classmethod
    def _at(cls, ranking: Ranking, thresholds: Floats) -> OperatingPoints:
        counts = np.array([ranking.above(float(threshold)) for threshold in thresholds], dtype=np.int64)
        return cls(thresholds, counts[:, 0], counts[:, 1])

    def __len__(self) -> int:
        return len(self.threshold)

    def at(self, threshold: float) -> int:
        """Return the place of the lowest threshold that is not below this one."""
        return int(np.searchsorted(-self.threshold, -threshold, side="right")) - 1

    def risk_limits(self) -> tuple[Floats, Floats]:
        """Return the exact binomial interval of the risk at each point, (p,) each; 0 and 1 where nothing is accepted.

        Clopper and Pearson (1934), at 95 %: rows that depend on one another make it too narrow.
        """
        tail, accepted = (1 - LEVEL) / 2, self.correct + self.wrong
        low = beta.ppf(tail, self.wrong, self.correct + 1)
        high = beta.ppf(1 - tail, self.wrong + 1, self.correct)
        some = accepted > 0
        return np.where(some & (self.wrong > 0), low, 0.0), np.where(some & (self.correct > 0), high, 1.0)

    def as_json(self) -> dict[str, Any]:
        """Return what a page needs, by name."""
        return {
            "threshold": np.nan_to_num(self.threshold).tolist(),
            "correct": self.correct.tolist(),
            "wrong": self.wrong.tolist(),
        }


def _places(ranking: Ranking) -> Places:
    """Return the places of the thresholds to keep: indices into :func:`_between`, (at most 600 or so,)."""
    above = (
        (ranking.accepted, np.linspace(0, ranking.n, BY_COVERAGE)),
        (ranking.wrong_above, np.linspace(0, ranking.n_wrong, BY_ERRORS)),
    )
    found = [np.searchsorted(counts, wanted, side="left") + 1 for counts, wanted in above]
    return np.unique(np.concatenate([[0, len(ranking.threshold)], *found]).clip(0, len(ranking.threshold)))


def _between(confidences: Floats) -> Floats:
    """Return thresholds above, between and below confidences that fall, (g + 1,)."""
    upper, lower = confidences[:-1], confidences[1:]
    with np.errstate(invalid="ignore", over="ignore"):
        middle = lower + (upper - lower) / 2
    middle = np.where((middle > lower) & (middle < upper), middle, lower)
    return np.concatenate([np.nextafter(confidences[:1], np.inf), middle, [np.nextafter(confidences[-1], -np.inf)]])
