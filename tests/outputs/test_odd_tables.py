"""Odd tables: read rightly, or refused in one line that names the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steepslope.outputs import ClassifierOutputs, ReadingOptions
from steepslope.outputs._options import require_files_for_options
from steepslope.outputs._predictions import groups_of_predictions
from steepslope.outputs._table import read_table
from tests.refusal import refusal

ROWS = 12
NAMED = "target,score_cat,score_dog,score_cow\n"
NAMED += "cat,2.0,1.0,-1.0\ndog,0.0,1.5,0.5\ncow,1.0,-0.5,0.0\ndog,2.5,0.5,1.5\n" * (ROWS // 4)
NUMBERED = "label,logit_0,logit_1\n" + "0,1.5,-1\n1,0.5,2\n0,-1,0.5\n" * (ROWS // 3)
SHARES = "label,p_cat,p_dog\n" + "cat,0.9,0.1\ndog,0.25,0.75\ndog,1,0\n" * (ROWS // 3)
BINARY = "label,p\n" + "1,0.9\n0,0.25\n1,0.125\n" * (ROWS // 3)
ALONE = "conf,said,site,label\n" + "0.9,a,a,a\n0.25,b,,a\n0.75,b,b,b\n0.5,a,a,b\n" * (ROWS // 4)
ANSWERS = "id,prediction,confidence,label\nx,cat,0.9,cat\ny,dog,0.6,cat\nz,cat,,cow\nw,dog,0.75,dog\n"
TWICE = NUMBERED.replace("\n", ",a,b\n").replace("1,a,b", "1,site,site", 1)
COMMAS = NAMED.replace(",", ";").replace(".", ",")
BOTH: dict[str, Any] = {"confidence_column": "conf", "prediction_column": "said"}
BY_NAME: dict[str, Any] = {"label_column": "target", "logit_columns": ("score*",)}
P: dict[str, Any] = {"logit_columns": ("p_*",)}
ODD: dict[str, tuple[str | bytes, dict[str, Any], int | str]] = {
    "the same, named": (NAMED, BY_NAME, 6),
    "the label among the logits": (NAMED, {**BY_NAME, "logit_columns": ("target", "score*")}, "be a logit and the"),
    "one column twice, unread": ("x,x," + NUMBERED.replace("\n", "\n1,2,")[:-4], {}, 4),
    "a file of classes that is not there": (NAMED, {**BY_NAME, "classes": "no.txt"}, "no.txt: expected a text file"),
    "probabilities as logits": (SHARES, P, "--probabilities"),
    "probabilities": (SHARES, {**P, "probabilities": True}, 4),
    "logits as probabilities": (NAMED, {**BY_NAME, "probabilities": True}, "probabilities: expected none below 0"),
    "probabilities that are logits": (SHARES, {**P, "as_logits": True}, 4),
    "the probability of one class": (BINARY, {"logit_columns": ("p",), "probabilities": True}, 4),
    "one column of logits": (BINARY, {"logit_columns": ("p",)}, "--probabilities"),
    "semicolons, named": (NAMED.replace(",", ";"), {**BY_NAME, "separator": ";"}, 6),
    "tabs": (NAMED.replace(",", "\t"), {**BY_NAME, "separator": "tab"}, 6),
    "tabs, found": (NAMED.replace(",", "\t"), BY_NAME, 6),
    "semicolons, another separator named": (NAMED.replace(",", ";"), {**BY_NAME, "separator": "|"}, 6),
    "decimal commas": (COMMAS, {**BY_NAME, "separator": ";"}, 6),
    "decimal commas, semicolons found": (COMMAS, BY_NAME, 6),
    "decimal commas in one column": (
        "p\n0,9\n",
        {"logit_columns": ("p",), "probabilities": True},
        "in line 2: name the character b",
    ),
    "a byte order mark": (b"\xef\xbb\xbf" + NUMBERED.encode(), {}, 4),
    "UTF-16": (NUMBERED.encode("utf-16"), {}, "UTF-8"),
    "line ends of Windows": (NUMBERED.replace("\n", "\r\n"), {}, 4),
    "a short row": (NUMBERED + "0,1\n", {}, "expected 3 columns, as in the first line, found 2 in line 14"),
    "a confidence by another name": (ALONE, {"confidence_column": "conf"}, "expected a column prediction"),
    "a confidence, both named": (ALONE, BOTH, 6),
    "a column of groups twice": (TWICE, {}, "found 'site' 2 times"),
    "text in a logit": (NUMBERED.replace("1.5", "a"), {}, "column 'logit_0': expected a number in each row, with"),
    "an empty logit": (NUMBERED.replace("1.5", ""), {}, "expected a number in each row, found 4 empty or nan"),
    "a logit of nan": (NUMBERED.replace("1.5", "nan"), {}, "expected a number in each row, found 4 empty or nan"),
    "a name among numbers": (NUMBERED + "cat,1,2\n", {}, "'label': expected whole numbers from 0, or names of classes"),
    "nothing": ("", {}, "expected a line with the names of columns, found an empty file"),
    "a header alone": ("label,logit_0,logit_1\n", {}, "expected rows below the header"),
    "a confidence alone": ("confidence,label\n0.5,a\n", {}, "a column prediction (or --prediction-column), or is_c"),
    "another column": (ANSWERS, {"prediction_column": "answer"}, "unknown column 'answer'"),
    "a percentage": (ANSWERS.replace("0.6", "60%"), {}, "column 'confidence': expected a number in each row, with '.'"),
    "an infinite confidence": (ANSWERS.replace("0.6", "inf"), {}, "confidence: expected finite numbers, or none"),
    "an empty answer": (ANSWERS.replace("dog,0.6", ",0.6"), {}, "column 'prediction': expected an answer in each row"),
    "an empty label": (ANSWERS.replace("cow", ""), {}, "column 'label': expected one of the classes cat, dog"),
    "one class": ("prediction,confidence\na,1\na,1\n", {}, "expected at least two classes, found a alone: name them"),
    "answers as probabilities": (ANSWERS, {"probabilities": True}, "expected columns of numbers to go with it, found"),
}  # what stands in a file, the options that go with it, and how many are wrong or words of what is said


@pytest.mark.parametrize("case", ODD)
def test_an_odd_table_is_read_rightly_or_refused_in_one_line(case: str, tmp_path: Path) -> None:
    content, options, expected = ODD[case]
    path = tmp_path / "outputs.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if isinstance(expected, int):
        table = read_table(path, ReadingOptions(**options), ("site",))
        predictions = ClassifierOutputs.of_table(table.require_labels())
        assert (len(predictions), int(np.sum(~predictions.is_correct))) == (ROWS, expected)
        groups = groups_of_predictions("site", predictions, table) if "site" in table.columns else None
        assert groups is None or groups.names == ["a", "(empty)", "b"]
        return
    told = refusal(read_table, path, ReadingOptions(**options), ("site",))
    assert expected in told
    assert str(path) in told


def test_options_of_tables_and_files_need_such(tmp_path: Path) -> None:
    require_files_for_options(ReadingOptions(label_column="y"), str(tmp_path), "o.CSV", None)
    require_files_for_options(ReadingOptions(as_logits=True), str(tmp_path / "o.npz"))
    messages: dict[str, dict[str, Any]] = {
        "label-column: expected a .csv": {"label_column": "y"},
        "as-logits: ": {"as_logits": True},
    }
    for message, options in messages.items():
        assert message in refusal(require_files_for_options, ReadingOptions(**options), str(tmp_path))
