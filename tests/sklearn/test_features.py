"""What an oracle sees of inputs: what the last step sees, of any kind of column, and never a row's own label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
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
from steepslope.errors import ChangedWarning, SteepslopeError
from steepslope.metrics import auroc
from steepslope.sklearn._features import Features, _steps_before, _steps_ignoring_labels, column_kinds
from tests.sklearn.problems import table, texts

WHOLE = [3, None, -1, 8]
FRACTIONS = [0.25, None, -1.5, 8.0]
TRUTHS = [True, None, False, True]
MOMENTS = [datetime(2026, 11, 28, 12, 30), None, datetime(1969, 12, 31, 23, 59, 59), datetime(2024, 2, 29, 1)]
DATES = [datetime(2026, 11, 28), None, datetime(1969, 12, 31), datetime(2024, 2, 29)]
SPANS = [timedelta(days=2), None, timedelta(seconds=-1), timedelta(hours=1)]
COLOURS = ["red", None, "nan", "red"]
VIENNA = ZoneInfo("Europe/Vienna")
ZONED = [None if moment is None else moment.replace(tzinfo=VIENNA) for moment in MOMENTS]
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
    steps = _steps_before(fitted)
    assert isinstance(steps[-1], StandardScaler)
    assert_allclose(features(fitted, X, y).columns(fitted, X).std(axis=0), 1)
    assert isinstance(_steps_before(FrozenEstimator(fitted))[-1], StandardScaler)


def test_steps_in_steps_are_taken_one_by_one() -> None:
    X, y = table(100)
    inner = make_pipeline(make_pipeline(StandardScaler(), SelectKBest(k=1)), GaussianNB()).fit(X, y)
    assert [type(step) for step in _steps_before(inner)] == [StandardScaler, SelectKBest]
    assert features(inner, X, y).saw == (
        "The oracle saw 3 columns after 1 step of the pipeline, since a step after these may use labels."
    )


def test_sparse_columns_become_components_and_frequent_ones_stay_numbers() -> None:
    rng = np.random.default_rng(0)
    X = csr_matrix(np.column_stack([random_sparse(300, 150, 0.05, random_state=0).toarray(), rng.normal(5, 1, 300)]))
    found = features(GaussianNB(), X, rng.integers(2, size=300))
    assert found.saw == "The oracle saw 151 columns of X."
    columns = found.columns(GaussianNB(), X)
    assert columns.shape == (300, 101)
    assert_allclose(columns[:, 0].std(), 1)
    other = TruncatedSVD(100, random_state=0).fit_transform(X[:, :150])
    assert_allclose(columns[:, 1:] @ columns[:, 1:].T, other @ other.T, atol=1e-6)
    many = rng.normal(size=(150, 1_200))
    found = features(GaussianNB(), many, np.arange(150) % 2)
    assert found.columns(GaussianNB(), many).shape == (150, 100)


def of_pandas(values: Sequence[Any], kind: Any = None) -> Any:
    return pd.DataFrame({"x": pd.Series(values, dtype=kind), "y": 0.0})


def of_polars(values: Sequence[Any], kind: Any = None) -> Any:
    return pl.DataFrame({"x": pl.Series(values, dtype=kind), "y": [0.0] * 4})


def of_arrow(values: Sequence[Any], kind: Any = None) -> Any:
    return pa.table({"x": pa.array(values, kind), "y": [0.0] * 4})


def of_objects(values: Sequence[Any], kind: Any = None) -> Any:
    return np.array([[value, 0.0] for value in values], dtype=object)


def of_lists(values: Sequence[Any], kind: Any = None) -> Any:
    return [[value, 0.0] for value in values]


def of_pandas_arrow(values: Sequence[Any], kind: Any = None) -> Any:
    return of_pandas(values, pd.ArrowDtype(kind))


def categories(values: Sequence[Any], kind: Any = None) -> Any:
    return of_pandas(pd.Categorical(pd.Series(values, dtype=kind)))


def as_they_are(values: Sequence[Any]) -> list[list[float]]:
    return [[np.nan if value is None else float(value)] for value in values]


def in_seconds(values: Sequence[timedelta | None]) -> list[list[float]]:
    return [[np.nan if value is None else value.total_seconds()] for value in values]


def by_calendar(values: Sequence[datetime | None]) -> list[list[float]]:
    return [
        [np.nan] * 4
        if value is None
        else [(value - datetime(1970, 1, 1)) / timedelta(days=1), value.month, value.weekday(), value.hour]
        for value in values
    ]


Case = tuple[Callable[..., Any], Sequence[Any], Any, list[list[float]]]  # a frame of values of a type; numbers (n, d)
NUMBERS: list[Case] = [
    *((of_pandas, WHOLE, kind, as_they_are(WHOLE)) for kind in ("float64", "float32", "Int8", "Float64", "object")),
    *((of_pandas, TRUTHS, kind, as_they_are(TRUTHS)) for kind in ("boolean", "object")),
    (of_pandas, [3, pd.NA, np.float32(-1), Decimal(8)], "object", as_they_are(WHOLE)),
    (of_pandas, [True, float("nan"), np.False_, 1], "object", as_they_are(TRUTHS)),
    (of_pandas, pd.arrays.SparseArray([3, np.nan, -1, 8]), None, as_they_are(WHOLE)),
    (of_pandas, SPANS, "timedelta64[ns]", in_seconds(SPANS)),
    (of_pandas, [*SPANS[:3], np.timedelta64(1, "h")], "object", in_seconds(SPANS)),
    *((of_pandas_arrow, WHOLE, kind, as_they_are(WHOLE)) for kind in (pa.int16(), pa.decimal128(9, 2))),
    (of_pandas_arrow, TRUTHS, pa.bool_(), as_they_are(TRUTHS)),
    (of_pandas_arrow, SPANS, pa.duration("s"), in_seconds(SPANS)),
    (categories, WHOLE, "Int64", as_they_are(WHOLE)),
    (categories, FRACTIONS, "float64", as_they_are(FRACTIONS)),
    *((of_polars, WHOLE, kind, as_they_are(WHOLE)) for kind in (pl.Int64, pl.Int8, pl.Float32, pl.Decimal(9, 2))),
    (of_polars, TRUTHS, pl.Boolean, as_they_are(TRUTHS)),
    *((of_polars, SPANS, kind, in_seconds(SPANS)) for kind in (pl.Duration("us"), pl.Duration("ms"))),
    *((make, FRACTIONS, None, as_they_are(FRACTIONS)) for make in (of_arrow, of_objects, of_lists, of_polars)),
    *((make, SPANS, None, in_seconds(SPANS)) for make in (of_arrow, of_objects)),
    (of_objects, [Decimal("0.25"), Decimal("nan"), -1.5, 8], None, as_they_are(FRACTIONS)),
]
CALENDAR: list[Case] = [
    *((of_pandas, MOMENTS, kind, by_calendar(MOMENTS)) for kind in ("datetime64[ns]", "datetime64[s]", "object")),
    *((make, ZONED, None, by_calendar(MOMENTS)) for make in (of_pandas, of_polars, of_objects, categories)),
    *((make, MOMENTS, None, by_calendar(MOMENTS)) for make in (of_polars, of_arrow, of_objects, categories)),
    (of_pandas_arrow, ZONED, pa.timestamp("us", "Europe/Vienna"), by_calendar(MOMENTS)),
    (of_arrow, ZONED, pa.timestamp("ns", "Europe/Vienna"), by_calendar(MOMENTS)),
    (of_objects, [pd.Timestamp(MOMENTS[0]), pd.NaT, MOMENTS[2], np.datetime64(MOMENTS[3])], None, by_calendar(MOMENTS)),
    (of_pandas_arrow, DATES, pa.date32(), by_calendar(DATES)),
    (of_polars, DATES, pl.Date, by_calendar(DATES)),
    (of_objects, [date(2026, 11, 28), None, *DATES[2:]], None, by_calendar(DATES)),
]


@pytest.mark.parametrize(("make", "values", "kind", "expected"), [*NUMBERS, *CALENDAR])
def test_numbers_durations_and_dates_of_any_frame_are_seen_the_same(
    make: Callable[..., Any], values: Any, kind: Any, expected: list[list[float]]
) -> None:
    """In units of their deviation from their mean, 0 where one is missing, and next to them which are.

    A column y of zeros stands between.
    """
    X, numbers = make(values, kind), np.array(expected)
    found = features(GaussianNB(), X, [0, 1, 0, 1])
    deviation = np.nanstd(numbers, axis=0)
    standard = np.nan_to_num((numbers - np.nanmean(numbers, axis=0)) / np.where(deviation > 0, deviation, 1))
    columns = [standard, np.zeros((4, 1)), np.isnan(numbers)]
    assert_allclose(found.columns(GaussianNB(), X), np.concatenate(columns, axis=1), atol=1e-5)


@pytest.mark.parametrize(
    ("make", "values", "kind"),
    [
        *((of_pandas, COLOURS, kind) for kind in ("str", "string", "object")),
        *((make, COLOURS, None) for make in (of_polars, of_arrow, of_objects, of_lists, categories)),
        *((of_polars, COLOURS, kind) for kind in (pl.Categorical, pl.Enum(["nan", "red"]))),
        (of_arrow, COLOURS, pa.dictionary(pa.int8(), pa.string())),
        (of_pandas_arrow, COLOURS, pa.large_string()),
        *((make, [2, None, "two", 2.0], None) for make in (of_pandas, of_objects, of_lists)),
        (of_objects, [True, None, "no", True], None),
        (of_objects, [MOMENTS[0], float("nan"), 1, MOMENTS[0]], None),
        (of_polars, [time(12), None, time(13), time(12)], None),
        (of_polars, [[1], None, [1, 2], [1]], None),
        (of_polars, [[1, 2], None, [2, 3], [1, 2]], pl.Array(pl.Int64, 2)),
        (of_pandas, [(1,), None, (2,), (1,)], None),
    ],
)
def test_words_are_seen_by_which_rows_have_them(make: Callable[..., Any], values: Any, kind: Any) -> None:
    """Where a column holds values of several types, these are words, too."""
    X = make(values, kind)
    found = features(GaussianNB(), X, [0, 1, 0, 1])
    columns = found.columns(GaussianNB(), X)
    assert sorted(columns.T.tolist()) == [[0, 0, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1]]


def test_each_row_is_seen_as_if_it_were_alone() -> None:
    values = [1, "one", True, None, 2.5, MOMENTS[0], date(2026, 1, 1), pd.NA, "1"]
    X = pd.DataFrame({"several": pd.Series(values, dtype=object), "whole": pd.array([1, 2, None] * 3, dtype="Int64")})
    found = features(GaussianNB(), X, np.arange(9) % 2)
    together = found.columns(GaussianNB(), X)
    for place in range(9):
        assert_array_equal(found.columns(GaussianNB(), X.iloc[[place]]), together[[place]])
        alone = X.iloc[[place]].to_numpy(dtype=object)
        assert_array_equal(found.columns(GaussianNB(), alone), together[[place]])
    assert found.columns(GaussianNB(), X[:0]).shape == (0, found.width)


@pytest.mark.parametrize("names", [["a", "a"], [0, 1], [0, "a"], [("a", 1), ("b", 2)], [None, 2.5]])
def test_columns_go_by_their_places(names: list[Any]) -> None:
    plain = pd.DataFrame({"x": [1.0, 2.0, 4.0, 8.0], "y": ["a", "b", "a", "b"]})
    X, y = plain.set_axis(names, axis=1), [0, 1, 0, 1]
    assert column_kinds(X) == ("number", "word")
    columns = features(GaussianNB(), X, y).columns(GaussianNB(), X)
    assert_array_equal(columns, features(GaussianNB(), plain, y).columns(GaussianNB(), plain))


def test_a_column_without_a_value_is_seen_as_nothing() -> None:
    X = pd.DataFrame({"x": [1.0, 2.0], "none": pd.Series([None, None], dtype=object), "nan": [np.nan, np.nan]})
    found = features(GaussianNB(), X, [0, 1])
    assert_array_equal(found.columns(GaussianNB(), X.assign(none=["new", 3])), [[-1, 0], [1, 0]])
    for empty in (pd.DataFrame(index=[0, 1]), pl.DataFrame(), pa.table({})):
        assert column_kinds(empty) == ()


def test_dates_and_numbers_are_read_of_texts() -> None:
    found = features(GaussianNB(), of_pandas(MOMENTS), [0, 1, 0, 1])
    texts = of_pandas([None if moment is None else moment.isoformat() for moment in MOMENTS])
    assert_allclose(found.columns(GaussianNB(), texts), found.columns(GaussianNB(), of_pandas(MOMENTS)))
    found = features(GaussianNB(), of_pandas(WHOLE), [0, 1, 0, 1])
    assert_allclose(
        found.columns(GaussianNB(), of_objects(["3", None, "-1", "8.0"])),
        found.columns(GaussianNB(), of_objects(WHOLE)),
    )


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
    assert found.saw == "The oracle saw the words of X."
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
    assert _steps_ignoring_labels(steps, np.round(X), y) == ignoring
    assert _steps_ignoring_labels([TfidfVectorizer(), TruncatedSVD(2)], *texts(300)) == 2


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
    assert "2 columns of X, since a step after these may use labels" in model.saw_
    rows, y_new = noise(6_000, 1)
    with pytest.warns(ChangedWarning, match="the distance to known inputs"):  # there are four times as many words
        labels, accepted = model.set_params(when_changed="warn").decide(rows)
    right = labels == y_new
    mcp = model.predict_proba(rows).max(axis=1)
    assert auroc(model.trust_logit(rows), right) > auroc(mcp, right) - 0.015
    assert model.oracle_ is not None
    assert model.oracle_.fitted_ is not None
    assert all(gain.auc < 0.02 for gain in model.oracle_.fitted_.gains.values())
    assert (~right)[accepted].mean() < 0.2
