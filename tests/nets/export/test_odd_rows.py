"""Rows that are hard on arithmetic: the graph finds what the score or oracle itself does."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.gate import Gate
from steepslope.gate._confidence_source import ConfidenceSource
from steepslope.nets.export._exporting import _export_oracle, export_gate
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES
from tests.nets.export.rows import exported_score, judged, rows_of, run, source_of

SIX = rows_of(12, seed=20)


def repeated(rows: ClassifierOutputs, count: int, labels: NDArray[np.int64] | None = None) -> ClassifierOutputs:
    """Return rows so often that the nearest references of each are itself, with ids of their own."""
    places = np.tile(np.arange(len(rows)), count)
    arrays = {name: np.asarray(array)[places] for name, array in rows.arrays.items()}
    arrays["ids"] = np.array([f"{count}/{row}" for row in range(len(places))])
    return ClassifierOutputs.of({**arrays, **({} if labels is None else {"labels": labels})})


def same(source: ConfidenceSource, rows: ClassifierOutputs, tolerance: float = 1e-6) -> None:
    judged(source, _export_oracle(source).model, rows, tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["trust_score", "knn_distance"])
def test_references_that_are_the_query_itself_many_times_over(name: str) -> None:
    labels = np.arange(len(SIX) * 60) % 5
    source = source_of(SCORES[name]().fit(repeated(SIX, 60, labels)), SIX)
    same(source, SIX, 1e-5)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("mcp", "sirc") else pytest.mark.slow)
        for name, one in SCORES.items()
        if "logits" in one.arrays
    ],
)
def test_logits_that_are_all_alike_or_far_apart(name: str) -> None:
    """Predictions that are all alike, or so sure that their probabilities are 1 in floats."""
    rows = rows_of(60, seed=22)
    for scale in (0.0, 1e-8, 40.0, 1e3):
        judged(*exported_score(name), rows.changed(logits=(scale * np.asarray(rows.logits)).astype(np.float32)), 1e-6)


def test_what_is_not_finite_is_never_accepted() -> None:
    gate = Gate.of(SCORES["knn_distance"]().fit(rows_of(120, seed=24)), rows_of(400, seed=25), 0.3)
    model = export_gate(gate, "gate").model
    for name, value in product(("logits", "features"), (np.inf, -np.inf, np.nan)):
        rows: dict[str, Any] = {key: np.array(array) for key, array in SIX.arrays.items()}
        rows[name][3, 0] = value
        found = run(model, rows)
        assert np.isnan(found["trust_logit"]).tolist() == [row == 3 for row in range(len(SIX))]
        assert not found["accepted"][3]


def test_calibrations_close_to_doing_nothing_are_kept() -> None:
    gate = Gate.of(SCORES["mcp"](), rows_of(900, seed=26), 0.3)
    gate = replace(gate, probability=replace(gate.probability, offset=1e-9, slope=1 + 1e-6, centre=-1e-10))
    found = run(export_gate(gate, "gate").model, SIX.arrays)["p_correct"]
    np.testing.assert_allclose(found, gate.decide_rows(SIX).p_correct, rtol=1e-12)
