"""A classifier that is trusted behaves as scikit-learn's do, and keeps what it promises."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_matrix
from scipy.stats import binom
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

import sklearn
from steepslope import TrustedClassifier
from steepslope.errors import NothingPromisedWarning
from tests.sklearn.problems import NoisyHalves, table

FOREST = RandomForestClassifier(n_estimators=5, random_state=0)
pytestmark = pytest.mark.usefixtures("quick_nets")
FEW = pytest.mark.filterwarnings("ignore::steepslope.errors.NothingPromisedWarning")


@pytest.mark.slow
@FEW
@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [
        TrustedClassifier(LogisticRegression()),
        TrustedClassifier(LinearSVC()),
        TrustedClassifier(LogisticRegression(), groups="predicted"),
        TrustedClassifier(LogisticRegression(), opinions={"bayes": GaussianNB(), "voter": LinearSVC()}),
    ]
)
def test_it_keeps_the_contract_of_scikit_learn(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_forest_is_trusted(classes: int) -> None:
    X, y = table(900, classes=classes)
    model = TrustedClassifier(FOREST, max_risk=0.12).fit(X[:600], y[:600])
    labels, accepted = model.decide(X[600:])
    assert_array_equal(labels, model.predict(X[600:]))
    assert_array_equal(labels, model.predict_proba(X[600:]).argmax(axis=1))
    wrong = labels != y[600:]
    assert accepted.any()
    assert wrong[accepted].mean() < wrong[~accepted].mean()
    assert_array_equal(accepted, model.trust_logit(X[600:]) >= model.gate_.threshold)
    alone = [model.trust_logit(row[None])[0] for row in X[600:620]]
    np.testing.assert_allclose(alone, model.trust_logit(X[600:620]), rtol=1e-5, atol=1e-6)  # distances are float32
    probable = model.p_correct(X[600:])
    assert ((probable >= 0) & (probable <= 1)).all()
    assert abs(probable.mean() - (~wrong).mean()) < 0.1


def test_the_same_seed_gives_the_same_gate_and_a_pickle_the_same_decisions() -> None:
    X, y = table(400)
    one, other = (TrustedClassifier(GaussianNB(), 0.2, random_state=3).fit(X, y) for _ in range(2))
    assert one.oracle_ is not None
    assert one.gate_.threshold == other.gate_.threshold
    again = pickle.loads(pickle.dumps(one))
    assert_array_equal(again.trust_logit(X), one.trust_logit(X))
    assert_array_equal(again.decide(X).accepted, one.decide(X).accepted)


@pytest.mark.parametrize("names", [["no", "yes"], [False, True], np.array(["no", "yes"], dtype=object)], ids=str)
def test_labels_keep_their_type(names: Any) -> None:
    X, codes = table(240)
    y = np.asarray(names)[codes]
    rows = csr_matrix(X)
    model = TrustedClassifier(LogisticRegression(), max_risk=0.3).fit(rows, y)
    labels, _ = model.decide(rows)
    assert labels.dtype == y.dtype
    assert_array_equal(model.classes_, np.unique(y))
    assert_array_equal(labels, model.predict(rows))


@pytest.mark.filterwarnings("ignore:column is_new alone tells")
def test_frames_keep_their_names() -> None:
    X, codes = table(300)
    frame = pd.DataFrame(X, columns=["length", "width", "height"]).assign(is_new=codes == 0)
    model = TrustedClassifier(GaussianNB(), max_risk=0.3).fit(frame, pd.Series(codes).map({0: "ant", 1: "bee"}))
    assert_array_equal(model.feature_names_in_, list(frame.columns))
    assert model.n_features_in_ == 4
    assert set(model.predict(frame)) == {"ant", "bee"}
    assert model.reader_.features is not None
    assert model.reader_.features.saw == "The oracle saw 4 columns of X."
    with pytest.raises(ValueError, match="feature names"):
        model.decide(frame[frame.columns[::-1]])


def test_what_is_missing_is_no_obstacle() -> None:
    X, y = table(300)
    frame = pd.DataFrame(X, columns=["length", "width", "height"]).assign(
        count=pd.array([1, None] * 150, dtype="Int64")
    )
    frame.iloc[::7, 0] = np.nan
    model = TrustedClassifier(HistGradientBoostingClassifier(max_iter=5), max_risk=0.3).fit(frame, y)
    assert model.saw_.startswith("The oracle saw 4 columns of X.")
    assert np.isfinite(model.trust_logit(frame)).all()


def test_decision_values_do_where_there_are_no_probabilities() -> None:
    for classes in (2, 3):
        X, y = table(300, classes=classes)
        model = TrustedClassifier(LinearSVC(), max_risk=0.3).fit(X, y)
        assert not hasattr(model, "predict_proba")
        assert_array_equal(model.decision_function(X), model.estimator_.decision_function(X))
        assert model.decide(X).accepted.any()
    assert not hasattr(TrustedClassifier(GaussianNB()), "decision_function")


def test_a_frozen_classifier_is_not_fitted_again() -> None:
    X, y = table(900)
    first = GaussianNB().fit(X[:300], y[:300])
    model = TrustedClassifier(FrozenEstimator(first), max_risk=0.2).fit(X[300:], y[300:])
    assert model.estimator_.estimator is first
    assert_array_equal(model.predict(X), first.predict(X))
    assert model.oracle_ is not None
    assert model.gate_.n == 150


@FEW
@pytest.mark.parametrize(("n", "promised"), [(800, 0.3), (100, 0.01)])
def test_the_first_of_several_risks_that_can_be_promised_is(n: int, promised: float) -> None:
    X, y = table(n)
    model = TrustedClassifier(GaussianNB(), max_risk=(0.01, 0.3, 0.2) if n > 100 else (0.01, 0.001)).fit(X, y)
    assert model.max_risk_ == promised
    assert model.gate_.objectives.max_risk[0] == 0.01
    (certificate,) = model.gate_.promises
    assert (certificate.max_risk, certificate.is_given) == (promised, n > 100)
    words = "30 % is the first of 1 %, 30 %, 20 % that can be promised." if n > 100 else "None of 1 %, 0.1 % can be"
    assert words in model.summary_
    rows = model.gate_.calibration_rows
    assert rows is not None
    assert rows.accepted.mean() == certificate.coverage
    if n > 100:
        assert certificate.delta == pytest.approx(0.05 / 3)


def test_rare_classes_do_no_harm() -> None:
    X, y = table(300, classes=2)
    y[:1], y[1:3] = 7, 8  # classes of one and of two rows: not in all folds
    model = TrustedClassifier(GaussianNB(), max_risk=0.3).fit(X, y)
    assert {0, 1} <= set(model.classes_) <= {0, 1, 7, 8}
    assert model.oracle_ is not None


@FEW
@pytest.mark.filterwarnings("ignore:column . alone tells")
def test_where_no_oracle_can_be_had_mcp_ranks() -> None:
    X, y = table(240)
    far = X + 50 * y[:, None]  # no clone errs
    assert TrustedClassifier(GaussianNB()).fit(far, y).oracle_ is None
    rare = TrustedClassifier(LogisticRegression()).fit(X, np.arange(240) == 0)
    assert rare.oracle_ is None
    one = TrustedClassifier(DecisionTreeClassifier()).fit(X, np.ones(240))
    assert one.oracle_ is None
    assert one.decide(X).accepted.all()
    certain = TrustedClassifier(LogisticRegression(max_iter=1_000)).fit(far, y)
    assert certain.oracle_ is None
    np.testing.assert_allclose(certain.trust_logit(X), np.abs(certain.decision_function(X)), rtol=1e-6)


def test_a_threshold_of_ones_own_is_kept_to() -> None:
    """Rows that are given a class that is not the most probable one are trusted less than others."""
    X, y = table(600)
    model = TrustedClassifier(FixedThresholdClassifier(GaussianNB(), threshold=0.2), max_risk=0.3).fit(X, y)
    labels = model.decide(X).labels
    assert_array_equal(labels, model.predict(X))
    unlikely = model.predict_proba(X)[np.arange(600), labels] < 0.5
    assert unlikely.any()
    assert model.trust_logit(X)[unlikely].mean() < model.trust_logit(X)[~unlikely].mean()


def test_where_nothing_can_be_promised_nothing_is_accepted() -> None:
    X, y = table(100)
    with pytest.warns(NothingPromisedWarning, match="nothing is accepted: 25 rows are too few for 1 %") as told:
        model = TrustedClassifier(GaussianNB(), max_risk=0.01).fit(X, y)
    assert told[0].filename == __file__
    with pytest.warns(NothingPromisedWarning, match="nothing is accepted: 25 rows are too few for 1 %"):
        labels, accepted = model.decide(X)
    assert not accepted.any()
    assert_array_equal(labels, model.predict(X))
    assert "Nothing can be promised" in model.gate_.sentences()


class OfDictionaries(LogisticRegression):  # type: ignore[misc]
    """Takes what no features are made of."""

    def fit(self, X: Any, y: Any) -> OfDictionaries:
        super().fit(_values(X), y)
        return self

    def decision_function(self, X: Any) -> Any:
        return super().decision_function(_values(X))


def _values(X: Any) -> Any:
    return np.array([[row["x"], row["y"]] for row in X]) if isinstance(X, list) else X


def _dictionaries(X: Any) -> Any:
    return [{"x": x, "y": y} for x, y in X]


def test_where_there_are_no_features_the_oracle_says_so() -> None:
    X, y = NoisyHalves().draw(300, np.random.default_rng(0))
    model = TrustedClassifier(OfDictionaries(), 0.4).fit(_dictionaries(X), y)
    assert model.reader_.features is None
    assert model.saw_.startswith("The oracle saw the classifier's outputs alone. What it learnt ranks no better")
    plain = TrustedClassifier(LogisticRegression(), 0.4).fit(X, y)
    assert_array_equal(model.predict(_dictionaries(X)), plain.predict(X))


SECOND = {"bayes": GaussianNB(), "votes": VotingClassifier([("tree", DecisionTreeClassifier(max_depth=2))])}


@pytest.mark.slow
@FEW
@pytest.mark.filterwarnings("ignore::steepslope.errors.ChangedWarning")  # which a tenth of good batches may get
@pytest.mark.parametrize("opinions", [None, SECOND], ids=["oracle", "opinions"])
def test_the_promise_holds(opinions: Any) -> None:
    """The true risk is known; more violations than these have a probability below 1e-3 if delta is kept."""
    problem, grid, max_risk, delta, draws = NoisyHalves(), NoisyHalves.grid(), 0.15, 0.2, 32
    violated = promised = 0
    for draw in range(draws):
        X, y = problem.draw(400, np.random.default_rng(draw))
        model = TrustedClassifier(
            LogisticRegression(), max_risk, delta, calibration_size=0.5, random_state=draw, opinions=opinions
        )
        labels, accepted = model.fit(X, y).decide(grid)
        violated += problem.risk(grid, labels, accepted) > max_risk
        promised += bool(accepted.any())
    assert violated <= binom.ppf(1 - 1e-3, draws, delta)
    assert promised > draws / 2


class Weighed(GaussianNB):  # type: ignore[misc]
    """Remember all weights that classifiers of this kind are fitted with."""

    seen: list[Any] = []  # noqa: RUF012

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Weighed:
        self.seen.append((X[:, 0], sample_weight))
        super().fit(X, y, sample_weight)
        return self


@pytest.fixture(params=[False, True], ids=["plain", "routed"])
def routing(request: pytest.FixtureRequest) -> Iterator[bool]:
    Weighed.seen.clear()
    with sklearn.config_context(enable_metadata_routing=request.param):
        yield request.param


def test_weights_go_to_every_fit_of_the_classifier(routing: bool) -> None:
    X, y = table(240)
    weights = np.exp(X[:, 0])
    inner = Weighed().set_fit_request(sample_weight=True) if routing else Weighed()
    model = TrustedClassifier(inner, max_risk=0.3).fit(X, y, sample_weight=weights)
    assert [len(part) for part, _ in Weighed.seen] == [180] + [144] * 5
    for first_column, part in Weighed.seen:
        np.testing.assert_allclose(part, np.exp(first_column))
    assert model.gate_.promises[0].n == 60
    if routing:
        with pytest.raises(ValueError, match="sample_weight"):
            TrustedClassifier(Weighed()).fit(X, y, sample_weight=weights)
