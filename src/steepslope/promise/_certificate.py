"""The promise about the predictions that a gate accepts, in numbers, in sentences, and as JSON.

Tails and bounds are exact. They are those of a binomial count of errors, or of bets for another class mix
(:mod:`steepslope.promise._class_mix`).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from operator import mul
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from steepslope.errors import Check, SteepslopeError, number, read_fields, require, whole
from steepslope.files import field
from steepslope.numerics import Bools, Counts, Floats, binomial_interval, binomial_tail, risk_bound

MOST_ROWS = 10**9
MOST_DIGITS = 9  # decimals of a percentage
_PROBABILITY: Check = number(1e-30, 1 - 1e-9)  # groups and start thresholds divide delta
Aim = Literal["risk", "coverage", "costs", "rejection", "true class"]
ASSUMES = (
    "the predictions to come are drawn as the calibration rows were, independently of one another: "
    "the same source, the same mix of classes",
    "the classifier, the confidence and the threshold stay as they are",
    "nothing was fitted, chosen or looked at on the calibration rows",
)
WORDS = "accepted", "wrong", "least"
_WORDS_OF_REJECTION = "rejected", "right", "most"
_MOST_SHARES = 8  # classes of a mix that a sentence names
_EVERYTHING = -math.inf
NOTHING = math.inf
TRUE_CLASS: Aim = "true class"
EXACT = 6  # decimals of a promised percentage
EDGE = 1e-12
ROUNDING = 1e-9  # rounding of the tail may put a bound this much above the promised risk


def log_e_value_of_strata(
    accepted: Floats | Counts, errors: Floats | Counts, weights: Floats, risk: float, bet: ArrayLike
) -> Floats:
    """Return the logarithms of e-values against a risk, float64 (…).

    ``accepted`` and ``errors`` (…, s) count the rows of each stratum, ``weights`` are (s,) and bets (…). See
    :mod:`steepslope.promise._class_mix`.
    """
    stakes = np.multiply.outer(np.asarray(bet), weights)
    right = (accepted - errors) * np.log1p(stakes * risk)
    return np.asarray((right + errors * np.log1p(-stakes * (1 - risk))).sum(axis=-1))


@cache
def rows_needed(risk: float, delta: float, errors: int = 0) -> int:
    """Return how many accepted rows it takes to promise a risk if ``errors`` of them are wrong.

    Without errors it is m₀ = ⌈ln delta / ln(1 − risk)⌉. With fewer rows nothing can be promised.

    >>> [rows_needed(risk, delta=0.05) for risk in (0.05, 0.02, 0.01)], rows_needed(0.05, 0.05, errors=3)
    ([59, 149, 299], 153)
    """
    require("max_risk", risk, _PROBABILITY)
    require("delta", delta, _PROBABILITY)
    require("errors", errors, whole(0, MOST_ROWS))
    numbers = range(errors + 1, MOST_ROWS)
    place = bisect_left(numbers, True, key=lambda rows: bool(binomial_tail(errors, rows, risk) <= delta))
    return numbers.start + place


def as_percent(fraction: float, digits: int = 1, side: Callable[[float], float] = round) -> str:
    """Return a fraction in percent, without trailing zeros, and with enough decimals to tell it from 0 and 1.

    ``side`` rounds it: ``math.ceil`` keeps an upper bound an upper bound.

    >>> as_percent(0.02), as_percent(0.0154), as_percent(0.000412), as_percent(0.99999)
    ('2 %', '1.5 %', '0.04 %', '99.999 %')
    >>> from math import ceil, floor
    >>> as_percent(0.0154, side=ceil), as_percent(0.07, side=ceil), as_percent(0.9858, side=floor)
    ('1.6 %', '7 %', '98.5 %')
    """
    while 0 < fraction < 1 and digits < MOST_DIGITS and _rounded_percentage(100 * fraction, digits, side) in (0, 100):
        digits += 1
    text = f"{_rounded_percentage(100 * fraction, digits, side):.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{text} %"


def _rounded_percentage(value: float, digits: int, side: Callable[..., float]) -> float:
    """Return a number rounded to decimals, up or down; the rounding error of floats does not count."""
    if side is round:
        return round(value, digits)
    unit = 10.0**digits
    return side(round(value * unit, 4)) / unit


def assumptions_of_promise(weighted: Weighted | None = None) -> tuple[str, ...]:
    """Return what a promise assumes, each a clause, about rows like the calibration rows or in another class mix.

    >>> assumptions_of_promise()[1]
    'the classifier, the confidence and the threshold stay as they are'
    """
    if weighted is None:
        return ASSUMES
    shares = shares_in_words(weighted.mix)
    mix = f"in this mix: {shares}"
    if weighted.target:
        mix = (
            f"in the same mix as {weighted.target:,} target rows without labels, which are drawn as the predictions to "
            f"come (estimated: {shares})"
        )
    drawn = (
        "the predictions to come of each class are drawn as the calibration rows of that class were, independently of "
        f"one another, and the classes come {mix}"
    )
    return drawn, *ASSUMES[1:]


def shares_in_words(mix: Mapping[str, float]) -> str:
    """Return the shares of a class mix, the largest first, as text.

    >>> shares_in_words({"cat": 0.25, "dog": 0.75})
    'dog 75 %, cat 25 %'
    """
    shares = sorted(mix.items(), key=lambda item: -item[1])
    named = ", ".join(f"{name} {as_percent(share, 2)}" for name, share in shares[:_MOST_SHARES])
    others = len(shares) - _MOST_SHARES
    if others > 0:
        return f"{named} and {others:,} others"
    return named


@dataclass(frozen=True)
class Weighted:
    """The counts in each stratum of the calibration rows, and the bet that tested the threshold.

    A stratum is the rows of one class. It has a ``name``, the ``weight`` of each row, and the numbers of ``rows``, of
    ``accepted`` ones, and of ``errors`` among these. ``mix`` has the shares of the classes. If the mix was estimated,
    ``target`` is the number of target rows and ``bound`` the bound of the risk; otherwise they are 0 and None.
    """

    bet: float
    mix: Mapping[str, float]
    target: int
    bound: float | None
    name: tuple[str, ...]
    weight: tuple[float, ...]
    rows: tuple[int, ...]
    accepted: tuple[int, ...]
    errors: tuple[int, ...]

    @property
    def coverage(self) -> float:
        """The fraction of weighted rows that is accepted, in [0, 1]."""
        return self._total(self.accepted) / self._total(self.rows)

    @property
    def risk(self) -> float:
        """The fraction of accepted weighted rows that is wrong, in [0, 1]; 0 if none is accepted."""
        accepted = self._total(self.accepted)
        if accepted:
            return self._total(self.errors) / accepted
        return 0.0

    def _total(self, counts: tuple[int, ...]) -> float:
        return float(np.array(self.weight) @ np.array(counts, dtype=np.float64))

    def risk_bound(self, delta: float) -> float:
        """Return the upper bound of the risk with confidence 1 − delta, by the same bet; 1 if the bet excludes none."""
        if self.bound is not None:
            return self.bound
        accepted = np.array(self.accepted)
        errors = np.array(self.errors)
        weights = np.array(self.weight)

        def gain(risk: float) -> float:
            return float(log_e_value_of_strata(accepted, errors, weights, risk, self.bet)) + math.log(delta)

        if gain(1.0) < 0:
            return 1.0
        return float(brentq(gain, 0.0, 1.0, xtol=EDGE)) + EDGE

    def require_possible(self, path: Path) -> None:
        """Raise unless the numbers can be those of calibration rows."""
        columns = self.errors, self.accepted, self.rows, self.weight
        fits = bool(self.mix) and bool(self.name) and {*map(len, columns)} == {len(self.name)}
        for errors, accepted, rows, weight in zip(*columns, strict=False):
            fits = fits and 0 <= errors <= accepted <= rows and weight >= 0
        if not (fits and self.bet > 0 and self.bet * max(self.weight) <= 1):
            raise SteepslopeError("expected strata of the calibration rows, found impossible numbers", path)


@dataclass(frozen=True)
class Certificate:
    """A threshold, the counts above it among n calibration rows, and what follows for later predictions.

    With probability 1 − ``delta`` over random calibration rows, at most ``risk_bound`` of the predictions with a
    confidence of at least ``threshold`` are wrong.

    Parameters
    ----------
    aim
        What the threshold is for. ``risk``, ``coverage`` and ``costs`` are about accepted predictions. ``rejection`` is
        about predictions with a confidence of at most the threshold; ``errors`` then counts those that are right.
        ``true class`` is about the n rows of a class: which fraction of them is accepted and wrong.
    threshold
        The least confidence that is accepted. If nothing can be promised it is ∞, which accepts none.
    n, accepted, errors
        The numbers of calibration rows, of accepted ones, and of errors among these.
    delta
        The probability, over random calibration rows, that the promise does not hold.
    max_risk
        The promised risk, in (0, 1); None for another aim.
    group
        The name of the group that the promise is for; None for all predictions.
    advice
        Why nothing can be promised, and what to do about it; empty if something is.
    unknown, unknown_accepted
        The numbers of out-of-class calibration rows, which are always wrong, and of accepted ones among them.
    weighted
        The counts for another class mix, if the promise is about one.
    """

    aim: Aim
    threshold: float
    n: int
    accepted: int
    errors: int
    delta: float
    max_risk: float | None = None
    group: str | None = None
    advice: str = ""
    unknown: int = 0
    unknown_accepted: int = 0
    weighted: Weighted | None = None

    def counting(self, confidence: Floats, is_unknown: Bools) -> Certificate:
        """Return the same certificate with the counts of out-of-class rows, given the calibration rows (n,)."""
        accepted = is_unknown & (confidence >= self.threshold) & self.is_given
        return replace(self, unknown=int(is_unknown.sum()), unknown_accepted=int(accepted.sum()))

    @property
    def is_given(self) -> bool:
        """Whether anything is promised."""
        return not self.advice

    @property
    def coverage(self) -> float:
        """The fraction of calibration rows that are accepted, in [0, 1]; of weighted rows for another class mix."""
        if self.weighted is not None:
            return self.weighted.coverage
        if self.n:
            return self.accepted / self.n
        return 0.0

    @property
    def coverage_interval(self) -> tuple[float, float]:
        """The 95 % interval of the coverage (Clopper & Pearson, 1934).

        For another class mix, the intervals of the strata are combined by their distances from the estimates (Zou &
        Donner, 2008).
        """
        if self.weighted is None:
            return binomial_interval(self.accepted, self.n)
        weighted = self.weighted
        total = sum(map(mul, weighted.weight, weighted.rows))
        off = []
        for weight, rows, accepted in zip(weighted.weight, weighted.rows, weighted.accepted, strict=True):
            if rows and weight:
                interval = np.array(binomial_interval(accepted, rows))
                off.append(weight / total * (interval * rows - accepted))
        below, above = np.linalg.norm(off, axis=0)
        return max(0.0, self.coverage - float(below)), min(1.0, self.coverage + float(above))

    @property
    def risk_bound(self) -> float:
        """The upper bound of the risk, in [0, 1]; 1 if nothing is accepted."""
        if self.weighted is not None:
            return self.weighted.risk_bound(self.delta)
        return risk_bound(self.errors, self.n if self.aim == TRUE_CLASS else self.accepted, self.delta)

    @property
    def survived_shift(self) -> float:
        """The largest shift, in total variation, that the promise survives: in [0, 1], 0 if no risk is promised.

        The shift is between the distributions of the calibration rows and of later rows. A shift of ε makes at most a
        fraction ε of all rows wrong, so the risk is at most R + ε/c for a risk R and a coverage c: ε = c · (max_risk −
        R). R is the risk bound of this threshold, and c the lower end of the coverage interval. For a group or a true
        class, the shift is that of its rows alone; for a true class, c is 1. For another class mix, the shift is from
        that mix.

        >>> round(Certificate("risk", 0.5, 1_000, 800, 20, 0.05, 0.05).survived_shift, 4)
        0.0107
        """
        if self.max_risk is None or not self.is_given:
            return 0.0
        share = 1.0 if self.aim == TRUE_CLASS else self.coverage_interval[0]
        return max(0.0, share * (self.max_risk - self.risk_bound))

    @property
    def survived_odds(self) -> float:
        """The largest factor, at least 1, by which the odds of an accepted error may grow while the promise holds.

        >>> round(Certificate("risk", 0.5, 1_000, 800, 20, 0.05, 0.05).survived_odds, 2)
        1.4
        """
        if self.max_risk is None or not self.is_given:
            return 1.0
        promised = self.max_risk / (1 - self.max_risk)
        bound = self.risk_bound / (1 - self.risk_bound)
        return max(1.0, promised / bound)

    def sentences(self) -> str:
        """Return the promise and the counts behind it, or why there is none, in sentences."""
        if not self.is_given:
            nothing = "Nothing"
            if self.aim == TRUE_CLASS:
                nothing = f"Of all whose true class is {self.group}, nothing"
            elif self.group is not None:
                nothing = f"{self.group}: nothing"
            return f"{nothing} can be promised: {self.advice}.{self._of_unknown()}"
        bound = self._upper if self.max_risk is None else as_percent(self.max_risk, EXACT)
        sure = as_percent(1 - self.delta, 2, math.floor)
        if self.aim == TRUE_CLASS:
            return (
                f"With {sure} confidence, of all whose true class is {self.group}, at most {bound} are accepted under "
                f"another label. Of {self.n:,} calibration rows of that class, {self.errors:,} are "
                f"({as_percent(self.errors / self.n, 2)}, at most {self._upper})."
            )
        verb, wrong, side = _WORDS_OF_REJECTION if self.aim == "rejection" else WORDS
        rows = "Of all predictions" if self.group is None else f"{self.group}: of these predictions"
        which = "all"
        if not math.isinf(self.threshold):
            which = f"those with a trust of at {side} {self.threshold:.6g}"
        return (
            f"{rows}, {which} are {verb}. With {sure} confidence, at most {bound} of these are {wrong}. "
            f"{self._counted(verb, wrong)}.{self._of_unknown(verb)}{self._of_shifts()}"
        )

    @property
    def _upper(self) -> str:
        return as_percent(self.risk_bound, 2, math.ceil)

    def _counted(self, verb: str, wrong: str) -> str:
        low, high = self.coverage_interval
        covered = f"{as_percent(self.coverage)}, 95 % interval {as_percent(low)} to {as_percent(high)}"
        counted = f"Of {self.n:,} calibration rows, {self.accepted:,} are {verb}"
        if self.weighted is not None:
            return (
                f"{counted} and {self.errors:,} of these {wrong}; weighted, the coverage is {covered}, and "
                f"{as_percent(self.weighted.risk, 2)} of what is {verb} is {wrong} (at most {self._upper})"
            )
        measured = "–"
        if self.accepted:
            measured = as_percent(self.errors / self.accepted, 2)
        return f"{counted} ({covered}) and {self.errors:,} of these {wrong} ({measured}, at most {self._upper})"

    def _of_shifts(self) -> str:
        """Return a sentence on the shifts that the promise survives, after a blank; empty if no risk is promised."""
        if self.aim != "risk" or self.max_risk is None:
            return ""
        times = f"{math.floor(1_000 * self.survived_odds) / 1_000:,.3f}".rstrip("0").rstrip(".")
        return (
            " The promise should also hold after any shift of at most "
            f"{as_percent(self.survived_shift, 2, math.floor)} in total variation, or if the odds of an error are at "
            f"most {times} times as high."
        )

    def _of_unknown(self, verb: str = "") -> str:
        """Return a sentence on out-of-class rows, after a blank; empty if there are none."""
        if not self.unknown:
            return ""
        share = ""
        if verb:
            fraction = as_percent(self.unknown_accepted / self.unknown)
            share = f", {self.unknown_accepted:,} of them {verb} ({fraction})"
        return f" {self.unknown:,} of these {self.n:,} rows are out-of-class{share}."

    def as_json(self) -> dict[str, Any]:
        """Return all numbers as JSON; a threshold that is not finite is null."""
        return asdict(self) | {
            "threshold": self.threshold if math.isfinite(self.threshold) else None,
            "accepts_all": self.threshold == (NOTHING if self.aim == "rejection" else _EVERYTHING),
            "coverage": self.coverage,
            "coverage_interval": list(self.coverage_interval),
            "risk_bound": self.risk_bound,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], path: Path) -> Certificate:
        """Return the certificate that JSON holds; raise unless its numbers follow from its counts."""
        numbers = dict(content)
        if numbers.get("threshold", 0) is None:
            everything = NOTHING if numbers.get("aim") == "rejection" else _EVERYTHING
            numbers["threshold"] = everything if numbers.get("accepts_all") else -everything
        certificate = read_fields(cls, numbers, path)
        if certificate.weighted is not None:
            certificate.weighted.require_possible(path)
        certificate._require_consistent(content, path)
        return certificate

    def _require_consistent(self, content: Mapping[str, Any], path: Path) -> None:
        wrong = self.accepted - self.errors if self.aim == "rejection" else self.errors
        fits = 0 <= self.errors <= self.accepted <= self.n and 0 < self.delta < 1 and not math.isnan(self.threshold)
        fits = fits and 0 <= self.unknown_accepted <= min(self.unknown, wrong) and self.unknown <= self.n
        if self.weighted is not None:
            totals = sum(self.weighted.rows), sum(self.weighted.accepted), sum(self.weighted.errors)
            fits = fits and totals == (self.n, self.accepted, self.errors)
        for name in ("coverage", "risk_bound"):
            fits = fits and abs(getattr(self, name) - float(field(content, name, (int, float), path))) < ROUNDING
        holds = not self.is_given or self.max_risk is None or self.risk_bound <= self.max_risk + ROUNDING
        if not (fits and holds):
            raise SteepslopeError(
                f"expected a certificate whose bound follows from its counts, found {self.errors} errors of "
                f"{self.accepted} accepted of {self.n} rows, bound {content.get('risk_bound')}: calibrate again",
                path,
            )
        if self.max_risk is not None and not 0 <= self.max_risk <= 1:
            found = f"found {self.errors} errors, {self.accepted} accepted, {self.n} rows, risk {self.max_risk}"
            raise SteepslopeError(f"expected counts of at most all rows, and a risk in [0, 1], {found}", path)
