"""The density ratio of wrong and correct neighbours against sorting all distances, row by row."""

from typing import Any

import numpy as np
import pytest

from steepslope.metrics import auroc
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import KNNDensityRatio
from tests.conftest import make_complete


def expected_of(held_out: ClassifierOutputs, row: Any, predicted: int, k: int, without: int | None = None) -> float:
    """Follow the definition; ``without`` is a reference that is left out, since it is the query."""
    others = np.arange(len(held_out)) != without
    like = held_out.predictions == predicted
    sides = [like & ~held_out.is_correct, like & held_out.is_correct]
    if min(side.sum() for side in sides) <= k:
        sides = [~held_out.is_correct, held_out.is_correct]
    gaps = held_out.require_features().astype(np.float64) - row.astype(np.float64)
    distances = np.sqrt((gaps**2).sum(axis=1))
    wrong, correct = (np.sort(distances[side & others])[k - 1] for side in sides)
    return float(np.log(wrong) - np.log(correct))


def with_rare_classes(seed: int) -> ClassifierOutputs:
    """Make outputs of five classes of which one is never predicted wrongly, and one is never predicted."""
    outputs = make_complete(600, 5, seed=seed)
    logits = outputs.logits.copy()
    logits[:, 4] = -20
    labels = np.where(logits.argmax(axis=1) == 2, 2, outputs.require_labels())
    return outputs.changed(logits=logits, labels=labels)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_confidence_is_the_definition(k: int) -> None:
    held_out, outputs = with_rare_classes(0), make_complete(200, 5, seed=1)
    assert set(outputs.predictions) == {0, 1, 2, 3, 4}
    found = KNNDensityRatio(k).fit(held_out).confidence(outputs)
    rows = zip(outputs.require_features(), outputs.predictions, strict=True)
    np.testing.assert_allclose(found, [expected_of(held_out, *pair, k) for pair in rows], rtol=1e-4, atol=1e-5)


def test_rows_that_it_was_fitted_on_are_seen_without_themselves() -> None:
    held_out = with_rare_classes(0)
    found = KNNDensityRatio().fit(held_out).confidence(held_out)
    rows = enumerate(zip(held_out.require_features(), held_out.predictions, strict=True))
    expected = [expected_of(held_out, *pair, 3, without=number) for number, pair in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("copies", [1, 2])
def test_rows_that_say_nothing_rank_by_chance_where_it_was_fitted(copies: int) -> None:
    """Features and errors that have nothing to do with each other, and rows that occur twice."""
    rng = np.random.default_rng(0)
    logits, features = rng.normal(size=(2000, 3)), rng.normal(size=(2000, 3))
    labels = np.where(rng.random(2000) < 0.3, logits.argmin(axis=1), logits.argmax(axis=1))
    half = ClassifierOutputs(logits, labels, np.repeat(features[: 2000 // copies], copies, axis=0))
    assert auroc(KNNDensityRatio().fit(half).confidence(half), half.is_correct) == pytest.approx(0.5, abs=0.05)


def test_the_ratio_is_the_log_odds_over_the_dimension() -> None:
    """Two uniform densities on a line: the ratio of counts in a small ball is that of radii."""
    rng = np.random.default_rng(0)
    right, wrong = rng.uniform(0, 2, 40_000), rng.uniform(1, 2, 10_000)  # densities 20,000, and 0 or 10,000, a unit
    features = np.concatenate([right, wrong])[:, None]
    labels = np.repeat([0, 1], [40_000, 10_000])
    held_out = ClassifierOutputs(np.tile([1.0, 0.0], (50_000, 1)), labels, features, as_logits=True)
    places = np.linspace(1.1, 1.9, 400)
    outputs = ClassifierOutputs(
        np.tile([1.0, 0.0], (400, 1)), np.zeros(400, dtype=int), places[:, None], as_logits=True
    )
    found = KNNDensityRatio(k=200).fit(held_out).confidence(outputs)
    assert np.mean(found) == pytest.approx(np.log(2), abs=0.03)


def test_few_rows_are_survived() -> None:
    """One wrong row, far from all; seen from itself no wrong row is left."""
    held_out = ClassifierOutputs(np.tile([1.0, 0.0], (5, 1)), [0, 0, 0, 0, 1], np.arange(5.0)[:, None])
    confidence = KNNDensityRatio().fit(held_out).confidence(held_out)
    assert np.isfinite(confidence).all()
    near = KNNDensityRatio(k=1).fit(held_out).confidence(held_out)
    assert near[0] == pytest.approx(np.log(4))  # the wrong one is 4 away, the next correct one 1
    assert near[4] > 80
