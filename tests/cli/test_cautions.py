"""Labels that are copies of the predictions: `monitor` says so, and few labels or true ones raise no doubt."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steepslope.cli.main import main
from steepslope.predict.audit import AUDIT
from tests.cli.predictions import watch
from tests.conftest import Captured


def truths(frame: pd.DataFrame) -> np.ndarray:
    """Draw true labels that are wrong as often as P(correct) says."""
    labels: np.ndarray = frame["label"].to_numpy().copy()
    is_wrong = np.random.default_rng(0).random(len(frame)) > frame["p_correct"].to_numpy()
    labels[is_wrong] = (labels[is_wrong] + 1) % 4
    return labels


def test_copies_of_the_predictions_are_a_caution(watched: Path, tmp_path: Path, capsys: Captured) -> None:
    frame = pd.read_parquet(watched / "audited.parquet")
    chosen, state, labels = frame[frame[AUDIT]], tmp_path / "state.sqlite", tmp_path / "labels.csv"
    chosen[["id", "label"]].to_csv(labels, index=False)
    capsys.readouterr()
    files = ["--predictions", str(watched / "audited.parquet"), "--labels", str(labels)]
    assert main(watch(watched, state, *files)) == 0
    expected = f"Caution: the latest {len(chosen):,} labels equal the predictions, all of them."
    assert expected in capsys.readouterr().out
    assert main(watch(watched, state, "--json")) == 0  # also later
    assert json.loads(capsys.readouterr().out)["caution"].startswith(f"the latest {len(chosen):,} labels")


@pytest.mark.parametrize("count", [20, 300])
def test_few_labels_without_an_error_and_many_with_some_are_no_caution(
    count: int, watched: Path, tmp_path: Path, capsys: Captured
) -> None:
    frame = pd.read_parquet(watched / "day0.parquet")
    chosen = frame[frame["accepted"]].iloc[:count]
    labels = chosen["label"].to_numpy() if count == 20 else truths(chosen)
    pd.DataFrame({"id": chosen["id"], "label": labels}).to_csv(tmp_path / "labels.csv", index=False)
    files = ["--predictions", str(watched / "day0.parquet"), "--labels", str(tmp_path / "labels.csv")]
    assert main(watch(watched, tmp_path / "state.sqlite", *files)) == 0
    assert "Caution" not in capsys.readouterr().out


def test_copies_that_come_after_true_labels_are_noticed(watched: Path, tmp_path: Path, capsys: Captured) -> None:
    first = pd.read_parquet(watched / "day0.parquet")
    second = first.assign(id=[f"second {row}" for row in range(len(first))])
    for day, labels in ((first, truths(first)), (second, second["label"].to_numpy())):
        path = tmp_path / "day.csv"
        day.assign(truth=labels).to_csv(path, index=False)
        capsys.readouterr()
        words = watch(watched, tmp_path / "state.sqlite", "--predictions", str(path), "--labels", "truth")
        assert main(words) == 0
        assert ("Caution: the latest " in capsys.readouterr().out) == (day is second)
