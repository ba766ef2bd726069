"""Outputs with their copies: the linear head that is read off them, copies of features, and what is joined."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.oracle.evidence._fit_set import (
    EXTRACTED,
    NO_COPIES,
    OF_FEATURES,
    _rows_with_copies,
    joined_outputs,
    linear_head,
    origin_of_copies,
)
from steepslope.outputs import ClassifierOutputs
from tests.conftest import make_complete


def headed(n: int = 200, seed: int = 0, dtype: type = np.float32, curve: float = 0.0) -> ClassifierOutputs:
    """Make logits that are linear in the features, but for a curve."""
    rng = np.random.default_rng(seed)
    weights, bias = head_of(dtype)
    features: NDArray[Any] = rng.normal(size=(n, 7)).astype(dtype)
    logits = features @ weights + bias
    logits += curve * logits**2
    return ClassifierOutputs(logits.astype(np.float32), rng.integers(3, size=n), features, np.arange(n).astype(str))


def head_of(dtype: type = np.float64) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(42)
    return rng.normal(size=(7, 3)).astype(dtype), rng.normal(size=3).astype(dtype)


def test_a_linear_head_is_read_off_exactly() -> None:
    found = linear_head(headed())
    assert found is not None
    for ours, theirs in zip(found, head_of(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
        assert ours.dtype == np.float32
    half = linear_head(headed(dtype=np.float16))
    assert half is not None
    np.testing.assert_allclose(half[0], head_of()[0], atol=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_a_head_on_collinear_features_has_small_weights(seed: int) -> None:
    """Huge ones that cancel would fit these rows, and turn over the predictions of copies."""
    outputs = headed(600, seed)
    features = outputs.require_features()
    mixed = features @ np.random.default_rng(seed).normal(size=(7, 90)).astype(np.float32)
    twice = np.concatenate([np.ones((600, 1), np.float32), features, features, mixed], axis=1)
    found = linear_head(outputs.changed(features=twice))
    assert found is not None
    assert np.abs(found[0]).max() < 3
    np.testing.assert_allclose(twice @ found[0] + found[1], outputs.logits, atol=1e-3)


def test_what_is_not_linear_has_no_head_and_no_copies() -> None:
    assert linear_head(headed(curve=0.05)) is None
    assert linear_head(headed(n=8)) is None  # any rows that are no more than the columns fit
    assert linear_head(make_complete(200)) is None
    for outputs in (headed(curve=0.05), make_complete(200), headed().changed(features=None)):
        rows, origin = _rows_with_copies(outputs, 0)
        assert rows is outputs
        assert origin_of_copies(outputs, len(rows) - len(outputs)) == NO_COPIES
        np.testing.assert_array_equal(origin, np.arange(200))


def test_copies_of_features_have_the_heads_logits() -> None:
    outputs = headed().changed(auxiliary=np.random.default_rng(5).normal(size=(200, 4)))
    rows, origin = _rows_with_copies(outputs, 3)
    np.testing.assert_array_equal(origin, np.tile(np.arange(200), 2))
    np.testing.assert_array_equal(rows.require_labels(), np.tile(outputs.require_labels(), 2))
    np.testing.assert_array_equal(rows.logits[:200], outputs.logits)
    np.testing.assert_array_equal(rows.require("auxiliary")[:200], outputs.require("auxiliary"))
    features = rows.require_features()[200:]
    weights, bias = head_of()
    np.testing.assert_allclose(rows.logits[200:], features @ weights + bias, atol=1e-3)
    changed = (features != outputs.require_features()).any(axis=1) | (
        rows.require("auxiliary")[200:] != outputs.require("auxiliary")
    ).any(axis=1)
    assert changed.mean() > 0.9
    kept = np.corrcoef(features.ravel(), outputs.require_features().ravel())[0, 1]
    assert 0.6 < kept < 0.99
    again, other = _rows_with_copies(outputs, 3)[0], _rows_with_copies(outputs, 4)[0]
    np.testing.assert_array_equal(again.logits, rows.logits)
    assert (other.logits != rows.logits).any()


def test_copies_that_were_extracted_come_first() -> None:
    """Row r of the copies is one of row r // A."""
    rng = np.random.default_rng(1)
    copies = {"augmented_logits": rng.normal(size=(50, 2, 3)), "augmented_features": rng.normal(size=(50, 2, 7))}
    outputs = headed(50).changed(**copies)
    rows, origin = _rows_with_copies(outputs, 0)
    assert [origin_of_copies(some, 50) for some in (outputs, headed(50))] == [EXTRACTED, OF_FEATURES]
    np.testing.assert_array_equal(origin, [*range(50), *np.repeat(range(50), 2)])
    np.testing.assert_array_equal(rows.logits[50:], copies["augmented_logits"].reshape(100, 3))
    np.testing.assert_array_equal(rows.require_features()[50:], copies["augmented_features"].reshape(100, 7))
    assert rows.ids is None
    assert "augmented_logits" not in rows.arrays


def test_what_all_hold_is_joined() -> None:
    first, second = make_complete(30, seed=1), make_complete(20, seed=2).changed(views=None)
    both = joined_outputs([first, second])
    assert set(both.arrays) == {"logits", "labels", "features", "dropout", "auxiliary"}
    for name, array in both.arrays.items():
        np.testing.assert_array_equal(array, np.concatenate([first.require(name), second.require(name)]))
    assert set(joined_outputs([first, second], ["features", "views"]).arrays) == {"logits", "labels", "features"}


def test_other_columns_are_named() -> None:
    first, second = make_complete(30, seed=1), make_complete(20, seed=2)
    narrow = second.changed(auxiliary=second.require("auxiliary")[:, :3])
    with pytest.raises(SteepslopeError, match=r"auxiliary: expected the same columns in all .*, found 8 and 3"):
        joined_outputs([first, narrow])
    with pytest.raises(SteepslopeError, match=r"views: expected the same columns in all .*, found 2 × 4 and 1 × 4"):
        joined_outputs([first, second.changed(views=second.require("views")[:, :1])])
    assert joined_outputs([first, narrow], ["features"]).arrays.keys() == {"logits", "labels", "features"}
