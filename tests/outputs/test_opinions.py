"""Opinions of other classifiers: rows by ids, classes by names, what is lacking, and what is refused."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax, softmax

from steepslope.errors import SteepslopeError, UnknownLabelsWarning
from steepslope.outputs import ClassifierOutputs
from tests.refusal import refusal

DRAW = np.random.default_rng(0)
LOGITS, OTHER = DRAW.normal(size=(2, 30, 3))
SEVENTH = np.arange(90).reshape(30, 3) == 7
IDS = [f"row-{row}" for row in range(30)]
OUTPUTS = ClassifierOutputs(LOGITS, DRAW.integers(3, size=30), ids=IDS, classes=["ant", "bee", "cat"])


def test_logits_and_probabilities_say_the_same() -> None:
    logits = OUTPUTS.with_opinion("net", OTHER)
    probabilities = OUTPUTS.with_opinion("net", softmax(OTHER, axis=1))
    assert logits.opinions == ("net",)
    np.testing.assert_allclose(logits.require("opinion_net"), log_softmax(OTHER, axis=1), rtol=1e-5)
    np.testing.assert_allclose(probabilities.require("opinion_net"), logits.require("opinion_net"), rtol=1e-4)


def test_outputs_go_by_ids_and_rows_may_lack_them() -> None:
    other = ClassifierOutputs(OTHER, ids=IDS).subset(np.arange(29, 4, -1))
    found = OUTPUTS.with_opinion("net", other).require("opinion_net")
    np.testing.assert_allclose(found[5:], log_softmax(OTHER[5:], axis=1), rtol=1e-5)
    assert np.isnan(found[:5]).all()


def test_ids_have_to_be_distinct_where_they_decide() -> None:
    """Where both sides have the same ids, the order decides."""
    twice = [IDS[1], *IDS[1:]]
    own, other = OUTPUTS.changed(ids=twice), ClassifierOutputs(OTHER, ids=twice)
    found = own.with_opinion("net", other).require("opinion_net")
    np.testing.assert_allclose(found, log_softmax(OTHER, axis=1), rtol=1e-5)
    for mine, theirs, of in (own, ClassifierOutputs(OTHER, ids=IDS), " of the outputs"), (OUTPUTS, other, ""):
        with pytest.raises(
            SteepslopeError, match=f"opinion net: expected each id{of} once, found {IDS[1]!r} in 2 rows"
        ):
            mine.with_opinion("net", theirs)


def test_few_common_ids_are_told() -> None:
    other = ClassifierOutputs(OTHER, ids=[one if row < 4 else str(row) for row, one in enumerate(IDS)])
    with pytest.warns(UserWarning, match="opinion net: only 4 ids are on both sides, 13% of the 30 on one"):
        OUTPUTS.with_opinion("net", other)


def test_classes_go_by_names_and_the_classifier_fills_what_is_unknown() -> None:
    other = ClassifierOutputs(OTHER[:, :2], classes=["cat", "ant"])
    found = np.exp(OUTPUTS.with_opinion("net", other).require("opinion_net"))
    own, share = softmax(LOGITS, axis=1), softmax(OTHER[:, :2], axis=1)
    np.testing.assert_allclose(found[:, 1], own[:, 1], rtol=1e-4)
    np.testing.assert_allclose(found[:, 2], (1 - own[:, 1]) * share[:, 0], rtol=1e-4)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_a_mapping_joins_classes() -> None:
    classes = {"black ant": "ant", "red ant": "ant", "bee": "bee", "cat": "cat", "dog": None}
    probabilities = softmax(DRAW.normal(size=(30, 5)), axis=1)
    found = np.exp(OUTPUTS.with_opinion("net", probabilities, classes).require("opinion_net"))
    joined = np.column_stack([probabilities[:, :2].sum(axis=1), probabilities[:, 2:4]])
    np.testing.assert_allclose(found, joined / joined.sum(axis=1, keepdims=True), rtol=1e-4)


@pytest.mark.parametrize(
    "votes",
    [
        ["bee", "", "cat", None, "dog"],
        np.array([1, np.nan, 2, -1, 3.0]),
        np.array(["bee", "", "cat", "-1", "dog"]),
        ["1.0", "NA", "2", "-1.0", "dog"],
        ["bee", "<NA>", "cat", "None", "dog"],
    ],
    ids=["names", "numbers", "text", "numbers as text", "as pandas writes it"],
)
def test_votes(votes: Any) -> None:
    some = OUTPUTS.subset(slice(5))
    if isinstance(votes, np.ndarray) and votes.dtype.kind == "f":
        found = some.with_opinion("people", votes, ["ant", "bee", "cat", "dog"])
    else:
        with pytest.warns(UnknownLabelsWarning, match="opinion people: .* another class: 'dog'"):
            found = some.with_opinion("people", votes)
    assert found.require("vote_people").tolist() == [1, -1, 2, -1, 3]


def test_a_mapping_of_numbers_need_not_list_all() -> None:
    with pytest.warns(UnknownLabelsWarning, match="another class: '0'"):
        found = OUTPUTS.with_opinion("people", [0, 1, 2] * 10, {1: "ant", 2: "bee", 3: "cat"})
    assert found.require("vote_people").tolist() == [3, 0, 1] * 10


def test_votes_of_no_class_where_classes_are_numbers() -> None:
    """Those that are called by numbers go by these, as labels do."""
    with pytest.raises(SteepslopeError, match=r"expected numbers of classes in 0…2, or -1 for none, found 3 in row 2"):
        OUTPUTS.named(None).with_opinion("people", [1, 2, 3] * 10)
    from_1 = OUTPUTS.named(["1", "2", "3"])
    assert from_1.with_opinion("people", [1, 2, 3] * 10).require("vote_people").tolist() == [0, 1, 2] * 10
    with pytest.raises(SteepslopeError, match=r"expected names of classes \(1, 2, 3\), .*, found 0 in row 0"):
        from_1.with_opinion("people", [0, 1, 2] * 10)


def test_columns_of_a_frame_that_are_no_class_are_named() -> None:
    frame = pd.DataFrame(softmax(OTHER, axis=1), columns=["ant", "bee", "cat"]).reset_index()
    with pytest.raises(SteepslopeError, match=r"opinion net: columns: expected .*, bee, cat\), found index: leave"):
        OUTPUTS.with_opinion("net", frame)


def test_an_opinion_is_replaced_by_one_of_its_name() -> None:
    found = OUTPUTS.with_opinion("net", OTHER).with_opinion("net", [0] * 30)
    assert found.opinions == ("net",)
    assert found.opinion_net is None


def test_copies_have_the_opinion_of_the_others_copies() -> None:
    copies = DRAW.normal(size=(2, 30, 2, 3))
    own, other = (ClassifierOutputs(LOGITS, augmented_logits=one) for one in copies)
    found = own.with_opinion("net", other).augmented()
    assert found is not None
    np.testing.assert_allclose(found.require("opinion_net"), log_softmax(copies[1].reshape(60, 3), axis=1), rtol=1e-5)


def test_other_copies_are_refused() -> None:
    copies = DRAW.normal(size=(30, 3, 3))
    own = ClassifierOutputs(LOGITS, augmented_logits=copies)
    other = ClassifierOutputs(OTHER, augmented_logits=copies[:, 1:])
    with pytest.raises(SteepslopeError, match=r"opinion net: expected augmented copies made alike \(copies 3\), found"):
        own.with_opinion("net", other)


@pytest.mark.parametrize(
    ("name", "opinion", "classes", "message"),
    [
        ("a b", OTHER, None, "opinion: expected letters, digits, '_' and '-', found 'a b'"),
        ("net", OTHER[:4], None, "opinion net: expected 30 rows like the logits, or ids on both sides, found 4"),
        ("net", OTHER[:, :2], None, "opinion net: classes: expected 3 classes, or the names of classes on both sides"),
        ("net", OTHER, ["ant", "bee"], "opinion net: classes: expected 3 classes, one a column, found 2"),
        ("net", OTHER, {"a": "ant", "b": "bee", "c": "cow"}, "opinion net: classes: unknown class 'cow'"),
        ("net", ["wasp"] * 30, None, "opinion net: unknown class 'wasp'"),
        ("net", [5] * 30, None, "opinion net: expected numbers of classes in 0…2, or -1 for none, found 5 in row 0"),
        ("net", [1, 2, 3] * 10, None, "found 3 in row 2 (10 such rows); if they count from 1, subtract 1"),
        ("net", ["0.5"] * 30, None, "expected numbers of classes in 0…2, or -1 for none, found 0.5 in row 0"),
        ("net", ["ant"] * 30, {"red ant": "ant"}, "opinion net: classes: expected votes such as red ant, found ant"),
        ("net", [1] * 30, {5: "ant"}, "opinion net: classes: expected votes such as 5, found 1"),
        ("net", ["a"] * 30, {"a": "cow"}, "opinion net: classes: unknown class 'cow'"),
        ("net", 3, None, "opinion net: expected outputs, or an array (n, K) or (n,), found 3"),
        ("net", np.full((30, 3), 0.5), None, "found none negative, and a sum of 1.5 in row 0: divide shares"),
        ("net", 100 * softmax(OTHER, axis=1), None, "in row 0: divide percentages by 100, give logits as"),
        ("net", np.where(SEVENTH, np.inf, OTHER), None, "expected finite values, found inf in row 2"),
        ("net", np.where(SEVENTH, np.nan, OTHER), None, "found NaN next to numbers in row 2"),
        ("net", [-1] * 30, None, "opinion net: expected an opinion in some row, found none"),
        ("net", np.full((30, 3), np.nan), None, "opinion net: expected an opinion in some row, found none"),
        ("net", ClassifierOutputs(OTHER, ids=list("abcdefghijklmnopqrstuvwxyzABCD")), None, "expected ids such as"),
        ("net", ClassifierOutputs(OTHER, ids=[IDS[1], *IDS[1:]]), None, "opinion net: expected each id once, found"),
        ("net", OTHER, {"wasp": "ant"}, "opinion net: "),
    ],
)
def test_refused(name: str, opinion: Any, classes: Any, message: str) -> None:
    assert message in refusal(OUTPUTS.with_opinion, name, opinion, classes)
