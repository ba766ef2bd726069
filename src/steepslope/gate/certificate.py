"""What is promised of the predictions that a gate accepts, in numbers, in words, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from steepslope.errors import SteepslopeError, require_known
from steepslope.files.folders import field
from steepslope.gate.binomial import as_percent, interval, risk_bound

Aim = Literal["risk", "coverage", "costs", "rejection"]
ASSUMES = (
    "the predictions to come are drawn as the calibration rows were, independently of one another: "
    "the same source, the same mix of classes",
    "the classifier, the confidence and the threshold stay as they are",
    "nothing was fitted, chosen or looked at on the calibration rows",
)
EVERYTHING, NOTHING = -math.inf, math.inf
EXACT = 6  # digits of the percentage that is promised
ROUNDING = 1e-9  # a bound may be above the risk by as much as its inverse, the tail, is rounded
WHOLE = {"n": int, "accepted": int, "errors": int}
NUMBERS = {"delta": (int, float)}


@dataclass(frozen=True)
class Certificate:
    """A threshold, what was counted above it on n calibration rows, and what follows for predictions to come.

    With probability 1 − ``delta`` over the draw of the calibration rows, at most ``risk_bound`` of the predictions with
    a confidence of at least ``threshold`` are wrong.

    Parameters
    ----------
    aim
        How the threshold was found: for a ``risk``, for a ``coverage``, by ``costs``; or for a ``rejection``, of
        predictions with a confidence of at most the threshold: ``errors`` are then those that are right.
    threshold
        Predictions are accepted from this confidence on (>=); ∞, where nothing can be promised, accepts none.
    n, accepted, errors
        Calibration rows; those that are accepted; and those of them that are wrong.
    delta
        The probability, over the draw of the calibration rows, that the promise does not hold.
    max_risk
        The risk that is promised; None where the aim is another.
    group
        The name of the group of predictions that it is for; None for all.
    advice
        Why nothing can be promised, and what to do about it; empty where something is.
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

    @property
    def is_given(self) -> bool:
        """Whether anything is promised."""
        return not self.advice

    @property
    def coverage(self) -> float:
        """The fraction of calibration rows that are accepted, in [0, 1]."""
        return self.accepted / self.n if self.n else 0.0

    @property
    def coverage_interval(self) -> tuple[float, float]:
        """The 95 % interval of the coverage (Clopper & Pearson, 1934)."""
        return interval(self.accepted, self.n)

    @property
    def risk_bound(self) -> float:
        """The upper bound of the risk, in [0, 1]; 1 where nothing is accepted."""
        return risk_bound(self.errors, self.accepted, self.delta)

    def words(self) -> str:
        """Return the promise, what it was measured on, or why there is none, in sentences."""
        rows = "Of all predictions" if self.group is None else f"{self.group}: of these predictions"
        if not self.is_given:
            return f"{'Nothing' if self.group is None else f'{self.group}: nothing'} can be promised: {self.advice}."
        verb, wrong, side = ("rejected", "right", "most") if self.aim == "rejection" else ("accepted", "wrong", "least")
        low, high = (as_percent(bound) for bound in self.coverage_interval)
        measured = as_percent(self.errors / self.accepted, 2) if self.accepted else "–"
        upper = as_percent(self.risk_bound, 2, math.ceil)
        bound = upper if self.max_risk is None else as_percent(self.max_risk, EXACT)
        sure = as_percent(1 - self.delta, 2, math.floor)
        which = "all" if math.isinf(self.threshold) else f"those with a confidence of at {side} {self.threshold:.6g}"
        return (
            f"{rows}, {which} are {verb}. Of these, at most {bound} are {wrong}, with a confidence of "
            f"{sure}. Of {self.n:,} calibration rows, {self.accepted:,} are {verb} "
            f"({as_percent(self.coverage)}, 95 % interval {low} to {high}) and {self.errors:,} of these {wrong} "
            f"({measured}, at most {upper})."
        )

    def as_json(self) -> dict[str, Any]:
        """Return all numbers, as JSON holds them: a threshold that is not finite as null."""
        finite = math.isfinite(self.threshold)
        return {
            "aim": self.aim, "group": self.group, "max_risk": self.max_risk, "delta": self.delta,
            "threshold": self.threshold if finite else None, "accepts_all": self.threshold == self._all,
            "n": self.n, "accepted": self.accepted, "errors": self.errors, "coverage": self.coverage,
            "coverage_interval": list(self.coverage_interval), "risk_bound": self.risk_bound, "advice": self.advice,
        }  # fmt: skip

    @property
    def _all(self) -> float:
        return NOTHING if self.aim == "rejection" else EVERYTHING

    @classmethod
    def of(cls, content: Mapping[str, Any], path: Path) -> Certificate:
        """Return the certificate that JSON holds; raise unless its numbers follow from its counts."""
        aim = field(content, "aim", str, path)
        require_known(f"aim in {path}:", aim, ("risk", "coverage", "costs", "rejection"))
        whole = {name: field(content, name, kind, path) for name, kind in WHOLE.items()}
        delta, advice = float(field(content, "delta", (int, float), path)), field(content, "advice", str, path)
        optional = (int, float, type(None))
        threshold, max_risk = (field(content, name, optional, path) for name in ("threshold", "max_risk"))
        group = field(content, "group", (str, type(None)), path)
        if threshold is None:
            everything = NOTHING if aim == "rejection" else EVERYTHING
            threshold = everything if field(content, "accepts_all", bool, path) else -everything
        counts = whole["n"], whole["accepted"], whole["errors"]
        found = cls(aim, float(threshold), *counts, delta, max_risk, group, advice)
        found._require_consistent(content, path)
        return found

    def _require_consistent(self, content: Mapping[str, Any], path: Path) -> None:
        counts = 0 <= self.errors <= self.accepted <= self.n and 0 < self.delta < 1 and not math.isnan(self.threshold)
        same = counts and all(
            abs(getattr(self, name) - float(field(content, name, (int, float), path))) < ROUNDING
            for name in ("coverage", "risk_bound")
        )
        kept = not self.is_given or self.max_risk is None or self.risk_bound <= self.max_risk + ROUNDING
        if not (same and kept):
            raise SteepslopeError(
                f"expected a certificate whose bound follows from its counts, found {self.errors} errors of "
                f"{self.accepted} accepted of {self.n} rows, bound {content.get('risk_bound')}: calibrate again",
                path,
            )
