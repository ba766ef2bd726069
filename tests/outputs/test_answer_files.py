"""Files of answers: one reader for outputs, for opinions and block by block, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steepslope.errors import UnknownLabelsWarning
from steepslope.gate import Gate
from steepslope.oracle import FusedOracle
from steepslope.oracle.storage import classes_of_oracle
from steepslope.outputs import ClassifierOutputs, ReadingOptions
from steepslope.outputs.table import TableBlocks, read_table
from steepslope.scores import MCP
from tests.refusal import refusal

ROWS = "id,prediction,confidence,label\nx,cat,0.9,cat\ny,dog,0.6,cat\nz,cat,,cow\nw,dog,0.75,dog\n"
UNTRUE = "\n".join(line.rpartition(",")[0] for line in ROWS.splitlines())
NAMED = ROWS.replace("prediction", "answer").replace("confidence", "sure").replace("label", "truth")
OTHER = "id,prediction,confidence\ny,cat,90\nx,,\nz,cow,55.5\n"


def written(folder: Path, text: str, name: str = "answers.csv") -> Path:
    """Write a file, and return its path."""
    path = folder / name
    path.write_text(text)
    return path


def expected() -> ClassifierOutputs:
    """Return what stands in the file."""
    return ClassifierOutputs.from_answers(
        ["cat", "dog", "cat", "dog"], [0.9, 0.6, None, 0.75], ["cat", "cat", "cow", "dog"], ids=["x", "y", "z", "w"]
    )


def same(found: ClassifierOutputs, other: ClassifierOutputs) -> None:
    """Fail unless outputs are the same."""
    assert found.classes == other.classes
    for name, array in other.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)


def test_a_table_of_answers_is_what_from_answers_makes(tmp_path: Path) -> None:
    same(ClassifierOutputs.load(written(tmp_path, ROWS)), expected())
    names: Any = {"prediction_column": "answer", "confidence_column": "sure", "label_column": "truth"}
    same(ClassifierOutputs.load(written(tmp_path, NAMED), ReadingOptions(**names)), expected())


def test_without_confidences_each_has_none(tmp_path: Path) -> None:
    found = ClassifierOutputs.load(written(tmp_path, "prediction,label\ncat,cat\ndog,cat\n"))
    same(found, ClassifierOutputs.from_answers(["cat", "dog"], None, ["cat", "cat"]))


def test_numbers_are_places_among_the_known_classes(tmp_path: Path) -> None:
    path = written(tmp_path, "prediction,confidence\n1,0.9\n0,0.6\n")
    found = ClassifierOutputs.load(path, known=["0", "1", "2"])
    assert (found.num_classes, found.classes, found.predictions.tolist()) == (3, None, [1, 0])


def test_logits_and_probabilities_of_all_classes_come_first(tmp_path: Path) -> None:
    logits = "prediction,confidence,logit_0,logit_1\n1,0.9,5,1\n"
    assert ClassifierOutputs.load(written(tmp_path, logits)).logits.tolist() == [[5, 1]]
    shares = "prediction,cat,dog\n" + "cat,0.25,0.75\n" * 10
    assert ClassifierOutputs.load(written(tmp_path, shares)).predictions.tolist() == [1] * 10


def test_features_stand_next_to_answers(tmp_path: Path) -> None:
    path = written(tmp_path, "prediction,confidence,feature_0\na,0.9,7\nb,0.8,9\n")
    assert ClassifierOutputs.load(path).require_features().tolist() == [[7], [9]]


@pytest.mark.parametrize("known", [None, ("cat", "cow", "dog", "eel")])
def test_blocks_without_truth_have_the_classes_of_the_whole(known: tuple[str, ...] | None, tmp_path: Path) -> None:
    path = written(tmp_path, UNTRUE)
    (block,) = TableBlocks(path, known=known)
    found = ClassifierOutputs.of_table(block)
    assert found.classes == (known or ("cat", "dog"))
    assert found.labels is None
    assert [found.class_names[label] for label in found.predictions] == ["cat", "dog", "cat", "dog"]


def test_an_opinion_file_of_answers_is_the_opinion_that_they_are(tmp_path: Path) -> None:
    outputs, other = written(tmp_path, ROWS), written(tmp_path, OTHER, "other.csv")
    table = read_table(outputs, ReadingOptions(opinion=(f"vendor={other}",)))
    by_hand = ClassifierOutputs.from_answers(["cat", "cow"], [90, 55.5], ids=["y", "z"])
    same(ClassifierOutputs.of_table(table), expected().with_opinion("vendor", by_hand))
    assert np.isnan(table.arrays["opinion_vendor"]).any(axis=1).tolist() == [True, False, False, True]


def test_classes_of_an_opinion_go_by_a_mapping(tmp_path: Path) -> None:
    outputs, other = written(tmp_path, ROWS), written(tmp_path, "prediction\nkatze\nhund\nkatze\nhund\n", "other.csv")
    mapping = written(tmp_path, "katze=cat\nhund=dog\nkuh=cow\n", "names.txt")
    options = ReadingOptions(opinion=(f"vendor={other}",), opinion_classes=(f"vendor={mapping}",))
    opinion = read_table(outputs, options).arrays["opinion_vendor"]
    assert opinion.argmax(axis=1).tolist() == [0, 2, 0, 2]


def test_a_gate_reads_new_answers_by_its_own_classes(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(4, size=600)
    predicted = np.where(draw.random(600) < 0.6, labels, draw.integers(4, size=600))
    answers = ClassifierOutputs.from_answers(predicted, draw.random(600), labels)
    oracle = FusedOracle().fit(answers.subset(slice(300)))
    oracle.save(tmp_path / "oracle")
    assert classes_of_oracle(str(tmp_path / "oracle")) == ("0", "1", "2", "3")
    gate = Gate.of(MCP(), answers.subset(slice(300, None)), max_risk=0.3)
    new = ClassifierOutputs.load(written(tmp_path, "prediction,confidence\n1,0.9\n0,0.6\n"), known=gate.class_names)
    assert gate.decide(new).labels.tolist() == [1, 0]


def test_answers_that_are_right_or_wrong_need_no_prediction(tmp_path: Path) -> None:
    """As those of a language model that someone graded; new rows have a confidence alone."""
    graded = read_table(written(tmp_path, "confidence,is_correct\n90,True\n40,no\n,1\n"))
    outputs = ClassifierOutputs.of_table(graded)
    assert (outputs.classes, outputs.is_correct.tolist()) == (("wrong", "right"), [True, False, True])
    assert np.argsort(MCP().confidence(outputs)).tolist() == [2, 1, 0]
    new = written(tmp_path, "confidence\n0.9\n0.2\n")
    assert ClassifierOutputs.load(new, known=outputs.class_names).predictions.tolist() == [1, 1]
    for known in (None, ["cat", "dog"]):
        message = "expected a column prediction (or --prediction-column), or is_correct"
        assert message in refusal(ClassifierOutputs.load, new, known=known)
    told = refusal(read_table, written(tmp_path, "confidence,is_correct\n0.9,yes\n0.8,perhaps\n"))
    assert "column 'is_correct': expected true or false" in told
    assert "found 'perhaps' in row 1" in told


def test_among_new_rows_an_answer_that_is_none_of_the_classes_is_told(tmp_path: Path) -> None:
    text = UNTRUE.replace("x,cat", "x,")
    with pytest.warns(UnknownLabelsWarning, match=r"in 3 rows, .* no answer, for review: 'dog' \(2\), '' \(1\)"):
        found = ClassifierOutputs.load(written(tmp_path, text), known=["cat", "cow"])
    assert found.predictions.tolist() == [-1, -1, 0, -1]
    told = refusal(ClassifierOutputs.load, written(tmp_path, ROWS), known=["cat", "cow"])
    assert "(leave other rows to a person), found 'dog' in row 1 (2 such rows)" in told
