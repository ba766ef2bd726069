"""Other classifiers tell a trusted one's oracle more of the same inputs, whatever it is that they give."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from steepslope import TrustedClassifier
from steepslope.errors import SteepslopeError
from steepslope.metrics import auroc
from steepslope.sklearn._storage import TRUSTED
from tests.conftest import _hurry
from tests.files.sealing import seal_again

pytestmark = pytest.mark.usefixtures("quick_nets")
NAMES = np.array(["ant", "bee", "cow"])


def two_views(n: int, seed: int = 0) -> tuple[Any, Any]:
    """Return points (n, 6) of which the first and the last three tell of the class, each alike, and the labels (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n)
    return rng.normal(size=(n, 6)) + 1.6 * np.tile(np.eye(3), 2)[labels], NAMES[labels]


def on(columns: list[int], inner: Any) -> Any:
    return make_pipeline(ColumnTransformer([("seen", "passthrough", columns)]), inner)


class Voter(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Give labels alone, and remember which rows it was fitted to."""

    fitted_to: list[Any] = []  # noqa: RUF012

    def fit(self, X: Any, y: Any) -> Voter:
        self.fitted_to.append(y)
        self.model_ = GaussianNB().fit(X, y)
        return self

    def predict(self, X: Any) -> Any:
        return self.model_.predict(X)


FIRST, LAST = [0, 1, 2], [3, 4, 5]
PLAIN = on(FIRST, LogisticRegression())
KINDS: dict[str, Any] = {
    "probabilities": on(LAST, GaussianNB()),
    "decisions": on(LAST, LinearSVC()),
    "votes": on(LAST, Voter()),
}


@pytest.fixture(scope="module")
def alone() -> TrustedClassifier:
    with pytest.MonkeyPatch.context() as patch:
        _hurry(patch)
        return TrustedClassifier(PLAIN, 0.15, 0.001).fit(*two_views(1_200))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_opinion_helps_and_comes_back(kind: str, alone: TrustedClassifier, tmp_path: Path) -> None:
    X, y = two_views(8_000, seed=1)
    model = TrustedClassifier(PLAIN, 0.15, 0.001, opinions={kind: KINDS[kind]}).fit(*two_views(1_200))
    assert_array_equal(model.predict(X), alone.predict(X))
    assert model.oracle_ is not None
    assert f"{'vote' if kind == 'votes' else 'opinion'}_{kind}" in model.oracle_.arrays
    labels, accepted = model.decide(X)
    wrong = labels != y
    assert auroc(model.trust_logit(X), ~wrong) > auroc(alone.trust_logit(X), ~wrong) + 0.05
    assert accepted.mean() > alone.decide(X).accepted.mean() + 0.1
    assert wrong[accepted].mean() < 0.15
    assert f"It takes the opinion of {kind}." in model.summary_
    assert "On the fit set, the oracle with opinions gains +" in model.summary_
    assert_allclose(
        [model.trust_logit(row[None])[0] for row in X[:5]], model.trust_logit(X)[:5], atol=1e-5
    )  # opinions are float32
    model.save(tmp_path / "model")
    for again in (
        TrustedClassifier.load(tmp_path / "model", model.estimator_, model.opinions_),
        pickle.loads(pickle.dumps(model)),
        TrustedClassifier(PLAIN, 0.15, 0.001, n_jobs=2, opinions={kind: KINDS[kind]}).fit(*two_views(1_200)),
    ):
        assert_array_equal(again.trust_logit(X), model.trust_logit(X))
        assert again.summary_ == model.summary_


@pytest.mark.slow
def test_a_frozen_classifier_of_other_classes_is_taken_as_it_is() -> None:
    X, y = two_views(1_200)
    y[300:303] = "rare"  # not in all folds
    others = np.select([y == "ant", y == "bee"], ["ant", "bee"], "zebra")
    alone = TrustedClassifier(PLAIN, 0.2).fit(X[300:], y[300:])
    for inner in (GaussianNB(), LinearSVC(), Voter()):
        first = on(LAST, inner).fit(*two_views(300, seed=7))
        first.fit(X[:300], others[:300])  # knows no cow
        model = TrustedClassifier(PLAIN, 0.2, opinions={"zoo": FrozenEstimator(first)}).fit(X[300:], y[300:])
        assert model.opinions_["zoo"].estimator is first
        new, truth = two_views(4_000, seed=1)
        right = model.predict(new) == truth
        assert auroc(model.trust_logit(new), right) > auroc(alone.trust_logit(new), right) + 0.03


def test_an_opinion_of_a_single_class_tells_nothing(alone: TrustedClassifier, tmp_path: Path) -> None:
    X, y = two_views(1_200)
    single = FrozenEstimator(DecisionTreeClassifier().fit(X[:50], np.full(50, "ant")))
    model = TrustedClassifier(PLAIN, 0.15, 0.001, opinions={"single": single}).fit(X, y)
    assert "It leaves out single, whose gain is not certain." in model.summary_
    assert_allclose(model.trust_logit(X), alone.trust_logit(X), rtol=1e-6)
    model.save(tmp_path / "model")
    again = TrustedClassifier.load(tmp_path / "model", model.estimator_)  # the oracle does not take it
    assert_array_equal(again.trust_logit(X), model.trust_logit(X))


def test_out_of_class_rows_reach_neither_classifier_but_the_oracle() -> None:
    X, y = two_views(1_200)
    strangers = np.random.default_rng(3).normal(size=(300, 6)) + 0.5
    rows, labels = np.concatenate([X, strangers]), np.concatenate([y, np.full(300, "other")])
    Voter.fitted_to.clear()
    model = TrustedClassifier(
        PLAIN, 0.3, unknown_label="other", opinions={"voter": on(LAST, Voter()), "bayes": on(LAST, GaussianNB())}
    ).fit(rows, labels)
    assert [len(part) for part in Voter.fitted_to] == [900] + [720] * 5
    assert all(set(part) == set(NAMES) for part in Voter.fitted_to)
    assert model.oracle_ is not None
    assert model.oracle_.record_ is not None
    assert len(model.oracle_.record_.rows) == 900 + 225
    (promise,) = model.gate_.promises
    assert (promise.n, promise.unknown) == (375, 75)
    assert model.trust_logit(strangers).mean() < model.trust_logit(X).mean()


NEW = GaussianNB()
REFUSED: dict[str, tuple[Any, str]] = {
    "no names": ([GaussianNB()], "opinions: expected classifiers by name, found list"),
    "a name": ({"a b": GaussianNB()}, "opinions: .*expected letters, digits, '_' and '-', found 'a b'"),
    "no classifier": ({"a": "forest"}, "opinions: a: expected a scikit-learn classifier, found 'forest'"),
    "a class": ({"a": GaussianNB}, "opinions: a: expected a scikit-learn classifier, found <class"),
    "itself": ({"a": PLAIN}, "opinions: a: expected another classifier, found the classifier itself"),
    "itself, frozen": ({"a": FrozenEstimator(PLAIN)}, "opinions: a: expected another .* found the classifier itself"),
    "twice": ({"a": NEW, "b": NEW}, "opinions: b: expected another classifier, found that of a again"),
    "unfitted": (
        {"a": FrozenEstimator(GaussianNB())},
        "opinions: a: expected a classifier, one that is fitted in FrozenEstimator, found GaussianNB without classes_",
    ),
    "unfitted votes": ({"a": FrozenEstimator(make_pipeline(Voter()))}, "opinions: a: expected a classifier, one that"),
    "numbers": (
        {"a": FrozenEstimator(LinearRegression().fit(*[two_views(50)[0], np.arange(50)]))},
        "opinions: a: expected some of the trusted classifier.s classes, found -?[0-9.]+, .*, …",
    ),
    "other classes": (
        {"a": FrozenEstimator(GaussianNB().fit(two_views(50)[0], np.arange(50) % 2))},
        "opinions: a: expected some of the trusted classifier.s classes, found 0, 1",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_opinion_is_refused(case: str) -> None:
    opinions, message = REFUSED[case]
    with pytest.raises(SteepslopeError, match=message):
        TrustedClassifier(PLAIN, opinions=opinions).fit(*two_views(200))


def test_other_opinions_than_were_saved_are_refused(tmp_path: Path) -> None:
    X, y = two_views(900)
    opinions = {"bayes": on(LAST, GaussianNB())}
    model = TrustedClassifier(PLAIN, 0.3, opinions=opinions).fit(X, y)
    assert "It takes the opinion of bayes." in model.summary_
    model.save(tmp_path / "model")
    same = "opinions: bayes: expected the classifier that was saved, with its classes, found one with others"
    for given, message in [
        (None, "opinions: expected the classifiers that were saved, found no bayes"),
        ({"bayse": opinions["bayes"]}, "opinions: .*bayse.* did you mean 'bayes'"),
        (opinions, same),  # not fitted
        ({"bayes": on(LAST, GaussianNB()).fit(X, y == "ant")}, same),
        ({"bayes": Voter().fit(X, y)}, same),
        ({"bayes": on(LAST, LinearSVC()).fit(X, y)}, "opinions: .* found one with other opinion_bayes"),
        ({"bayes": on(FIRST, GaussianNB()).fit(X, y)}, "opinions: .* found one with other opinion_bayes"),
    ]:
        with pytest.raises(SteepslopeError, match=message):
            TrustedClassifier.load(tmp_path / "model", model.estimator_, given)
    seal_again(TRUSTED, tmp_path / "model", opinions={"bayes": 3})
    with pytest.raises(SteepslopeError, match="field 'opinions': found 3 of an unexpected type"):
        TrustedClassifier.load(tmp_path / "model", model.estimator_, model.opinions_)
