"""A label and a confidence: what their made logits keep, in memory, in files and as an opinion; and what is refused."""

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import expit

from steepslope.errors import SteepslopeError, UnknownLabelsWarning
from steepslope.gate import Gate
from steepslope.numerics._log_space import top_log_odds
from steepslope.oracle import FusedOracle
from steepslope.oracle._storage import classes_of_oracle
from steepslope.outputs import ClassifierOutputs, ReadingOptions
from steepslope.outputs._answers import UNSAID, answer_logits, answers_in_classes, are_answers
from steepslope.outputs._table import TableBlocks, read_table
from steepslope.scores import MCP
from tests.refusal import refusal

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)
CLASSES = st.sampled_from([2, 3, 10, 1000])


def mcp_of(confidence: list[float], num_classes: int) -> np.ndarray:
    """Return the log-odds of MCP for answers with these confidences."""
    logits = answer_logits(np.zeros(len(confidence), dtype=np.int64), confidence, num_classes)
    return MCP().confidence(ClassifierOutputs(logits, as_logits=True))


@given(st.lists(NUMBERS, min_size=2, max_size=20), CLASSES)
def test_mcp_keeps_the_order_of_confidences_on_any_scale(confidence: list[float], num_classes: int) -> None:
    values = np.unique(confidence)
    assert (np.diff(mcp_of(values.tolist(), num_classes)) > 0).all()


@pytest.mark.parametrize("num_classes", [2, 3, 10, 1000])
@pytest.mark.parametrize(
    "scale",
    [
        np.arange(1, 10_000) / 10_000,
        np.arange(1, 10_000) / 100,
        -np.logspace(-6, 2, 1000)[::-1],
        np.arange(11.0),
        np.linspace(-30, 30, 997),
        1 - np.logspace(-7, -1, 300)[::-1],
    ],
    ids=["probability", "percent", "log-probability", "0 to 10", "margin", "nearly 1"],
)
def test_values_stay_apart_also_where_logits_are_float32(scale: np.ndarray, num_classes: int) -> None:
    logits = answer_logits(np.zeros(len(scale), dtype=np.int64), scale, num_classes).astype(np.float32)
    confidences = top_log_odds(logits.astype(np.float64))
    assert (np.diff(confidences) > 0).all() == (np.diff(np.sort(scale)) > 0).all()
    assert (logits[:, 0] > 0).all()


@given(st.floats(0, 0.9999), CLASSES)
def test_mcp_is_the_confidence_where_that_is_above_chance(confidence: float, num_classes: int) -> None:
    probability = expit(mcp_of([confidence], num_classes)[0])
    if confidence > 1 / num_classes + 0.02:
        assert probability == pytest.approx(confidence, abs=1e-9)
    else:
        assert probability > 1 / num_classes


def test_one_means_a_probability_that_rounds_to_it() -> None:
    assert expit(mcp_of([1.0], 5)[0]) == pytest.approx(1, abs=5e-6)


@given(
    st.lists(st.one_of(NUMBERS, st.just(np.nan)), min_size=1, max_size=9), CLASSES, st.randoms(use_true_random=False)
)
def test_a_row_means_the_same_in_every_batch(confidence: list[float], num_classes: int, random: Random) -> None:
    predicted = np.array([random.randrange(num_classes) for _ in confidence])
    whole = answer_logits(predicted, confidence, num_classes)
    single = [answer_logits(predicted[[row]], [value], num_classes)[0] for row, value in enumerate(confidence)]
    np.testing.assert_array_equal(whole, single)
    np.testing.assert_array_equal(whole.argmax(axis=1), predicted)


def test_a_missing_confidence_is_below_all_others() -> None:
    ranks = mcp_of([-3e38, np.nan, 0.0, 0.5], 4)
    assert np.argsort(ranks).tolist() == [1, 0, 2, 3]
    none, empty = (ClassifierOutputs.from_answers([0, 1, 1], values) for values in (None, [None, np.nan, np.nan]))
    np.testing.assert_array_equal(none.logits, empty.logits)


@given(st.lists(st.one_of(NUMBERS, st.just(np.nan)), min_size=1, max_size=9), CLASSES, CLASSES)
def test_answers_in_other_classes_are_those_that_these_would_give(
    confidence: list[float], theirs: int, ours: int
) -> None:
    predicted = np.arange(len(confidence)) % min(theirs, ours)
    places = [place if place < ours else -1 for place in range(theirs)]
    found = answers_in_classes(answer_logits(predicted, confidence, theirs), places, ours)
    np.testing.assert_allclose(found, answer_logits(predicted, confidence, ours), rtol=1e-6, atol=1e-12)


def test_an_answer_that_is_none_of_the_classes_says_nothing() -> None:
    assert answers_in_classes(answer_logits(np.array([1]), [0.9], 2), [0, -1], 3).tolist() == [[UNSAID] * 3]
    assert np.isnan(answers_in_classes(np.full((1, 2), np.nan), [0, -1], 3)).all()


def test_logits_of_a_net_are_no_answers() -> None:
    draw = np.random.default_rng(0)
    assert not are_answers(draw.normal(size=(20, 2)))
    assert not are_answers(np.log(draw.dirichlet(np.ones(3), size=20)))
    assert are_answers(answer_logits(np.arange(4), None, 4))
    assert not are_answers(np.array([[0.0, 25.0]]))
    assert not are_answers(np.maximum(draw.normal(size=(50, 2)) * [0, 1], 0))
    assert not are_answers(np.full((5, 3), np.nan))


@pytest.mark.parametrize(
    ("form", "kind"), [("", np.float16), (".npz", np.float32), (".npz", np.float64), (".csv", np.float64)]
)
def test_answers_are_known_as_such_when_they_were_saved(form: str, kind: Any, tmp_path: Path) -> None:
    answers = expected()
    answers.changed(logits=answers.logits.astype(kind)).save(tmp_path / f"saved{form}")
    found = ClassifierOutputs.load(tmp_path / f"saved{form}")
    assert are_answers(found.logits)
    assert found.predictions.tolist() == answers.predictions.tolist()


def test_classes_are_the_distinct_names_or_numbers() -> None:
    names = ClassifierOutputs.from_answers(["dog", "cat"], [0.9, 0.8], ["cow", "unknown"])
    assert names.classes == ("cat", "cow", "dog")
    assert names.require_labels().tolist() == [1, -1]
    numbers = ClassifierOutputs.from_answers(np.array([2.0, 0.0]), [0.9, 0.8], [3, -1])
    assert (numbers.classes, numbers.num_classes, numbers.predictions.tolist()) == (None, 4, [2, 0])
    given = ClassifierOutputs.from_answers(["b"], [0.9], ["a"], classes=["a", "b", "c"])
    assert (given.num_classes, given.predictions.tolist()) == (3, [1])
    assert ClassifierOutputs.from_answers([True, False], [0.9, 0.8], [True, True]).is_correct.tolist() == [True, False]
    coded = ClassifierOutputs.from_answers([7, 3], [0.9, 0.8], [7, 7], classes=[3, 7])
    assert coded.is_correct.tolist() == [True, False]


def test_answers_as_an_opinion_go_by_names_and_ids() -> None:
    own = ClassifierOutputs.from_answers(["cat", "dog", "cow"], [0.9, 0.8, 0.7], ids=["x", "y", "z"])
    other = ClassifierOutputs.from_answers(["dog", "cat"], [0.6, None], ids=["z", "x"])
    with_other = own.with_opinion("vendor", other)
    opinion = with_other.require("opinion_vendor")
    np.testing.assert_allclose(opinion[0], answer_logits(np.array([0]), [np.nan], 3)[0], rtol=1e-6)
    np.testing.assert_allclose(opinion[2], answer_logits(np.array([2]), [0.6], 3)[0], rtol=1e-6)
    assert np.isnan(opinion[1]).all()


def test_an_opinion_by_numbers_need_not_have_named_all_classes() -> None:
    own = ClassifierOutputs.from_answers([0, 1, 2], [0.9, 0.8, 0.7])
    opinion = own.with_opinion("vendor", ClassifierOutputs.from_answers([0, 1, 1], [0.6] * 3)).require("opinion_vendor")
    assert opinion.argmax(axis=1).tolist() == [0, 1, 1]


def test_confidences_that_were_spread_by_hand_are_recognised() -> None:
    """With three of twenty below 1/K, which so predict another class."""
    confidence = np.append(np.linspace(0.4, 0.9, 17), [0.1, 0.2, 0.3])
    spread = np.where(np.arange(3) == np.arange(20)[:, None] % 3, confidence[:, None], (1 - confidence[:, None]) / 2)
    with pytest.warns(UserWarning, match=r"3 rows predict another class so; if these are .*from_answers \(columns"):
        ClassifierOutputs.from_probabilities(spread)
    ClassifierOutputs.from_probabilities(np.random.default_rng(0).dirichlet(np.ones(3), size=20))
    ClassifierOutputs.from_probabilities(spread[:, :2] / spread[:, :2].sum(axis=1, keepdims=True))


def test_one_number_a_row_is_told_to_be_a_confidence() -> None:
    with pytest.raises(SteepslopeError, match="one number above 0 in each row is a confidence: give them by"):
        ClassifierOutputs.from_probabilities(0.8 * np.eye(3))


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


def test_names_that_differ_only_in_case_are_told(tmp_path: Path) -> None:
    """As one class each, answers and labels would hardly ever agree."""
    told = "^'Cat' and 'cat' are taken for two classes: write a class in one way"
    with pytest.warns(UserWarning, match=told):
        assert ClassifierOutputs.load(written(tmp_path, ROWS.replace(",cat\ny", ",Cat\ny"))).num_classes == 4
    ClassifierOutputs.from_answers(["a", "A"], [0.9, 0.8], ["a", "A"], classes=["a", "A"])


def test_a_file_of_answers_and_its_opinion_have_their_own_separators(tmp_path: Path) -> None:
    outputs = written(tmp_path, ROWS.replace(",", ";").replace(".", ","))
    other = written(tmp_path, OTHER, "other.csv")
    options = ReadingOptions(opinion=(f"vendor={other}",), separator=";")
    by_hand = ClassifierOutputs.from_answers(["cat", "cow"], [90, 55.5], ids=["y", "z"])
    same(ClassifierOutputs.of_table(read_table(outputs, options)), expected().with_opinion("vendor", by_hand))


def test_an_id_that_stands_twice_is_named_with_its_file(tmp_path: Path) -> None:
    outputs, other = written(tmp_path, ROWS.replace("y,dog", "x,dog")), written(tmp_path, OTHER, "other.csv")
    told = refusal(read_table, outputs, ReadingOptions(opinion=(f"vendor={other}",)))
    assert told.endswith("answers.csv: expected each id once, found 'x' in 2 rows")
    assert "other.csv" not in told
