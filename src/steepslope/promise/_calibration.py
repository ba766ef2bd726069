"""What a gate learns from its calibration rows: its certificates, P(correct), and its decisions on the rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from steepslope.errors import SteepslopeError, located, read_fields
from steepslope.numerics import (
    Array,
    ArrayDict,
    Arrays,
    Bools,
    Counts,
    Floats,
    clipped,
    fit_calibration,
    float64,
    namespace_of,
    quiet,
    require_arrays,
)
from steepslope.promise._certificate import Certificate, rows_needed
from steepslope.promise._certify import certify, certify_true_classes, shares_of_groups
from steepslope.promise._class_mix import Weights, certify_class_mix
from steepslope.promise._costs import costs_of_errors
from steepslope.promise._objectives import Objectives
from steepslope.promise._rows import JudgedRows, LabelledRows
from steepslope.promise._sequence import Above

_NEGLECTED = 5  # accepted rows of a true class, all of them wrong, that cause a caution
TINY = 1e-9  # probabilities are clipped to [TINY, 1 − TINY]
ARRAYS = {
    "p_correct": "float64",
    "is_correct": "bool",
    "accepted": "bool",
    "probability": "float64",
    "predicted": "int64",
    "true": "int64",
    "distance": "float64",
}
_OPTIONAL = ("probability", "predicted", "true", "distance")


@dataclass(frozen=True)
class ProbabilityMap:
    """P(correct) = sigmoid(slope · (x − centre) / scale + offset), for a confidence x, its log-odds if ``is_unit``."""

    slope: float
    offset: float
    centre: float = 0.0
    scale: float = 1.0
    is_unit: bool = False

    @classmethod
    def from_rows(cls, confidence: Floats, is_correct: Bools, of_log_odds: bool = False) -> ProbabilityMap:
        """Learn the map (Platt, 1999) on rows (n,).

        Log-odds stay nearly as they are if rows are few. Confidences in [0, 1] are turned into log-odds, and any others
        are standardised.

        >>> found = ProbabilityMap.from_rows(np.repeat([0.2, 0.9], 500), np.arange(1000) % 10 < np.repeat([3, 8], 500))
        >>> found(np.array([0.2, 0.9])).round(2)
        array([0.3, 0.8])
        """
        is_unit = not of_log_odds and bool(((confidence >= 0) & (confidence <= 1)).all())
        inputs = cls(1.0, 0.0, is_unit=is_unit)._inputs(confidence)
        centre = 0.0
        scale = 1.0
        if not (of_log_odds or is_unit):
            centre = float(inputs.mean())
            scale = float(inputs.std()) or 1.0
        slope, offset = fit_calibration((inputs - centre) / scale, is_correct)
        return cls(slope, offset, centre, scale, is_unit)

    @quiet
    def __call__(self, confidence: Array) -> Array:
        """Return the probability that each prediction is correct, float64 (n,), in [0, 1]."""
        odds = self.slope * (self._inputs(confidence) - self.centre) / self.scale + self.offset
        return 1 / (1 + namespace_of(odds).exp(-odds))

    def inverse(self, probability: Any) -> Any:
        """Return the confidence whose P(correct) is a probability in (0, 1), or each of several, (m,)."""
        inputs = (logit(probability) - self.offset) / self.slope * self.scale + self.centre
        if self.is_unit:
            return expit(inputs)
        return inputs

    def _inputs(self, confidence: Array) -> Array:
        if self.is_unit:
            xp = namespace_of(confidence)
            inside = clipped(float64(confidence), TINY, 1 - TINY)
            return xp.log(inside) - xp.log(1 - inside)
        limits = np.finfo(np.float32)
        return clipped(float64(confidence), float(limits.min), float(limits.max))

    @classmethod
    def from_json(cls, content: Mapping[str, Any], path: Path) -> ProbabilityMap:
        """Return the map that JSON holds."""
        probability = read_fields(cls, content, path)
        is_finite = all(map(math.isfinite, vars(probability).values()))
        if not (is_finite and probability.slope > 0 and probability.scale > 0):
            raise SteepslopeError(f"expected a slope and scale > 0, found {probability}", path)
        return probability


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class CalibrationRows(JudgedRows):
    """A gate's decisions on labelled rows (n,), with which later predictions are compared.

    ``is_correct`` tells which are correct. ``true`` (n,) are the numbers of the true classes; None for a gate from
    confidences alone.
    """

    is_correct: Bools
    true: Counts | None = None

    def arrays(self) -> ArrayDict:
        """Return the known arrays by name."""
        return {name: getattr(self, name) for name in ARRAYS if getattr(self, name) is not None}

    @classmethod
    def from_arrays(cls, arrays: Arrays, path: Path) -> CalibrationRows:
        """Return the rows in a file; raise unless its arrays have one length and the right types."""
        known = {name: f"{kind} n" for name, kind in ARRAYS.items() if name in arrays or name not in _OPTIONAL}
        with located(path):
            require_arrays(arrays, known, "calibration rows")
        return cls(**arrays)


def caution_on_neglected_class(labelled: LabelledRows, accepted: Bools) -> list[str]:
    """Return a caution if a true class is accepted only under other labels; it names the one with the most such rows.

    ``accepted`` (n,) says which rows are accepted. The list is empty if there is no such class.

    >>> is_correct, truths = np.arange(90) < 80, np.repeat(["good", "bad"], [80, 10])
    >>> rows = LabelledRows.of(np.ones(90), is_correct, true_classes=truths, predicted_classes=np.repeat("good", 90))
    >>> caution_on_neglected_class(rows, np.ones(90, dtype=np.bool_))[0][:60]
    'of 10 rows of class bad, 10 are accepted, all of them under '
    """
    names, index = np.unique(labelled.require_true_classes(), return_inverse=True)
    wrong = np.bincount(index[accepted & ~labelled.is_correct], minlength=len(names))
    right = np.bincount(index[accepted & labelled.is_correct], minlength=len(names))
    neglected = np.where(right == 0, wrong, 0)
    if neglected.max(initial=0) < _NEGLECTED:
        return []
    worst = int(neglected.argmax())
    rows = f"of {(index == worst).sum():,} rows of class {names[worst]}, {wrong[worst]:,} are accepted"
    clauses = [f"{rows}, all of them under another label"]
    others = (neglected >= _NEGLECTED).sum() - 1
    if others:
        clauses.append(f"{others:,} other classes likewise")
    assert labelled.predicted_classes is not None
    labels = np.unique(labelled.predicted_classes[accepted])
    if len(labels) == 1:
        clauses.append(f"all accepted predictions are {labels[0]}")
    advice = "a promise for each true class (max_class_risk) would limit this"
    clauses.append(f"the promise for all predictions can hold and still be worthless for such a class: {advice}")
    return ["; ".join(clauses)]


@dataclass(frozen=True)
class Certificates:
    """The certificates of the accepted, for each risk and group, of the true classes, and of rejection.

    ``costs_of_errors`` has the mean cost of an error for each predicted class, if costs depend on the classes.
    """

    accepted: tuple[Certificate, ...]
    of_classes: tuple[Certificate, ...] = ()
    rejection: Certificate | None = None
    costs_of_errors: Mapping[str, float] = field(default_factory=dict)


def calibrate_all(
    rows: LabelledRows, thresholds: Floats, objectives: Objectives, seed: int = 0, weights: Weights | None = None
) -> Certificates:
    """Return all certificates for rows (n,); they share the objectives' delta.

    Those of the true classes, if any, hold together, so they take one share. With ``weights`` (n,), only risks are
    promised.
    """
    if weights is not None:
        return _calibrate_for_mix(rows, thresholds, objectives, weights)
    class_risk = objectives.max_class_risk
    reject = objectives.reject
    groups = {name: rows.of_group(name) for name in rows.group_names}
    promises = len(objectives.risks) * len(groups) + (reject is not None) + (class_risk is not None)
    delta = objectives.delta / promises
    of_classes: tuple[Certificate, ...] = ()
    if class_risk is not None:
        truths = rows.require_true_classes()
        of_classes = certify_true_classes(rows.confidence, rows.is_correct, truths, thresholds, class_risk, delta)
    means: Mapping[str, float] = {}
    accepted: list[Certificate] = []
    if objectives.costs is not None:
        accepted, means = _calibrate_by_costs(rows, objectives, delta, seed)
    else:
        needed = 0 if class_risk is None else rows_needed(class_risk, delta)
        tested = [each.threshold for each in of_classes if each.n >= needed]
        possible = int((thresholds >= min(tested, default=-np.inf)).sum())
        sizes = [len(members) for members in groups.values()]
        for risk in objectives.risks:
            shares = shares_of_groups(sizes, risk, delta * len(groups))
            for share, (name, members) in zip(shares, groups.items(), strict=True):
                confidence = members.confidence
                is_correct = members.is_correct
                if risk is None:
                    certificate = _calibrate_by_coverage(members, thresholds, objectives.coverage, share, name)
                else:
                    certificate = certify(confidence, is_correct, thresholds, risk, share, name, possible=possible)
                accepted.append(certificate.counting(confidence, members.is_unknown))
    rejection = None
    if reject is not None:
        lowest = min(certificate.threshold for certificate in accepted)
        rejection = _calibrate_rejection(rows, thresholds, lowest, 1 - reject, delta)
    return Certificates(tuple(accepted), of_classes, rejection, means)


def _calibrate_for_mix(
    rows: LabelledRows, thresholds: Floats, objectives: Objectives, weights: Weights
) -> Certificates:
    delta = objectives.delta / len(objectives.max_risk)
    certificates = []
    for risk in objectives.max_risk:
        certificate = certify_class_mix(rows, weights, thresholds, risk, delta)
        certificates.append(certificate.counting(rows.confidence, rows.is_unknown))
    return Certificates(tuple(certificates))


def _calibrate_by_coverage(
    rows: LabelledRows, thresholds: Floats, coverage: float | None, delta: float, name: str | None
) -> Certificate:
    """Return the certificate of the threshold with the nearest coverage, which does not depend on labels."""
    assert coverage is not None
    above = Above.from_rows(rows.confidence, rows.is_correct, thresholds)
    place = int(np.abs(above.accepted - coverage * above.n).argmin())
    return above.certificate("coverage", place, float(thresholds[place]), delta, None, name)


def _calibrate_by_costs(
    rows: LabelledRows, objectives: Objectives, delta: float, seed: int
) -> tuple[list[Certificate], Mapping[str, float]]:
    """Return certificates of the confidence at which accepting becomes cheaper than a review, and the mean costs.

    The confidence, and the mean cost of an error for each predicted class, are learnt on one half of the rows. The
    certificates count the other half.
    """
    assert objectives.costs is not None
    order = np.random.default_rng(seed).permutation(len(rows))
    half = (len(rows) + 1) // 2
    learnt = rows.subset(order[:half])
    counted = rows.subset(order[half:])
    probability_map = ProbabilityMap.from_rows(learnt.confidence, learnt.is_correct, rows.of_log_odds)
    usual = objectives.costs[0]
    means: Mapping[str, float] = {}
    if objectives.error_costs is not None and learnt.predicted_classes is not None:
        truths = learnt.require_true_classes()
        means = costs_of_errors(learnt.predicted_classes, truths, objectives.error_costs, usual)
    certificates = []
    for name in rows.group_names:
        group = counted.of_group(name)
        least = objectives.least_probability(means.get(str(name), usual))
        threshold = float(probability_map.inverse(least))
        above = Above.from_rows(group.confidence, group.is_correct, np.array([threshold]))
        certificate = above.certificate("costs", 0, threshold, delta, None, name)
        certificates.append(certificate.counting(group.confidence, group.is_unknown))
    return certificates, means


def _calibrate_rejection(
    rows: LabelledRows, thresholds: Floats, lowest: float, most_right: float, delta: float
) -> Certificate:
    """Return the certificate of the rejected: at most ``most_right`` of them are right. It is a gate upside down.

    Only predictions below the ``lowest`` threshold of the accepted can be rejected.
    """
    upside_down = -thresholds[np.isfinite(thresholds)][::-1]
    possible = None if lowest == np.inf else int((-upside_down < lowest).sum())
    confidence = -rows.confidence
    mirrored = certify(confidence, ~rows.is_correct, upside_down, most_right, delta, aim="rejection", possible=possible)
    return replace(mirrored.counting(confidence, rows.is_unknown), threshold=-mirrored.threshold)
