"""What formulas are made of gives the same for arrays and for tensors, and the same as SciPy does."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import special

from steepslope.numerics import _formulas as formulas

VALUES = np.random.default_rng(0).normal(size=(6, 4, 9)) * 30
PLACES = np.random.default_rng(1).integers(9, size=(6, 1, 3))


def with_infinities(values: NDArray[Any]) -> NDArray[Any]:
    """Return the same with −∞ in some entries, and in all of a row."""
    changed = values.copy()
    changed[0, 0, :3] = changed[1, 2] = -np.inf
    return changed


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (lambda x: formulas.logsumexp(x, axis=2), lambda x: special.logsumexp(x, axis=2)),
        (lambda x: formulas.logsumexp(x, axis=1, keepdims=True), lambda x: special.logsumexp(x, axis=1, keepdims=True)),
        (lambda x: formulas.log_softmax(x[2], axis=1), lambda x: special.log_softmax(x[2], axis=1)),
        (lambda x: formulas.highest(x[2], 3), lambda x: -np.sort(-x[2], axis=1)[:, :3]),
        (lambda x: formulas.highest(x[2], 20), lambda x: -np.sort(-x[2], axis=1)),
        (lambda x: formulas.clipped(x, -1, 2), lambda x: np.clip(x, -1, 2)),
        (lambda x: formulas.log1p(formulas.clipped(x, -0.5, 1e-9)), lambda x: np.log1p(np.clip(x, -0.5, 1e-9))),
    ],
)
def test_arrays_and_tensors_give_the_same(formula: Callable[..., Any], expected: Callable[..., Any]) -> None:
    with np.errstate(divide="ignore"):
        for values in (VALUES, with_infinities(VALUES)):
            np.testing.assert_allclose(formula(values), expected(values), rtol=1e-12)
            np.testing.assert_allclose(formula(torch.from_numpy(values)).numpy(), expected(values), rtol=1e-12)


def test_places_are_those_of_every_opinion() -> None:
    some = np.take_along_axis(VALUES, np.repeat(PLACES, 4, axis=1), axis=2)
    rest = VALUES.copy()
    for row, places in enumerate(PLACES[:, 0]):
        rest[row][:, places] = 7
    for take in (np.asarray, torch.from_numpy):
        np.testing.assert_array_equal(formulas.taken(take(VALUES), take(PLACES)), some)
        np.testing.assert_array_equal(formulas.replaced(take(VALUES), take(PLACES), 7), rest)
    assert (rest != VALUES).any()


@pytest.mark.parametrize("classes", [5, 16, 17, 300])
def test_the_first_of_equally_high_places_comes_first(classes: int) -> None:
    for values in (np.random.default_rng(classes).integers(4, size=(200, classes)), np.zeros((3, classes))):
        expected = np.argsort(-values, axis=1, kind="stable")[:, :10]
        np.testing.assert_array_equal(formulas.highest_places(values.astype(np.float64), 10), expected)


def test_what_was_learnt_is_taken_as_it_is() -> None:
    assert formulas.constant(VALUES, PLACES) is VALUES
    halves = formulas.constant(np.ones(3, dtype=np.float16), torch.zeros(1))
    assert halves.dtype == torch.float32
    frozen = np.ones(3)
    frozen.flags.writeable = False
    assert formulas.constant(frozen, torch.zeros(1)).tolist() == [1, 1, 1]
