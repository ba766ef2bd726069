"""Classifier outputs: what they derive, what becomes arrays, what they refuse, their files, and augmented copies."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.special import softmax

from steepslope.errors import SteepslopeError
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES
from tests.conftest import make_complete, make_outputs


def test_derived_values(outputs: ClassifierOutputs) -> None:
    probabilities = softmax(outputs.logits.astype(np.float64), axis=1)
    assert outputs.num_classes == 4
    assert len(outputs) == 400
    np.testing.assert_array_equal(outputs.predictions, probabilities.argmax(axis=1))
    np.testing.assert_array_equal(outputs.is_correct, outputs.predictions == outputs.labels)
    expected = probabilities[np.arange(400), outputs.labels]
    np.testing.assert_allclose(outputs.true_class_probability, expected, rtol=1e-12)
    assert outputs.true_class_probability.dtype == np.float64


@given(
    logits=arrays(np.float32, (5, 3), elements=st.floats(-(2.0**127), 2.0**127, width=32)),
    labels=arrays(np.int32, 5, elements=st.integers(0, 2)),
)
def test_true_class_probability_is_a_probability(logits: NDArray[Any], labels: NDArray[Any]) -> None:
    values = ClassifierOutputs(logits, labels).true_class_probability
    assert ((values >= 0) & (values <= 1)).all()


def with_everything() -> ClassifierOutputs:
    """Return outputs with every array, augmented copies, opinions, unknown labels and names of classes."""
    rng, outputs = np.random.default_rng(0), make_complete(12)
    widths = {"logits": 4, "features": 8, "auxiliary": 8, "noise": 2}
    copies = {f"augmented_{name}": rng.normal(size=(12, 3, width)) for name, width in widths.items()}
    labels = np.where(np.arange(12) % 5, outputs.require_labels(), -1)
    whole = outputs.changed(noise=rng.normal(size=(12, 2)), labels=labels, **copies).named(["ant", "bee", "3", "4"])
    return whole.with_opinion("net", rng.normal(size=(12, 4))).with_opinion("people", ["bee", ""] * 6)


LOGITS = np.array([[0.5, 2.0, -1.0], [3.0, 0.25, 0.5]], dtype=np.float32)
NAMES = ("ant", "bee", "cat")
SAVED: dict[str, Callable[[], ClassifierOutputs]] = {
    "plain": make_outputs,
    "many classes": lambda: make_outputs(3, 12),
    "unlabelled": lambda: make_outputs(5).changed(labels=None),
    "odd ids": lambda: make_outputs(4).changed(ids=["007", "1e3", "null", "2026-01-01"]),
    "classes called by numbers": lambda: ClassifierOutputs(LOGITS, [3, 1], classes=[1, 2, 3]),
    "unknown labels": lambda: ClassifierOutputs(LOGITS, ["unknown", "cat"], classes=NAMES),
    "everything": with_everything,
}


@pytest.mark.parametrize("name", ["folder", "outputs.npz", "outputs.csv", "outputs.parquet", "UPPER.CSV"])
@pytest.mark.parametrize("kind", SAVED)
def test_files_keep_all_arrays_and_names(kind: str, name: str, tmp_path: Path) -> None:
    outputs, is_csv = SAVED[kind](), name.lower().endswith("csv")
    if kind == "everything" and (is_csv or name.endswith("parquet")):
        return  # a table has no place for them, which is said
    outputs.save(tmp_path / name)
    assert (tmp_path / name).is_file() == ("." in name)
    loaded = ClassifierOutputs.load(tmp_path / name)
    assert list(loaded.arrays) == list(outputs.arrays)
    for array, values in outputs.arrays.items():
        np.testing.assert_array_equal(loaded.arrays[array].astype(values.dtype), values, err_msg=array)
    assert loaded.classes == (None if is_csv else outputs.classes)
    assert loaded.logits.dtype == (np.float64 if is_csv else outputs.logits.dtype)


def test_folders_are_memory_mapped_and_can_be_saved_onto_themselves(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    outputs.save(tmp_path)
    loaded = ClassifierOutputs.load(tmp_path)
    assert isinstance(loaded.logits, np.memmap)
    loaded.save(tmp_path)
    np.testing.assert_array_equal(ClassifierOutputs.load(tmp_path).logits, outputs.logits)


@pytest.mark.parametrize("damage", ["truncated", "missing", "other", "no manifest"])
def test_a_damaged_array_is_named(outputs: ClassifierOutputs, tmp_path: Path, damage: str) -> None:
    outputs.save(tmp_path)
    path = tmp_path / "logits.npy"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "missing":
        path.unlink()
    elif damage == "no manifest":
        (tmp_path / "manifest.json").unlink()
    else:
        np.save(path, np.zeros((3, 4)))
    with pytest.raises(SteepslopeError, match=str(tmp_path)):
        ClassifierOutputs.load(tmp_path)


def test_another_byte_order_is_turned(tmp_path: Path) -> None:
    outputs = make_outputs(4)
    turned = ClassifierOutputs(outputs.logits.astype(">f4"), outputs.labels)
    turned.save(tmp_path / "outputs.csv")
    np.testing.assert_array_equal(turned.logits, outputs.logits)


@pytest.mark.parametrize(
    "change", [{"version": 99}, {"arrays": []}, {"arrays": {"logits": {"dtype": "float32"}}}, {"ids": "yes"}]
)
def test_a_lying_manifest_is_named(outputs: ClassifierOutputs, tmp_path: Path, change: dict[str, Any]) -> None:
    outputs.save(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(SteepslopeError, match=r"manifest\.json"):
        ClassifierOutputs.load(tmp_path)


@pytest.mark.parametrize("format_", ["outputs.npz", "outputs.csv", "outputs.parquet"])
def test_a_damaged_byte_never_gives_a_traceback(outputs: ClassifierOutputs, tmp_path: Path, format_: str) -> None:
    """Whatever the damage does, it is read, or refused in one line that names the file."""
    path = tmp_path / format_
    outputs.save(path)
    content = bytearray(path.read_bytes())
    content[-30] ^= 255
    path.write_bytes(content)
    try:
        ClassifierOutputs.load(path)
    except SteepslopeError as error:
        assert str(path) in str(error)  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("name", ["bad.npz", "evil.npz", "bad.parquet", "bad.xlsx"])
def test_other_files_are_named(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "evil.npz", logits=np.array([{}], dtype=object), labels=np.array([0]))  # it is pickled
    (tmp_path / name.replace("evil", "other")).write_bytes(b"not what it says")
    with pytest.raises(SteepslopeError, match=name):
        ClassifierOutputs.load(tmp_path / name)


@pytest.mark.parametrize("library", [pd, pl])
def test_frames_and_series(library: Any) -> None:
    frame = library.DataFrame({name: LOGITS[:, k] for k, name in enumerate(NAMES)})
    labels, ids = library.Series(["bee", "cat"]), library.Series(["first", "second"])
    outputs = ClassifierOutputs(frame, labels, features=frame, ids=ids)
    assert outputs.logits.dtype == np.float32
    np.testing.assert_array_equal(outputs.logits, LOGITS)
    np.testing.assert_array_equal(outputs.require_features(), LOGITS)
    assert outputs.classes == NAMES
    assert outputs.require_labels().tolist() == [1, 2]
    assert outputs.ids is not None
    assert outputs.ids.tolist() == ["first", "second"]


def test_whole_logits_booleans_and_whole_floats() -> None:
    outputs = ClassifierOutputs(pl.DataFrame({"no": [1, 5], "yes": [4, 2]}), pl.Series([True, False]))
    assert outputs.logits.dtype == np.float64
    assert outputs.require_labels().tolist() == [1, 0]
    assert ClassifierOutputs(np.array([[1, 5]], dtype=np.int8)).logits.dtype == np.float32


def test_numbered_columns_are_no_names_but_numbers_that_name_are() -> None:
    assert ClassifierOutputs(pd.DataFrame(LOGITS), [0, 1]).classes is None
    named = ClassifierOutputs(pd.DataFrame(LOGITS, columns=[3, 5, 7]), [7, 3])
    assert named.classes == ("3", "5", "7")
    assert named.require_labels().tolist() == [2, 0]
    assert named.subset(slice(1)).require_labels().tolist() == [2]
    assert named.changed(features=LOGITS).require_labels().tolist() == [2, 0]


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        ([1.0, 2.0, 3.0], [3, 1]),
        (["1", "2", "3"], [3, 1]),
        ([1, 2, 3], ["3", "1"]),
        (np.array([1, 2, 3]), np.array([3.0, 1.0])),
    ],
)
def test_labels_go_by_the_names_of_classes(classes: Any, labels: Any) -> None:
    assert ClassifierOutputs(LOGITS, labels, classes=classes).require_labels().tolist() == [2, 0]


@pytest.mark.nets
def test_without_labels_all_is_the_same_but_for_what_needs_them() -> None:
    labelled = make_outputs().named("abcd")
    unlabelled = labelled.changed(labels=None)
    for use in (lambda: unlabelled.is_correct, lambda: SCORES["temperature_scaled_mcp"]().fit(unlabelled)):
        with pytest.raises(SteepslopeError, match="labels: expected the true class of each prediction, found none"):
            use()
    np.testing.assert_array_equal(unlabelled.predictions, labelled.predictions)
    oracle = Oracle(epochs=2).fit(labelled)
    np.testing.assert_array_equal(oracle.trust_logit(unlabelled), oracle.trust_logit(labelled))
    np.testing.assert_array_equal(unlabelled.subset(slice(3, 5)).logits, labelled.logits[3:5])


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
