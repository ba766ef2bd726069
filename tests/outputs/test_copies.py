"""Copies of rows are told from rows that are equal by chance, and count once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits

from steepslope.errors import RepeatedRowsWarning, SteepslopeError
from steepslope.gate import Gate
from steepslope.outputs._copies import copies_of, mixed_columns, one_of_each_copy, rows_that_agree, rows_together
from steepslope.scores import MCP
from tests.conftest import make_outputs

Floats = NDArray[np.float64]
Draw = np.random.Generator


def digits() -> Floats:
    return np.asarray(load_digits(return_X_y=True)[0], np.float64)


def measures() -> Floats:
    return np.asarray(load_breast_cancer(return_X_y=True)[0], np.float64)


def each_twice(n: int, draw: Draw) -> NDArray[np.int64]:
    return np.repeat(np.arange(n), 2)


def each_five_times(n: int, draw: Draw) -> NDArray[np.int64]:
    return np.tile(np.arange(n), 5)


def bootstrap(n: int, draw: Draw) -> NDArray[np.int64]:
    return draw.integers(n, size=n)


def a_tenth_to_half(n: int, draw: Draw) -> NDArray[np.int64]:
    return np.concatenate([np.arange(n), draw.integers(n // 10, size=n)])


def join(n: int, draw: Draw) -> NDArray[np.int64]:
    return np.repeat(np.arange(n), draw.integers(1, 20, size=n))


@pytest.mark.parametrize("rows", [digits, measures])
@pytest.mark.parametrize("repeat", [each_twice, each_five_times, bootstrap, a_tenth_to_half, join])
def test_copies_are_found_in_any_order(
    repeat: Callable[[int, Draw], NDArray[np.int64]], rows: Callable[[], Floats]
) -> None:
    draw, table = np.random.default_rng(0), rows()
    chosen = draw.permutation(repeat(len(table), draw))
    codes = copies_of(table[chosen])
    _, expected = np.unique(chosen, return_inverse=True)
    assert len(np.unique(codes)) == len(np.unique(chosen))
    assert len(np.unique(np.column_stack([codes, expected]), axis=0)) == len(np.unique(chosen))  # the same partition


@pytest.mark.parametrize("rows", [digits, measures])
def test_different_rows_are_no_copies(rows: Callable[[], Floats]) -> None:
    np.testing.assert_array_equal(copies_of(rows()), np.arange(len(rows())))


def test_copies_with_noise_are_found_among_many_rows() -> None:
    """Other rows lie between them in any one direction."""
    draw = np.random.default_rng(0)
    table = draw.normal(size=(8_000, 12)) * np.geomspace(1, 100, 12)
    table[:2_000] = table[2_000:4_000] + draw.uniform(-2e-3, 2e-3, size=(2_000, 12)) * np.geomspace(1, 100, 12)
    np.testing.assert_array_equal(copies_of(table)[2_000:4_000], np.arange(2_000))


@pytest.mark.parametrize(
    ("columns", "levels", "n"), [(1, 10, 500), (2, 10, 1000), (3, 4, 2000), (5, 4, 3000), (20, 2, 1000)]
)
def test_equal_rows_of_coarse_tables_are_no_copies(columns: int, levels: int, n: int) -> None:
    for seed in range(2):
        draw = np.random.default_rng(seed)
        shares = draw.dirichlet(np.full(levels, 0.5), size=columns)
        table = np.column_stack([draw.choice(levels, size=n, p=share) for share in shares])
        assert len(np.unique(table, axis=0)) < n
        np.testing.assert_array_equal(copies_of(table.astype(np.float64)), np.arange(n))
        dummies = np.concatenate([np.eye(levels)[column] for column in table.T], axis=1)
        np.testing.assert_array_equal(copies_of(dummies), np.arange(n))


@pytest.mark.parametrize("decimals", [1, 3])
def test_rounded_numbers_are_equal_by_chance(decimals: int) -> None:
    for seed in range(2):
        table = np.random.default_rng(seed).normal(size=(2000, 2)).round(decimals)
        np.testing.assert_array_equal(copies_of(table), np.arange(2000))


def test_coarse_rows_that_all_occur_twice_are_copies() -> None:
    table = np.random.default_rng(0).integers(4, size=(300, 3)).astype(np.float64)
    assert len(np.unique(copies_of(table))) == 300
    assert len(np.unique(copies_of(np.repeat(table, 2, axis=0)))) == len(np.unique(table, axis=0))


def test_many_columns_are_mixed_without_a_loss() -> None:
    table = np.random.default_rng(0).normal(size=(200, 300)).astype(np.float16)
    assert mixed_columns(table).shape == (200, 64)
    np.testing.assert_array_equal(copies_of(mixed_columns(np.repeat(table, 2, axis=0))), np.arange(400) // 2)


@pytest.mark.parametrize("precision", [np.float16, np.float32])
def test_copies_in_another_precision_are_copies(precision: type[np.floating]) -> None:
    """As where parts of a table come from files of their own."""
    table = np.random.default_rng(0).normal(size=(300, 6))
    codes = copies_of(np.concatenate([table, table.astype(precision), table.round(2)]))
    np.testing.assert_array_equal(codes, np.tile(np.arange(300), 3))


def test_missing_values_are_values() -> None:
    table = np.random.default_rng(0).normal(size=(100, 4))
    table[::3, 1] = np.nan
    np.testing.assert_array_equal(copies_of(np.repeat(table, 2, axis=0)), np.arange(200) // 2)


def test_what_shares_a_number_in_a_chain_belongs_together() -> None:
    codes = rows_that_agree(np.array([0, 1, 2, 3]), np.array(["a", "b", "a", "c"]), np.array([9, 9, 8, 7]))
    assert codes.tolist() == [0, 0, 0, 1]


def test_one_row_of_each_number_is_drawn() -> None:
    codes = np.repeat(np.arange(200), 5)
    chosen = one_of_each_copy(codes, seed=0)
    np.testing.assert_array_equal(codes[chosen], np.arange(200))
    assert set((chosen % 5).tolist()) == {0, 1, 2, 3, 4}


def test_rows_of_outputs_are_told_by_ids_features_or_logits() -> None:
    outputs = make_outputs(40).changed(features=np.random.default_rng(0).normal(size=(40, 6)))
    doubled = outputs.subset(np.repeat(np.arange(40), 2))
    bare = doubled.changed(ids=None)
    for rows in (doubled, bare, bare.changed(features=None), doubled.changed(features=None)):
        np.testing.assert_array_equal(rows_together(rows), np.arange(80) // 2)
    np.testing.assert_array_equal(rows_together(outputs), np.arange(40))
    assert rows_together(outputs, np.repeat(["a", "b"], 20)).tolist() == [0] * 20 + [1] * 20
    with pytest.raises(SteepslopeError, match=r"groups: expected one group a row, \(40,\), found shape \(41,\)"):
        rows_together(outputs, np.arange(41))


def test_a_gate_refuses_ids_that_occur_twice() -> None:
    outputs = make_outputs(300)
    found = "found 'row/0' in 2 rows, 300 such ids in all"
    with pytest.raises(SteepslopeError, match=f"outputs: expected unique ids .* {found}"):
        Gate.of(MCP(), outputs.subset(np.tile(np.arange(300), 2)), max_risk=0.5)


def test_a_join_whose_rows_have_ids_of_their_own_is_a_caution() -> None:
    """The orders of a customer have the features of that customer, and of nobody else."""
    draw = np.random.default_rng(0)
    customers = make_outputs(300).changed(features=draw.normal(size=(300, 5)))
    orders = customers.subset(np.repeat(np.arange(300), draw.integers(1, 9, size=300)))
    orders = orders.changed(ids=[f"order {number}" for number in range(len(orders))])
    count = f"{len(orders) - 300:,} of {len(orders):,} calibration rows have the"
    for rows, what in ((orders, "features"), (orders.changed(features=None), "logits")):
        gate = Gate.of(MCP(), rows, max_risk=0.5)
        assert gate.caution.startswith(f"{count} {what} of others under ids of their own: if a join")
    assert Gate.of(MCP(), customers, max_risk=0.5).caution == ""


def test_a_gate_counts_copies_without_ids_once() -> None:
    outputs = make_outputs(300).changed(ids=None)
    repeated = outputs.subset(np.repeat(np.arange(300), 5))
    with pytest.warns(RepeatedRowsWarning, match="1,200 of 1,500 rows are copies"):
        gate = Gate.of(MCP(), repeated, max_risk=0.5)
    assert gate.n == Gate.of(MCP(), outputs, max_risk=0.5).n == 300


def test_a_gate_of_confidences_counts_each_once_where_all_are_repeated() -> None:
    draw = np.random.default_rng(0)
    confidence = draw.random(500).round(2)
    is_correct = draw.random(500) < confidence
    thresholds = np.linspace(1, 0, 21)
    with pytest.warns(RepeatedRowsWarning, match="copies of others"):
        gate = Gate.calibrate(np.tile(confidence, 3), np.tile(is_correct, 3), 0.2, thresholds=thresholds)
    distinct = len({*zip(confidence.tolist(), is_correct.tolist(), strict=True)})
    assert gate.n == distinct < 500 == Gate.calibrate(confidence, is_correct, 0.2, thresholds=thresholds).n
