"""A trusted classifier promises something of each group: what is counted for each, and what is no group."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TimeSeriesSplit
from sklearn.naive_bayes import GaussianNB

from steepslope import TrustedClassifier
from steepslope.errors import CautionWarning, ChangedWarning, SteepslopeError
from steepslope.gate import Gate
from steepslope.gate._confidence_source import ConfidenceSource
from steepslope.outputs import ClassifierOutputs
from steepslope.promise._objectives import Objectives
from steepslope.promise._sequence import threshold_sequence
from steepslope.scores import MCP
from steepslope.sklearn._dependence import _rows_by_index, _signs_in_columns
from steepslope.sklearn._reader import groups_of_inputs, ids_of_inputs
from steepslope.sklearn._storage import Calibration
from tests.conftest import _hurry
from tests.sklearn.problems import WithoutOracle, table

pytestmark = pytest.mark.usefixtures("quick_nets")
N = 800


def frame(n: int = N, seed: int = 0) -> tuple[pd.DataFrame, Any]:
    """Return rows of two sites, at the second of which a fifth of the labels is turned round, and of a tiny third."""
    X, y = table(n, seed)
    rng = np.random.default_rng(seed + 1)
    site = np.where(np.arange(n) % 40 == 0, 3.0, rng.integers(1, 3, n).astype(float))
    y = np.where((site == 2) & (rng.random(n) < 0.2), 1 - y, y)
    return pd.DataFrame(X, columns=["a", "b", "c"]).assign(site=site), y


def site(X: pd.DataFrame) -> Any:
    return X["site"].astype(int)


@pytest.fixture(scope="module")
def model() -> TrustedClassifier:
    with pytest.MonkeyPatch.context() as patch:
        _hurry(patch)
        return TrustedClassifier(GaussianNB(), 0.15, groups="site").fit(*frame())


def test_each_group_has_the_threshold_that_is_counted_on_its_rows(model: TrustedClassifier) -> None:
    """Whole floats are named as whole numbers, delta is shared, and groups that are not known are not accepted."""
    assert [one.group for one in model.gate_.promises] == ["1", "2", "3"]
    assert [one.delta for one in model.gate_.promises] == [0.05 / 2, 0.05 / 2, 0.05 / 3]  # the third has 5 rows
    assert model.gate_.by == "site"
    labelled, source = model.calibration_.outputs, model.gate_.require_source()
    confidence, groups = source.confidence(labelled), np.asarray(labelled.features)[:, 3]
    assert len(np.unique(groups)) == 3  # the column is one of those that the oracle sees
    sequence = threshold_sequence(source.reference or ())
    expected = Gate.calibrate(
        confidence, labelled.is_correct, 0.15, thresholds=sequence, groups=np.unique(groups, return_inverse=True)[1]
    )
    assert [*model.gate_.thresholds.values()] == [*expected.thresholds.values()]
    assert model.gate_.thresholds["1"] < model.gate_.thresholds["2"]
    assert model.gate_.thresholds["3"] == np.inf
    X = frame(200, seed=5)[0].replace({"site": {3.0: 9.0}})
    accepted = model.decide(X).accepted
    lowest = X.site.map({1.0: model.gate_.thresholds["1"], 2.0: model.gate_.thresholds["2"], 9.0: np.inf})
    assert_array_equal(accepted, model.trust_logit(X) >= lowest)
    assert accepted[X.site == 1].any()


def test_groups_are_saved_by_their_column(model: TrustedClassifier, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    again = TrustedClassifier.load(tmp_path / "model", model.estimator_)
    new = frame(100, seed=5)[0]
    assert (again.groups, again.summary_) == ("site", model.summary_)
    assert_array_equal(again.decide(new).accepted, model.decide(new).accepted)
    with pytest.raises(SteepslopeError, match="groups: expected one promise for all rows, found one for each group"):
        again.for_mix({0: 0.5, 1: 0.5})
    with pytest.raises(SteepslopeError, match="groups: expected a frame with a column 'site', found ndarray"):
        again.decide(new.to_numpy())
    again.groups = site
    (tmp_path / "other").mkdir()
    with pytest.raises(SteepslopeError, match=r"groups: expected names of columns, found a function, .* columns of X"):
        again.save(tmp_path / "other")
    assert not [*(tmp_path / "other").iterdir()]
    for groups, X in ((site, new), ("site", pl.DataFrame(new))):
        assert_array_equal(groups_of_inputs(groups, X), groups_of_inputs("site", new))


def test_predicted_classes_are_groups(tmp_path: Path) -> None:
    X, y = table(400)
    names = np.array(["no", "yes"])
    model = WithoutOracle(GaussianNB(), 0.2, groups="predicted").fit(X, names[y])
    assert [*model.gate_.thresholds] == ["no", "yes"]
    model.save(tmp_path / "model")
    again = TrustedClassifier.load(tmp_path / "model", model.estimator_)
    labels, accepted = again.decide(X)
    thresholds = np.array([model.gate_.thresholds[name] for name in labels])
    assert_array_equal(accepted, model.trust_logit(X) >= thresholds)
    assert accepted.any()


def test_of_several_risks_it_is_the_first_that_most_groups_can_have() -> None:
    """Nothing helps a tiny group, one is too often wrong for 2 %, and none can have 0.1 %."""
    draw, n = np.random.default_rng(0), 2_000
    groups = np.where(np.arange(n) % 400 == 0, "tiny", np.where(np.arange(n) % 2, "poor", "good"))
    correct = draw.random(n) > np.where(groups == "poor", 0.1, 0.005)
    outputs, others = (ClassifierOutputs(np.column_stack([2 + draw.random(n), np.zeros(n)])) for _ in range(2))
    kept = Calibration(outputs.changed(labels=np.where(correct, 0, 1)), None)
    risks = (0.001, 0.02, 0.2, 0.3)
    source = ConfidenceSource.from_model(MCP(), 2, others)
    gate = kept.gate(source, Objectives(max_risk=risks), by="site", groups=groups)
    assert {one.group: one.is_given for one in gate.promises} == {"good": True, "poor": True, "tiny": False}
    assert (gate.promises[0].max_risk, gate.objectives.max_risk) == (0.2, risks)
    assert gate.calibration_rows is not None
    assert gate.calibration_rows.accepted.sum() == sum(one.accepted for one in gate.promises)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("sight", r"groups: unknown column of X: 'sight'.*'?site'?"),
        (7, "groups: expected 'predicted', names of columns or functions, found int"),
        (["site", "predicted"], "groups: expected columns of X or functions, found 'predicted' among them"),
        (lambda X: [1, 2], r"groups: expected one for each prediction, \(800,\), found shape \(2,\)"),
        (lambda X: "id", r"groups: expected one for each prediction, .*found 'id'; give the values, as in X\['id'\]"),
        (lambda X: X, r"groups: expected one for each prediction, \(800,\), found shape \(800, 4\)"),
    ],
    ids=["name", "number", "predicted", "few", "word", "table"],
)
def test_what_is_no_group_of_each_row_is_refused_before_anything_is_fitted(groups: Any, message: str) -> None:
    model = TrustedClassifier(GaussianNB(), groups=groups)
    with pytest.raises(SteepslopeError, match=message):
        model.fit(*frame())
    assert not hasattr(model, "estimator_")


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pd.Series([1, 2], dtype="int64"), ["1", "2"]),
        (pd.Series([1.0, np.nan]), ["1", "(empty)"]),
        (pd.Series([1, None], dtype="Int64"), ["1", "(empty)"]),
        (pd.Series(["1", None]), ["1", "(empty)"]),
        (pd.Series(["NA", ""], dtype="category"), ["NA", "(empty)"]),
        (pd.Series(["A", 1.5], dtype=object), ["A", "1.5"]),
        (pd.Series([True, False]), ["True", "False"]),
    ],
    ids=lambda value: str(value.dtype) if isinstance(value, pd.Series) else "",
)
def test_groups_have_the_same_names_whatever_their_type(values: Any, texts: list[str]) -> None:
    """So a column of whole numbers is known again where another batch lacks some of them."""
    found = groups_of_inputs("group", pd.DataFrame({"group": values}))
    assert found is not None
    assert found.tolist() == texts


def test_rows_have_the_names_that_are_given_or_those_of_a_frame() -> None:
    rows = pd.DataFrame({"a": [1.0, 2.0, 3.0]})
    assert ids_of_inputs(None, rows) is None
    assert ids_of_inputs(None, np.zeros((3, 1))) is None
    assert ids_of_inputs(None, [["a"], ["b"]]) is None
    assert ids_of_inputs(None, rows.set_axis([0, 0, 1])) is None
    pairs = pd.MultiIndex.from_tuples([("x", 1), ("x", 2), ("y", 1)])
    for index, expected in [([7, 8, 9], ["7", "8", "9"]), (pairs, ["('x', 1)", "('x', 2)", "('y', 1)"])]:
        assert_array_equal(ids_of_inputs(None, rows.set_axis(index)), expected)
    assert_array_equal(ids_of_inputs([1, 2, 0], rows), ["1", "2", "0"])
    for ids, message in [
        (["1", 1, 2], "ids: expected unique ids .* found '1' in 2 rows"),
        (["x", None, "y"], "ids: expected unique ids .* found '' in 1 rows"),
    ]:
        with pytest.raises(SteepslopeError, match=message):
            ids_of_inputs(ids, rows)


def test_a_model_moves_to_another_mix_of_the_classes(tmp_path: Path) -> None:
    """The rows held out are calibrated on again; the first model stays as it is."""
    draw, names = np.random.default_rng(0), np.array(["fine", "fraud"])

    def rows(n: int, share: float) -> tuple[Any, Any]:
        is_fraud = draw.random(n) < share
        return draw.normal(size=(n, 3)) + 4 * is_fraud[:, None] * [1, 0, 0], names[is_fraud.astype(int)]

    X, y = rows(10_000, 0.15)
    model = WithoutOracle(LogisticRegression(), max_risk=(0.001, 0.03)).fit(X, y)
    coverage, (new, truth) = model.gate_.coverage, rows(4_000, 0.45)
    mix = {names[0]: 0.55, names[1]: 0.45}
    moved = {"named": model.for_mix(mix), "estimated": model.for_mix(target=new)}
    assert model.gate_.coverage == coverage
    for name, one in moved.items():
        weighted = one.gate_.certificates[0].weighted
        assert weighted is not None
        assert weighted.mix[str(names[1])] == pytest.approx(0.45, abs=0.0 if name == "named" else 0.03)
        assert one.gate_.certificates[0].delta == 0.025
        assert one.gate_.calibration_rows is not None  # so that a change is seen
        assert weighted.target == (0 if name == "named" else 4_000)
        assert one.max_risk_ == 0.03
        assert "3 % is the first of 0.1 %, 3 % that can be promised." in one.summary_
        labels, accepted = one.decide(new)
        assert accepted.mean() > 0.3
        assert (labels != truth)[accepted].mean() <= 0.03
        one.save(tmp_path / name)
        assert_array_equal(TrustedClassifier.load(tmp_path / name, one.estimator_).decide(new)[1], accepted)
    with pytest.warns(ChangedWarning, match="the mix of predicted classes.*Another class mix explains this"):
        labels, accepted = model.decide(new)
    assert accepted.any()
    assert (labels != truth)[accepted].mean() <= 0.03  # the first gate accepts less, and keeps its promise
    with pytest.warns(ChangedWarning, match="So the promise cannot be relied on"):
        labels, accepted = model.set_params(when_changed="warn").decide(new)
    assert (labels != truth)[accepted].mean() > 0.02  # what the other mix does to the first gate, in spite of its floor


def test_a_target_is_new_to_the_labels_and_unknown_rows_have_a_share() -> None:
    X, y = table(2_000)
    y = np.where(np.arange(2_000) % 20 == 0, -1, y)
    model = WithoutOracle(LogisticRegression(), max_risk=0.4, unknown_label=-1).fit(X, y)
    weighted = model.for_mix({0: 0.5, 1: 0.4, -1: 0.1}).gate_.certificates[0].weighted
    assert weighted is not None
    assert dict(weighted.mix) == pytest.approx({"0": 0.5, "1": 0.4, "unknown": 0.1})
    refused: list[tuple[dict[str, Any], str]] = [
        ({"target": X}, r"target: .*: expected (other rows|rows that nothing was fitted on), found"),
        ({}, "class_mix: expected either class_mix or target, found neither"),
        ({"class_mix": {0: 0.5, 1: 0.5}, "target": np.zeros((300, 3))}, "target: expected either class_mix or"),
        ({"class_mix": {0: 0.5, 2: 0.5}}, "unknown class in class_mix: '2'"),
    ]
    for options, message in refused:
        with pytest.raises(SteepslopeError, match=message):
            model.for_mix(**options)


def test_overlapping_groups_are_all_combinations(tmp_path: Path) -> None:
    """A gate decides by both columns, and is saved with them."""
    X, y = frame()
    new = X.assign(shift=np.arange(N) % 3 // 2)
    model = TrustedClassifier(GaussianNB(), 0.3, groups=["site", "shift"]).fit(new, y)
    assert model.gate_.by == "site × shift"
    assert [*model.gate_.thresholds] == [f"{site} × {shift}" for site in (1, 2, 3) for shift in (0, 1)]
    assert "So the promise also holds for each site and for each shift" in model.summary_
    names = new["site"].astype(int).astype(str) + " × " + new["shift"].astype(str)
    accepted = model.decide(new).accepted
    assert_array_equal(accepted, model.trust_logit(new) >= names.map(model.gate_.thresholds))
    assert accepted.any()
    model.save(tmp_path / "model")
    again = TrustedClassifier.load(tmp_path / "model", model.estimator_)
    assert_array_equal(again.decide(new).accepted, accepted)
    model.write_predictions(tmp_path / "decisions.csv", new)
    assert pd.read_csv(tmp_path / "decisions.csv")["group"].tolist() == names.tolist()


def test_functions_of_overlapping_groups_have_names_and_cannot_be_saved(tmp_path: Path) -> None:
    X, y = frame()
    groups = {"site": "site", "high": lambda inputs: inputs["a"] > 0}
    by_name = groups_of_inputs(groups, X)
    assert [*by_name] == ["site", "high"]
    assert_array_equal(by_name["high"], np.where(X["a"] > 0, "True", "False"))
    model = TrustedClassifier(GaussianNB(), 0.3, groups=groups).fit(X, y)
    assert model.gate_.by == "site × high"
    with pytest.raises(SteepslopeError, match=r"^groups: expected names of columns, found a function"):
        model.save(tmp_path / "model")


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("customer_id", np.arange(600) // 3, "column customer_id has 200 different values in 600 rows"),
        ("userId", np.arange(600) // 3, "column userId has 200"),
        ("subject", np.arange(600) % 5, "column subject has 5"),
        ("idcode", np.arange(600) % 2, "column idcode has 2"),
        ("Patients", np.repeat(["a", "b"], 300), "column Patients has 2"),
        ("sessions", np.arange(600) % 5, ""),
        ("paid", np.arange(600) % 5, ""),
        ("id", np.arange(600), ""),
        ("customer_id", np.zeros(600), ""),
        ("orderDate", np.arange(600) // 2, "rows are sorted by column orderDate"),
        ("when", pd.date_range("2026-01-01", periods=600)[::-1], "rows are sorted by column when"),
        ("year", np.arange(600) % 3, ""),
        ("year", np.full(600, 2026), ""),
    ],
)
def test_columns_are_told_by_which_rows_belong_together(name: str, values: NDArray[Any], said: str) -> None:
    frame = pd.DataFrame({name: values, "x": np.arange(600.0)})
    shuffled = frame.sample(frac=1, random_state=0)
    order = _rows_by_index(shuffled, 600)
    np.testing.assert_array_equal(shuffled.index[order], np.arange(600))
    for kind in (frame, pl.from_pandas(frame)):
        assert "".join(_signs_in_columns(kind, np.arange(600))).startswith(said)
        assert bool(_signs_in_columns(kind, np.arange(600))) == bool(said)
    assert _signs_in_columns(shuffled, order) == _signs_in_columns(frame, np.arange(600))
    assert _signs_in_columns(frame.to_numpy(), order) == []
    assert not any("sorted" in sign for sign in _signs_in_columns(frame, None))


def test_fit_says_once_that_rows_depend_on_one_another() -> None:
    draw = np.random.default_rng(0)
    patient = np.repeat(np.arange(300), 5)
    X = draw.normal(size=(300, 6))[patient] + draw.normal(0, 0.2, (1_500, 6))
    y = draw.integers(2, size=300)[patient]
    with pytest.warns(CautionWarning) as caught:
        TrustedClassifier(GaussianNB(), max_risk=0.45).fit(X, y)
    (said,) = [str(one.message) for one in caught if "depend" in str(one.message)]
    assert said.startswith("rows may depend on one another: nearest rows agree too often: ")
    assert "; the order of the rows matters: " in said
    assert "groups=" in said
    assert "TimeSeriesSplit" in said
    for settings, groups in (({}, patient), ({"cv": TimeSeriesSplit()}, None)):
        with warnings.catch_warnings(record=True) as others:
            warnings.simplefilter("always")
            TrustedClassifier(GaussianNB(), max_risk=0.45, **settings).fit(X, y, groups=groups)
        told = "".join(str(one.message) for one in others)
        assert "order of the rows" not in told
        assert ("nearest rows" in told) == (groups is None)
