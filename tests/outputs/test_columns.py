"""From the names of columns and reading options to what they hold: order, names of classes, and what does not fit."""

from pathlib import Path
from typing import Any

import pytest

from steepslope.errors import SteepslopeError
from steepslope.outputs._columns import Layout, _layout_of
from steepslope.outputs._labels import Texts, labels_of_texts, read_classes
from steepslope.outputs._options import ReadingOptions
from tests.refusal import refusal


def layout(names: str, **options: Any) -> Layout:
    """Return the layout of columns, whose names are written with commas, and of options."""
    return _layout_of(names.split(","), ReadingOptions(**options))


ORDERS: dict[str, tuple[str, tuple[str, ...], str, tuple[str, ...] | None, bool]] = {
    "numbers in natural order": ("p_10,p_2,p_1", ("p_*",), "p_1,p_2,p_10", ("1", "2", "10"), False),
    "numbers from 0 are no names": ("p2,p0,p1", ("p*",), "p0,p1,p2", None, True),
    "names by a pattern": ("score_cat,score_dog", ("score*",), "score_cat,score_dog", ("cat", "dog"), True),
    "a pattern in the middle": ("p_cat_mean,p_dog_mean", ("p*mean",), "p_cat_mean,p_dog_mean", ("cat", "dog"), True),
    "another order in the table": ("s_dog,s_cat", ("s_*",), "s_cat,s_dog", ("cat", "dog"), False),
    "a list keeps its order": ("s_cat,s_dog", ("s_dog", "s_cat"), "s_dog,s_cat", ("dog", "cat"), True),
    "bare names": ("dog,cat", ("dog", "cat"), "dog,cat", ("dog", "cat"), True),
    "negative numbers": ("p_1,p_-1", ("p_*",), "p_1,p_-1", ("1", "-1"), True),
    "all but the label and the id": ("id,a,b,label", ("*",), "a,b", ("a", "b"), True),
}


@pytest.mark.parametrize("case", ORDERS)
def test_logits_come_in_a_known_order_with_names(case: str) -> None:
    names, patterns, columns, classes, counts = ORDERS[case]
    found = layout(names, logit_columns=patterns)
    assert found.numbers["logits"] == columns.split(",")
    assert found.classes == classes
    assert found.counts == counts


def test_the_usual_columns_need_no_options() -> None:
    found = layout("logit_1,label,logit_0,id,feature_0").numbers
    assert found == {"logits": ["logit_0", "logit_1"], "features": ["feature_0"]}
    assert layout("logit_cat,logit_dog,label").classes == ("cat", "dog")
    assert layout("logit_0,logit_1,logit_scale").numbers == {"logits": ["logit_0", "logit_1"]}
    assert layout("prediction,confidence", classes=None).texts == {"predicted": "prediction"}
    assert layout("logit_0,logit_1,confidence,prediction").numbers == {"logits": ["logit_0", "logit_1"]}
    assert layout("a,ok", confidence_column="a", prediction_column="ok").numbers == {"confidence": ["a"]}


@pytest.mark.parametrize(
    ("names", "order", "columns", "classes", "counts"),
    [
        ("logit_0,logit_1", "dog,cat", "logit_0,logit_1", ("dog", "cat"), True),
        ("logit_cat,logit_dog", "dog,cat", "logit_dog,logit_cat", ("dog", "cat"), True),
        ("logit_1,logit_2", "2,1", "logit_2,logit_1", ("2", "1"), False),
        ("logit_1,logit_2", "dog,cat", "logit_1,logit_2", ("dog", "cat"), False),
    ],
)
def test_a_file_of_classes_fixes_their_order(
    names: str, order: str, columns: str, classes: tuple[str, ...], counts: bool, tmp_path: Path
) -> None:
    (tmp_path / "classes.txt").write_text(order.replace(",", "\n"))
    found = layout(names, classes=str(tmp_path / "classes.txt"), logit_columns=("logit_*",))
    assert (found.numbers["logits"], found.classes, found.counts) == (columns.split(","), classes, counts)


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ("target,p_cat", {}, "expected logits in columns logit_0, logit_1, … (or --logit-columns), probabilities"),
        ("label;logit_0", {}, "found one column, 'label;logit_0'"),
        ("logit_0,logit_1", {"label_column": "target"}, "unknown column 'target'"),
        (",".join(f"c{k}" for k in range(1000)), {}, "… (1,000 in all)"),
        ("a,b", {"logit_columns": ("score*",)}, "logit-columns: expected columns like 'score*', found the columns a"),
        ("p_1,p_2", {"logit_columns": ("p_1", "p_*")}, "expected every column once, found 'p_1' twice"),
        ("p,p_1", {"logit_columns": ("p*",)}, "expected a class in the name of each column, found none in 'p'"),
        ("logit_0,logit_1,logit_0,label", {}, "expected every column that is read once, found 'logit_0' 2 times"),
        ("logit_0,logit_2", {}, "logit_1 is missing"),
        ("p,prediction", {"confidence_column": "q"}, "unknown column 'q'"),
        ("confidence,prediction", {"probabilities": True}, "probabilities: expected columns of numbers to go with it"),
        (" logit_0, logit_1", {}, "found the columns ' logit_0', ' logit_1'"),
    ],
)
def test_what_does_not_fit_is_answered_with_what_is_there(names: str, options: dict[str, Any], message: str) -> None:
    assert message in refusal(layout, names, **options)


def test_other_classes_than_the_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\nhorse")
    for names, message in (
        ("logit_cat,logit_dog", "expected the classes that the columns name, cat, dog, found cat, horse"),
        ("logit_0,logit_1,logit_2", "expected 3 classes, one a column, found 2"),
    ):
        assert message in refusal(layout, names, classes=str(tmp_path / "classes.txt"))


def test_names_of_classes_stand_one_a_line(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes(b"\xef\xbb\xbfant \r\nbee\r\n\n")
    assert read_classes(tmp_path / "classes.txt") == {"ant": 0, "bee": 1}
    for content, message in {"ant\nbee\nant": "found 'ant' in line 3", "ant\n\nbee": "found '' in line 2"}.items():
        (tmp_path / "classes.txt").write_text(content)
        with pytest.raises(SteepslopeError, match=f"expected one class a line, each once, {message}"):
            read_classes(tmp_path / "classes.txt")
    with pytest.raises(SteepslopeError, match=r"none\.txt: expected a text file with one class a line"):
        read_classes(tmp_path / "none.txt")
    with pytest.raises(SteepslopeError, match="expected a text file, outputs or a classifier with names of classes"):
        read_classes(tmp_path)


def test_options_that_cannot_be_are_refused() -> None:
    assert "separator: expected one character, or tab, found '::'" in refusal(ReadingOptions, separator="::")
    assert "found both" in refusal(ReadingOptions, logit_columns=("a",), confidence_column="b")


@pytest.mark.parametrize(
    ("rows", "classes", "counts", "expected"),
    [
        (("1.0", "0.0"), None, True, [1, 0]),
        (("True", "false"), None, True, [1, 0]),
        (("dog", "cat"), ("cat", "dog"), True, [1, 0]),
        (("1", "0"), ("cat", "dog"), True, [1, 0]),
        (("2.0", "1.0"), ("1", "2"), False, [1, 0]),
        (("true", "false"), ("false", "true"), True, [1, 0]),
        (("1", "unknown", "-1"), None, True, [1, -1, -1]),
        (("1", "unknown"), ("cat", "dog"), True, [1, -1]),
        (("dog", "unknown", "-1.0"), ("cat", "dog"), True, [1, -1, -1]),
        (("dog", "unknown"), ("unknown", "dog"), True, [1, 0]),
        (("1", "-1"), ("-1", "1"), False, [1, 0]),
        (("unknown", "unknown"), ("cat", "dog"), False, [-1, -1]),
    ],
)
def test_labels_are_names_or_places(
    rows: tuple[str, ...], classes: tuple[str, ...] | None, counts: bool, expected: list[int]
) -> None:
    assert labels_of_texts(Texts.of_rows(rows), "labels", classes, counts).tolist() == expected


@pytest.mark.parametrize(
    ("rows", "classes", "counts", "message"),
    [
        (("0", "cat"), None, True, "expected whole numbers from 0, or names of classes (that need --classes"),
        (("0", ""), None, True, "found an empty cell in row 1 (1 such rows)"),
        (("cow", "cow"), ("cat", "dog"), False, "expected one of the classes cat, dog"),
        (("cow", "unknown"), ("cat", "dog"), True, "or one of the classes cat, dog, found 'cow' in row 0 (1"),
        (("cat", "7", "7"), ("cat", "dog"), True, "expected one of the classes cat, dog, found '7' in row 1 (2"),
        (("cat", "", "cow"), ("cat", "dog"), True, "found an empty cell in row 1 (1 such rows)"),
        (("cat", "NaN"), ("cat", "dog"), True, "expected one of the classes cat, dog, found 'NaN' in row 1"),
        (("0", "1"), ("cat", "dog"), False, "for whole numbers from 0 give --classes, with the names in that order"),
        (("0", "1"), ("1", "2"), False, "expected one of the classes 1, 2, found '0' in row 0"),
    ],
)
def test_a_label_that_is_no_class_is_named_with_its_row(
    rows: tuple[str, ...], classes: tuple[str, ...] | None, counts: bool, message: str
) -> None:
    assert message in refusal(labels_of_texts, Texts.of_rows(rows), "labels", classes, counts)
