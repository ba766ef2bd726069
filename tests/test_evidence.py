"""Evidence: columns and opinions of every kind, and references that keep rows from seeing their own labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors

from steepslope.errors import SteepslopeError
from steepslope.evidence import EVIDENCE, columns, fit_states
from steepslope.evidence.fitting import FOLDS, Errors, all_parts, evidence_of, fold_of
from steepslope.evidence.opinions import opinions_of
from steepslope.evidence.states import State
from steepslope.losses import cross_entropy, steep_slope
from steepslope.outputs import ClassifierOutputs
from steepslope.training.consensus import fit_consensus
from steepslope.training.linear import fit_linear, fit_softmax
from tests.conftest import make_complete

VOICES = [name for name, kind in EVIDENCE.items() if kind.opinions is not None]


@pytest.fixture(scope="module")
def reference() -> ClassifierOutputs:
    return make_complete(600, seed=1)


@pytest.fixture(scope="module")
def fit_set() -> ClassifierOutputs:
    return make_complete(400, seed=2)


@pytest.fixture(scope="module")
def states(reference: ClassifierOutputs) -> dict[str, State]:
    return fit_states(list(EVIDENCE), reference)


@pytest.mark.parametrize("name", EVIDENCE)
def test_columns_are_the_same_in_blocks(name: str, fit_set: ClassifierOutputs, states: dict[str, State]) -> None:
    whole = columns(fit_set, [name], slice(0, len(fit_set)), states)
    parts = [columns(fit_set, [name], slice(start, start + 100), states) for start in range(0, 400, 100)]
    np.testing.assert_allclose(whole, np.concatenate(parts), rtol=1e-5, atol=1e-6)
    assert whole.dtype == np.float32
    assert np.isfinite(whole).all()


@pytest.mark.parametrize("name", EVIDENCE)
def test_columns_know_something(name: str, fit_set: ClassifierOutputs, states: dict[str, State]) -> None:
    """Each kind, and each score, tells correct predictions from errors a little, in its best column."""
    from steepslope.metrics import auroc

    whole = columns(fit_set, [name], slice(0, len(fit_set)), states)
    aucs = [auroc(column, fit_set.is_correct) for column in whole.T.astype(np.float64)]
    if name not in ("features", "max_logit", "energy"):
        assert max(*aucs, *(1 - auc for auc in aucs)) > 0.55
    assert EVIDENCE[name].columns.__doc__


@pytest.mark.parametrize("name", VOICES)
def test_opinions_are_log_probabilities(name: str, fit_set: ClassifierOutputs, states: dict[str, State]) -> None:
    part, classes = opinions_of(fit_set, [name], slice(0, 400), states)
    assert part.shape[0::2] == (400, 4)
    np.testing.assert_allclose(np.exp(part.astype(np.float64)).sum(axis=2), 1, rtol=1e-3)
    np.testing.assert_array_equal(classes[:, 0], fit_set.predictions)
    np.testing.assert_array_equal(np.sort(classes, axis=1), np.broadcast_to(np.arange(4), (400, 4)))


def test_neighbours_are_those_of_scikit_learn(
    reference: ClassifierOutputs, fit_set: ClassifierOutputs, states: dict[str, State]
) -> None:
    found = columns(fit_set, ["neighbors"], slice(0, 400), states)
    tree = NearestNeighbors(n_neighbors=50).fit(reference.require_features())
    labels = reference.labels[tree.kneighbors(fit_set.require_features(), return_distance=False)]
    same = labels == fit_set.predictions[:, None]
    np.testing.assert_allclose(found[:, 1], same[:, :10].mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(found[:, 3], same.mean(axis=1), atol=1e-6)
    part, classes = opinions_of(fit_set, ["neighbors"], slice(0, 400), states)
    counts = (labels[:, :, None] == np.arange(4)).sum(axis=1)
    expected = np.log((counts + 0.3) / (50 + 0.3 * 4))
    np.testing.assert_allclose(part[:, 1], np.take_along_axis(expected, classes, axis=1), atol=1e-5)


def test_the_probe_is_a_logistic_regression(reference: ClassifierOutputs) -> None:
    features = reference.require("foreign")
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    weights, bias = fit_softmax(scaled, reference.labels, 4, 1e-2)
    theirs = LogisticRegression(C=1 / (1e-2 * len(scaled)), tol=1e-8, max_iter=1000).fit(scaled, reference.labels)
    ours = log_softmax(scaled @ weights + bias, axis=1)
    np.testing.assert_allclose(ours, theirs.predict_log_proba(scaled), atol=0.02)


@pytest.mark.parametrize("penalty", [1e-3, 1e-1])
def test_linear_fits_are_at_their_minimum(penalty: float, fit_set: ClassifierOutputs) -> None:
    inputs = columns(fit_set, ["logits"], slice(0, 400)).astype(np.float64)
    scaled = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    weights, bias = fit_linear(scaled, fit_set.is_correct, cross_entropy, penalty)
    theirs = LogisticRegression(C=1 / (penalty * 400), tol=1e-10, max_iter=5000).fit(scaled, fit_set.is_correct)
    np.testing.assert_allclose(scaled @ weights + bias, theirs.decision_function(scaled), atol=0.01)
    again, _ = fit_linear(scaled, fit_set.is_correct, steep_slope, penalty)
    assert np.linalg.norm(again - weights) > 0.01


def test_a_consensus_of_one_is_that_one_sharpened() -> None:
    """Labels drawn from softmax(2 · logits): the weight of the log-probabilities is 2, and no class is favoured."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 5))
    labels = (2 * logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    opinions, classes = log_softmax(logits, axis=1)[:, None], np.broadcast_to(np.arange(5), (20_000, 5)).copy()
    found = fit_consensus(opinions, classes, labels, 5, 1e-6)
    assert found.weights[0] == pytest.approx(2, abs=0.05)
    assert np.ptp(found.offsets[:5]) < 0.1
    utilities = 2 * logits
    expected = utilities[:, 0] - logsumexp(utilities[:, 1:], axis=1)
    np.testing.assert_allclose(found.log_odds(opinions, classes), expected, atol=0.25)


def test_candidates_stand_for_all_classes() -> None:
    """With 30 classes, ten are listed and one stands for the rest; probabilities still add up."""
    outputs = make_complete(300, num_classes=30, seed=3)
    part, classes = opinions_of(outputs, ["logits"], slice(0, 300), {})
    assert classes.shape == (300, 11)
    assert (classes[:, -1] == 30).all()
    np.testing.assert_allclose(np.exp(part.astype(np.float64)).sum(axis=2), 1, rtol=1e-4)
    inside = (classes == outputs.labels[:, None]).any(axis=1)
    assert 0.5 < inside.mean() < 1
    found = fit_consensus(part, classes, outputs.labels, 30, 1e-3)
    assert np.isfinite(found.log_odds(part, classes)).all()


def test_no_row_sees_its_own_label() -> None:
    """Labels without any relation to features: only a row that sees its own label can tell it from others."""
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(500, 3)).astype(np.float32), rng.integers(2, size=500)
    logits = np.eye(2)[labels] + 1e-3 * rng.normal(size=(500, 2))
    outputs = ClassifierOutputs(logits, labels, features)
    seen = {}
    modes: tuple[Errors, Errors] = ("crossfit", "train")
    for errors in modes:
        parts, _ = evidence_of(outputs, ["trust_score"], None, errors, 0)
        seen[errors] = float(parts[0].mean())
    assert abs(seen["crossfit"]) < 0.1
    assert seen["train"] > 0.2


def test_crossfitted_columns_come_from_the_other_folds(fit_set: ClassifierOutputs) -> None:
    parts, states = evidence_of(fit_set, ["logits", "neighbors"], None, "crossfit", 5)
    fold = fold_of(fit_set.labels, 5)
    inside = np.flatnonzero(fold == 2)
    others = fit_states(["neighbors"], fit_set.subset(np.flatnonzero(fold != 2)))
    expected = all_parts(fit_set.subset(inside), ["neighbors"], others)[0]
    np.testing.assert_array_equal(parts[1][inside], expected)
    assert len(states["neighbors"]["points"]) == 400


def test_folds_are_even() -> None:
    strata = np.repeat([0, 1, 2], [50, 7, 3])
    fold = fold_of(strata, 0)
    for stratum in range(3):
        assert np.ptp(np.bincount(fold[strata == stratum], minlength=FOLDS)) <= 1
    assert (fold != fold_of(strata, 1)).any()


def wrong(value: str) -> Any:
    """Hide a value's type from the type checker, which knows the right ones."""
    return value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ours, _: evidence_of(ours, ["neighbors"], None, "holdout", 0), "neighbors: expected a reference"),
        (lambda ours, _: evidence_of(ours, ["neighbors"], ours, "holdout", 0), "found 400 in both, such as"),
        (lambda ours, _: evidence_of(ours, ["neighbors"], None, wrong("cross"), 0), "did you mean 'crossfit'"),
        (
            lambda ours, theirs: evidence_of(ours, ["neighbors"], theirs.subset(np.arange(30)), "holdout", 0),
            "expected at least 50 references, found 30",
        ),
        (lambda ours, theirs: ours.with_foreign(theirs), "expected outputs of the same inputs"),
        (lambda ours, _: columns(ours, ["neighbours"], slice(0, 1)), "did you mean 'neighbors'"),
    ],
)
def test_wrong_references_are_named(
    change: Any, message: str, fit_set: ClassifierOutputs, reference: ClassifierOutputs
) -> None:
    with pytest.raises(SteepslopeError, match=message):
        change(fit_set, reference)
