"""What is refused before a classifier is trusted, and rows of none of the classes, which are errors to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import ShuffleSplit
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from steepslope import TrustedClassifier
from steepslope.errors import SteepslopeError
from tests.sklearn.problems import table

pytestmark = pytest.mark.usefixtures("quick_nets")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"max_risk": 0}, "max_risk: expected a number from 1e-09 to .* found 0"),
        ({"delta": 1.0}, "delta: expected a number"),
        ({"calibration_size": 1.5}, "calibration_size: expected a number from 1e-09 .* found 1.5"),
        ({"cv": 1}, "cv: expected a whole number >= 2, found 1"),
        ({"cv": "five"}, "cv: expected a whole number >= 2, found 'five'"),
        ({"cv": ShuffleSplit(2)}, "cv: expected folds that hold each row once, found others"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(changed: dict[str, Any], message: str) -> None:
    X, y = table(60)
    with pytest.raises(SteepslopeError, match=message):
        TrustedClassifier(GaussianNB(), **changed).fit(X, y)


def test_several_labels_a_row_are_refused() -> None:
    assert not get_tags(TrustedClassifier(GaussianNB())).classifier_tags.multi_label
    with pytest.raises(ValueError, match="y should be a 1d array"):
        TrustedClassifier(GaussianNB()).fit(np.zeros((8, 2)), np.eye(8)[:, :2])


def test_a_classifier_that_gives_labels_alone_is_refused() -> None:
    class Labels(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        def fit(self, X: Any, y: Any) -> Labels:
            self.classes_ = np.unique(y)
            return self

        def predict(self, X: Any) -> Any:
            return np.full(len(X), self.classes_[0])

    with pytest.raises(SteepslopeError, match="estimator: expected a classifier with predict_proba or decision_functi"):
        TrustedClassifier(Labels()).fit(*table(60))


@pytest.mark.parametrize("other", [StandardScaler(), LinearRegression()], ids=str)
def test_what_is_no_classifier_is_refused(other: Any) -> None:
    X, y = table(60)
    with pytest.raises(SteepslopeError, match=rf"estimator: expected a classifier, found {type(other).__name__}"):
        TrustedClassifier(other).fit(X, y)


def test_rows_of_which_none_can_be_held_out_are_refused() -> None:
    with pytest.raises(SteepslopeError, match=r"X: expected rows to calibrate on .* found n_samples=2"):
        TrustedClassifier(GaussianNB()).fit(np.eye(2), [0, 1])


def test_labels_in_another_order_than_the_rows_are_refused() -> None:
    X, y = table(60)
    frame, labels = pd.DataFrame(X), pd.Series(y)
    with pytest.raises(SteepslopeError, match="y: expected the index of the X, found it in another order"):
        TrustedClassifier(GaussianNB()).fit(frame.sample(frac=1, random_state=0), labels)


def with_strangers(n: int, label: Any, seed: int = 0) -> tuple[Any, Any]:
    """Return rows of three classes, and below them a quarter as many of none, which lie between the classes."""
    X, y = table(n, seed, classes=3)
    strangers = np.random.default_rng(seed).normal(size=(n // 4, 3)) + 2 / 3
    labels = np.array(["ant", "bee", "cow"])[y] if isinstance(label, str) else y
    return np.concatenate([X, strangers]), np.concatenate([labels, np.full(n // 4, label)])


@pytest.mark.parametrize("label", [-1, "unknown", "other"])
def test_rows_of_none_of_the_classes_are_errors_that_the_classifier_never_learns(label: Any) -> None:
    X, y = with_strangers(1_600, label)
    model = TrustedClassifier(GaussianNB(), max_risk=0.2, unknown_label=label).fit(X, y)
    alone = TrustedClassifier(GaussianNB(), max_risk=0.2).fit(X[:1_600], y[:1_600])
    assert_array_equal(model.classes_, alone.classes_)
    assert_array_equal(model.predict_proba(X), alone.predict_proba(X))  # it saw the same rows
    (promise,) = model.gate_.certificates
    assert (promise.n, promise.unknown) == (500, 100)
    assert (
        f"100 of these 500 rows are of none of the classes, {promise.unknown_accepted} of them" in promise.sentences()
    )
    assert model.oracle_ is not None
    assert model.oracle_.record_ is not None
    assert len(model.oracle_.record_.rows) == 1_500
    new, truth = with_strangers(8_000, label, seed=1)
    labels, accepted = model.decide(new)
    assert accepted.any()
    assert (labels != truth)[accepted].mean() < 0.25
    careless = alone.decide(new)
    assert (careless.labels != truth)[careless.accepted].mean() > 0.25


def test_an_unknown_label_may_be_there_without_rows_but_not_be_a_class() -> None:
    X, y = table(300)
    before, after = (TrustedClassifier(GaussianNB(), unknown_label=label).fit(X, y) for label in (None, "?"))
    assert_array_equal(before.trust_logit(X), after.trust_logit(X))
    frozen = FrozenEstimator(GaussianNB().fit(X, y))
    with pytest.raises(SteepslopeError, match=r"unknown_label: expected a label that is none of .* found 1, which is"):
        TrustedClassifier(frozen, unknown_label=1).fit(X, y)
    with pytest.raises(SteepslopeError, match="y: expected rows of classes, found 300 of none of them alone"):
        TrustedClassifier(GaussianNB(), unknown_label=7).fit(X, np.full(300, 7))


@pytest.mark.parametrize(("label", "written"), [("unknown", "Unknown "), (-1, "-1")])
def test_a_label_that_only_looks_like_the_unknown_one_is_refused(label: Any, written: str) -> None:
    X, y = with_strangers(80, written)
    with pytest.raises(SteepslopeError, match=f"y: expected {label!r} in the rows of none .*, found '{written}'"):
        TrustedClassifier(GaussianNB(), unknown_label=label).fit(X, y)
