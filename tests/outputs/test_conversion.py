"""Frames, series and tensors become arrays; columns name the classes; labels go by name."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from steepslope.outputs import ClassifierOutputs

LOGITS = np.array([[0.5, 2.0, -1.0], [3.0, 0.25, 0.5]], dtype=np.float32)
NAMES = ("ant", "bee", "cat")


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


@pytest.mark.parametrize("library", [pd, pl])
def test_whole_logits_booleans_and_whole_floats(library: Any) -> None:
    outputs = ClassifierOutputs(library.DataFrame({"no": [1, 5], "yes": [4, 2]}), library.Series([True, False]))
    assert outputs.logits.dtype == np.float64
    assert outputs.require_labels().tolist() == [1, 0]
    assert ClassifierOutputs([[1, 5], [4, 2]], library.Series([1.0, 0.0])).require_labels().tolist() == [1, 0]
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
        ([1, 2, 3], [3, 1]),
        ([1.0, 2.0, 3.0], [3, 1]),
        (["1", "2", "3"], [3, 1]),
        (["1", "2", "3"], ["3", "1"]),
        ([1, 2, 3], ["3", "1"]),
        (np.array([1, 2, 3]), np.array([3.0, 1.0])),
        (["ant", "bee", "cat"], [2, 0]),
        ("ant,bee,cat", ["cat", "ant"]),
    ],
)
def test_labels_go_by_the_names_of_classes(classes: Any, labels: Any) -> None:
    assert ClassifierOutputs(LOGITS, labels, classes=classes).require_labels().tolist() == [2, 0]


def test_saved_labels_are_places_whatever_the_names(tmp_path: Any) -> None:
    outputs = ClassifierOutputs(LOGITS, [3, 1], classes=[1, 2, 3])
    for name in ("folder", "mine.npz", "mine.parquet"):
        outputs.save(tmp_path / name)
        found = ClassifierOutputs.load(tmp_path / name)
        assert (found.classes, found.require_labels().tolist()) == (("1", "2", "3"), [2, 0])
