"""What an oracle sees of inputs: what the last step sees, of any kind of column, and never a row's own label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix, random as random_sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler, TargetEncoder

from steepslope import TrustedClassifier
from steepslope.errors import SteepslopeError
from steepslope.metrics import auroc
from steepslope.sklearn.features import Features, column_kinds, steps_before, steps_ignoring_labels
from tests.sklearn.problems import table, texts

MANY_WORDS = [f"{a}{b}" for a in "abcdefghijklmnop" for b in "qrstuvwxyz"]


def features(estimator: Any, X: Any, y: Any) -> Features:
    found = Features.of(estimator, X, np.asarray(y), seed=0)
    assert found is not None
    return found


def mixed(n: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    days = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D")
    return pd.DataFrame(
        {
            "age": rng.normal(40, 10, n),
            "town": rng.choice(["here", "there"], n),
            "kind": pd.Categorical(rng.choice(["a", "b", "c"], n)),
            "count": pd.array(rng.integers(0, 5, n), dtype="Int64"),
            "day": days,
            "is_new": rng.random(n) > 0.5,
        }
    )


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: inner,
        lambda inner: GridSearchCV(inner, {"logisticregression__C": [1.0]}, cv=2),
        lambda inner: CalibratedClassifierCV(inner, cv=2),
        lambda inner: FixedThresholdClassifier(inner, threshold=0.4),
        lambda inner: make_pipeline(QuantileTransformer(n_quantiles=10), inner),
    ],
    ids=["pipeline", "search", "calibrated", "threshold", "nested"],
)
def test_the_steps_before_the_last_are_found(wrap: Any) -> None:
    X, y = table(100)
    fitted = wrap(make_pipeline(StandardScaler(), "passthrough", LogisticRegression())).fit(X, y)
    steps = steps_before(fitted)
    assert isinstance(steps[-1], StandardScaler)
    assert_allclose(features(fitted, X, y).columns(fitted, X).std(axis=0), 1)
    assert isinstance(steps_before(FrozenEstimator(fitted))[-1], StandardScaler)


def test_steps_in_steps_are_taken_one_by_one() -> None:
    X, y = table(100)
    inner = make_pipeline(make_pipeline(StandardScaler(), SelectKBest(k=1)), GaussianNB()).fit(X, y)
    assert [type(step) for step in steps_before(inner)] == [StandardScaler, SelectKBest]
    assert features(inner, X, y).saw == (
        "The oracle saw 3 columns after 1 step of the pipeline, since a step after these may use labels."
    )


def test_sparse_columns_become_components_and_frequent_ones_stay_numbers() -> None:
    rng = np.random.default_rng(0)
    X = csr_matrix(np.column_stack([random_sparse(300, 150, 0.05, random_state=0).toarray(), rng.normal(5, 1, 300)]))
    found = features(GaussianNB(), X, rng.integers(2, size=300))
    assert found.saw == "The oracle saw 1 column and 100 components of the 150 others of X."
    columns = found.columns(GaussianNB(), X)
    assert columns.shape == (300, 101)
    assert_allclose(columns[:, 0].std(), 1)
    other = TruncatedSVD(100, random_state=0).fit_transform(X[:, :150])
    assert_allclose(columns[:, 1:] @ columns[:, 1:].T, other @ other.T, atol=1e-6)
    many = rng.normal(size=(150, 1_200))
    found = features(GaussianNB(), many, np.arange(150) % 2)
    assert found.saw == "The oracle saw 100 components of 1,200 columns of X."
    assert found.columns(GaussianNB(), many).shape == (150, 100)


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.from_pandas, lambda frame: frame.to_numpy(dtype=object)])
def test_columns_of_any_kind_are_seen(kind: Any) -> None:
    frame = mixed().drop(columns=["kind"] if kind is pl.from_pandas else [])
    if kind is not pd.DataFrame and kind is not pl.from_pandas:
        frame = frame.drop(columns="day")
    X, y = kind(frame), np.arange(200) % 2
    found = features(GaussianNB(), X, y)
    columns = found.columns(GaussianNB(), X)
    assert np.isfinite(columns).all()
    assert_allclose(columns[:, 0], (frame.age - frame.age.mean()) / frame.age.std(ddof=0), atol=1e-9)
    town = columns[frame.town == "here"], columns[frame.town == "there"]
    assert any((town[0][:, place] == 1).all() and (town[1][:, place] == 0).all() for place in range(found.width))
    assert_array_equal(found.columns(GaussianNB(), X[:3]), columns[:3])


def test_dates_are_seen_as_days_months_weekdays_and_hours() -> None:
    frame = pd.DataFrame({"when": pd.to_datetime(["2026-11-28 12:00", "2026-01-05 01:00", None])})
    found = features(GaussianNB(), frame, [0, 1, 0])
    assert column_kinds(frame) == ("date",)
    assert_allclose(found.arrays["mean"][1:], [6, 2.5, 6.5])
    assert found.width == 8  # and which are missing


def test_what_is_missing_is_seen_and_what_is_new_does_no_harm() -> None:
    frame = mixed()
    frame.loc[::4, "age"], frame.loc[1::4, "town"] = np.nan, None
    found = features(GaussianNB(), frame, np.arange(200) % 2)
    columns = found.columns(GaussianNB(), frame)
    assert any(np.array_equal(column == 1, frame.age.isna()) for column in columns.T)
    new = frame.iloc[:5].assign(town="elsewhere", age=np.inf)
    assert np.isfinite(found.columns(GaussianNB(), new)).all()


def test_texts_are_seen_by_their_words() -> None:
    rng = np.random.default_rng(0)
    rows = [" ".join(rng.choice(MANY_WORDS, 8)) for _ in range(200)]
    found = features(GaussianNB(), rows, np.arange(200) % 2)
    assert found.saw == "The oracle saw 100 components of 159 hashed words of X."
    columns = found.columns(GaussianNB(), rows)
    assert_allclose(columns, found.columns(GaussianNB(), pd.Series(rows)))
    assert (np.linalg.norm(columns, axis=1) <= 1 + 1e-9).all()
    assert features(GaussianNB(), *texts(50)).width == 3


@pytest.mark.parametrize("X", [[{"a": 1}, {"b": 2}], [[1, 2], [3]], np.zeros((4, 2, 2)), np.zeros((4, 0))], ids=str)
def test_of_other_inputs_nothing_is_seen(X: Any) -> None:
    assert Features.of(GaussianNB(), X, np.arange(len(X)) % 2, seed=0) is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda frame: frame.drop(columns="age"), r"X: expected 6 columns, found shape \(200, 5\)"),
        (lambda frame: frame.assign(age="old"), "X: expected the kinds of columns that it was fitted on"),
    ],
)
def test_other_columns_are_refused(changed: Any, message: str) -> None:
    found = features(GaussianNB(), mixed(), np.arange(200) % 2)
    with pytest.raises(SteepslopeError, match=message):
        found.columns(GaussianNB(), changed(mixed()))


class Sly(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Uses labels without saying so."""

    def fit(self, X: Any, y: Any = None) -> Sly:
        self.shift_ = X[np.asarray(y) == y[0]].mean(axis=0)
        return self

    def transform(self, X: Any) -> Any:
        return X - self.shift_


class Picky(StandardScaler):  # type: ignore[misc]
    """Cannot be fitted to few rows."""

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Picky:
        if len(X) < 400:
            raise RuntimeError("too few")
        super().fit(X)
        return self


@pytest.mark.parametrize(
    ("steps", "ignoring"),
    [
        ([StandardScaler(), QuantileTransformer(n_quantiles=9, random_state=None, subsample=100)], 2),
        ([StandardScaler(), SelectKBest(k=1)], 1),
        ([TargetEncoder(cv=2, target_type="binary")], 0),
        ([StandardScaler(), Sly(), StandardScaler()], 1),
        ([StandardScaler(), Picky()], 1),
        ([], 0),
    ],
    ids=str,
)
def test_steps_that_use_labels_are_recognised(steps: list[Any], ignoring: int) -> None:
    X, y = table(500)
    assert steps_ignoring_labels(steps, np.round(X), y) == ignoring
    assert steps_ignoring_labels([TfidfVectorizer(), TruncatedSVD(2)], *texts(300)) == 2


def test_a_frozen_pipeline_has_seen_none_of_these_labels() -> None:
    X, y = table(100)
    inner = make_pipeline(SelectKBest(k=2), GaussianNB()).fit(*table(100, seed=1))
    assert features(FrozenEstimator(inner), X, y).saw == "The oracle saw 2 columns before the last step."


def noise(n: int, seed: int) -> tuple[pd.DataFrame, Any]:
    """Return a number that tells something, words that tell nothing, and labels."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    words = rng.integers(n // 3, size=n).astype(np.str_)
    return pd.DataFrame({"x": x, "word": words}), (x + rng.normal(size=n) > 0).astype(np.int64)


@pytest.mark.usefixtures("quick_nets")
def test_an_encoder_of_labels_does_not_mislead_the_oracle() -> None:
    """With what the encoder gives of its own rows, the AUC is ten points below MCP's, and looks twenty above."""
    X, y = noise(1_500, 0)
    encoder = ColumnTransformer([("word", TargetEncoder(smooth=1.0), ["word"])], remainder="passthrough")
    model = TrustedClassifier(make_pipeline(encoder, LogisticRegression()), max_risk=0.2).fit(X, y)
    assert "hashed words of X, since a step after these may use labels" in model.saw_
    rows, y_new = noise(6_000, 1)
    labels, accepted = model.decide(rows)
    right = labels == y_new
    mcp = model.predict_proba(rows).max(axis=1)
    assert auroc(model.trust_logit(rows), right) > auroc(mcp, right) - 0.015
    assert model.oracle_ is not None
    assert model.oracle_.fitted_ is not None
    assert all(gain.auc < 0.02 for gain in model.oracle_.fitted_.gains.values())
    assert (~right)[accepted].mean() < 0.2
