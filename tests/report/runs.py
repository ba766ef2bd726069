"""Runs of known making for tests of comparisons: models of a known strength on rows of known hardness."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.metrics import evaluate
from steepslope.report.runs import Run, RunScore


def run_of(name: str, is_correct: NDArray[np.bool_], scores: dict[str, NDArray[np.float64]], **known: Any) -> Run:
    """Return a run of confidences on the scale of the logit; its rows hold the metrics without intervals."""
    found = {one: evaluate(z, is_correct, positive_threshold=0, negative_threshold=0, bootstrap=0)
             for one, z in scores.items()}  # fmt: skip
    nothing = {"value": None, "low": None, "high": None}
    rows = [
        {"score": one, "loss": None, "n": len(is_correct), "delta_auc_vs_mcp": nothing,
         **{key: {bound: None if x != x else x for bound, x in value.items()} for key, value in metrics.items()}}
        for one, metrics in found.items()
    ]  # fmt: skip
    return Run(name, rows, is_correct, {one: RunScore(z, "logit") for one, z in scores.items()}, **known)


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
