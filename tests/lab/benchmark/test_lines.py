"""What ranks predictions, and what is measured of it, against NumPy and against ``steepslope.metrics``."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from steepslope.errors import SteepslopeError
from steepslope.metrics import aurc, auroc
from steepslope.numerics._log_space import log_odds_of
from steepslope.oracle.evidence._registry import arrays_of_stack
from steepslope.oracle.evidence._stack import fit_stack
from steepslope.oracle.evidence._values import evidence_opinions
from steepslope.outputs import ClassifierOutputs
from steepslope.score_benchmark._measured import measured_lines
from steepslope_lab.benchmark.lines import (
    AVERAGE,
    BEST,
    BOOSTED,
    ENSEMBLE,
    MCP,
    MOST_PROBED,
    PROBE,
    RIVALS,
    STACK,
    STACKED,
    Ranked,
    averaged_softmaxes,
    boosted_log_odds,
    classifiers_in_its_place,
    lines_in_brief,
    opinions_measured,
    ranked_lines,
    single_score_line,
    stacked_softmaxes,
)
from steepslope_lab.benchmark.rivals import OTHERS
from steepslope_lab.benchmark.trial import FREE, TEST, JudgedRows, Trial
from steepslope_lab.paper.methods import best_score, least_aurc
from tests.conftest import make_complete

LOGITS = np.log([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4], [0.2, 0.3, 0.5]])
LABELS = [0, 2, 2]
OF_LOGITS = "a temperature of its own", "agreement × confidence"  # of the rivals, what needs no more
SEEN = "stack(logits+opinion_other+features)"


def plain() -> ClassifierOutputs:
    return ClassifierOutputs(LOGITS, LABELS)


def wide(outputs: ClassifierOutputs) -> ClassifierOutputs:
    """Return outputs with more features than a probe takes; a stacker does without them."""
    return outputs.changed(features=np.zeros((len(outputs), MOST_PROBED), dtype=np.float32))


def made_trial(n: int = 400) -> Trial:
    """Return a trial whose judged rows have the opinion of a better classifier."""
    known, train, test = (make_complete(n, seed=seed) for seed in (1, 2, 3))
    rng = np.random.default_rng(0)
    known, test = (
        one.with_opinion("other", 3 * np.eye(4)[one.require_labels()] + rng.normal(size=(n, 4)).astype(float))
        for one in (known, test)
    )
    confidence = rng.normal(size=n) + test.is_correct
    return Trial(known, train, {TEST: JudgedRows(test, {FREE: confidence})}, known)


def test_an_average_is_of_all_softmaxes() -> None:
    other = np.array([[0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.6, 0.2, 0.2]])
    third = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [5.0, 1.0, 0.0]])
    outputs = plain().with_opinion("a", other).with_opinion("b", ClassifierOutputs(third, LABELS))
    of_third = np.exp(third) / np.exp(third).sum(axis=1, keepdims=True)
    expected = (np.exp(LOGITS) + other + of_third) / 3
    assert_allclose(np.exp(averaged_softmaxes(outputs))[:, :3], expected, atol=1e-6)
    assert_allclose(np.exp(averaged_softmaxes(plain())), np.pad(np.exp(LOGITS), ((0, 0), (0, 1))), atol=1e-12)


def test_a_vote_is_one_in_its_class_and_rows_without_one_do_not_count() -> None:
    outputs = plain().with_opinion("people", [1, -1, 0])
    softmaxes = np.exp(LOGITS)
    expected = [(softmaxes[0] + [0, 1, 0]) / 2, softmaxes[1], (softmaxes[2] + [1, 0, 0]) / 2]
    assert_allclose(np.exp(averaged_softmaxes(outputs)), np.pad(expected, ((0, 0), (0, 1))), atol=1e-12)


def test_log_odds_are_of_the_predicted_class_against_all_others() -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25], [0.0, 0.0, 1.0]])
    with np.errstate(divide="ignore"):
        found = log_odds_of(np.log(p), np.array([0, 2, 2]))
    assert_allclose(found, [np.log(0.7 / 0.3), np.log(0.25 / 0.75), np.inf])
    small = np.array([[0.0, -60.0, -70.0]])  # of which 1 − p is nothing in floats
    assert_allclose(log_odds_of(small, np.array([0])), 60 - np.log1p(np.exp(-10)))


def test_stacking_is_a_stacker_that_learns_from_the_oracles_rows() -> None:
    trial = made_trial(2_000)
    outputs = trial.judged[TEST].outputs
    found = stacked_softmaxes(trial, outputs)
    assert found is not None
    (logs, classes) = evidence_opinions(
        outputs, [SEEN], slice(None), {SEEN: fit_stack(trial.learnt, arrays_of_stack(SEEN))}
    )
    assert_allclose(np.take_along_axis(found, classes, axis=1), logs[:, 0])
    right = found.argmax(axis=1) == outputs.labels
    assert right.mean() > outputs.is_correct.mean()  # the other classifier is better
    assert_array_equal(classifiers_in_its_place(trial, outputs)[STACK].is_correct, right)


def test_stacking_wants_every_opinion() -> None:
    trial = made_trial()
    few = trial.judged[TEST].outputs.subset(np.arange(5))
    assert stacked_softmaxes(trial, few.changed(opinion_other=None)) is None
    held = np.array(few.require("opinion_other"))
    held[0] = np.nan
    assert stacked_softmaxes(trial, few.changed(opinion_other=held)) is None


def test_boosting_learns_what_is_right() -> None:
    trial = made_trial(2_000)
    outputs = trial.judged[TEST].outputs
    found = boosted_log_odds(trial, outputs)
    assert found is not None
    assert auroc(found, outputs.is_correct) > auroc(single_score_line("mcp", trial, outputs), outputs.is_correct)
    few = trial.learnt.subset(np.flatnonzero(trial.learnt.is_correct))
    assert boosted_log_odds(Trial(few, None, {}, few), outputs) is None


def test_lines_are_those_that_the_outputs_allow() -> None:
    trial = made_trial()
    risks = least_aurc(trial.known, trial.reference, 0)
    rows = trial.judged[TEST]
    lines = ranked_lines(trial, rows, risks, {"mine": lambda outputs: outputs.logits[:, 0]})
    assert [*lines] == [
        MCP,
        BEST,
        *(line for line, name in RIVALS.items() if name in risks),
        AVERAGE,
        STACKED,
        BOOSTED,
        *OTHERS,
        "mine",
        FREE,
    ]
    assert_array_equal(lines["mine"], rows.outputs.logits[:, 0])
    assert {"temperature scaling", "TrustScore", "MC dropout"} <= {*lines}
    assert_array_equal(lines[BEST], single_score_line(best_score(risks), trial, rows.outputs))
    shares = softmax(np.asarray(rows.outputs.logits, dtype=float), axis=1)
    assert_allclose(1 / (1 + np.exp(-lines[MCP])), shares.max(axis=1), rtol=1e-6)
    bare = Trial(plain(), None, {TEST: JudgedRows(plain(), {})}, wide(plain()))
    assert [*ranked_lines(bare, bare.judged[TEST], {"mcp": 0.1})] == [MCP, BEST, STACKED, *OF_LOGITS]


def test_errors_or_right_predictions_alone_cannot_be_measured() -> None:
    for is_correct in (np.ones(3, bool), np.zeros(3, bool)):
        with pytest.raises(SteepslopeError, match=r"expected errors and correct predictions .*, found one kind alone"):
            measured_lines({MCP: np.zeros(3)}, is_correct, [])


def test_briefly_has_values_alone() -> None:
    rng = np.random.default_rng(0)
    confidence, right = rng.normal(size=50), rng.random(50) < 0.7
    found = lines_in_brief({MCP: confidence}, right)[MCP]
    assert found["auc"] == pytest.approx(roc_auc_score(right, confidence), abs=6e-6)
    wrong = ~right[np.argsort(-confidence)]
    assert found["aurc"] == pytest.approx(np.mean(np.cumsum(wrong) / np.arange(1, 51)), abs=6e-6)
    assert (auroc(confidence, right), aurc(confidence, right)) == pytest.approx((found["auc"], found["aurc"]), abs=6e-6)


def test_other_classifiers_have_predictions_of_their_own() -> None:
    trial = made_trial()
    outputs = trial.judged[TEST].outputs
    found = classifiers_in_its_place(trial, outputs)
    mean = np.exp(averaged_softmaxes(outputs))
    assert_array_equal(found[ENSEMBLE].is_correct, mean.argmax(axis=1) == outputs.labels)
    best = mean.max(axis=1)
    assert_allclose(found[ENSEMBLE].confidence, np.log(best / (1 - best)), rtol=1e-4, atol=1e-6)
    scale = StandardScaler().fit(trial.known.features)
    model = LogisticRegression(C=1e9, max_iter=5000).fit(scale.transform(trial.known.features), trial.known.labels)
    agree = (model.predict(scale.transform(outputs.features)) == outputs.labels) == found[PROBE].is_correct
    assert agree.mean() > 0.97  # another penalty
    assert found[PROBE].is_correct.mean() > outputs.is_correct.mean() - 0.3
    assert isinstance(found[PROBE], Ranked)
    assert [*classifiers_in_its_place(Trial(plain(), None, {}, wide(plain())), wide(plain()))] == [STACK]


def test_opinions_are_measured_on_the_rows_that_have_them() -> None:
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    logits = np.eye(3)[[0, 1, 2, 1, 1, 0, 0, 1]] * 2.0
    votes = [0, 1, 1, 1, -1, 0, 0, -1]  # right, right, wrong, wrong, none, wrong, right, none
    found = opinions_measured(ClassifierOutputs(logits, labels).with_opinion("people", votes))["people"]
    both = np.array([[0, 0, 0, 1, 1, 0], [0, 0, 1, 1, 1, 0]])
    assert found == {"accuracy": 0.5, "correlation": round(float(np.corrcoef(both)[0, 1]), 3)}


@pytest.mark.parametrize("is_right", [True, False])
def test_where_all_predictions_are_right_or_wrong_there_is_no_auc(is_right: bool) -> None:
    found = lines_in_brief({MCP: np.array([0.1, 0.9, 0.5])}, np.full(3, is_right))
    assert found == {MCP: {"aurc": 1.0 - is_right}}


def test_a_vote_for_a_class_that_is_lacking() -> None:
    """The voter thinks that it is none of these classes, which halves what the average has of each, and their odds."""
    named = ClassifierOutputs(LOGITS, LABELS, classes=["ant", "bee", "cow"])
    outputs = named.with_opinion("people", ["dog", "ant", ""], classes={"ant": "ant", "dog": None})
    assert outputs.require("vote_people").tolist() == [3, 0, -1]
    half = np.exp(LOGITS[0]) / 2
    assert_allclose(np.exp(averaged_softmaxes(outputs)[0]), [*half, 0.5], atol=1e-12)
    assert_allclose(
        log_odds_of(averaged_softmaxes(outputs), outputs.predictions)[0], np.log(half.max() / (1 - half.max()))
    )


@pytest.mark.parametrize(("votes", "accuracy"), [([0, 2, 2], 1.0), ([1, 1, 1], 0.0)])
def test_errors_of_one_kind_alone_do_not_correlate(votes: list[int], accuracy: float) -> None:
    found = opinions_measured(plain().with_opinion("people", votes))
    assert found == {"people": {"accuracy": accuracy, "correlation": 0.0}}
