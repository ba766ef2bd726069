"""Augmented rows: changed in the range of each column, by one kind each, and the same for the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.oracle.evidence._row_augmentation import ROW_AUGMENTATIONS, augmented_rows

Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def rows() -> Floats:
    scales = np.array([0.1, 1, 10, 5, 0])  # the last column is constant
    drawn: Floats = (np.random.default_rng(0).normal(size=(4000, 5)) * scales + [1, 2, 3, 4, 7]).astype(np.float32)
    return drawn


def changed_by(name: str, rows: Floats, seed: int = 1) -> Floats:
    changed: Floats = ROW_AUGMENTATIONS[name](rows, rows.std(axis=0), np.random.default_rng(seed))
    return changed


def test_jitter_is_noise_of_a_part_of_each_columns_deviation(rows: Floats) -> None:
    """The strength is uniform from .1 to 1, of mean square .37, and the same along a row."""
    noise = (changed_by("jitter", rows) - rows)[:, :4] / rows.std(axis=0)[:4]
    np.testing.assert_allclose(np.square(noise).mean(axis=0), 0.37, rtol=0.1)
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.04)
    of_rows = np.square(noise).mean(axis=1)
    assert of_rows.var() > 0.5 * 0.37**2 + 0.02  # of the same strength in all rows: 2 / 4 · .37²
    np.testing.assert_allclose(changed_by("jitter", rows)[:, 4], rows[:, 4], atol=1e-4)


def test_scale_multiplies_all_of_a_row(rows: Floats) -> None:
    ratio = changed_by("scale", rows) / rows
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, -1:], ratio.shape), rtol=1e-4)
    assert 0.5 <= ratio[:, -1].min() < 0.52
    assert 1.58 < ratio[:, -1].max() <= 1.6
    assert ratio[:, -1].mean() == pytest.approx(1.05, abs=0.02)


def test_dropout_sets_some_entries_to_zero(rows: Floats) -> None:
    changed = changed_by("dropout", rows)
    zero = changed == 0
    np.testing.assert_array_equal(changed[~zero], rows[~zero])
    np.testing.assert_allclose(zero.mean(axis=0), 0.15, atol=0.025)


def test_a_mixture_lies_between_two_rows(rows: Floats) -> None:
    """Rows of one number each, at a distance of 1: mixed with another that is told by a second column."""
    numbers = np.arange(100, dtype=np.float32)
    marked = np.column_stack([numbers, np.square(numbers)])
    changed = changed_by("mixture", marked).astype(np.float64)
    found = 0
    for row, mixed in zip(marked.astype(np.float64), changed, strict=True):
        others = marked - row
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = (mixed - row) / others
        fits = np.isclose(parts[:, 0], parts[:, 1], rtol=1e-3) & (parts[:, 0] > 0.199) & (parts[:, 0] < 0.501)
        found += int(fits.sum() == 1)
    assert found >= 97  # all but those that were mixed with themselves


def test_each_row_has_one_kind_of_change(rows: Floats) -> None:
    """Constant, positive columns tell the kinds apart: scaled together, zero in part, or as they were."""
    ones = np.ones((4000, 6), dtype=np.float32)
    copies = augmented_rows(ones, 2, 3)
    assert copies.shape == (4000, 2, 6)
    assert copies.dtype == np.float32
    flat = copies.reshape(-1, 6)
    dropped = (flat == 0).any(axis=1)
    scaled = np.isclose(flat, flat[:, :1]).all(axis=1) & (np.abs(flat[:, 0] - 1) > 1e-3)
    together = np.isclose(flat, flat[:, :1]).all(axis=1)
    assert (dropped | together).all()
    assert dropped.mean() == pytest.approx((1 - 0.85**6) / 4, abs=0.02)
    assert scaled.mean() == pytest.approx(1 / 4, abs=0.02)


def test_the_seed_decides(rows: Floats) -> None:
    again, other = augmented_rows(rows, 2, 0), augmented_rows(rows, 2, 1)
    np.testing.assert_array_equal(augmented_rows(rows, 2), again)
    assert (other != again).any(axis=2).mean() > 0.9
    assert (again[:, 0] != again[:, 1]).any(axis=1).mean() > 0.8


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_any_floats_and_few_rows_will_do(dtype: type, rows: Floats) -> None:
    given: NDArray[Any] = rows[:100].astype(dtype)
    copies = augmented_rows(given, 1, 0)
    np.testing.assert_array_equal(given, rows[:100].astype(dtype))
    assert copies.dtype == np.float32
    assert np.isfinite(copies).all()
    for shape, count in (((1, 3), 4), ((2, 1), 4), ((5, 3), 0)):
        assert augmented_rows(np.ones(shape, dtype), count).shape == (shape[0], count, shape[1])


def test_a_new_kind_is_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROW_AUGMENTATIONS, "sign", lambda rows, *_: -rows)
    copies = augmented_rows(np.full((500, 2), 3.0), 1, 0)[:, 0]
    assert (copies == -3).all(axis=1).mean() == pytest.approx(0.2, abs=0.06)
