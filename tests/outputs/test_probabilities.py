"""Probabilities as logits: the same predictions and probabilities, and a floor that decides nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.special import softmax

from steepslope.metrics import auroc
from steepslope.outputs import ClassifierOutputs, ReadingOptions
from steepslope.outputs._probabilities import probability_logits
from steepslope.outputs._table import TableBlocks
from steepslope.scores import SCORES


def forest_like(n: int, trees: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return votes of trees, (n, 5), many of them 0, and labels drawn by calibrated probabilities."""
    rng = np.random.default_rng(seed)
    truth = rng.dirichlet(np.full(5, 0.3), n)
    votes = np.array([rng.multinomial(trees, row) for row in truth]) / trees
    return votes, np.array([rng.choice(5, p=row) for row in truth])


@given(arrays(np.float64, (4, 5), elements=st.sampled_from([0.0, 0.0, 1e-300, 1e-30, 1e-5, 0.3, 1.0])))
def test_a_zero_stays_below_all_others_and_weighs_less(weights: NDArray[np.float64]) -> None:
    weights[:, 0] += 1e-3
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    logits = probability_logits(probabilities)
    positive = probabilities > 0
    assert np.isfinite(logits).all()
    np.testing.assert_array_equal(logits.argmax(axis=1), probabilities.argmax(axis=1))
    np.testing.assert_allclose(softmax(logits, axis=1), probabilities, atol=2.0**-24)
    if not positive.all():
        total = np.logaddexp.reduce(np.broadcast_to(logits[~positive].max(), 5))
        assert total < logits[positive].min()


def test_zeros_do_not_decide_the_temperature() -> None:
    """With a floor far below, the rows whose label was given 0 decide it alone, and the ranking suffers."""
    votes, labels = forest_like(4_000, 20)

    def area(floor: float | None) -> float:
        outputs = ClassifierOutputs.from_probabilities(votes, labels, floor=floor)
        confidence = SCORES["temperature_scaled_mcp"]().fit(outputs).confidence(outputs)
        return auroc(confidence, outputs.is_correct)

    assert area(None) > area(1e-300) + 0.01


def test_the_floor_is_the_same_for_all_coarse_probabilities_and_can_be_given() -> None:
    alone, beside = probability_logits([[1.0, 0.0]])[0, 1], probability_logits([[0.9, 0.1], [1.0, 0.0]])[1, 1]
    assert alone == beside == np.log(2.0**-24 / 4)
    assert probability_logits([[1.0, 0.0]], floor=1e-9)[0, 1] == np.log(1e-9)
    assert probability_logits([[1.0, 0.0], [1.0, 1e-40]])[0, 1] == pytest.approx(np.log(1e-40 / 4))
    assert np.isfinite(probability_logits([[1.0, 0.0], [1.0, 5e-324]])).all()  # the smallest number there is


@pytest.mark.parametrize("form", [np.ravel, lambda p: p[:, None], lambda p: pd.DataFrame({"p": p})])
def test_one_column_is_the_probability_of_class_1(form: Callable[[NDArray[np.float64]], Any]) -> None:
    scores = np.array([0.0, 0.25, 0.75, 1.0])
    outputs = ClassifierOutputs.from_probabilities(form(scores), [False, True, True, True])
    assert outputs.predictions.tolist() == [0, 0, 1, 1]
    assert outputs.is_correct.tolist() == [True, False, True, True]
    assert outputs.classes is None
    np.testing.assert_allclose(softmax(outputs.logits, axis=1)[:, 1], scores, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_softmax_outputs_of_every_precision(dtype: Any) -> None:
    torch.manual_seed(0)
    probabilities = (5 * torch.randn(200, 1000)).softmax(dim=1).to(dtype)
    outputs = ClassifierOutputs.from_probabilities(probabilities)
    np.testing.assert_array_equal(outputs.predictions, probabilities.double().numpy().argmax(axis=1))
    assert np.isfinite(SCORES["mcp"]().fit(outputs).confidence(outputs)).all()


@pytest.mark.parametrize("binary", [False, True])
def test_an_archive_may_hold_probabilities_in_place_of_logits(binary: bool, tmp_path: Path) -> None:
    given = np.random.default_rng(0).dirichlet(np.ones(2 if binary else 4), size=30)
    labels = given.argmax(axis=1)
    np.savez(tmp_path / "own.npz", probabilities=given[:, 1] if binary else given, labels=labels)
    expected = ClassifierOutputs.from_probabilities(given, labels)
    for options in (ReadingOptions(), ReadingOptions(probabilities=True), ReadingOptions(as_logits=True)):
        found = ClassifierOutputs.load(tmp_path / "own.npz", options)
        np.testing.assert_allclose(found.logits, expected.logits)
        np.testing.assert_array_equal(found.labels, labels)
    (block,) = TableBlocks(tmp_path / "own.npz")
    np.testing.assert_allclose(block.arrays["logits"], expected.logits)
