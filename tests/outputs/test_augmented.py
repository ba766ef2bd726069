"""Outputs of augmented copies: their shapes, their rows as outputs of their own, and their files."""

from typing import Any

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.outputs import ClassifierOutputs
from tests.conftest import make_outputs

N, A, K = 5, 3, 4


def with_copies(**others: Any) -> ClassifierOutputs:
    rng = np.random.default_rng(0)
    widths = {"logits": K, "features": 6, "auxiliary": 7, "noise": 2}
    arrays = {f"augmented_{name}": rng.normal(size=(N, A, width)) for name, width in widths.items()}
    originals = {"auxiliary": rng.normal(size=(N, 7)), "noise": rng.normal(size=(N, 2))}
    return make_outputs(N).changed(**{**arrays, **originals, **others})


def copies_of(outputs: ClassifierOutputs) -> ClassifierOutputs:
    copies = outputs.augmented()
    assert copies is not None
    return copies


def test_copies_are_outputs_of_their_own() -> None:
    outputs = with_copies()
    copies = copies_of(outputs)
    assert copies.ids is None
    assert copies.augmented() is None
    for row in range(N * A):
        assert copies.require_labels()[row] == outputs.require_labels()[row // A]
        for name in ("logits", "features", "auxiliary", "noise"):
            expected = outputs.require(f"augmented_{name}")[row // A, row % A]
            np.testing.assert_array_equal(copies.require(name)[row], expected)
    assert make_outputs(N).augmented() is None
    part = copies_of(outputs.subset(np.array([3, 1])))
    np.testing.assert_array_equal(part.logits, copies.logits[[9, 10, 11, 3, 4, 5]])


def test_copies_hold_what_their_originals_hold() -> None:
    copies = copies_of(with_copies(auxiliary=None, augmented_noise=None).named("abcd"))
    assert sorted(copies.arrays) == ["features", "labels", "logits"]
    assert copies.classes == tuple("abcd")
    assert copies_of(with_copies(labels=None)).labels is None


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("augmented_logits", (N, A, K + 1), "augmented_logits: expected .* n = 5, A >= 1, K = 4, found"),
        ("augmented_logits", (N, K), r"augmented_logits: expected .* of shape \(n, A, K\), .* found"),
        ("augmented_features", (N, A, 5), "augmented_features: expected .* A = 3, d = 6, found .* 5"),
    ],
)
def test_what_does_not_fit_is_named(name: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        with_copies(**{name: np.zeros(shape)})


def test_an_auxiliary_backbones_copies_come_along() -> None:
    """Those of an earlier backbone, whose width may be another, do not stay."""
    outputs = with_copies()
    plain = make_outputs(N)
    assert outputs.with_auxiliary(plain).augmented_auxiliary is None
    both = outputs.with_auxiliary(plain.changed(augmented_features=np.ones((N, A, 6))))
    np.testing.assert_array_equal(both.augmented_auxiliary, np.ones((N, A, 6)))
    with pytest.raises(SteepslopeError, match=r"augmented_auxiliary: expected .* A = 3, e = 6"):
        outputs.with_auxiliary(plain.changed(augmented_features=np.ones((N, A - 1, 6))))
