"""Rows with all arrays that evidence can need, and what a session of ONNX Runtime makes of them."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.gate._confidence_source import ConfidenceSource
from steepslope.nets.export._exporting import _export_oracle
from steepslope.oracle._base import BaseOracle
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES, Score

WIDTH, OTHER = 12, 9  # features, and auxiliary ones


def rows_of(n: int, num_classes: int = 5, seed: int = 0) -> ClassifierOutputs:
    """Return outputs of a classifier that is right in about three quarters, whose features tell a little more."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(num_classes, size=n)
    means = np.random.default_rng(99).normal(size=(num_classes, WIDTH + OTHER))
    seen = means[labels] + draw.normal(size=(n, WIDTH + OTHER))
    logits = seen[:, :WIDTH] @ means[:, :WIDTH].T + draw.normal(size=(n, num_classes))
    arrays = {
        "features": seen[:, :WIDTH].astype(np.float32),
        "auxiliary": seen[:, WIDTH:].astype(np.float32),
        "noise": draw.random((n, 2)).astype(np.float32),
    }
    ids = np.array([f"{seed}-{row}" for row in range(n)])
    return ClassifierOutputs.of({"logits": logits.astype(np.float32), "labels": labels, "ids": ids, **arrays})


def run(model: Any, given: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return what ONNX Runtime gives for the inputs of a model among some arrays; it may not warn of anything."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {one.name: given[one.name] for one in session.get_inputs()}
    return dict(zip([one.name for one in session.get_outputs()], session.run(None, feed), strict=True))


def judged(source: ConfidenceSource, model: Any, rows: ClassifierOutputs, tolerance: float = 1e-9) -> None:
    """Check that a graph's trust logits are the source's own, relative to their size where that is above 1."""
    found, expected = run(model, rows.arrays)["trust_logit"], source.confidence(rows)
    assert found.dtype == np.float64
    size = np.maximum(1, np.abs(expected))
    np.testing.assert_allclose(found / size, expected / size, rtol=0, atol=tolerance)


@cache
def exported_score(name: str) -> tuple[ConfidenceSource, Any]:
    """Return a score that was fitted where it learns, and its graph."""
    fit_set = {"nothing": NEW, "errors": FIT, "reference": REFERENCE}[SCORES[name].fits_on]
    source = source_of(SCORES[name]().fit(fit_set), NEW)
    return source, _export_oracle(source).model


def source_of(model: BaseOracle | Score, rows: ClassifierOutputs) -> ConfidenceSource:
    """Return a model as a gate has it that takes such rows."""
    return ConfidenceSource.from_model(model, rows.num_classes).taking(rows)


REFERENCE, FIT, NEW = rows_of(600, seed=1), rows_of(400, seed=2), rows_of(300, seed=3)
