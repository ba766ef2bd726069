"""All certificates of a gate: for each risk and each group one, and one for what is rejected; they share delta."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.errors import SteepslopeError
from steepslope.gate.aims import Aims
from steepslope.gate.certificate import Certificate
from steepslope.gate.certify import Above, certify, checked_sequence, split_rows, threshold_sequence
from steepslope.gate.probability import ProbabilityMap

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class CalibrationRows:
    """Confidences (n,), whether each prediction is correct (n,), and the names of groups with the rows of each.

    Without groups, all rows are one of the name None.
    """

    confidence: Floats
    is_correct: Bools
    groups: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.confidence)

    def subset(self, rows: NDArray[Any]) -> CalibrationRows:
        """Return some rows, by numbers or as a mask."""
        groups = None if self.groups is None else self.groups[rows]
        return CalibrationRows(self.confidence[rows], self.is_correct[rows], groups)

    @property
    def names(self) -> list[str | None]:
        """The names of the groups that occur."""
        return [None] if self.groups is None else [str(name) for name in np.unique(self.groups)]

    def of(self, name: str | None) -> CalibrationRows:
        """Return the rows of a group; all of the group None."""
        return self if name is None or self.groups is None else self.subset(self.groups == name)


def group_names(groups: ArrayLike | None, n: int) -> NDArray[np.str_] | None:
    """Return groups as text (n,); raise for another number of them."""
    if groups is None:
        return None
    names = np.asarray(groups)
    if names.shape != (n,):
        raise SteepslopeError(f"expected one group a prediction, ({n},), found shape {names.shape}", "groups")
    return names.astype(np.str_)


def all_certificates(
    rows: CalibrationRows, thresholds: Floats, aims: Aims, seed: int, of_log_odds: bool = False
) -> tuple[tuple[Certificate, ...], Certificate | None]:
    """Return the certificates of what is accepted, risk by risk and group by group, and of what is rejected."""
    names = rows.names
    count = len(aims.risks) * len(names) + (aims.reject is not None)
    delta = aims.delta / count
    if aims.costs is not None:
        accepted = tuple(_by_costs(rows, names, aims, delta, seed, of_log_odds))
    elif aims.coverage is not None:
        accepted = tuple(_by_coverage(rows.of(name), thresholds, aims.coverage, delta, name) for name in names)
    else:
        parts = {name: rows.of(name) for name in names}
        accepted = tuple(
            certify(part.confidence, part.is_correct, thresholds, risk, delta, name)
            for risk in aims.max_risk
            for name, part in parts.items()
        )
    if aims.reject is None:
        return accepted, None
    lowest = min(one.threshold for one in accepted)
    return accepted, _rejection(rows, thresholds, lowest, aims.reject, delta)


def _by_coverage(
    rows: CalibrationRows, thresholds: Floats, coverage: float, delta: float, name: str | None
) -> Certificate:
    """Return the certificate of the threshold whose coverage is the nearest, whatever the labels are."""
    above = Above.of(rows.confidence, rows.is_correct, thresholds)
    place = int(np.abs(above.accepted - coverage * len(rows)).argmin())
    counts = int(above.accepted[place]), int(above.errors[place])
    return Certificate("coverage", float(thresholds[place]), len(rows), *counts, delta, None, name)


def _by_costs(
    rows: CalibrationRows, names: Sequence[str | None], aims: Aims, delta: float, seed: int, of_log_odds: bool
) -> Iterator[Certificate]:
    """Yield certificates of the confidence from which accepting costs less: learnt on a half, counted on the other."""
    order = np.random.default_rng(seed).permutation(len(rows))
    half = (len(rows) + 1) // 2
    learnt, counted = rows.subset(order[:half]), rows.subset(order[half:])
    probability = ProbabilityMap.of(learnt.confidence, learnt.is_correct, of_log_odds)
    threshold = probability.inverse(aims.least_probability)
    for name in names:
        part = counted.of(name)
        above = Above.of(part.confidence, part.is_correct, np.array([threshold]))
        yield Certificate(
            "costs", threshold, len(part), int(above.accepted[0]), int(above.errors[0]), delta, None, name
        )


def _rejection(rows: CalibrationRows, thresholds: Floats, lowest: float, wrong: float, delta: float) -> Certificate:
    """Return the certificate of what is rejected: at most 1 − ``wrong`` of it is right. It is the gate upside down.

    All of it lies below the ``lowest`` threshold from which on predictions are accepted.
    """
    upside_down = np.append(-thresholds[np.isfinite(thresholds)][::-1], -np.inf)
    possible = None if lowest == np.inf else int((-upside_down < lowest).sum())
    found = certify(
        -rows.confidence, ~rows.is_correct, upside_down, 1 - wrong, delta, aim="rejection", possible=possible
    )
    counts = found.accepted, found.errors
    return Certificate("rejection", -found.threshold, found.n, *counts, delta, found.max_risk, None, found.advice)


def calibrated(
    rows: CalibrationRows, aims: Aims, thresholds: ArrayLike | None, of_log_odds: bool, seed: int
) -> Mapping[str, Any]:
    """Return what a gate holds, by name, from its calibration rows; see :meth:`~steepslope.gate.Gate.calibrate`."""
    if thresholds is None:
        fixing, counted = split_rows(len(rows), seed)
        sequence, kept = threshold_sequence(rows.confidence[fixing]), rows.subset(counted)
    else:
        sequence, kept = checked_sequence(thresholds), rows
    certificates, rejection = all_certificates(kept, sequence, aims, seed, of_log_odds)
    return {
        "certificates": certificates, "rejection": rejection, "aims": aims, "n": len(rows),
        "probability": ProbabilityMap.of(rows.confidence, rows.is_correct, of_log_odds),
        "of_errors": np.sort(rows.confidence[~rows.is_correct]),
    }  # fmt: skip
