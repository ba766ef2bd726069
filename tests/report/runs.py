"""Runs of known making for tests of comparisons: models of a known strength on rows of known hardness."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.metrics import evaluate
from steepslope.report._evaluation import nan_to_none
from steepslope.report._runs import Run, RunScore


def run_of(name: str, is_correct: NDArray[np.bool_], scores: dict[str, NDArray[np.float64]], **known: Any) -> Run:
    """Return a run of confidences on the scale of the logit; its rows hold the metrics without intervals."""
    nothing = {"value": None, "low": None, "high": None}
    made = {}
    for score, z in scores.items():
        metrics = evaluate(z, is_correct, positive_threshold=0, negative_threshold=0, bootstrap=0)
        row = {"score": score, "loss": None, "n": len(is_correct), "delta_auc_vs_mcp": nothing}
        made[score] = RunScore(row | {key: nan_to_none(value) for key, value in metrics.items()}, z, "logit")
    return Run(name, is_correct, made, **known)


def noise(name: str, n: int, errors: int, ids: bool = False) -> Run:
    """Return a run of n rows whose confidences know nothing, of which the first ``errors`` are wrong."""
    mcp = np.random.default_rng(errors).normal(size=n)
    return run_of(name, np.arange(n) >= errors, {"mcp": mcp}, ids=np.arange(n).astype(str) if ids else None)


def drawn(
    name: str, n: int = 300, seed: int = 0, strength: float = 1.5, model: int = 1, prefix: str = "row", ids: bool = True
) -> Run:
    """Draw a run: rows and labels by the seed, the model's own luck and its errors by ``model`` too."""
    rows = np.random.default_rng(seed)
    hardness, labels = rows.normal(size=n), rows.integers(5, size=n).astype(str).astype(object)
    own = np.random.default_rng([seed, model])
    is_correct = hardness + own.normal(size=n) < 1
    mcp = strength * is_correct + own.normal(size=n)
    scores = {"mcp": mcp, "noise": own.normal(size=n), f"only_{name}": mcp + 0.5 * own.normal(size=n)}
    named = np.array([f"{prefix}/{row}" for row in range(n)], dtype=object)
    return run_of(name, is_correct, scores, ids=named if ids else None, labels=labels)
