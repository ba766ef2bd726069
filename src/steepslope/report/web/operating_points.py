"""Where a threshold can lie: what is accepted above it, of correct and of wrong predictions, exactly counted.

A page lets its reader move along these points; between them nothing is interpolated. However many rows there are, a few
hundred points are kept: evenly spaced in coverage and, since errors are few, in the errors that are accepted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from steepslope.metrics.curves import Floats, Ranking, rank_rows

BY_COVERAGE, BY_ERRORS = 400, 200
COVERAGES, RISKS, TPR = (0.8, 0.9, 0.95), (0.01, 0.02, 0.05), 0.95  # to which a reader can go
LEVEL = 0.95
Places = NDArray[np.intp]
Stop = tuple[str, int]


@dataclass(frozen=True, eq=False)
class OperatingPoints:
    """Thresholds (p,), from one that accepts nothing to one that accepts all, and what lies above each.

    ``threshold`` float64 (p,) falls; predictions are accepted whose confidence is greater. Where it can, it lies half
    way between two confidences of the rows, so that > and ≥ accept the same. The last accepts all rows, −∞ too.
    ``correct`` and ``wrong`` (p,) count the accepted predictions. ``stops`` are what some of these points stand for,
    and their places.
    """

    threshold: Floats
    correct: NDArray[np.int64]
    wrong: NDArray[np.int64]
    stops: tuple[Stop, ...] = ()

    @classmethod
    def of(cls, confidence: Floats, is_correct: NDArray[np.bool_], also: Iterable[float] = ()) -> OperatingPoints:
        """Count above a few hundred thresholds of the rows (n,), and above each threshold in ``also``.

        >>> points = OperatingPoints.of(np.array([0.9, 0.5, 0.1]), np.array([True, True, False]), also=[0.5])
        >>> points.threshold.round(2).tolist(), points.correct.tolist(), points.wrong.tolist()
        ([0.9, 0.7, 0.5, 0.3, 0.1], [0, 1, 1, 2, 2], [0, 0, 0, 0, 1])
        """
        ranking = rank_rows(confidence, is_correct).ranking()
        between, targets = _thresholds(ranking.threshold), dict(_targets(ranking))
        chosen = between[np.union1d(_spread(ranking), np.array([*targets.values()], dtype=np.intp))]
        thresholds = np.unique(np.concatenate([chosen, np.fromiter(also, dtype=np.float64)]))[::-1]
        counts = np.array([ranking.above(float(threshold)) for threshold in thresholds], dtype=np.int64)
        counts[-1] = ranking.n_correct, ranking.n_wrong
        points = cls(thresholds, counts[:, 0], counts[:, 1])
        stops = tuple((name, points.at(float(between[place]))) for name, place in targets.items())
        return replace(points, stops=stops)

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


def _spread(ranking: Ranking) -> Places:
    """Return places of :func:`_thresholds`, (at most 602,): the ends, and what is evenly spaced in both counts."""
    ends = [0, len(ranking.threshold)]
    by_coverage = np.searchsorted(ranking.accepted, np.linspace(0, ranking.n, BY_COVERAGE)) + 1
    by_errors = np.searchsorted(ranking.wrong_above, np.linspace(0, ranking.n_wrong, BY_ERRORS)) + 1
    return np.concatenate([ends, by_coverage, by_errors]).clip(0, len(ranking.threshold))


def _targets(ranking: Ranking) -> Iterator[Stop]:
    """Yield what readers look for, and its place: a TPR, some coverages, the most that is accepted at some risks."""
    if ranking.n_correct:
        yield f"TPR {100 * TPR:g} %", int(np.argmax(ranking.correct_above / ranking.n_correct >= TPR)) + 1
    for coverage in COVERAGES:
        yield f"coverage {100 * coverage:g} %", int(np.argmax(ranking.accepted / ranking.n >= coverage)) + 1
    for risk in RISKS:
        good = np.flatnonzero(ranking.risk_above <= risk)
        if len(good):
            yield f"risk ≤ {100 * risk:g} % on these rows", int(good[-1]) + 1


def _thresholds(confidences: Floats) -> Floats:
    """Return thresholds above, between and below confidences that fall, (g + 1,)."""
    upper, lower = confidences[:-1], confidences[1:]
    with np.errstate(invalid="ignore", over="ignore"):
        middle = lower + (upper - lower) / 2
    middle = np.where((middle > lower) & (middle < upper), middle, np.nextafter(upper, -np.inf))
    ends = np.nextafter(confidences[:1], np.inf), np.nextafter(confidences[-1:], -np.inf)
    return np.concatenate([ends[0], middle, ends[1]])
