"""Weights of rows reach every fit of the classifier that is trusted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearn
from steepslope import TrustedClassifier
from tests.sklearn.problems import table

pytestmark = pytest.mark.usefixtures("quick_nets")


class Weighed(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Remember all weights that classifiers of this kind are fitted with."""

    seen: list[Any] = []  # noqa: RUF012

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Weighed:
        self.seen.append((X[:, 0], sample_weight))
        self.model_ = GaussianNB().fit(X, y, sample_weight)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X: Any) -> Any:
        return self.model_.predict(X)

    def predict_proba(self, X: Any) -> Any:
        return self.model_.predict_proba(X)


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


def test_weights_go_through_a_pipeline_of_ones_own() -> None:
    X, y = table(240)
    weights = np.exp(X[:, 0])
    with sklearn.config_context(enable_metadata_routing=True):
        model = TrustedClassifier(Weighed().set_fit_request(sample_weight=True), max_risk=0.3)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model)
        Weighed.seen.clear()
        pipeline.fit(X, y, sample_weight=weights)
        assert all(part is not None for _, part in Weighed.seen)
        with pytest.raises(ValueError, match="sample_weight"):
            TrustedClassifier(Weighed()).fit(X, y, sample_weight=weights)
