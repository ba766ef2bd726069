"""How long a fused oracle takes to fit where there are many classes, against a minute."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import Comparison
from steepslope import ClassifierOutputs
from steepslope.oracle import FusedOracle

CLASSES, ROWS, REFERENCES, WIDTH = 1000, 4_000, 20_000, 512
SPREAD = 6.0  # of features about their class's centre: 30 % of the predictions are wrong
GOAL_SECONDS = 60.0


def _outputs(n: int, centres: NDArray[np.float32], seed: int) -> ClassifierOutputs:
    """Return outputs of the best classifier of features that lie about a centre for each class, which is linear."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(centres), size=n)
    features = centres[labels] + SPREAD * rng.standard_normal((n, centres.shape[1]), dtype=np.float32)
    return ClassifierOutputs((features @ centres.T) / SPREAD**2, labels, features)


def fused_fit_against_a_minute(
    classes: int = CLASSES, rows: int = ROWS, references: int = REFERENCES, width: int = WIDTH
) -> Comparison:
    """Time one fit; copies are made of the features, as where none were extracted."""
    centres = np.random.default_rng(0).standard_normal((classes, width), dtype=np.float32)
    fit_set, reference = _outputs(rows, centres, 1), _outputs(references, centres, 2)
    start = time.perf_counter()
    FusedOracle(budget="free").fit(fit_set, reference)
    seconds = time.perf_counter() - start
    title = f"fused fit, {classes:,} classes, {rows:,} rows, {references:,} × {width} references, against a minute"
    return Comparison(title, seconds, GOAL_SECONDS, goal=1)
