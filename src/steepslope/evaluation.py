"""From names of scores and oracles to rows of a table: each with intervals and its difference to MCP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, unknown_name
from steepslope.metrics.intervals import Difference, Estimate, Resampled, measures_at, resample
from steepslope.metrics.scales import SCALES
from steepslope.oracle import CARD, Oracle
from steepslope.outputs import ClassifierOutputs, Confidences
from steepslope.scores import SCORES

BASELINE = "mcp"
BOUNDS: tuple[Literal["value", "low", "high"], ...] = ("value", "low", "high")


@dataclass(frozen=True, eq=False)
class Scored:
    """What one score or oracle gave: confidences that do not saturate, and the scale that they are on.

    ``alphas`` are those of a steep slope oracle.
    """

    name: str
    loss: str | None
    confidence: NDArray[np.float64]
    scale: str
    alphas: tuple[float, float] | None = None

    def cut(self, probability: float = 0.5) -> float:
        """Return the confidence above which it trusts, NaN where it only ranks."""
        return SCALES[self.scale].cut(probability)

    @property
    def unit_confidence(self) -> NDArray[np.float64]:
        """The confidences in [0, 1], for pictures; saturated."""
        return SCALES[self.scale].unit(self.confidence)


@dataclass(frozen=True, eq=False)
class Row:
    """One line of the table: every metric, and its paired difference to MCP (none where MCP is not known).

    ``lacking`` is the number of bootstrap replicates without an error, or without a correct prediction.
    """

    name: str
    loss: str | None
    n: int
    metrics: dict[str, Estimate]
    vs_mcp: dict[str, Difference] | None
    lacking: int

    @property
    def delta_auc(self) -> Difference:
        """The paired difference of the AUC to MCP's."""
        undefined = Difference(value=np.nan, low=np.nan, high=np.nan, p=np.nan)
        return undefined if self.vs_mcp is None else self.vs_mcp["auc"]

    def as_json(self) -> dict[str, Any]:
        """Return the row as ``metrics.json`` holds it; what is undefined is null."""
        delta: dict[str, Estimate] = {"delta_auc_vs_mcp": self.delta_auc}
        estimates = {**self.metrics, **delta}
        return {
            "score": self.name,
            "loss": self.loss,
            "n": self.n,
            **{name: nan_to_none({key: one[key] for key in BOUNDS}) for name, one in estimates.items()},
            "replicates_lacking_a_class": self.lacking,
            "vs_mcp": {name: nan_to_none(one) for name, one in (self.vs_mcp or {}).items()},
        }


def nan_to_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same with None for NaN, which JSON does not have."""
    return {name: None if value != value else value for name, value in values.items()}


def score_predictions(names: Sequence[str], predictions: ClassifierOutputs | Confidences) -> list[Scored]:
    """Apply post-hoc scores (by name) and oracles (by folder); MCP comes first, asked for or not.

    An oracle is called by its folder's name, or by its whole path where two have the same name. Predictions
    that come with a confidence alone are scored by it and nothing else.
    """
    if isinstance(predictions, Confidences):
        return [_given(names, predictions)]
    wanted = [BASELINE, *(name for name in dict.fromkeys(names) if name != BASELINE)]
    labels = [Path(name).name for name in wanted]
    return [
        _score(name, label if labels.count(label) == 1 else name, predictions)
        for name, label in zip(wanted, labels, strict=True)
    ]


def _given(names: Sequence[str], predictions: Confidences) -> Scored:
    others = [name for name in names if name != BASELINE]
    if others:
        raise SteepslopeError(f"{others[0]} needs logits, but the predictions come with a confidence alone")
    confidence = predictions.confidence
    within = bool(((confidence >= 0) & (confidence <= 1)).all())
    return Scored("confidence", None, confidence, "probability" if within else "rank")


def _score(name: str, label: str, outputs: ClassifierOutputs) -> Scored:
    if name in SCORES:
        score = SCORES[name]().fit(outputs)
        return Scored(name, None, score.confidence(outputs), score.scale)
    if (Path(name) / CARD).exists():
        oracle = Oracle.load(name)
        alphas = (oracle.alpha_pos, oracle.alpha_neg) if oracle.loss == "steep_slope" else None
        return Scored(label, oracle.loss, oracle.trust_logit(outputs), oracle.scale, alphas)
    if Path(name).exists() or "/" in name:
        raise SteepslopeError(f"{name}: expected the folder of a fitted oracle with {CARD}, found none")
    raise unknown_name("score", name, SCORES)


def table_rows(
    scored: Sequence[Scored], is_correct: NDArray[np.bool_], bootstrap: int = 1000, seed: int = 0
) -> list[Row]:
    """Evaluate all on the same resamples of the rows; if MCP is the first, the others are compared with it."""
    sampled = [
        resample(one.confidence, is_correct, measures_at(one.cut(), one.cut()), bootstrap, seed) for one in scored
    ]
    baseline = sampled[0] if scored[0].name == BASELINE else None
    return [_row(one, own, baseline, len(is_correct)) for one, own in zip(scored, sampled, strict=True)]


def _row(scored: Scored, own: Resampled, baseline: Resampled | None, n: int) -> Row:
    vs_mcp = None if baseline is None else own.minus(baseline)
    return Row(scored.name, scored.loss, n, own.estimates(), vs_mcp, own.lacking)


def verdicts(rows: Sequence[Row]) -> list[str]:
    """Say in words whether each row beats MCP at ranking."""
    if rows[0].name != BASELINE:
        return [f"{rows[0].name} cannot be compared with MCP: that needs logits."]
    return [verdict(row) for row in rows[1:]]


def verdict(row: Row) -> str:
    """Say in words whether the row beats MCP at ranking.

    A difference counts if its interval excludes 0.
    """
    delta = row.delta_auc
    value, low, high = (f"{100 * delta[bound]:+.1f}" for bound in BOUNDS)
    points = f"{value} AUC points, 95 % interval {low} to {high}"
    if np.isnan(delta["value"]):
        return f"{row.name} cannot be compared with MCP: AUC needs both errors and correct predictions."
    if np.isnan(delta["low"]):
        return f"{row.name} differs from MCP by {value} AUC points; without resamples nobody can say if by luck."
    if delta["low"] > 0:
        return f"{row.name} ranks better than MCP ({points})."
    if delta["high"] < 0:
        return f"{row.name} does NOT beat MCP: it ranks worse ({points})."
    return f"{row.name} does not beat MCP: no significant difference ({points})."
