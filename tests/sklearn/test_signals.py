"""Signals next to a scikit-learn classifier: columns of X, or a function of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from steepslope.errors import SteepslopeError
from steepslope.metrics import auroc
from steepslope.sklearn import TrustedClassifier

COLUMNS = ["a", "b"]


def rows(count: int, seed: int) -> tuple[pd.DataFrame, pd.Series]:
    """Return rows with a judge's grade of what the sign of a + b says; each 50th row has none."""
    draw = np.random.default_rng(seed)
    X = pd.DataFrame(draw.normal(size=(count, 2)), columns=COLUMNS)
    y = (X.a + X.b + 1.5 * draw.normal(size=count) > 0).astype(int)
    X["judge"] = ((X.a + X.b > 0) == y) + 0.8 * draw.normal(size=count)
    X.loc[::50, "judge"] = np.nan
    return X, y


def trusted(signals: Any) -> TrustedClassifier:
    columns = make_column_transformer(("passthrough", COLUMNS))
    return TrustedClassifier(make_pipeline(columns, LogisticRegression()), max_risk=0.2, signals=signals)


@pytest.fixture(scope="module")
def model() -> TrustedClassifier:
    return trusted(["judge"]).fit(*rows(1_500, 0))


def test_a_grade_helps(model: TrustedClassifier) -> None:
    X, y = rows(1_500, 1)
    plain = trusted(None).fit(*rows(1_500, 0))
    with_grade, without = (auroc(one.trust_logit(X), one.predict(X) == y) for one in (model, plain))
    assert with_grade > without + 0.05
    assert "It takes the signals judge." in model.saw_
    assert not model.decide(X).accepted[::50].any()  # without a grade, to review


def test_columns_are_kept_and_functions_are_not(model: TrustedClassifier, tmp_path: Path) -> None:
    X, _ = rows(300, 2)
    model.save(tmp_path / "model")
    again = TrustedClassifier.load(tmp_path / "model", model.estimator_)
    np.testing.assert_array_equal(again.trust_logit(X), model.trust_logit(X))
    function = trusted(lambda X: {"judge": X["judge"]}).fit(*rows(600, 0))
    with pytest.raises(SteepslopeError, match="signals: expected names of columns, found a function"):
        function.save(tmp_path / "other")


@pytest.mark.parametrize(
    ("signals", "message"),
    [
        (["jugde"], "signals: unknown column of X: 'jugde': did you mean 'judge'"),
        ("judge", "signals: expected names of a frame's columns, or a function, found str"),
        (lambda X: X["judge"], "signals: expected a function that returns arrays by name, found Series"),
        (lambda X: {"judge": X["judge"][:5]}, "judge"),
    ],
)
def test_anything_else_is_refused(signals: Any, message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        trusted(signals).fit(*rows(300, 0))
