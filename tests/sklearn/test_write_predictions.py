"""The file of decisions that a trusted classifier writes is that of `predict`, and `monitor` audits it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.naive_bayes import GaussianNB

from steepslope import TrustedClassifier
from steepslope.cli._main import main
from steepslope.errors import ChangedWarning, NothingPromisedWarning, SteepslopeError
from steepslope.outputs import ClassifierOutputs
from tests.conftest import _hurry
from tests.sklearn.problems import table

NAMES = np.array(["no", "yes"])


def frame(n: int, seed: int) -> tuple[pd.DataFrame, Any]:
    X, y = table(n, seed)
    site = np.where(X[:, 2] > 0, "north", "south")
    rows = pd.DataFrame(X, columns=["a", "b", "c"], index=[f"{seed}/{row}" for row in range(n)])
    return rows.assign(is_north=site == "north"), NAMES[y]


@pytest.fixture(scope="module", params=[None, "is_north"], ids=str)
def model(request: pytest.FixtureRequest) -> TrustedClassifier:
    with pytest.MonkeyPatch.context() as patch:
        _hurry(patch)
        return TrustedClassifier(GaussianNB(), 0.2, groups=request.param).fit(*frame(600, 0))


@pytest.mark.parametrize("given", [{}, {"audit": 25}])
@pytest.mark.parametrize("has_ids", [True, False])
def test_it_is_the_file_that_predict_writes(
    model: TrustedClassifier, given: dict[str, Any], has_ids: bool, tmp_path: Path
) -> None:
    X, _ = frame(150, 1)
    X = X if has_ids else X.reset_index(drop=True)
    model.save(tmp_path / "model")
    model.write_predictions(tmp_path / "ours.parquet", X, **given)
    outputs = model.reader_.outputs(X)
    ids = X.index.astype(str) if has_ids else None
    ClassifierOutputs.of({**outputs.arrays, "ids": ids}, outputs.classes).save(tmp_path / "outputs")
    words = {"gate": tmp_path / "model" / "gate", "outputs": tmp_path / "outputs", "out": tmp_path / "theirs.parquet"}
    if model.groups is not None:
        groups = pd.DataFrame({"id": X.index.astype(str), "group": X["is_north"].astype(str)})
        groups.to_csv(tmp_path / "groups.csv", index=False)
        words["groups"] = tmp_path / "groups.csv"
    options = [word for name, value in {**words, **given}.items() for word in (f"--{name}", str(value))]
    assert main(["predict", *options]) == 0
    ours, theirs = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("ours", "theirs"))
    assert ours.equals(theirs)
    cards = [json.loads((tmp_path / f"{name}.parquet.json").read_text()) for name in ("ours", "theirs")]
    assert cards[1]["key"].pop("follows") is False
    assert cards[0] == cards[1]


def test_rows_without_names_have_others_in_another_batch(model: TrustedClassifier, tmp_path: Path) -> None:
    """So that a monitor does not take the rows of two days for each other; those of one batch have the same again."""
    ids = []
    for seed in (1, 2, 1):
        model.write_predictions(tmp_path / "day.csv", frame(50, seed)[0].reset_index(drop=True))
        ids.append(pd.read_csv(tmp_path / "day.csv")["id"].tolist())
    assert ids[0] == ids[2]
    assert not set(ids[0]) & set(ids[1])
    assert [name.partition("/")[2] for name in ids[1]] == [*map(str, range(50))]
    model.write_predictions(tmp_path / "day.csv", frame(3, 1)[0], ids=[7, 8, 9])
    assert pd.read_csv(tmp_path / "day.csv")["id"].tolist() == [7, 8, 9]
    assert {path.name for path in tmp_path.iterdir() if path.name[0] != "."} == {"day.csv", "day.csv.json"}


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("day.csv", {"ids": ["", *range(49)]}, "ids: expected unique ids .* found '' in 1 rows"),
        ("day.csv", {"ids": range(49)}, "ids: expected 50 rows like the logits, found 49"),
        ("day.txt", {}, r"out: expected a file that ends in \.csv or \.parquet"),
    ],
    ids=str,
)
def test_what_could_not_be_audited_is_refused_and_an_earlier_file_stays(
    model: TrustedClassifier, name: str, given: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("earlier")
    with pytest.raises(SteepslopeError, match=message):
        model.write_predictions(tmp_path / name, frame(50, 1)[0], **given)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "earlier")]


@pytest.mark.usefixtures("quick_nets")
def test_it_warns_as_decide_does(model: TrustedClassifier, tmp_path: Path) -> None:
    X, _ = frame(300, 1)
    with pytest.warns(ChangedWarning) as told:
        model.write_predictions(tmp_path / "day.csv", X.assign(a=0.0, b=0.0))
    assert told[0].filename == __file__
    assert "a gate with groups, or of confidences alone, has to be calibrated again" in str(told[0].message)
    with pytest.warns(NothingPromisedWarning):
        few = TrustedClassifier(GaussianNB(), 0.01).fit(*frame(80, 0))
    with pytest.warns(NothingPromisedWarning, match="nothing is accepted: 20 rows are too few for 1 %") as told:
        few.write_predictions(tmp_path / "day.csv", X, audit=5)
    assert told[0].filename == __file__
    assert not pd.read_csv(tmp_path / "day.csv")["accepted"].any()
