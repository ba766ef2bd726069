"""Odd inputs of outputs: what is wrong is said in one line, with what to do; what passes, passes rightly."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from steepslope.errors import SteepslopeError
from steepslope.outputs import ClassifierOutputs
from tests.refusal import refusal

LOGITS = np.random.default_rng(0).normal(size=(12, 3))
P = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
LABELS = np.arange(12) % 3
NAMES = ["ant", "bee", "cat"]
TEXT = np.array(NAMES)[LABELS]
FRAME, MIXED = pd.DataFrame(LOGITS, columns=NAMES), pd.Series(LABELS).sample(frac=1, random_state=0)


def edited(array: Any, place: Any, value: Any) -> Any:
    array = np.array(array)
    array[place] = value
    return array


def given(*arguments: Any, **named: Any) -> Callable[[], ClassifierOutputs]:
    return lambda: ClassifierOutputs(*arguments, **named)


def probable(*arguments: Any, **named: Any) -> Callable[[], ClassifierOutputs]:
    return lambda: ClassifierOutputs.from_probabilities(*arguments, **named)


def answered(*arguments: Any, **named: Any) -> Callable[[], ClassifierOutputs]:
    return lambda: ClassifierOutputs.from_answers(*arguments, **named)


AB = {"classes": ["a", "b"], "labels": [0, 1]}
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "probabilities": (given(P, LABELS), "found rows that are probabilities: .*from_probabilities"),
    "-inf": (given(edited(LOGITS, (4, 1), -np.inf)), "logits: .* found -inf in row 4: give probabilities"),
    "inf": (given(edited(LOGITS, (5, 1), np.inf)), "logits: .* found inf in row 5: clip"),
    "nan": (given(edited(LOGITS, (6, 1), np.nan)), "logits: .* found nan in row 6: leave such rows out"),
    "boolean logits": (given(LOGITS > 0), "logits: expected float16, float32 or float64 .* found bool"),
    "text in logits": (given([["1.5", "x", "2"]] * 12), "logits: expected numbers, found '1.5' in row 0: leave"),
    "a frame with text": (given(pd.DataFrame({"x": [0.5], "name": ["a"]})), "found 'a' in row 0: leave columns"),
    "a frame with an empty cell": (given(pd.DataFrame({"ant": [0.5, None], "bee": [1.5, 1.0]})), "found nan in row 1"),
    "scores of two classes": (given(LOGITS[:, 0]), r"found float64 of shape \(12,\); one number for two classes"),
    "rows of two lengths": (given([torch.zeros(3), torch.zeros(2)]), "logits: expected an array of float16"),
    "None": (given(None), "logits: expected float16, float32 or float64 of shape"),
    "a label of 2.5": (given(LOGITS, edited(LABELS.astype(float), 7, 2.5)), "found 2.5 in row 7 .*: give the number"),
    "a label of NaN": (given(LOGITS, edited(LABELS.astype(float), 8, np.nan)), "found nan in row 8 .*: leave such"),
    "a missing label": (given(LOGITS, [None, *LABELS[1:]]), "labels: expected whole numbers, found nan in row 0"),
    "one-hot labels": (given(LOGITS, np.eye(3, dtype=int)[LABELS]), r"give labels.argmax\(axis=1\)"),
    "too few labels": (given(LOGITS, LABELS[:5]), "labels: expected 12 rows like the logits, found 5"),
    "text labels alone": (given(LOGITS, TEXT), "with classes=.* found 'ant' in row 0"),
    "all labels misspelt": (given(LOGITS, ["bea"] * 12, classes=NAMES), "found 'bea' in row 0 .*did you mean 'bee'"),
    "an empty label": (given(LOGITS, edited(TEXT, 5, ""), classes=NAMES), "labels: .* found an empty cell in row 5"),
    "a label of -2": (given(LOGITS, LABELS - 2), "labels: expected values in 0…2, .* or -1 .* found -2 in row 0"),
    "a missing text": (given(LOGITS, pd.Series(["ant", None] * 6), classes=NAMES), "found '(None|nan)' in row 1"),
    "a number that is no class": (given(LOGITS, LABELS, classes=[1, 2, 3]), "classes 1, 2, 3, found '0' in row"),
    "a class twice": (given(LOGITS, LABELS, classes=["ant", "bee", "ant"]), "classes: .* found 'ant' twice"),
    "classes as a dict": (given(LOGITS, classes={0: "ant", 1: "bee", 2: "cat"}), "expected a list .* found a dict"),
    "one number as classes": (given(LOGITS, classes=3), "classes: expected a list .* found a int"),
    "columns in another order": (given(FRAME, classes=NAMES[::-1]), "of the frame.*: leave classes"),
    "an index in another order": (given(FRAME, MIXED), r"the index of the logits, .* give labels.to_numpy\(\)"),
    "an array that is not known": (given(LOGITS, feature=LOGITS), "unknown array 'feature': did you mean 'features'?"),
    "a sum of 1.5": (probable(edited(P, 2, [0.5, 0.5, 0.5])), r"found 1.5 in row 2 \(1 of 12 rows\): divide"),
    "percent": (probable(100 * P), "expected rows that sum to 1 within 0.01, found 100 in row 0"),
    "logits as probabilities": (probable(LOGITS), "expected none below 0, found .* logits go to ClassifierOutputs"),
    "a probability of NaN": (probable(edited(P, 3, np.nan)), "expected finite values, found nan in row 3"),
    "a probability of 1.2": (probable([0.1, 1.2]), "expected none above 1, found 1.2 in row 1"),
    "three axes": (probable(P[None]), r"of shape \(n, K\), or \(n,\) of class 1 of 2, found float64 of shape"),
    "a floor of 0": (probable(P, floor=0), "floor: expected a number above 0 and below all other .* found 0"),
    "a missing answer": (answered(["a", "", "b"], [0.5] * 3), r"classes a, b \(leave .* found an empty cell in row 1"),
    "an answer of no class": (answered(["a", "zebra"], **AB), r"classes a, b \(leave .*, found 'zebra' in row 1"),
    "an answer of 2": (answered([0, 2], **AB), r"one of the classes a, b \(leave .*, found '2' in row 1"),
    "one class alone": (answered(["a", "a"]), r"at least two classes, found a alone: name them all \(classes=, --cl"),
    "an answer of -1": (answered([-1, 0]), r"one of the classes 0, 1 \(leave .*, found '-1' in row 0"),
    "large answers": (answered([20_250_101, 0]), r"names of the classes \(classes=, --classes\), found 20250101"),
    "a confidence of inf": (answered([0, 1], [0.5, np.inf]), r"confidence: expected finite .* found inf in row 1"),
    "a confidence of text": (answered([0, 1], [0.5, "97%"]), "confidence: expected numbers, found '97%' in row 1"),
    "one confidence": (answered([0, 1], [0.5]), r"confidence: expected 2 numbers, one an answer, found shape \(1,\)"),
    "all probabilities": (answered([0, 1], np.full((2, 3), 1 / 3)), "probabilities of all classes go to"),
    "labels of one answer": (answered([0, 1], [0.5] * 2, [0]), "labels: expected 2 rows like the logits, found 1"),
    "ids of fewer rows": (given(LOGITS, ids=["a"]), "ids: expected 12 rows"),
    "dropout of three": (given(LOGITS, dropout=np.zeros((12, 3, 3))), r"dropout: expected .* of shape \(n, 2, K\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_said_in_one_line(name: str) -> None:
    make, expected = REFUSED[name]
    assert re.search(expected, refusal(make))


PASSING: dict[str, Callable[[], ClassifierOutputs]] = {
    "text": given(LOGITS, TEXT, classes=NAMES),
    "text and classes with commas": given(LOGITS, TEXT.tolist(), classes="ant, bee, cat"),
    "text of bytes": given(LOGITS, TEXT.astype("S"), classes=NAMES),
    "a frame's columns": given(FRAME, pd.Series(TEXT)),
    "a frame of labels": given(FRAME, pd.DataFrame({"y": TEXT})),
    "categories": given(LOGITS, pd.Series(TEXT, dtype="category"), classes=NAMES),
    "pandas' integers": given(LOGITS, pd.Series(LABELS, dtype="Int64"), classes=NAMES),
    "unsigned bytes": given(LOGITS, LABELS.astype(np.uint8), classes=NAMES),
    "a column of labels": given(LOGITS, LABELS[:, None], classes=NAMES),
    "a tensor with a gradient": given(torch.tensor(LOGITS, requires_grad=True), torch.tensor(LABELS), classes=NAMES),
    "tensors of batches": given(*(list(torch.split(torch.tensor(x), 5)) for x in (LOGITS, LABELS)), classes=NAMES),
    "probabilities": probable(P, TEXT, classes=NAMES),
    "probabilities of float16": probable(P.astype(np.float16), TEXT, classes=NAMES),
    "a frame of probabilities": probable(pd.DataFrame(P, columns=NAMES), TEXT),
    "an index that is another": given(FRAME, pd.Series(LABELS, index=LABELS.argsort() + 5)),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_the_same(name: str) -> None:
    outputs = PASSING[name]()
    np.testing.assert_array_equal(outputs.predictions, LOGITS.argmax(axis=1))
    np.testing.assert_array_equal(outputs.require_labels(), LABELS)
    assert outputs.classes == tuple(NAMES)


def test_logits_that_look_like_probabilities_can_be_meant(tmp_path: Path) -> None:
    meant = ClassifierOutputs(P, LABELS, as_logits=True)
    assert meant.subset(slice(11)).changed(features=P[:11]).logits.tolist() == P[:11].tolist()
    for name in ("folder", "mine.npz", "mine.csv"):
        meant.save(tmp_path / name)
        np.testing.assert_array_equal(ClassifierOutputs.load(tmp_path / name, as_logits=True).logits, P)
    np.testing.assert_array_equal(ClassifierOutputs.load(tmp_path / "folder").logits, P)
    with pytest.raises(SteepslopeError, match=r"mine\.csv: logits: expected logits, found rows that are probabilities"):
        ClassifierOutputs.load(tmp_path / "mine.csv")
