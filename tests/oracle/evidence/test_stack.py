"""A stacker against scikit-learn's logistic regression, and what it thinks of rows that lack an opinion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from steepslope.errors import SteepslopeError
from steepslope.metrics import auroc
from steepslope.oracle import FusedOracle, Oracle
from steepslope.oracle.evidence._fit_set import FitSet
from steepslope.oracle.evidence._registry import is_stack, kind_of_evidence, stack_name
from steepslope.oracle.evidence._stack import FLOOR, LEAST_ROWS, PENALTIES, fit_stack, stacked_arrays
from steepslope.oracle.evidence._values import evidence_columns, evidence_opinions
from steepslope.outputs import ClassifierOutputs
from tests.conftest import make_complete

ARRAYS = ("logits", "opinion_other", "vote_people", "features")
CHOSEN_PENALTY = 1e-3  # of least loss on these rows
NAME = "stack(logits+opinion_other+vote_people+features)"


def with_two_opinions(n: int, seed: int) -> ClassifierOutputs:
    """Return outputs with the opinion of another classifier, and with votes."""
    outputs = make_complete(n, seed=seed)
    rng, labels = np.random.default_rng(seed), outputs.require_labels()
    other = 2.0 * np.eye(4)[labels] + rng.normal(size=(n, 4))
    votes = np.where(rng.random(n) < 0.7, labels, rng.integers(4, size=n))
    return outputs.with_opinion("other", other).with_opinion("people", votes)


def stacker_columns(outputs: ClassifierOutputs) -> np.ndarray:
    logs = [np.maximum(log_softmax(np.asarray(outputs.require(name), float), axis=1), FLOOR) for name in ARRAYS[:2]]
    votes = np.where(np.eye(4)[outputs.require("vote_people")] == 1, 0, FLOOR)
    return np.hstack([*logs, votes, np.asarray(outputs.features)])


def test_it_is_a_logistic_regression_on_all_that_is_known_of_a_row() -> None:
    known, new = with_two_opinions(2_000, 0), with_two_opinions(500, 1)
    learning = kind_of_evidence(NAME).learning
    assert learning is not None
    state = learning.fit(known)
    learning.check(state, 4)
    (found, classes) = evidence_opinions(new, [NAME], slice(None), {NAME: state})
    scale, distances = StandardScaler().fit(stacker_columns(known)), {}
    for penalty in PENALTIES:
        model = LogisticRegression(C=1 / (penalty * len(known)), max_iter=5_000, tol=1e-8)
        model.fit(scale.transform(stacker_columns(known)), known.labels)
        logs = np.take_along_axis(model.predict_log_proba(scale.transform(stacker_columns(new))), classes, axis=1)
        distances[penalty] = np.abs(np.exp(logs) - np.exp(found[:, 0])).max()
    nearest, second, _ = sorted(distances, key=lambda penalty: distances[penalty])
    assert distances[nearest] < 0.02 < distances[second]
    assert nearest == CHOSEN_PENALTY


@pytest.mark.parametrize("lacked", ["opinion_other", "vote_people"])
def test_rows_that_lack_an_opinion_are_neither_learnt_from_nor_judged(lacked: str) -> None:
    known = with_two_opinions(600, 0)
    held = np.array(known.require(lacked))
    held[::3] = -1 if held.ndim == 1 else np.nan
    some, learning = known.changed(**{lacked: held}), kind_of_evidence(NAME).learning
    assert learning is not None
    state, there = learning.fit(some), np.arange(600) % 3 > 0
    alone = learning.fit(known.subset(np.flatnonzero(there)))
    for name, values in state.items():
        assert_allclose(values, alone[name], atol=1e-6)
    (found, _) = evidence_opinions(some, [NAME], slice(None), {NAME: state})
    assert (found[~there] == 0).all()
    assert (found[there] < 0).all()


@pytest.mark.parametrize("complete", [0, 1, LEAST_ROWS - 1])
def test_with_few_complete_rows_all_classes_are_alike(complete: int) -> None:
    known = with_two_opinions(30, 0).changed(
        vote_people=np.arange(30) % 4 * (np.arange(30) < complete) - (np.arange(30) >= complete)
    )
    learning = kind_of_evidence(NAME).learning
    assert learning is not None
    (found, _) = evidence_opinions(with_two_opinions(5, 1), [NAME], slice(None), {NAME: learning.fit(known)})
    assert_allclose(found, -np.log(4))


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 2, 30])
def test_an_oracle_is_fitted_where_few_rows_hold_an_opinion(rows: int) -> None:
    outputs = make_complete(400, seed=0)
    held = np.where(np.arange(400)[:, None] < rows, np.eye(4)[outputs.require_labels()] * 9.0 - 1, np.nan)
    oracle = FusedOracle().fit(outputs.with_opinion("other", held))
    assert np.isfinite(oracle.trust_logit(outputs.with_opinion("other", held))).all()


def test_the_order_of_rows_plays_no_part_in_the_penalty() -> None:
    """Here labels come in turn, so that every fifth row belongs to one of only two classes."""
    rng = np.random.default_rng(0)
    labels = np.arange(1_000) % 10
    logits = 2 * np.eye(10)[labels] + rng.normal(size=(1_000, 10))
    outputs = ClassifierOutputs(logits, labels, rng.normal(size=(1_000, 100)))
    drawn = outputs.subset(rng.permutation(1_000))
    in_turn, shuffled = (fit_stack(one, ("logits", "features"))["weights"] for one in (outputs, drawn))
    assert_allclose(in_turn, shuffled, atol=0.02)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_refused(value: float) -> None:
    known = with_two_opinions(300, 0)
    broken = np.array(known.features)
    broken[7, 0] = value
    wrong, learning = known.changed(features=broken), kind_of_evidence(NAME).learning
    assert learning is not None
    with pytest.raises(SteepslopeError, match="features: expected finite values, found others in row 7"):
        learning.fit(wrong)
    with pytest.raises(SteepslopeError, match="expected finite values, found others in row 7"):
        evidence_opinions(wrong, [NAME], slice(0, None), {NAME: learning.fit(known)})


def test_no_row_sees_its_own_label() -> None:
    """The opinions on the rows of a fold are the same, whatever their labels are."""
    outputs = with_two_opinions(200, 0)
    fit_set = FitSet.of(outputs, None, 0)
    before, _ = fit_set.opinions(NAME)
    labels = np.array(outputs.labels)
    inside = np.flatnonzero(fit_set.fold == 0)
    labels[inside] = labels[inside][::-1]
    changed = replace(fit_set, rows=fit_set.rows.changed(labels=labels), outputs=outputs.changed(labels=labels))
    assert_array_equal(changed.opinions(NAME)[0][inside], before[inside])


def test_what_is_too_wide_is_not_seen() -> None:
    outputs = with_two_opinions(10, 0)
    assert stacked_arrays(outputs, ARRAYS[1:3]) == ARRAYS
    assert stacked_arrays(outputs.changed(features=None), []) == ("logits",)
    wide = outputs.changed(features=np.zeros((10, 25_000)))
    assert stacked_arrays(wide, ARRAYS[1:3]) == ARRAYS[:3]
    many = ClassifierOutputs(np.zeros((3, 400)))
    assert stacked_arrays(many, []) is None


def test_its_name_tells_what_it_sees() -> None:
    assert stack_name(ARRAYS) == NAME
    assert is_stack(NAME)
    assert not any(map(is_stack, ("stack", "stack()", "stack(logits+auxiliary)", "logits", "stack(logits")))
    assert kind_of_evidence(NAME).arrays == ARRAYS
    assert kind_of_evidence(NAME).lacks
    assert not kind_of_evidence("stack(logits+features)").lacks


def test_it_has_no_columns() -> None:
    with pytest.raises(SteepslopeError, match="expected inputs with columns, found one that only has opinions"):
        Oracle(inputs=("logits", NAME))
    with pytest.raises(SteepslopeError, match="only has opinions"):
        evidence_columns(with_two_opinions(5, 0), [NAME], slice(None), {})


def test_a_pool_takes_it_where_a_class_is_predicted_too_often() -> None:
    """A pool of the classifier's opinion alone cannot learn that predictions of one class are right more often."""
    rng = np.random.default_rng(0)

    def made(n: int) -> ClassifierOutputs:
        z = rng.normal(size=n)
        right = rng.random(n) < np.where(z > 0, 0.9, 0.55)  # what it calls the first class is mostly right
        return ClassifierOutputs(np.stack([z, -z], axis=1), np.where(right, z < 0, z > 0).astype(int))

    known, new = made(3_000), made(3_000)
    oracle = FusedOracle(budget="free").fit(known)
    assert oracle.fitted_ is not None
    assert "stack(logits)" in oracle.fitted_.pool.inputs
    assert auroc(oracle.trust_logit(new), new.is_correct) > 0.65
