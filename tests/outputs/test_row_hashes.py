"""Rows are known again by their ids, or else by their values, in any order, file and type of float."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.outputs import ClassifierOutputs
from steepslope.outputs._row_hashes import RowHashes, have_ids_to_hash, shared_rows
from tests.conftest import make_outputs

Change = Callable[[ClassifierOutputs, np.random.Generator], ClassifierOutputs]


def probabilities(outputs: ClassifierOutputs) -> NDArray[np.float64]:
    odds = np.exp(np.float64(outputs.logits) - outputs.logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def rounded(decimals: int) -> Change:
    """Return what writes probabilities with so many decimals; of zeros it takes the logarithm of a small number."""

    def change(outputs: ClassifierOutputs, _: np.random.Generator) -> ClassifierOutputs:
        p = np.round(probabilities(outputs), decimals)
        return outputs.changed(logits=np.log(np.where(p > 0, p, 2.0**-24 / p.shape[1])))

    return change


def noisy(deviation: float) -> Change:
    def change(outputs: ClassifierOutputs, draw: np.random.Generator) -> ClassifierOutputs:
        return outputs.changed(logits=outputs.logits + deviation * draw.normal(size=outputs.logits.shape))

    return change


CHANGES: dict[str, Change] = {
    "none": lambda outputs, _: outputs,
    "float16": lambda outputs, _: outputs.changed(logits=outputs.logits.astype(np.float16)),
    "log p": lambda outputs, _: outputs.changed(logits=np.log(probabilities(outputs).astype(np.float32))),
    "temperature": lambda outputs, _: outputs.changed(logits=outputs.logits / 2.5),
    **{f"{decimals} decimals": rounded(decimals) for decimals in (1, 2, 3)},
    **{f"noise {deviation}": noisy(deviation) for deviation in (1e-5, 1e-3, 1e-2)},
}


def drawn(n: int, classes: int, seed: int, apart: float = 4.0, by_class: bool = False) -> ClassifierOutputs:
    """Draw outputs without ids, of classes so far apart, in random order or class by class."""
    draw = np.random.default_rng([seed, classes])
    labels = draw.integers(classes, size=n)
    if by_class:
        labels.sort()
    logits = draw.normal(size=(n, classes)) + apart * (1 + draw.normal(size=(n, 1)) / 3) * np.eye(classes)[labels]
    return ClassifierOutputs(logits.astype(np.float32), labels, as_logits=True)


def forest(n: int, seed: int, trees: int = 100) -> ClassifierOutputs:
    """Make outputs as of a random forest of two classes: few different values, and many rows that are equal."""
    rng = np.random.default_rng(seed)
    votes = rng.binomial(trees, rng.beta(0.3, 0.3, size=n)) / trees
    logits = np.log(np.clip(np.stack([1 - votes, votes], axis=1), 1e-6, 1))
    return ClassifierOutputs(logits, (rng.random(n) < votes).astype(np.int64))


def test_rows_are_told_by_ids_where_these_say_more_than_a_number() -> None:
    outputs = make_outputs(40)
    numbered = outputs.changed(ids=np.arange(40))
    assert have_ids_to_hash(outputs)
    assert not have_ids_to_hash(numbered)
    assert not have_ids_to_hash(outputs.changed(ids=None))
    assert not have_ids_to_hash(outputs.changed(ids=np.arange(1, 41)))
    assert have_ids_to_hash(outputs.changed(ids=np.arange(3, 43)))
    other = make_outputs(40, seed=1)
    assert shared_rows(numbered, other.changed(ids=np.arange(40))) == 0  # both begin with 0, and are other rows


@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("classes", [2, 10, 100])
def test_equal_names_in_two_folders_are_not_the_same_rows(classes: int, by_class: bool) -> None:
    """train/cat/1.png and test/cat/1.png have one id each, cat/1.png; the classifier sees other images."""
    for n, apart in ((20, 4), (300, 4), (300, 12)):
        ids = [f"cat/{i}.png" for i in range(n)]
        for seed in (0, 4):
            known, new = (drawn(n, classes, i, apart, by_class).changed(ids=ids) for i in (seed, seed + 1))
            assert shared_rows(new, known) == 0


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("classes", [2, 10])
def test_all_rows_with_equal_ids_count_however_their_logits_were_changed(classes: int, change: str) -> None:
    rows = drawn(1000, classes, 0)
    known = rows.changed(ids=[f"cat/{i}.png" for i in range(1000)])
    changed = CHANGES[change](known.subset(slice(600, None)), np.random.default_rng(1))
    new = drawn(600, classes, 1).changed(ids=[f"dog/{i}.png" for i in range(600)])
    assert shared_rows(changed, known) == 400
    assert shared_rows(joined(changed, new), known) == 400
    assert RowHashes.of(known).known(RowHashes.of(joined(new, changed))).tolist() == [False] * 600 + [True] * 400


def test_of_equal_names_some_may_be_the_same_rows() -> None:
    """A few, or half of all, with equal values: those that are not close are other rows."""
    known = drawn(500, 10, 0).changed(ids=[f"{i}.png" for i in range(500)])
    for few in (3, 250):
        mixed = joined(known.subset(slice(few)), drawn(500 - few, 10, 1).changed(ids=known.require("ids")[few:]))
        assert RowHashes.of(known).known(RowHashes.of(mixed)).nonzero()[0].tolist() == list(range(few))


def joined(some: ClassifierOutputs, others: ClassifierOutputs) -> ClassifierOutputs:
    arrays = {name: np.concatenate([array, others.require(name)]) for name, array in some.arrays.items()}
    return ClassifierOutputs.of(arrays)


@pytest.mark.parametrize("with_ids", [True, False])
def test_each_shared_row_counts(with_ids: bool) -> None:
    outputs, others = make_outputs(400), make_outputs(50, seed=1)
    if not with_ids:
        outputs, others = outputs.changed(ids=None), others.changed(ids=None)
    known = RowHashes.of(outputs)
    order = np.random.default_rng(0).permutation(400)
    for k in (1 if with_ids else 7, 20, 400):
        assert known.known(RowHashes.of(outputs.subset(order[:k]))).all()
    assert not known.known(RowHashes.of(others)).any()
    assert not known.known(RowHashes.unknown()).any()
    assert not RowHashes.unknown().known(known).any()


def test_ids_on_one_side_alone_do_not_hide_rows() -> None:
    outputs = make_outputs(200)
    assert shared_rows(outputs.changed(ids=None), outputs) == shared_rows(outputs, outputs.changed(ids=None)) == 200


@pytest.mark.parametrize("change", ["float16", "log p", "noise 1e-05", "noise 0.001"])
@pytest.mark.parametrize("classes", [4, 100])
def test_without_ids_rows_are_known_up_to_noise(classes: int, change: str) -> None:
    known, new = drawn(1000, classes, 0), drawn(950, classes, 1)
    leaked = CHANGES[change](known.subset(slice(50)), np.random.default_rng(1))  # a row in twenty
    seen = RowHashes.of(known).known(RowHashes.of(joined(new, leaked)))
    assert seen[950:].sum() >= 45
    assert seen[:950].sum() <= 5
    assert shared_rows(new, known) == 0


def test_neither_labels_nor_the_sign_of_zero_matter() -> None:
    rows = drawn(100, 4, 0)
    logits = rows.logits.copy()
    logits[:, 3] = 0
    known = rows.changed(logits=logits).subset(slice(50))
    negative = np.where(logits == 0, -0.0, logits)[:20]
    assert shared_rows(ClassifierOutputs(negative, (rows.predictions[:20] + 1) % 4), known) == 20
    assert shared_rows(ClassifierOutputs([[1e300, 1.0, -1e300]], [0]), known) == 0


@pytest.mark.parametrize(("n", "m", "trees"), [(100, 1000, 100), (500, 2000, 10_000), (20, 20, 10)])
def test_equal_rows_of_a_forest_are_luck(n: int, m: int, trees: int) -> None:
    for seed in range(3):
        assert shared_rows(forest(m, seed + 100, trees), forest(n, seed, trees)) == 0
    rows = forest(n, 0, trees)
    assert shared_rows(rows, rows) == n  # but all of them are not


def test_a_few_equal_rows_of_two_classes_among_millions_of_pairs_are_luck() -> None:
    """Many tables have two classes; probabilities as float32 then agree now and then, in three digits or in all."""
    draw = np.random.default_rng(0)
    right = 1 / (1 + np.exp(-draw.normal(3, 3, 51_000)))
    logits = np.log(np.column_stack([1 - right, right]).clip(1e-12)).astype(np.float32)
    rows = ClassifierOutputs(logits, (draw.random(51_000) < right).astype(np.int64))
    known, new = rows.subset(slice(0, 50_000)), rows.subset(slice(50_000, None))
    assert shared_rows(new, known) == 0
    assert shared_rows(rows.subset(slice(49_950, 50_950)), known) >= 50


def confidences(n: int, decimals: int | None, draw: np.random.Generator) -> NDArray[np.float64]:
    confidence = 1 - 0.5 * draw.beta(1, 3, size=n)
    return confidence if decimals is None else np.round(confidence, decimals)


@pytest.mark.filterwarnings("ignore:probabilities. found the same probability")  # as people spread them by hand
@pytest.mark.parametrize("form", ["spread", "one-hot"])
@pytest.mark.parametrize("decimals", [None, 1, 3])
@pytest.mark.parametrize("classes", [2, 300])
def test_rows_of_a_label_and_a_confidence_are_not_taken_for_each_other(
    classes: int, decimals: int | None, form: str
) -> None:
    """They have one free number, whatever the number of classes, and often a coarse one."""
    for seed, (n, m) in enumerate([(20, 20), (100, 100), (300, 500)]):
        draw = np.random.default_rng(seed)
        labels, confidence = draw.integers(classes, size=n + m), confidences(n + m, decimals, draw)
        top = confidence[:, None] * np.eye(classes)[labels]
        rest = ((1 - confidence) / (classes - 1))[:, None] * (1 - np.eye(classes)[labels])
        rows = ClassifierOutputs.from_probabilities(top + rest)
        if form == "one-hot":
            rows = ClassifierOutputs(top, as_logits=True)
        assert shared_rows(rows.subset(slice(n)), rows.subset(slice(n, None))) == 0


def test_what_is_kept_is_what_the_formulas_say() -> None:
    """Weights from the raw stream of a generator, which all versions of NumPy share, so that oracles on disk stay."""
    rows = ClassifierOutputs([[0.5, -1.25], [3.0, 0.0]], [1, 0]).changed(ids=["cat.png", "dog/ü.png"])
    raw = [int(word) for word in np.random.PCG64(20260).random_raw(9)]
    kept = RowHashes.of(rows)
    assert kept.ids is not None
    for kept_id, name in zip(kept.ids.tolist(), ("cat.png", "dog/ü.png"), strict=True):
        assert kept_id == sum(ord(letter) * (word | 1) for letter, word in zip(name, raw, strict=False)) % 2**64
    weights = [(word >> 40) / 2**24 - 0.5 for word in raw[3:6]]  # of the second class, which is 0 below the first
    for sketch, margin in zip(kept.sketches, (1.75, 3.0), strict=True):
        expected = [0, margin, *(-margin * weight / 2**0.5 for weight in weights)]
        np.testing.assert_allclose(np.sinh(sketch), expected, rtol=1e-6)
    longer = rows.changed(ids=["cat.png", "a much longer name than the others.png"])
    longer_ids = RowHashes.of(longer).ids
    assert longer_ids is not None
    assert longer_ids[0] == kept.ids[0]


def test_rows_with_coarse_signals_are_known_by_their_ids() -> None:
    right = np.random.default_rng(0).random(600) < 0.7
    judge = np.where(np.random.default_rng(1).random(600) < 0.8, right, ~right).astype(float)
    answers = ClassifierOutputs.from_graded({"judge": judge}, right, ids=[f"q{row}" for row in range(600)])
    fitted = RowHashes.of(answers.subset(slice(300)))
    assert fitted.known(RowHashes.of(answers)).tolist() == [True] * 300 + [False] * 300
