"""What is refused before a classifier is trusted, and out-of-class rows, which are errors to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import ShuffleSplit
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from steepslope import TrustedClassifier
from steepslope.errors import ChangedWarning, SteepslopeError, UnknownLabelsWarning
from tests.sklearn.problems import WithoutOracle, table, texts

pytestmark = pytest.mark.usefixtures("quick_nets")


X60, Y60 = table(60)
REFUSED: dict[str, tuple[Any, Any, Any, str]] = {
    "size": (TrustedClassifier(GaussianNB(), calibration_size=1.5), X60, Y60, "calibration_size: .* found 1.5"),
    "folds": (TrustedClassifier(GaussianNB(), cv=1), X60, Y60, "cv: expected a whole number >= 2, found 1"),
    "splitter": (
        TrustedClassifier(GaussianNB(), cv=ShuffleSplit(2)), X60, Y60, "cv: expected folds that hold each row once",
    ),
    "labels alone": (
        TrustedClassifier(VotingClassifier([("bayes", GaussianNB())])), X60, Y60,
        "estimator: expected a classifier with predict_proba or decision_function",
    ),
    "no classifier": (TrustedClassifier(LinearRegression()), X60, Y60, "estimator: expected .* found LinearRegression"),
    "two rows": (TrustedClassifier(GaussianNB()), np.eye(2), [0, 1], "X: expected rows to calibrate .* n_samples=2"),
    "mixed labels": (TrustedClassifier(GaussianNB()), X60, [0, 1, "unknown"] * 20, "one type, found int and str"),
    "pandas' NA": (TrustedClassifier(GaussianNB()), X60, ["a", "b", pd.NA] * 20, "a label for each row, found 20"),
    "no label": (TrustedClassifier(GaussianNB()), X60, ["a", "b", None] * 20, "expected a label for each row"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_fitted_is_refused(case: str) -> None:
    model, X, y, message = REFUSED[case]
    with pytest.raises(SteepslopeError, match=message):
        model.fit(X, np.array(y, dtype=object) if case in ("mixed labels", "no label", "pandas' NA") else y)


def test_labels_and_groups_in_another_order_than_the_rows_are_refused() -> None:
    X, y = table(60)
    frame, labels = pd.DataFrame(X), pd.Series(y)
    for name, given in (("y", {"y": labels[::-1]}), ("groups", {"y": labels, "groups": labels[::-1]})):
        with pytest.raises(SteepslopeError, match=f"^{name}: expected the index of the X, found it in another order"):
            TrustedClassifier(GaussianNB()).fit(frame, **given)


def test_labels_that_a_frozen_classifier_lacks_are_told_and_refused_where_all_are_such() -> None:
    X, y = table(600, classes=3)
    names = np.array(["seven", "eight", "nine"])
    frozen = FrozenEstimator(GaussianNB().fit(X[:200], names[y[:200]]))
    labels = names[y[200:]].astype(object)
    labels[::20] = "sevn"
    with pytest.warns(UnknownLabelsWarning, match=r"y: found names .*: 'sevn' \(15; did you mean 'seven'\?\)"):
        model = WithoutOracle(frozen, max_risk=0.3).fit(X[200:], labels)
    assert set(model.classes_) == set(names)
    assert model.gate_.wrong >= 5  # a label that it does not know is an error
    for other in (y[200:], np.char.upper(names)[y[200:]]):
        expected = r"y: expected labels among the classes \(eight, nine, seven\), found "
        with pytest.raises(SteepslopeError, match=expected):
            TrustedClassifier(frozen).fit(X[200:], other)
        with pytest.raises(SteepslopeError, match=expected):
            model.report("never", X[200:], other)


class Odd(GaussianNB):  # type: ignore[misc]
    """Give probabilities that are spoilt."""

    def __init__(self, spoil: Callable[[Any], Any] | None = None) -> None:
        super().__init__()
        self.spoil = spoil

    def predict_proba(self, X: Any) -> Any:
        found = super().predict_proba(X)
        return found if self.spoil is None else self.spoil(found)


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda p: 2 * p, "expected rows that sum to 1 within 0.01, found 2 in row 0"),
        (lambda p: p * [1, -1], "expected none below 0"),
        (lambda p: np.where(np.arange(len(p))[:, None] == 3, np.nan, p), "expected finite values, found nan in row 3"),
        (lambda p: p[1:], "expected 50 predictions, one a row, found 49"),
        (lambda p: np.repeat(p, 2, axis=0), "expected 50 predictions, one a row, found 100"),
    ],
    ids=["sums", "signs", "nan", "fewer", "more"],
)
def test_probabilities_that_are_none_are_refused(spoil: Callable[[Any], Any], found: str) -> None:
    """Also after the fit, when nobody looks; but a row of zeros, as of one without neighbours, may stand there."""
    X, y = table(240)
    model = WithoutOracle(FrozenEstimator(Odd().fit(X, y)), max_risk=0.3).fit(*table(240, seed=1))
    model.estimator_.estimator.spoil = spoil
    with pytest.raises(SteepslopeError, match=f"estimator: .*{found}"):
        model.decide(X[:50])
    model.estimator_.estimator.spoil = lambda p: p * (np.arange(len(p)) > 0)[:, None]
    assert model.trust_logit(X[:50]).argmin() == 0


def test_a_frame_that_is_taken_for_one_text_is_refused() -> None:
    words, y = texts(200)
    model = WithoutOracle(make_pipeline(CountVectorizer(), LogisticRegression()), max_risk=0.3).fit(words, y)
    with pytest.raises(
        SteepslopeError, match="expected 20 predictions, one a row, found 1; if texts are a frame's only column"
    ):
        model.decide(pd.DataFrame({"text": words[:20]}))


def with_strangers(n: int, label: Any, seed: int = 0) -> tuple[Any, Any]:
    """Return rows of three classes, and below them a quarter as many of none, which lie between the classes."""
    X, y = table(n, seed, classes=3)
    strangers = np.random.default_rng(seed).normal(size=(n // 4, 3)) + 2 / 3
    labels = np.array(["ant", "bee", "cow"])[y] if isinstance(label, str) else y
    return np.concatenate([X, strangers]), np.concatenate([labels, np.full(n // 4, label)])


def test_out_of_class_rows_are_errors_that_the_classifier_never_learns() -> None:
    label = "other"
    X, y = with_strangers(1_600, label)
    model = TrustedClassifier(GaussianNB(), max_risk=0.2, unknown_label=label).fit(X, y)
    alone = TrustedClassifier(GaussianNB(), max_risk=0.2).fit(X[:1_600], y[:1_600])
    assert_array_equal(model.classes_, alone.classes_)
    assert_array_equal(model.predict_proba(X), alone.predict_proba(X))  # it saw the same rows
    (promise,) = model.gate_.certificates
    assert (promise.n, promise.unknown) == (500, 100)
    assert f"100 of these 500 rows are out-of-class, {promise.unknown_accepted} of them" in promise.sentences()
    assert model.oracle_ is not None
    assert model.oracle_.record_ is not None
    assert len(model.oracle_.record_.rows) == 1_500
    new, truth = with_strangers(8_000, label, seed=1)
    labels, accepted = model.decide(new)
    assert accepted.any()
    assert (labels != truth)[accepted].mean() < 0.25
    X, y = with_strangers(6_400, label)
    careless = TrustedClassifier(GaussianNB(), max_risk=0.2, when_changed="warn").fit(X[:6_400], y[:6_400])
    with pytest.warns(ChangedWarning, match=r"CHANGED after .*So the promise cannot be relied on"):
        labels, accepted = careless.decide(new)
    assert (labels != truth)[accepted].mean() > 0.25
    with pytest.warns(ChangedWarning, match="So nothing is accepted"):
        assert not careless.set_params(when_changed="review").decide(new).accepted.any()


def test_an_unknown_label_may_be_there_without_rows_but_not_be_a_class() -> None:
    X, y = table(300)
    before, after = (WithoutOracle(GaussianNB(), 0.2, unknown_label=label).fit(X, y) for label in (None, "?"))
    assert_array_equal(before.trust_logit(X), after.trust_logit(X))
    frozen = FrozenEstimator(GaussianNB().fit(X, y))
    with pytest.raises(SteepslopeError, match=r"unknown_label: expected a label that is none of .* found 1, which is"):
        TrustedClassifier(frozen, unknown_label=1).fit(X, y)
    with pytest.raises(SteepslopeError, match="y: expected rows of some class, found 300 out-of-class rows alone"):
        TrustedClassifier(GaussianNB(), unknown_label=7).fit(X, np.full(300, 7))


@pytest.mark.parametrize(("label", "written"), [("unknown", "Unknown "), (-1, "-1")])
def test_a_label_that_only_looks_like_the_unknown_one_is_refused(label: Any, written: str) -> None:
    X, y = with_strangers(80, written)
    with pytest.raises(SteepslopeError, match=f"y: expected {label!r} in the out-of-class rows, found '{written}'"):
        TrustedClassifier(GaussianNB(), unknown_label=label).fit(X, y)
