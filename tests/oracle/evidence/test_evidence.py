"""Evidence: columns and opinions of every kind, and references that keep rows from seeing their own labels."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors

from steepslope.errors import SteepslopeError
from steepslope.metrics import auroc
from steepslope.numerics._linear import fit_softmax
from steepslope.numerics._opinion_pool import OpinionPool, fit_opinion_pool
from steepslope.oracle._settings import Errors
from steepslope.oracle.evidence import EVIDENCE
from steepslope.oracle.evidence._fitting import columns_of_fit_set, evidence_of_all_rows
from steepslope.oracle.evidence._states import FOLDS, State, fold_of_rows
from steepslope.oracle.evidence._values import evidence_columns, evidence_opinions, fit_states
from steepslope.outputs import ClassifierOutputs
from tests.conftest import make_complete

OPINIONS = [name for name, kind in EVIDENCE.items() if kind.opinions is not None]


@pytest.fixture(scope="module")
def reference() -> ClassifierOutputs:
    return make_complete(600, seed=1)


@pytest.fixture(scope="module")
def fit_set() -> ClassifierOutputs:
    return make_complete(400, seed=2)


@pytest.fixture(scope="module")
def states(reference: ClassifierOutputs, short_nets: None) -> dict[str, State]:
    return fit_states(list(EVIDENCE), make_complete(400, seed=2), reference)


@pytest.mark.parametrize("name", EVIDENCE)
def test_columns_are_the_same_in_blocks(name: str, fit_set: ClassifierOutputs, states: dict[str, State]) -> None:
    whole = evidence_columns(fit_set, [name], slice(0, len(fit_set)), states)
    parts = [evidence_columns(fit_set, [name], slice(start, start + 100), states) for start in range(0, 400, 100)]
    np.testing.assert_allclose(whole, np.concatenate(parts), rtol=1e-5, atol=1e-6)
    assert whole.dtype == np.float32
    assert np.isfinite(whole).all()


@pytest.mark.parametrize("name", EVIDENCE)
def test_columns_know_something(name: str, fit_set: ClassifierOutputs, states: dict[str, State]) -> None:
    """Each kind, and each score, tells correct predictions from errors a little, in its best column."""
    whole = evidence_columns(fit_set, [name], slice(0, len(fit_set)), states)
    aucs = [auroc(column, fit_set.is_correct) for column in whole.T.astype(np.float64)]
    if name not in ("features", "max_logit", "energy", "knn_distance"):
        assert max(*aucs, *(1 - auc for auc in aucs)) > 0.55
    assert EVIDENCE[name].columns.__doc__


@pytest.mark.parametrize("name", OPINIONS)
def test_opinions_are_log_probabilities(name: str, fit_set: ClassifierOutputs, states: dict[str, State]) -> None:
    part, classes = evidence_opinions(fit_set, [name], slice(0, 400), states)
    assert part.shape[0::2] == (400, 4)
    np.testing.assert_allclose(np.exp(part.astype(np.float64)).sum(axis=2), 1, rtol=1e-3)
    np.testing.assert_array_equal(classes[:, 0], fit_set.predictions)
    np.testing.assert_array_equal(np.sort(classes, axis=1), np.broadcast_to(np.arange(4), (400, 4)))


def test_neighbours_are_those_of_scikit_learn(
    reference: ClassifierOutputs, fit_set: ClassifierOutputs, states: dict[str, State]
) -> None:
    found = evidence_columns(fit_set, ["neighbors"], slice(0, 400), states)
    tree = NearestNeighbors(n_neighbors=50).fit(reference.require_features())
    labels = reference.require_labels()[tree.kneighbors(fit_set.require_features(), return_distance=False)]
    same = labels == fit_set.predictions[:, None]
    np.testing.assert_allclose(found[:, 1], same[:, :10].mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(found[:, 3], same.mean(axis=1), atol=1e-6)
    part, classes = evidence_opinions(fit_set, ["neighbors"], slice(0, 400), states)
    counts = (labels[:, :, None] == np.arange(4)).sum(axis=1)
    expected = np.log((counts + 3 / 4) / (50 + 3))
    np.testing.assert_allclose(part[:, 1], np.take_along_axis(expected, classes, axis=1), atol=1e-5)


@pytest.mark.parametrize("is_wide", [False, True])
def test_the_probe_is_a_logistic_regression(is_wide: bool, reference: ClassifierOutputs) -> None:
    """Also of fewer rows than columns, and from another start."""
    features, labels = reference.require("auxiliary"), reference.require_labels()
    if is_wide:
        draw = np.random.default_rng(0)
        features, labels = np.concatenate([features[:60], draw.normal(size=(60, 200))], axis=1), labels[:60]
    scaled = ((features - features.mean(axis=0)) / features.std(axis=0)).astype(np.float32)
    theirs = LogisticRegression(C=1 / (1e-2 * len(scaled)), tol=1e-8, max_iter=1000).fit(scaled, labels)
    for start in (None, (np.ones((scaled.shape[1], 4), np.float32), np.ones(4, np.float32))):
        weights, bias = fit_softmax(scaled, labels, 4, 1e-2, start)
        ours = log_softmax(scaled @ weights + bias, axis=1)
        np.testing.assert_allclose(ours, theirs.predict_log_proba(scaled), atol=0.02)


def test_candidates_stand_for_all_classes() -> None:
    """With 30 classes, ten are listed and one stands for the rest; probabilities still add up."""
    outputs = make_complete(300, num_classes=30, seed=3)
    part, classes = evidence_opinions(outputs, ["logits"], slice(0, 300), {})
    assert classes.shape == (300, 11)
    assert (classes[:, -1] == 30).all()
    np.testing.assert_allclose(np.exp(part.astype(np.float64)).sum(axis=2), 1, rtol=1e-4)
    inside = (classes == outputs.require_labels()[:, None]).any(axis=1)
    assert 0.5 < inside.mean() < 1
    found = fit_opinion_pool(part, classes, outputs.require_labels(), 30, 1e-3)
    assert np.isfinite(found.log_odds(part)).all()


@pytest.mark.parametrize(
    ("name", "errors"), [("trust_score", "train"), ("neighbors", "crossfit"), ("second_opinion", "crossfit")]
)
def test_no_row_sees_its_own_label(name: str, errors: Errors) -> None:
    """Labels without any relation to features, and predictions that are right half of the time.

    Only a row that sees its own label can tell an error from a correct prediction.
    """
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(600, 30)).astype(np.float32), rng.integers(2, size=600)
    logits = np.eye(2)[rng.integers(2, size=600)]
    outputs = ClassifierOutputs(logits, labels, features, auxiliary=features, as_logits=True)
    parts, states = columns_of_fit_set(outputs, [name], None, errors, 0)
    leaking = evidence_of_all_rows(outputs, [name], states)

    def separation(part: NDArray[Any]) -> float:
        return max(abs(auroc(column, outputs.is_correct) - 0.5) for column in part.T.astype(np.float64))

    assert separation(parts[0]) < 0.08
    assert separation(leaking[0]) > 0.1


def test_crossfitted_columns_come_from_the_other_folds(fit_set: ClassifierOutputs) -> None:
    parts, states = columns_of_fit_set(fit_set, ["logits", "neighbors"], None, "crossfit", 5)
    fold = fold_of_rows(fit_set.require_labels(), 5)
    inside = np.flatnonzero(fold == 2)
    others = fit_states(["neighbors"], fit_set, fit_set.subset(np.flatnonzero(fold != 2)))
    expected = evidence_of_all_rows(fit_set.subset(inside), ["neighbors"], others)[0]
    np.testing.assert_array_equal(parts[1][inside], expected)
    assert len(states["neighbors"]["points"]) == 400


@pytest.mark.parametrize("num_classes", [4, 20])
def test_sure_predictions_stay_in_order(num_classes: int) -> None:
    """Gaps of 20 to 120 between the first and the other logits: all distinct, and more is more."""
    gaps = np.linspace(20, 120, 401)
    logits = np.zeros((401, num_classes))
    logits[:, 1] = gaps
    outputs = ClassifierOutputs(logits, np.ones(401, dtype=np.int64))
    part, _ = evidence_opinions(outputs, ["logits"], slice(0, 401), {})
    pool = OpinionPool(np.ones(1), np.zeros(1))
    assert (np.diff(pool.log_odds(part)) > 0).all()


def test_folds_are_even() -> None:
    strata = np.repeat([0, 1, 2], [50, 7, 3])
    fold = fold_of_rows(strata, 0)
    for stratum in range(3):
        assert np.ptp(np.bincount(fold[strata == stratum], minlength=FOLDS)) <= 1
    assert (fold != fold_of_rows(strata, 1)).any()


@pytest.mark.parametrize(
    ("name", "given", "errors", "message"),
    [
        ("neighbors", lambda ours, _: (ours, None), "holdout", "neighbors: expected a reference"),
        ("neighbors", lambda ours, _: (ours, ours), "holdout", "found 400 in both, such as"),
        (
            "neighbors",
            lambda ours, theirs: (ours, theirs.subset(slice(9))),
            "holdout",
            "at least 50 references, found 9",
        ),
        (
            "neighbors",
            lambda ours, theirs: (ours, theirs),
            "crossfit",
            "reference: expected none with errors='crossfit'",
        ),
        ("neighbors", lambda ours, _: (ours, make_complete(num_classes=5)), "holdout", "fit set's 4 classes, found 5"),
        ("neighbors", lambda ours, _: (ours.changed(ids=None), ours), "holdout", "other rows, found the same rows"),
        ("second_opinion", lambda ours, theirs: (ours, narrow(theirs)), "holdout", "expected 3 columns, found 8"),
        ("second_opinion", lambda ours, theirs: (ours, theirs.changed(auxiliary=None)), "holdout", "hold no auxiliary"),
        ("neighbours", lambda ours, theirs: (ours, theirs), "holdout", "did you mean 'neighbors'"),
    ],
)
def test_wrong_references_are_named(
    name: str, given: Any, errors: Any, message: str, fit_set: ClassifierOutputs, reference: ClassifierOutputs
) -> None:
    outputs, known = given(fit_set, reference)
    with pytest.raises(SteepslopeError, match=message):
        columns_of_fit_set(outputs, [name], known, errors, 0)


def narrow(outputs: ClassifierOutputs) -> ClassifierOutputs:
    return outputs.changed(auxiliary=outputs.require("auxiliary")[:, :3])


def test_an_auxiliary_backbones_outputs_are_of_the_same_inputs(
    fit_set: ClassifierOutputs, reference: ClassifierOutputs
) -> None:
    with pytest.raises(SteepslopeError, match="expected outputs of the same inputs"):
        fit_set.with_auxiliary(reference)
