"""The promise of a trusted classifier does not rest on copies of rows that it was fitted on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, TimeSeriesSplit

from steepslope.errors import RepeatedRowsWarning, SteepslopeError
from steepslope.sklearn._dependence import copies_in_inputs
from steepslope.sklearn._held_out import folds_without_leaks, held_out_rows
from tests.sklearn.problems import NoisyHalves, WithoutOracle, texts

PROBLEM = NoisyHalves()
Rows = NDArray[np.int64]


def rows(n: int, seed: int = 0) -> tuple[NDArray[np.float64], Rows]:
    return PROBLEM.draw(n, np.random.default_rng(seed))


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_what_belongs_together_is_on_one_side(fraction: float) -> None:
    draw = np.random.default_rng(0)
    codes, labels = draw.integers(60, size=500), draw.choice(["a", "b", "other"], size=500)
    learnt, errors, held = held_out_rows(labels, "other", fraction, 0, codes)
    assert not set(codes[np.concatenate([learnt, errors])]) & set(codes[held])
    assert len(set(codes[held])) == len(held)
    assert {*codes[learnt], *codes[errors], *codes[held]} == set(codes)
    assert (labels[errors] == "other").all()
    assert (labels[learnt] != "other").all()
    for others, fold in folds_without_leaks(np.zeros((500, 1)), labels, 5, 0, codes):
        assert not set(codes[others]) & set(codes[fold])
        assert len(others) + len(fold) == 500


def test_the_last_rows_of_a_series_are_held_out_after_a_gap() -> None:
    labels, series = np.arange(200) % 2, TimeSeriesSplit(4, gap=10)
    learnt, _, held = held_out_rows(labels, None, 0.25, 0, np.arange(200), series)
    np.testing.assert_array_equal(held, np.arange(150, 200))
    np.testing.assert_array_equal(learnt, np.arange(140))
    for others, fold in folds_without_leaks(np.zeros((140, 1)), labels[:140], series, 0, np.arange(140)):
        assert others.max() + 10 < fold.min()
    X, y = rows(400)
    model = WithoutOracle(LogisticRegression(), max_risk=0.3, cv=TimeSeriesSplit(4, gap=5)).fit(X, y)
    assert model.gate_.n == 100


def test_folds_of_a_series_in_which_a_class_comes_late_are_those_that_can_be_learnt() -> None:
    labels = np.where(np.arange(120) < 50, 0, np.arange(120) % 2)
    found = folds_without_leaks(np.zeros((120, 1)), labels, TimeSeriesSplit(5), 0, np.arange(120))
    assert [len(others) for others, _ in found] == [60, 80, 100]  # of 20 and 40 all are of one class
    assert folds_without_leaks(np.zeros((120, 1)), np.arange(120) // 110, TimeSeriesSplit(5), 0, np.arange(120)) == []


def test_groups_whose_first_rows_are_of_one_class_are_dealt_to_folds() -> None:
    found = folds_without_leaks(np.zeros((300, 1)), np.arange(300) // 6 % 2, GroupKFold(5), 0, np.arange(300) // 6)
    assert [len(fold) for _, fold in found] == [60] * 5  # splitters by group see the groups
    codes, labels = np.arange(400) // 10, np.where(np.arange(400) % 10 == 0, "healthy", "ill")
    assert sum(len(fold) for _, fold in folds_without_leaks(np.zeros((400, 1)), labels, 5, 1, codes)) == 400


def test_copies_count_once_unless_groups_say_that_they_are_independent() -> None:
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(240), 2))
    X, y = (array[order] for array in rows(240))
    with pytest.warns(RepeatedRowsWarning, match="240 of 480 rows are copies of others"):
        model = WithoutOracle(LogisticRegression(), max_risk=0.3).fit(X, y)
    assert model.gate_.n == 60
    assert WithoutOracle(LogisticRegression(), max_risk=0.4).fit(X, y, groups=np.arange(480)).gate_.n == 120
    known = {tuple(row) for row in model.calibration_.rows.tolist()}
    assert len(known) == len(model.calibration_.rows)


def long_texts() -> Any:
    return [f"{word} number{number}" for number, word in enumerate(texts(300)[0])] * 2


def frames() -> Any:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"colour": draw.choice(["red", "blue"], 300), "size": draw.normal(size=300)})
    frame.loc[::9, "size"] = np.nan
    frame["name"] = [f"name {number}" for number in range(300)]
    return pd.concat([frame, frame], ignore_index=True)


def images() -> Any:
    return np.tile(np.random.default_rng(0).integers(256, size=(300, 6, 6, 3), dtype=np.uint8), (2, 1, 1, 1))


@pytest.mark.parametrize("kind", [long_texts, frames, images])
def test_copies_of_any_kind_of_row_are_found(kind: Any) -> None:
    with pytest.warns(RepeatedRowsWarning, match="300 of 600"):
        np.testing.assert_array_equal(copies_in_inputs(kind()), np.tile(np.arange(300), 2))


def test_the_index_of_a_frame_tells_copies_of_coarse_rows() -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"a": draw.integers(3, size=200), "b": draw.integers(3, size=200)})
    sample = frame.sample(300, replace=True, random_state=0)
    with pytest.warns(RepeatedRowsWarning, match="copies of others"):
        assert len(np.unique(copies_in_inputs(sample))) == sample.index.nunique()
    assert len(np.unique(copies_in_inputs(sample.reset_index(drop=True)))) == 300  # nothing tells these apart


def test_groups_stay_together_and_count_once_each() -> None:
    X, y = rows(600)
    groups = np.repeat([f"patient {number}" for number in range(150)], 4)
    model = WithoutOracle(LogisticRegression(), max_risk=0.4).fit(X, y, groups=groups)
    assert 30 <= model.gate_.n <= 45  # about a quarter of the groups
    with pytest.raises(
        SteepslopeError, match=r"groups: expected one for each prediction, \(600,\), found shape \(150,\)"
    ):
        WithoutOracle(LogisticRegression()).fit(X, y, groups=groups[:150])
