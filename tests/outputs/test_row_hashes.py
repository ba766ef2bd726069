"""Rows are known again by their ids, or else by their values, in any order, file and type of float."""

from pathlib import Path

import numpy as np
import pytest

from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.row_hashes import RowHashes, shared_rows
from tests.conftest import make_outputs

IDS = [895698017893836633, 8499499348060853812]
VALUES = [4137218068104394273, 6131464998378335296]


def forest(n: int, seed: int, trees: int = 100) -> ClassifierOutputs:
    """Make outputs as of a random forest of two classes: few different values, and many rows that are equal."""
    rng = np.random.default_rng(seed)
    votes = rng.binomial(trees, rng.beta(0.3, 0.3, size=n)) / trees
    logits = np.log(np.clip(np.stack([1 - votes, votes], axis=1), 1e-6, 1))
    return ClassifierOutputs(logits, (rng.random(n) < votes).astype(np.int64))


def test_rows_are_told_by_ids_where_these_say_more_than_a_number() -> None:
    outputs = make_outputs(40)
    numbered = outputs.changed(ids=np.arange(40))
    assert RowHashes.of(outputs).told_by == "ids"
    assert [RowHashes.of(one).told_by for one in (numbered, outputs.changed(ids=None))] == ["values"] * 2
    assert RowHashes.of(outputs.changed(ids=np.arange(1, 41))).told_by == "values"
    assert RowHashes.of(outputs.changed(ids=np.arange(3, 43))).told_by == "ids"
    other = make_outputs(40, seed=1)
    assert shared_rows(numbered, other.changed(ids=np.arange(40))) == 0  # both begin with 0, and are other rows


def test_equal_names_in_two_folders_are_not_the_same_rows() -> None:
    """train/cat/1.png and test/cat/1.png have one id each, cat/1.png; the classifier sees other images."""
    for classes in (2, 3, 10):
        rng = np.random.default_rng(classes)
        labels, ids = rng.integers(classes, size=3000), np.array([f"cat/{i}.png" for i in range(3000)])
        one, other = (ClassifierOutputs(5 * rng.normal(size=(3000, classes)), labels, ids=ids) for _ in range(2))
        assert shared_rows(one, other) == 0
        elsewhere = one.changed(logits=one.logits * (1 + 1e-6 * rng.normal(size=one.logits.shape)))
        assert shared_rows(one, elsewhere) > 2900  # another machine's rounding


@pytest.mark.parametrize("with_ids", [True, False])
def test_each_shared_row_counts(with_ids: bool) -> None:
    outputs, others = make_outputs(60), make_outputs(50, seed=1)
    if not with_ids:
        outputs, others = outputs.changed(ids=None), others.changed(ids=None)
    known = RowHashes.of(outputs)
    order = np.random.default_rng(0).permutation(60)
    assert known.digest == RowHashes.of(outputs.subset(order)).digest
    assert [known.shared_with(RowHashes.of(outputs.subset(order[:k]))) for k in (1, 7, 60)] == [1, 7, 60]
    assert known.shared_with(RowHashes.of(others)) == 0
    assert known.digest != RowHashes.of(others).digest


@pytest.mark.parametrize("form", ["folder", "rows.npz", "rows.csv", "rows.parquet"])
def test_values_are_the_same_in_every_file_and_type(form: str, tmp_path: Path) -> None:
    outputs = make_outputs(30).changed(ids=None)
    outputs.save(tmp_path / form)
    loaded = ClassifierOutputs.load(tmp_path / form)
    wide = ClassifierOutputs(loaded.logits.astype(np.float64), loaded.labels)
    assert shared_rows(loaded, outputs) == shared_rows(wide, outputs) == 30


def test_another_label_or_a_sign_of_zero() -> None:
    rows = ClassifierOutputs([[0.0, 1.0], [2.0, 0.5]], [0, 1])
    assert shared_rows(ClassifierOutputs([[-0.0, 1.0], [2.0, 0.5]], [0, 1]), rows) == 2
    assert shared_rows(ClassifierOutputs([[0.0, 1.0], [2.0, 0.5]], [1, 0]), rows) == 0
    assert shared_rows(ClassifierOutputs([[1e300, 1.0]], [0]), rows) == 0


@pytest.mark.parametrize(("n", "m", "trees"), [(100, 1000, 100), (500, 5000, 10_000), (20, 20, 10)])
def test_equal_rows_of_a_forest_are_luck(n: int, m: int, trees: int) -> None:
    for seed in range(5):
        assert shared_rows(forest(m, seed + 100, trees), forest(n, seed, trees)) == 0
    rows = forest(n, 0, trees)
    assert shared_rows(rows, rows) == n  # but all of them are not


def test_a_few_equal_rows_of_two_classes_among_millions_of_pairs_are_luck() -> None:
    """Many tables have two classes; probabilities as float32 then agree now and then, in three digits or in all."""
    for seed in range(8):
        draw = np.random.default_rng(seed)
        right = 1 / (1 + np.exp(-draw.normal(3, 3, 51_000)))
        logits = np.log(np.column_stack([1 - right, right]).clip(1e-12)).astype(np.float32)
        rows = ClassifierOutputs(logits, (draw.random(51_000) < right).astype(np.int64))
        known, new = rows.subset(slice(0, 50_000)), rows.subset(slice(50_000, None))
        assert shared_rows(new, known) == 0
        assert shared_rows(rows.subset(slice(49_950, 50_950)), known) >= 50


def test_one_equal_row_of_ten_classes_is_no_luck_and_labels_may_be_lacking() -> None:
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(30_000, 10)) + 3 * np.eye(10)[draw.integers(10, size=30_000)]
    rows = ClassifierOutputs(logits, logits.argmax(axis=1))
    known = rows.subset(slice(0, 25_000))
    assert shared_rows(rows.subset(slice(24_999, None)), known) == 1
    assert shared_rows(rows.subset(slice(24_900, None)).changed(labels=None), known) == 100
    assert shared_rows(rows.subset(slice(25_000, None)).changed(labels=None), known) == 0


def test_stored_hashes_stay_valid() -> None:
    """A change of the hash would make every oracle on disk forget its rows."""
    rows = ClassifierOutputs([[0.5, -1.25], [3.0, 0.0]], [1, 0])
    named = rows.changed(ids=["cat.png", "dog/ü.png"])
    assert RowHashes.of(named).hashes.tolist() == IDS
    assert RowHashes.of(rows).hashes.tolist() == VALUES
    longer = rows.changed(ids=["cat.png", "a much longer name than the others.png"])
    assert shared_rows(longer, named) == 1
