"""One split of a data set: which rows learn, which are judged, and what fused oracles see of opinions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from steepslope import TrustedClassifier
from steepslope.errors import SteepslopeError
from steepslope.files._progress import silent
from steepslope.oracle import FusedOracle
from steepslope_lab.benchmark.estimators import ESTIMATORS
from steepslope_lab.benchmark.preset import Preset
from steepslope_lab.benchmark.trial import ALL, FREE, SPLIT, TEST, Trial, stored_probabilities, trial_of
from tests.lab.benchmark.tables import noisy_table, table_preset

pytestmark = pytest.mark.usefixtures("quick_nets")
FORECASTS = {"format": "csv", "files": ["f.csv"], "first": "home", "second": "guest", "won": "won"}


def forecasts(**changes: Any) -> Preset:
    return Preset(name="f", title="F", kind="probabilities", source="S", read=FORECASTS | changes)


def made(preset: Preset, folder: Path, seed: int = 0) -> Trial:
    return trial_of(preset, folder, folder / "work", seed, silent)


@pytest.fixture(scope="module")
def table_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    noisy_table(500, 0).to_csv(folder / "t.csv", index=False)
    noisy_table(150, 1).to_csv(folder / "later.csv", index=False)
    return folder


@pytest.mark.slow
def test_around_a_classifier_of_scikit_learn(table_folder: Path) -> None:
    """All opinions stand on the judged rows, each oracle has a line and its time, and no judged row was learnt from."""
    trial = made(table_preset(opinions={"tree": "tree", "bayes": "bayes"}), table_folder)
    judged = trial.judged[TEST]
    assert len(judged.outputs) == 200
    assert [*judged.fused] == [*trial.seconds] == [FREE, "fused, tree", "fused, bayes", ALL]
    assert judged.outputs.opinions == ("tree", "bayes")
    assert all(one > 0 for one in trial.seconds.values())
    assert trial.reference is not None
    assert len(trial.reference) + len(trial.known) == 300
    assert trial.known.opinions == trial.reference.opinions == ()
    assert judged.outputs.is_correct.mean() > 0.6
    assert_array_equal(made(table_preset(), table_folder).judged[TEST].fused[FREE], judged.fused[FREE])
    other = made(table_preset(), table_folder, seed=1)
    assert not np.array_equal(other.judged[TEST].outputs.logits, judged.outputs.logits)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:nothing is accepted")
def test_the_line_is_that_of_a_plain_trusted_classifier(table_folder: Path) -> None:
    trial = made(table_preset(opinions={"tree": "tree"}), table_folder, seed=2)
    frame = noisy_table(500, 0)
    X, y = frame.drop(columns="kind"), frame["kind"].to_numpy(dtype=str)
    learnt, judged = train_test_split(np.arange(500), test_size=0.4, random_state=2, stratify=y)
    opinions = {"tree": ESTIMATORS["table"]["tree"](2)}
    model = TrustedClassifier(ESTIMATORS["table"]["logistic"](2), random_state=2, opinions=opinions)
    model.fit(X.iloc[learnt], y[learnt])
    rows = trial.judged[TEST]
    assert_allclose(rows.fused["fused, tree"], model.trust_logit(X.iloc[judged]), rtol=1e-6)
    assert_allclose(softmax(rows.outputs.logits, axis=1), model.predict_proba(X.iloc[judged]), rtol=1e-4, atol=1e-6)
    said = model.opinions_["tree"].predict_proba(X.iloc[judged])
    assert_allclose(softmax(rows.outputs.require("opinion_tree"), axis=1), said, atol=1e-4)
    assert_array_equal(trial.known.logits, model.calibration_.outputs.logits)
    assert_array_equal(trial.known.labels, model.calibration_.outputs.labels)


def test_stored_probabilities(tmp_path: Path) -> None:
    """Rows that lack something and drawn games are left out; 1 is a win of the first."""
    (tmp_path / "f.csv").write_text("home,guest,won\n0.6,0.2,1\n0.5,0.5,0.5\n?,0.2,1\n0.3,0.7,0\n0.9,0.1,\n0.2,0.8,1\n")
    outputs = stored_probabilities(tmp_path, forecasts())
    assert_allclose(softmax(outputs.logits, axis=1), [[0.75, 0.25], [0.3, 0.7], [0.2, 0.8]], atol=1e-6)
    assert_array_equal(outputs.labels, [0, 1, 0])
    assert_array_equal(outputs.is_correct, [True, True, False])


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        ("home,guest,won\n0.6,0.4,1\n", {"first": "hoem"}, "unknown column in read: 'hoem': did you mean 'home'?"),
        ("home,guest,won\na,b,1\n", {}, "read: expected columns of numbers (could not convert string to float"),
        ("home,guest,won\n0.6,0.4,1\n", {"names": 3}, "read.names: expected a list, found 3"),
        ("home,guest,won\n0.6,0.4,0.5\n", {}, "read.won: expected rows of which won is 0 or 1, found none"),
        ("home,guest,won\n0,0,1\n", {}, "probabilities: expected finite values, found nan in row 0"),
    ],
)
def test_probabilities_that_are_none(content: str, changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text(content)
    with pytest.raises(SteepslopeError) as error:
        stored_probabilities(tmp_path, forecasts(**changes))
    assert message in str(error.value)


def test_around_stored_probabilities(tmp_path: Path) -> None:
    """Two fifths of the rows are known, and the others are judged by an oracle that is fitted to these."""
    rng = np.random.default_rng(0)
    p = rng.uniform(0.3, 0.95, 600)
    frame = pandas.DataFrame({"home": p, "guest": 1 - p, "won": (rng.random(600) < p).astype(int)})
    frame.to_csv(tmp_path / "f.csv", index=False)
    trial = made(forecasts(), tmp_path, seed=3)
    order = np.random.default_rng([3, SPLIT]).permutation(600)
    outputs = stored_probabilities(tmp_path, forecasts())
    fit, test = np.sort(order[:240]), np.sort(order[240:])
    assert_array_equal(trial.known.logits, outputs.subset(fit).logits)
    assert_array_equal(trial.judged[TEST].outputs.labels, outputs.subset(test).labels)
    oracle = FusedOracle(budget="free", seed=3).fit(outputs.subset(fit), None)
    assert_array_equal(trial.judged[TEST].fused[FREE], oracle.trust_logit(outputs.subset(test)))
    right = trial.judged[TEST].outputs.is_correct
    assert roc_auc_score(right, trial.judged[TEST].fused[FREE]) > 0.55


def test_rows_that_a_classifier_cannot_take(tmp_path: Path) -> None:
    """Texts of no word at all."""
    (tmp_path / "a.csv").write_text("label,said\n" + "x,-\ny,-\n" * 50)
    preset = Preset(
        name="t", title="T", kind="text", source="S", classifier="words",
        read={"format": "csv", "files": ["a.csv"], "text": "said"},
    )  # fmt: skip
    with pytest.raises(SteepslopeError, match=r"classifier words: cannot be fitted \(empty vocabulary"):
        made(preset, tmp_path)


@pytest.mark.slow
def test_shifted_rows_of_other_classes_alone_are_named(tmp_path: Path) -> None:
    noisy_table(300, 0).to_csv(tmp_path / "t.csv", index=False)
    noisy_table(50, 1).assign(kind="dog").to_csv(tmp_path / "dogs.csv", index=False)
    preset = table_preset(classifier="tree", shifted={"dogs": {"files": ["dogs.csv"]}})
    with pytest.raises(SteepslopeError, match=r"^shifted\.dogs: expected labels among ant, bee, cow, found dog$"):
        made(preset, tmp_path)


@pytest.mark.slow
def test_shifted_rows_may_all_be_out_of_class(tmp_path: Path) -> None:
    noisy_table(300, 0).to_csv(tmp_path / "t.csv", index=False)
    noisy_table(50, 1).assign(kind="unknown").to_csv(tmp_path / "others.csv", index=False)
    judged = made(table_preset(classifier="tree", shifted={"others": {"files": ["others.csv"]}}), tmp_path).judged
    assert judged["others"].outputs.is_unknown.all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classifier": "boostin"}, "unknown classifier of the kind table: 'boostin': did you mean 'boosting'?"),
        ({"opinions": {"a": "forst"}}, "unknown classifier of the kind table: 'forst': did you mean 'forest'?"),
    ],
)
def test_what_cannot_be_tried(changes: dict[str, Any], message: str, table_folder: Path) -> None:
    with pytest.raises(SteepslopeError) as error:
        made(table_preset(**changes), table_folder)
    assert message in str(error.value)
