"""From names of scores and oracles to rows of a table: each with intervals and its difference to MCP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, unknown_name
from steepslope.metrics.intervals import Difference, Estimate, Resampled, resample
from steepslope.oracle import CARD, Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES

BASELINE = "mcp"
BOUNDS: tuple[Literal["value", "low", "high"], ...] = ("value", "low", "high")


@dataclass(frozen=True, eq=False)
class Scored:
    """What one score or oracle gave: confidences that do not saturate, and the one above which it trusts."""

    name: str
    loss: str | None
    confidence: NDArray[np.float64]
    threshold: float


@dataclass(frozen=True, eq=False)
class Row:
    """One line of the table: every metric, and the AUC's paired difference to MCP."""

    name: str
    loss: str | None
    n: int
    metrics: dict[str, Estimate]
    delta_auc_vs_mcp: Difference

    def as_json(self) -> dict[str, Any]:
        """Return the row as ``metrics.json`` holds it; what is undefined is null."""
        estimates: dict[str, Estimate] = {**self.metrics, "delta_auc_vs_mcp": self.delta_auc_vs_mcp}
        return {"score": self.name, "loss": self.loss, "n": self.n} | {
            name: {bound: None if np.isnan(estimate[bound]) else estimate[bound] for bound in BOUNDS}
            for name, estimate in estimates.items()
        }


def score_outputs(names: Sequence[str], outputs: ClassifierOutputs) -> list[Scored]:
    """Apply post-hoc scores (by name) and oracles (by folder) to outputs; MCP comes first, asked for or not.

    An oracle is called by its folder's name, or by its whole path where two have the same name.
    """
    wanted = [BASELINE, *(name for name in dict.fromkeys(names) if name != BASELINE)]
    labels = [Path(name).name for name in wanted]
    return [
        _score(name, label if labels.count(label) == 1 else name, outputs)
        for name, label in zip(wanted, labels, strict=True)
    ]


def _score(name: str, label: str, outputs: ClassifierOutputs) -> Scored:
    if name in SCORES:
        score = SCORES[name]().fit(outputs)
        return Scored(name, None, score.confidence(outputs), score.threshold)
    if (Path(name) / CARD).exists():
        oracle = Oracle.load(name)
        return Scored(label, oracle.loss, oracle.trust_logit(outputs), oracle.threshold)
    if Path(name).exists() or "/" in name:
        raise SteepslopeError(f"{name}: expected the folder of a fitted oracle with {CARD}, found none")
    raise unknown_name("score", name, SCORES)


def table_rows(
    scored: Sequence[Scored], is_correct: NDArray[np.bool_], bootstrap: int = 1000, seed: int = 0
) -> list[Row]:
    """Evaluate all on the same resamples of the rows; the first is what the others are compared with."""
    sampled = [
        resample(s.confidence, is_correct, (s.threshold, s.threshold), bootstrap, seed) for s in scored
    ]
    return [_row(one, own, sampled[0], len(is_correct)) for one, own in zip(scored, sampled, strict=True)]


def _row(scored: Scored, own: Resampled, baseline: Resampled, n: int) -> Row:
    return Row(scored.name, scored.loss, n, own.estimates(), own.minus(baseline)["auc"])


def verdict(row: Row) -> str:
    """Say in words whether the row beats MCP at ranking.

    A difference counts if its interval excludes 0.
    """
    delta = row.delta_auc_vs_mcp
    value, low, high = (f"{100 * delta[bound]:+.1f}" for bound in BOUNDS)
    points = f"{value} AUC points, 95 % interval {low} to {high}"
    if np.isnan(delta["value"]):
        return f"{row.name} cannot be compared with MCP: AUC needs both errors and correct predictions."
    if delta["low"] > 0:
        return f"{row.name} ranks better than MCP ({points})."
    if delta["high"] < 0:
        return f"{row.name} does NOT beat MCP: it ranks worse ({points})."
    return f"{row.name} does not beat MCP: no significant difference ({points})."
