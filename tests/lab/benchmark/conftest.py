"""Two classifiers of tables that learn in no time, beside those that presets have."""

from __future__ import annotations

import pytest
from sklearn.compose import make_column_transformer
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from steepslope_lab.benchmark.estimators import ESTIMATORS, NUMBERS


@pytest.fixture(autouse=True)
def _quick_estimators(monkeypatch: pytest.MonkeyPatch) -> None:
    table = ESTIMATORS["table"]
    numbers = (("passthrough", NUMBERS),)
    monkeypatch.setitem(table, "bayes", lambda seed: make_pipeline(make_column_transformer(*numbers), GaussianNB()))
    tree = DecisionTreeClassifier(min_samples_leaf=9, random_state=0)
    monkeypatch.setitem(table, "tree", lambda seed: make_pipeline(make_column_transformer(*numbers), tree))
