"""What is saved of a trusted classifier comes back, around the classifier that it was saved with and no other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from markupsafe import escape
from numpy.testing import assert_array_equal
from scipy.sparse import csr_matrix
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from steepslope import TrustedClassifier
from steepslope.errors import SteepslopeError, UnknownLabelsWarning
from steepslope.files._folders import remove
from steepslope.gate import Gate
from steepslope.sklearn._storage import TRUSTED, _read_kept_rows, _saved_settings, _write_kept_rows
from tests.conftest import _hurry
from tests.files.sealing import seal_again
from tests.sklearn.problems import table, texts

pytestmark = pytest.mark.usefixtures("quick_nets")
N = 300
WORDS = ColumnTransformer([("word", OneHotEncoder(sparse_output=False), ["word"])], remainder="passthrough")


def frame(n: int = N) -> tuple[pd.DataFrame, Any]:
    X, y = table(n)
    words = pd.Categorical(np.where(X[:, 2] > 0, "up", "down"))
    return pd.DataFrame(X, columns=["a", "b", "c"]).assign(word=words), np.array(["no", "yes"])[y]


INPUTS: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    "pandas": lambda: (*frame(), make_pipeline(WORDS, LogisticRegression())),
    "texts": lambda: (*texts(N), make_pipeline(CountVectorizer(), LogisticRegression())),
}
ROWS: dict[str, Any] = {
    "array": table(5)[0],
    "sparse": csr_matrix(table(5)[0]),
    "list": table(5)[0].tolist(),
    "objects": np.array([["a", 1], ["b", None]], dtype=object),
}
MOMENTS = [datetime(2026, 11, 28, 12, 30, 0, 7), None, datetime(1969, 12, 31)]
ZONED = pd.Series(MOMENTS).dt.tz_localize("Europe/Vienna")
SERIES = {
    **{kind: pd.Series([3, 0, 1], dtype=kind) for kind in ("int8", "uint64", "bool", "float16", "complex64")},
    **{kind: pd.Series([0.1, None, 1e-300], dtype=kind) for kind in ("float64", "float32", "Float64", "object")},
    **{kind: pd.Series([3, None, -(2**62)], dtype=kind) for kind in ("Int64", "int64[pyarrow]")},
    **{kind: pd.Series(MOMENTS, dtype=kind) for kind in ("datetime64[ns]", "datetime64[s]", "timestamp[us][pyarrow]")},
    **{kind: pd.Series(["nan", None, ""], dtype=kind) for kind in ("str", "string", "large_string[pyarrow]")},
    "boolean": pd.Series([True, None, False], dtype="boolean"),
    "zoned": ZONED,
    "timedelta64": pd.Series(pd.to_timedelta([1, None, -7], unit="us")),
    "period": pd.Series(pd.period_range("2026-01", periods=3, freq="M")),
    "sparse": pd.Series(pd.arrays.SparseArray([0.0, 1.5, 0.0])),
    "several": pd.Series([1, "one", None], dtype=object),
    "ordered": pd.Series(pd.Categorical(["low", None, "high"], ["low", "middle", "high"], ordered=True)),
    "numbers": pd.Series(pd.Categorical([2, 1, 1], [2, 1, 0])),
    "zones": ZONED.astype("category"),
}
POLARS = pl.DataFrame(
    {
        "category": pl.Series(["b", None, "a"], dtype=pl.Categorical),
        "choice": pl.Series(["b", None, "a"], dtype=pl.Enum(["b", "c", "a"])),
        "when": pl.Series(MOMENTS).dt.replace_time_zone("Europe/Vienna"),
        "count": [3, None, -(2**62)],
        "list": [[0.1], None, []],
    }
)
ARROW = pa.table({"when": pa.array(MOMENTS), "word": pa.array(["b", None, "a"]).dictionary_encode()})
NAMES: list[list[Any]] = [[0, 1], ["a", "a"], [0, "a"], [("a", 1), ("b", 2)]]


@pytest.mark.parametrize("kind", ROWS)
def test_rows_of_any_kind_are_kept(kind: str, tmp_path: Path) -> None:
    written = _write_kept_rows(ROWS[kind], tmp_path)
    assert written is not None
    found = _read_kept_rows(written, tmp_path)
    assert type(found) is type(ROWS[kind])
    again, rows = (some.toarray() if kind == "sparse" else np.asarray(some, object) for some in (found, ROWS[kind]))
    assert_array_equal(again, rows)


@pytest.mark.parametrize("kind", SERIES)
def test_a_column_of_pandas_is_kept_with_its_type(kind: str, tmp_path: Path) -> None:
    X = pd.DataFrame({"x": SERIES[kind], "y": [1, 2, 3]}).set_axis([7, 3, 5], axis=0)
    assert _write_kept_rows(X, tmp_path) == "pandas"
    pd.testing.assert_frame_equal(_read_kept_rows("pandas", tmp_path), X.reset_index(drop=True), check_exact=True)


@pytest.mark.parametrize("names", NAMES, ids=str)
def test_names_of_columns_are_kept_as_they_are(names: list[Any], tmp_path: Path) -> None:
    X = pd.DataFrame([[1, "a"], [2, None]]).set_axis(names, axis=1)
    assert _write_kept_rows(X, tmp_path) == "pandas"
    pd.testing.assert_frame_equal(_read_kept_rows("pandas", tmp_path), X, check_column_type="equiv")


@pytest.mark.parametrize("X", [POLARS, ARROW, POLARS[:0]], ids=["polars", "pyarrow", "empty"])
def test_other_frames_are_kept_by_their_own_library(X: Any, tmp_path: Path) -> None:
    kind = _write_kept_rows(X, tmp_path)
    found = _read_kept_rows(str(kind), tmp_path)
    assert (type(found), found.schema) == (type(X), X.schema)
    assert found.equals(X)


@pytest.mark.parametrize(
    "X",
    [
        pd.DataFrame({"x": [datetime(2026, 1, 1), "new year"]}),
        pd.DataFrame({"x": [Decimal("0.1"), None]}),
        pd.DataFrame({"x": pd.interval_range(0, 2)}),
        pl.DataFrame({"x": pl.Series([1, "one"], dtype=pl.Object)}),
        np.array([[1j, None]], dtype=object),
    ],
    ids=["dates among words", "decimals", "intervals", "objects of polars", "objects"],
)
def test_rows_that_would_not_come_back_the_same_are_not_kept(X: Any, tmp_path: Path) -> None:
    assert _write_kept_rows(X, tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", INPUTS)
def test_what_is_saved_comes_back(kind: str, tmp_path: Path) -> None:
    X, y, inner = INPUTS[kind]()
    model = TrustedClassifier(inner, max_risk=(0.01, 0.4), delta=0.1, random_state=3).fit(X, y)
    model.save(tmp_path / "model")
    again = TrustedClassifier.load(tmp_path / "model", model.estimator_)
    assert_array_equal(again.trust_logit(X), model.trust_logit(X))
    for one, other in zip(again.decide(X), model.decide(X), strict=True):
        assert_array_equal(one, other)
    assert (again.summary_, again.max_risk_) == (model.summary_, model.max_risk_)
    assert again.get_params(deep=False) == {
        **model.get_params(deep=False),
        "estimator": model.estimator_,
        "max_risk": [0.01, 0.4],
    }
    assert again.calibration_.rows is not None
    assert Gate.load(tmp_path / "model" / "gate").threshold == model.gate_.threshold


@pytest.fixture(scope="module")
def fitted() -> TrustedClassifier:
    first = GaussianNB().fit(*table(100, seed=9))
    with pytest.MonkeyPatch.context() as patch:
        _hurry(patch)
        return TrustedClassifier(FrozenEstimator(first), max_risk=0.3).fit(*table(N))


@pytest.fixture
def saved(fitted: TrustedClassifier, tmp_path: Path) -> Path:
    fitted.save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.slow
def test_another_classifier_is_refused(saved: Path) -> None:
    X, y = table(100)
    for other, found in [
        (GaussianNB().fit(X, y), "found one with other logits"),
        (GaussianNB().fit(X, y + 1), "with its classes, found one with others, or one that is not fitted"),
        (GaussianNB(), "or one that is not fitted"),
        (GaussianNB().fit(X[:, :2], y), "found one that refuses the kept rows"),
    ]:
        with pytest.raises(SteepslopeError, match=f"estimator: expected the classifier that was saved, .*{found}"):
            TrustedClassifier.load(saved, other)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("version", 0, "expected version 5 of the format, found 0"),
        ("features", 3, "field 'features': found 3 of an unexpected type"),
        ("classes", None, "field 'classes'"),
    ],
)
def test_a_changed_card_is_refused(
    fitted: TrustedClassifier, saved: Path, name: str, change: Any, message: str
) -> None:
    seal_again(TRUSTED, saved, **{name: change})
    with pytest.raises(SteepslopeError, match=message):
        TrustedClassifier.load(saved, fitted.estimator_)


def test_inputs_that_have_no_file_are_not_kept(tmp_path: Path) -> None:
    X, y = table(200)
    rows = [{"a": complex(0), "b": row[0]} if row[0] > 9 else {"a": row[0], "b": row[1]} for row in X]
    model = TrustedClassifier(make_pipeline(DictVectorizer(), LogisticRegression()), max_risk=0.4).fit(rows, y)
    model.calibration_.rows[0]["a"] = np.float32(model.calibration_.rows[0]["a"])  # JSON does not know it
    model.save(tmp_path / "model")
    with pytest.warns(UserWarning, match="whether this is the classifier that was saved is not known"):
        again = TrustedClassifier.load(tmp_path / "model", model.estimator_)
    assert_array_equal(again.trust_logit(rows), model.trust_logit(rows))


@pytest.mark.filterwarnings("ignore:column . alone tells")
def test_a_model_without_an_oracle_comes_back(tmp_path: Path) -> None:
    X, y = table(240)
    model = TrustedClassifier(GaussianNB(), 0.3, cv=KFold(3)).fit(X + 50 * y[:, None], y)
    assert model.saw_.startswith("There is no oracle: errors, or correct predictions, are fewer than 5")
    model.save(tmp_path / "model")
    again = TrustedClassifier.load(tmp_path / "model", model.estimator_)
    assert again.oracle_ is None
    assert again.cv == 5  # JSON holds no splitter
    assert_array_equal(again.trust_logit(X), model.trust_logit(X))


def test_what_is_not_fitted_is_neither_saved_nor_reported(tmp_path: Path) -> None:
    for act in (TrustedClassifier(GaussianNB()).save, TrustedClassifier(GaussianNB()).report):
        with pytest.raises(NotFittedError):
            act(tmp_path / "out")


def test_reports_are_of_the_calibration_rows_or_of_new_ones(fitted: TrustedClassifier, tmp_path: Path) -> None:
    X, y = table(200, seed=5)
    y[:7] = 3
    fitted.report(tmp_path / "own", bootstrap=20)
    with pytest.warns(UnknownLabelsWarning, match=r"y: found names that are none .* in 7 rows, .*: '3' \(7\)"):
        fitted.report(tmp_path / "new", X, y, bootstrap=0)
    with pytest.raises(SteepslopeError, match="y: expected X and y together, or neither"):
        fitted.report(tmp_path / "report", X)
    own, new = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("own", "new"))
    assert [row["score"] for row in own] == ["mcp", "trusted"]
    assert {row["n"] for row in own} == {75}
    assert {(row["n"], row["unknown"]["n"]) for row in new} == {(200, 7)}
    assert new[0]["accuracy"]["value"] == pytest.approx((fitted.predict(X) == y).mean())
    text = (tmp_path / "own" / "table.md").read_text()
    assert fitted.saw_ in text
    assert "its threshold was found on these rows" in text
    assert "its threshold was found on these rows" not in (tmp_path / "new" / "table.md").read_text()
    page = (tmp_path / "own" / "report.html").read_text()
    assert "certified: risk ≤ 30 %" in page
    assert escape(fitted.saw_) in page


def test_a_report_on_a_frame_has_its_ids_and_first_columns(tmp_path: Path) -> None:
    """Of two classes it has one single score, since all rank alike."""
    X, y = table(400, seed=1)
    names = ["size", "note", "third", "fourth", "fifth", "sixth"][: X.shape[1]]
    frame = pd.DataFrame(X, columns=names, index=[f"case {row}" for row in range(len(X))])
    model = TrustedClassifier(GaussianNB(), max_risk=0.3).fit(frame, y > 0)
    model.report(tmp_path, frame, y > 0, bootstrap=0)
    assert [row["score"] for row in json.loads((tmp_path / "metrics.json").read_text())] == ["mcp", "trusted"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    cards = json.loads(page.partition('id="data">')[2].partition("</script>")[0])["cards"]
    row = int(cards[0]["id"].removeprefix("case "))
    assert cards[0]["described"] == " · ".join(f"{name} {X[row, place]:.6g}" for place, name in enumerate(names[:4]))


def test_the_unknown_label_is_saved_where_json_can_hold_it() -> None:
    for label, kept in ((-1, -1), ("other", "other"), (np.int64(-1), -1), (None, None), ((0,), None)):
        settings = _saved_settings(TrustedClassifier(GaussianNB(), unknown_label=label).get_params(deep=False))
        assert json.loads(json.dumps(settings)).get("unknown_label") == kept


def test_its_parts_belong_together(fitted: TrustedClassifier, saved: Path, tmp_path: Path) -> None:
    """Not even another model's part of the same shape is taken."""
    X, y = table(N, seed=4)
    TrustedClassifier(fitted.estimator_, max_risk=0.3, random_state=1).fit(X, y).save(tmp_path / "other")
    for part in ("gate", "calibration", "state.safetensors", "kept_rows.npy", "trusted.json", "gate/gate.json"):
        shutil.copytree(saved, tmp_path / "mixed")
        copy, other = tmp_path / "mixed" / part, tmp_path / "other" / part
        remove(copy)
        shutil.copytree(other, copy) if other.is_dir() else shutil.copy(other, copy)
        with pytest.raises(SteepslopeError, match="expected the file written with") as caught:
            TrustedClassifier.load(tmp_path / "mixed", fitted.estimator_)
        assert "\n" not in str(caught.value)
        shutil.rmtree(tmp_path / "mixed")
    with pytest.raises(SteepslopeError, match=r"expected a trusted classifier, but it has no trusted\.json"):
        TrustedClassifier.load(saved / "nowhere", fitted.estimator_)
