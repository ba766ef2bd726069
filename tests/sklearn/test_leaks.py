"""A column that alone tells the label is a caution; easy problems are not, nor folds in order of time."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.model_selection import TimeSeriesSplit
from sklearn.naive_bayes import GaussianNB

from steepslope.errors import CautionWarning
from steepslope.sklearn._held_out import cautions_on_telling_columns
from tests.sklearn.problems import WithoutOracle, table

N = 1_000


def told(X: Any, y: Any) -> list[str]:
    return cautions_on_telling_columns(X, np.asarray(y), np.arange(len(y)), 0)


@pytest.mark.parametrize("kind", ["number", "word", "shifted", "missing", "nearly"])
def test_a_column_that_is_the_label(kind: str) -> None:
    X, y = table(N, classes=3)
    rng = np.random.default_rng(0)
    noisy = np.where(rng.random(N) < 0.003, (y + 1) % 3, y)
    column = {
        "number": y, "word": np.array(["a", "b", "c"])[y], "shifted": y + rng.random(N) / 2,
        "missing": np.where(y == 2, np.nan, y + rng.random(N) / 2), "nearly": noisy,
    }[kind]  # fmt: skip
    frame = pd.DataFrame(X, columns=["p", "q", "r"]).assign(leak=column, id=[f"row {row}" for row in range(N)])
    share = 100 if kind != "nearly" else round(100 * np.mean(noisy == y), 1)
    line = f"column leak alone tells the label in {share:g} % of 1,000 rows: is it known before the label is?"
    assert told(frame, y) == [line]


def test_a_fit_warns_of_it() -> None:
    X, y = table(400)
    with pytest.warns(CautionWarning, match="^column 3 alone tells the label in 100 % of 400 rows"):
        WithoutOracle(GaussianNB(), 0.3).fit(np.column_stack([X, y]), y)


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer, load_digits])
def test_easy_problems_are_no_leak(load: Any) -> None:
    assert told(*load(return_X_y=True)) == []


@pytest.mark.parametrize("rare", [5, 15, 60, 200])
def test_a_rare_class_is_not_told_by_a_constant(rare: int) -> None:
    rng = np.random.default_rng(rare)
    columns = np.column_stack([rng.random(4_000), np.zeros(4_000), rng.integers(20, size=4_000)])
    assert told(columns, np.sort(rng.permutation(4_000) < rare)) == []


def test_folds_in_order_of_time_accuse_nobody() -> None:
    """Early rows are noisy, and their clones learn from few: the later rows have far fewer errors, and rightly so."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2_000, 20))
    noise = np.where(np.arange(2_000) < 1_000, 8, 0.2) * rng.normal(size=2_000)
    y = (X[:, :5].sum(axis=1) + noise > 0).astype(np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WithoutOracle(GaussianNB(), 0.3, cv=TimeSeriesSplit(4)).fit(X, y)
