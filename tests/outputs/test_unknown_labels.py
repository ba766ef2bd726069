"""Labels of out-of-class inputs: however they come, in memory and on disk, and never right."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st

from steepslope.errors import SteepslopeError, UnknownLabelsWarning
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs._predictions import groups_of_predictions
from steepslope.outputs._table import read_table

NAMES = ["ant", "bee", "cat"]
LOGITS = np.array([[2.0, 0.0, 0.5], [0.0, 3.0, 0.5], [1.0, 0.0, 0.5], [0.0, 0.5, 4.0]])
CODES = [0, -1, -1, 2]
TEXT = ["ant", "unknown", "-1", "cat"]
STRANGE = ["ant", "cow", "cta", "cat"]
SPELT = "found names .* in 2 rows, the first of them row 1; .*'cow' .1.*'cta' .1; did you mean 'cat'"


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (CODES, None),
        (TEXT, NAMES),
        (pd.Series(TEXT, dtype="category"), NAMES),
        ([0, "unknown", -1, 2], None),
        ([10, -1, "unknown", 30], [10, 20, 30]),
    ],
)
def test_minus_one_and_unknown_are_labels(labels: Any, classes: Sequence[Any] | None) -> None:
    outputs = ClassifierOutputs(LOGITS, labels, classes=classes)
    assert outputs.require_labels().tolist() == CODES
    assert outputs.is_unknown.tolist() == [False, True, True, False]
    assert outputs.is_correct.tolist() == [True, False, False, True]


def test_names_of_a_frame_s_columns_leave_others_unknown() -> None:
    frame = pd.DataFrame(LOGITS, columns=NAMES)
    assert ClassifierOutputs(frame, pd.Series(TEXT)).require_labels().tolist() == CODES
    with pytest.warns(UnknownLabelsWarning, match=f"^labels: {SPELT}"):
        assert ClassifierOutputs(frame, pd.Series(STRANGE)).require_labels().tolist() == CODES


def test_an_unknown_input_has_probability_0_of_its_label_and_a_name() -> None:
    outputs = ClassifierOutputs(LOGITS, CODES, classes=NAMES)
    assert (outputs.true_class_probability == 0).tolist() == [False, True, True, False]
    known = outputs.of_known_classes()
    np.testing.assert_array_equal(known.true_class_probability, outputs.true_class_probability[[0, 3]])
    assert [outputs.label_names[label] for label in CODES] == ["ant", "unknown", "unknown", "cat"]
    assert known.of_known_classes() is known
    unlabelled = ClassifierOutputs(LOGITS)
    assert unlabelled.of_known_classes() is unlabelled
    with pytest.raises(SteepslopeError, match="labels: expected rows of the classes, found 2 that belong to none"):
        outputs.subset(np.array([1, 2])).of_known_classes()


def test_a_class_named_unknown_or_minus_one_is_that_class() -> None:
    for labels, classes in ((["unknown", "a"], ["a", "unknown"]), ([1, -1], [-1, 1])):
        outputs = ClassifierOutputs(LOGITS[:2, :2], labels, classes=classes)
        assert outputs.require_labels().tolist() == [1, 0]


def write(path: Path, labels: Sequence[Any], names: Sequence[str]) -> Path:
    """Write logits with labels in the format of the suffix, without the package."""
    if path.suffix == ".npz":
        named: dict[str, Any] = {} if names == "012" else {"classes": np.array(names)}
        np.savez(path, logits=LOGITS, labels=np.array(labels), **named)
        return path
    columns = {f"logit_{name}": LOGITS[:, place] for place, name in enumerate(names)}
    table = pa.table({**columns, "label": pa.array(labels)})
    pc.write_csv(table, path) if path.suffix == ".csv" else pq.write_table(table, path)
    return path


ENDINGS = pytest.mark.parametrize("ending", [".csv", ".parquet", ".npz"])


@ENDINGS
@pytest.mark.parametrize(
    ("labels", "names"), [(CODES, "012"), (["0", "unknown", "-1", "2"], "012"), (TEXT, NAMES), (CODES, NAMES)]
)
def test_files_hold_unknown_labels(tmp_path: Path, ending: str, labels: list[Any], names: Sequence[str]) -> None:
    path = write(tmp_path / f"outputs{ending}", labels, names)
    assert ClassifierOutputs.load(path).require_labels().tolist() == CODES


@ENDINGS
def test_names_that_no_class_has_are_told_once(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"outputs{ending}", STRANGE, NAMES)
    with pytest.warns(UnknownLabelsWarning, match=SPELT) as found:
        assert ClassifierOutputs.load(path).require_labels().tolist() == CODES
    assert len(found) == 1
    assert str(found[0].message).startswith("labels: " if ending == ".npz" else "column 'label': ")
    assert "\n" not in str(found[0].message)


def test_many_names_are_counted_and_the_most_frequent_named() -> None:
    labels = ["ant"] * 3 + ["yak", "emu", "elk", "fox", "fox"]
    with pytest.warns(UnknownLabelsWarning, match=r"in 5 rows, .* row 3; .*: 'fox' \(2\), .*, … \(4 names in all\)$"):
        ClassifierOutputs(np.tile(LOGITS, (2, 1)), labels, classes=NAMES)


def test_the_unknown_are_a_group_of_their_own(tmp_path: Path) -> None:
    for classes, names in ((NAMES, ["unknown", "ant", "cat"]), (None, ["unknown", "0", "2"])):
        outputs = ClassifierOutputs(LOGITS, CODES, classes=classes)
        outputs.save(tmp_path / "o.npz")
        groups = groups_of_predictions(None, outputs, read_table(tmp_path / "o.npz"))
        assert groups is not None
        assert groups.names is not None
        assert [groups.names[code] for code in np.unique(groups.codes)] == names


@given(st.lists(st.integers(-1, 3), min_size=1, max_size=30), st.integers(0, 2**31))
def test_unknown_rows_change_nothing_but_themselves(codes: list[int], seed: int) -> None:
    logits = np.random.default_rng(seed).normal(size=(len(codes), 4))
    outputs = ClassifierOutputs(logits, codes)
    truth = [code >= 0 and code == row.argmax() for code, row in zip(codes, logits, strict=True)]
    assert outputs.is_correct.tolist() == truth
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = [0 if code < 0 else row[code] for code, row in zip(codes, probabilities, strict=True)]
    np.testing.assert_allclose(outputs.true_class_probability, expected, rtol=1e-12)
    assert outputs.augmented() is None
