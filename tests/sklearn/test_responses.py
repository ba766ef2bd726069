"""Classifiers known to predict their most probable class are asked once; all others are asked for both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from steepslope.sklearn._responses import Responses

X, Y = make_classification(400, 8, n_informative=5, n_classes=3, flip_y=0.3, random_state=0)
NAMES = np.array(["ant", "bee", "cat"])


class Cautious(RandomForestClassifier):  # type: ignore[misc]
    """A forest that calls everything an ant unless it is sure."""

    def predict(self, X: Any) -> Any:
        """Return ant where no class is surer than .8."""
        probabilities = self.predict_proba(X)
        sure = probabilities.max(axis=1) > 0.8
        return np.where(sure, self.classes_[probabilities.argmax(axis=1)], "ant")


@pytest.mark.parametrize(
    "classifier",
    [
        RandomForestClassifier(5, random_state=0),
        ExtraTreesClassifier(5, random_state=0),
        HistGradientBoostingClassifier(max_iter=5),
        BaggingClassifier(LogisticRegression(), 3, random_state=0),
        CalibratedClassifierCV(LogisticRegression(), cv=2),
        make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)),
    ],
)
@pytest.mark.parametrize("frozen", [False, True])
def test_the_most_probable_class_is_not_asked_for_again(
    classifier: Any, frozen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = classifier.fit(X, NAMES[Y])
    expected = fitted.predict(X)
    last = fitted[-1] if hasattr(fitted, "steps") else fitted
    asked: list[int] = []
    monkeypatch.setattr(type(last), "predict_proba", counted(type(last).predict_proba, asked))
    found = Responses.of(FrozenEstimator(fitted) if frozen else fitted, X, NAMES)
    assert (NAMES[found.predicted] == expected).all()
    assert len(asked) == 1


def counted(method: Any, asked: list[int]) -> Any:
    """Return the method, which notes each call."""

    def wrapped(self: Any, X: Any) -> Any:
        asked.append(len(X))
        return method(self, X)

    return wrapped


@pytest.mark.parametrize(
    "classifier",
    [
        Cautious(5, random_state=0),
        make_pipeline(StandardScaler(), Cautious(5, random_state=0)),
        SVC(C=100.0, random_state=0),
    ],
)
def test_what_another_classifier_predicts_counts(classifier: Any) -> None:
    fitted = classifier.fit(X, NAMES[Y])
    found = Responses.of(fitted, X, NAMES)
    assert (NAMES[found.predicted] == fitted.predict(X)).all()
