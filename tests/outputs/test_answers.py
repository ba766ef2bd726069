"""A label and a confidence: what their made logits keep, what is refused, and as an opinion."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import expit

from steepslope.errors import SteepslopeError
from steepslope.numerics.log_space import top_log_odds
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.answers import answer_logits, answers_in_classes, are_answers
from steepslope.scores import MCP

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
    assert answers_in_classes(answer_logits(np.array([1]), [0.9], 2), [0, -1], 3).tolist() == [[0, 0, 0]]
    assert np.isnan(answers_in_classes(np.full((1, 2), np.nan), [0, -1], 3)).all()


def test_logits_of_a_net_are_no_answers() -> None:
    draw = np.random.default_rng(0)
    assert not are_answers(draw.normal(size=(20, 2)))
    assert not are_answers(np.log(draw.dirichlet(np.ones(3), size=20)))
    assert are_answers(answer_logits(np.arange(4), None, 4))


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
