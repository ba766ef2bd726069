"""Rows that depend on one another are told from independent ones by their neighbours, lines and order."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.errors import CautionWarning
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs._dependence import signs_of_dependence, warn_of_dependent_outputs

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Draw = np.random.Generator
AGREE, BETWEEN, ORDER = "nearest rows agree too often", "rows lie exactly between two others", "the order of the rows"


def clusters(draw: Draw, n: int, width: int = 8) -> tuple[Floats, Codes]:
    """Return columns (n, width) around four centres of each of two classes, and labels (n,)."""
    labels = draw.integers(2, size=n)
    centres = draw.normal(size=(2, 4, width))
    return centres[labels, draw.integers(4, size=n)] + draw.normal(size=(n, width)), labels


def signs(columns: Floats, labels: Codes, order: Codes | None = None) -> str:
    rows = np.arange(len(labels))
    return "; ".join(signs_of_dependence(columns, labels, rows, rows if order is None else order))


def persons(draw: Draw) -> tuple[Floats, Codes]:
    who = draw.permutation(np.repeat(np.arange(400), 5))
    return draw.normal(size=(400, 8))[who] + draw.normal(0, 0.3, (2_000, 8)), draw.integers(2, size=400)[who]


def orders_with_columns_of_their_own(draw: Draw) -> tuple[Floats, Codes]:
    who = draw.permutation(np.repeat(np.arange(500), 5))
    columns = np.hstack([draw.normal(size=(500, 8))[who], draw.normal(size=(2_500, 8))])
    return columns, (draw.normal(size=500)[who] + draw.normal(0, 0.5, 2_500) > 0).astype(np.int64)


def noisy_copies_of_some(draw: Draw) -> tuple[Floats, Codes]:
    columns, labels = clusters(draw, 2_000)
    again = draw.integers(2_000, size=600)
    return np.concatenate([columns, columns[again] + draw.normal(0, 0.03, (600, 8))]), labels[np.r_[:2_000, again]]


@pytest.mark.parametrize("make", [persons, orders_with_columns_of_their_own, noisy_copies_of_some])
def test_neighbours_that_agree_too_often_are_found(make: object) -> None:
    assert callable(make)
    for seed in range(3):
        assert AGREE in signs(*make(np.random.default_rng(seed)))


@pytest.mark.parametrize("width", [2, 8])
def test_rows_between_others_are_found(width: int) -> None:
    draw = np.random.default_rng(0)
    columns, labels = clusters(draw, 1_500, width)
    few = columns[labels == 1]
    near = np.argsort(np.square(few[:, None] - few).sum(axis=2), axis=1)[:, 1:6]
    one = draw.integers(len(few), size=1_500)
    other = near[one, draw.integers(5, size=1_500)]
    made = few[one] + draw.random((1_500, 1)) * (few[other] - few[one])
    columns, labels = np.concatenate([columns, made]), np.concatenate([labels, np.ones(1_500, np.int64)])
    shuffled = draw.permutation(3_000)
    assert BETWEEN in signs(columns[shuffled], labels[shuffled])
    assert BETWEEN not in signs(np.round(columns[shuffled]), labels[shuffled])  # a grid has rows in line


def test_order_that_matters_is_found_also_after_shuffling() -> None:
    draw = np.random.default_rng(0)
    steps = draw.normal(0, 0.1, (3_000, 5))
    columns = np.zeros((3_000, 5))
    for row in range(1, 3_000):
        columns[row] = 0.995 * columns[row - 1] + steps[row]
    labels = (columns[:, :2].sum(axis=1) > 0).astype(np.int64)
    columns = columns[:, 1:] + draw.normal(0, 0.05, (3_000, 4))
    assert ORDER in signs(columns, labels)
    shuffled = draw.permutation(3_000)
    assert ORDER in signs(columns[shuffled], labels[shuffled], np.argsort(shuffled))
    assert ORDER not in signs(columns[shuffled], labels[shuffled])
    assert not signs_of_dependence(columns, labels, np.arange(3_000))  # without an order


def coarse(draw: Draw) -> tuple[Floats, Codes]:
    columns, labels = clusters(draw, 3_000, 5)
    return np.round(columns), labels


def sorted_by_label(draw: Draw) -> tuple[Floats, Codes]:
    columns, labels = clusters(draw, 3_000)
    order = np.argsort(labels, kind="stable")
    return columns[order], labels[order]


def sorted_by_a_column(draw: Draw) -> tuple[Floats, Codes]:
    columns, labels = clusters(draw, 3_000, 4)
    order = np.argsort(columns[:, 0])
    return columns[order], labels[order]


def one_column(draw: Draw) -> tuple[Floats, Codes]:
    column = draw.normal(size=(2_000, 1))
    return column, (column[:, 0] + draw.normal(size=2_000) > 0).astype(np.int64)


def many_classes(draw: Draw) -> tuple[Floats, Codes]:
    labels = draw.integers(500, size=2_500)
    return draw.normal(size=(500, 10))[labels] + draw.normal(0, 0.1, (2_500, 10)), labels


def two_units_of_one_measure(draw: Draw) -> tuple[Floats, Codes]:
    column, labels = one_column(draw)
    return np.hstack([column, 32 + 1.8 * column, draw.integers(2, size=(2_000, 1))]), labels


@pytest.mark.parametrize(
    "make", [coarse, sorted_by_label, sorted_by_a_column, one_column, many_classes, two_units_of_one_measure]
)
def test_independent_rows_show_no_sign(make: object) -> None:
    assert callable(make)
    for seed in range(5):
        assert signs(*make(np.random.default_rng(seed))) == ""


def test_copies_are_examined_once_and_odd_columns_are_taken() -> None:
    columns, labels = clusters(np.random.default_rng(0), 1_000)
    twice = np.repeat(np.arange(1_000), 2)
    assert signs_of_dependence(columns[twice], labels[twice], twice, np.arange(2_000)) == []
    columns[0] = [np.nan, np.inf, -np.inf, 0, 0, 0, 0, 0]
    for odd in (columns, columns[:, :0], np.zeros((1_000, 3)), columns[:5]):
        rows = np.arange(len(odd))
        assert signs_of_dependence(odd, labels[: len(odd)], rows) == []


def test_outputs_with_features_are_examined() -> None:
    columns, labels = persons(np.random.default_rng(0))
    logits = np.random.default_rng(1).normal(size=(2_000, 2))
    with pytest.warns(CautionWarning, match=f"^rows may depend on one another: {AGREE}.*--together COLUMN"):
        warn_of_dependent_outputs(ClassifierOutputs(logits, labels, features=columns.astype(np.float32)))
    warn_of_dependent_outputs(ClassifierOutputs(logits, labels))
