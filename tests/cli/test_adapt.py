"""`predict` accepts nothing once a file has changed, and `adapt` goes on with a few labels of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steepslope.cli._main import main
from steepslope.gate import Gate
from steepslope.outputs import ClassifierOutputs

Captured = pytest.CaptureFixture[str]
KINDS = ["ant", "bee", "cow"]


def drawn(n: int, seed: int, blur: float = 0.0) -> ClassifierOutputs:
    """Draw outputs of a classifier, whose inputs may be blurred."""
    draw = np.random.default_rng([seed, n])
    labels = draw.integers(3, size=n)
    features = 2.5 * np.eye(3)[labels] + draw.normal(size=(n, 3)) + blur * draw.normal(size=(n, 3))
    return ClassifierOutputs(2 * features, labels, features, classes=KINDS, ids=[f"{seed}-{row}" for row in range(n)])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapt")
    for name, rows in {"fit": drawn(1_000, 0), "held": drawn(2_000, 1), "new": drawn(900, 2)}.items():
        rows.save(folder / name)
    drawn(900, 3, blur=1.5).save(folder / "blurred")
    drawn(200, 4, blur=1.5).save(folder / "labelled")
    assert main(["fit", "--outputs", f"{folder}/fit", "--out", f"{folder}/oracle"]) == 0
    calibrate = f"calibrate --oracle {folder}/oracle --outputs {folder}/held --max-risk 0.1 --out {folder}/gate"
    assert main(calibrate.split()) == 0
    return folder


def test_a_changed_file_is_stopped_as_a_whole_and_a_second_run_says_so(
    home: Path, tmp_path: Path, capsys: Captured
) -> None:
    words = f"predict --gate {home}/gate --outputs {home}/blurred --out {tmp_path}/found.csv".split()
    for _ in range(2):  # the second finds it complete
        assert main(words) == 4
        said = capsys.readouterr().err
        assert "900 predictions: 0 accepted (0 %)" in said
        assert "that would be accepted otherwise" in said
        assert "the distance to known inputs" in said
        assert "`steepslope adapt`" in said
    table = pd.read_csv(tmp_path / "found.csv")
    alone = Gate.load(home / "gate").decide_rows(drawn(900, 3, blur=1.5))
    np.testing.assert_array_equal(table["stopped"], alone.accepted)
    assert not table["accepted"].any()
    card = json.loads((tmp_path / "found.csv.json").read_text())
    assert (card["health"], card["accepted"], card["stopped"]) == ("changed", 0, alone.accepted.sum())
    monitor = f"monitor --gate {home}/gate --predictions {tmp_path}/found.csv --state {tmp_path}/state.sqlite"
    assert main(monitor.split()) == 4
    assert main([*words, "--when-changed", "warn", "--replace"]) == 4
    np.testing.assert_array_equal(pd.read_csv(tmp_path / "found.csv")["accepted"], alone.accepted)
    assert main(f"predict --gate {home}/gate --outputs {home}/new --out {tmp_path}/new.csv".split()) == 0
    assert not pd.read_csv(tmp_path / "new.csv")["stopped"].any()


def test_some_labels_of_it_make_another_gate(home: Path, tmp_path: Path, capsys: Captured) -> None:
    words = f"adapt --gate {home}/gate --outputs {home}/labelled --out {tmp_path}/again".split()
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "Of 150 calibration rows" in shown.out
    assert "gate adapted to 200 predictions of a new source" in shown.err
    assert main(words) == 0
    assert "already complete" in capsys.readouterr().err
    predict = f"predict --gate {tmp_path}/again --outputs {home}/blurred --out {tmp_path}/found.csv"
    assert main(predict.split()) == 0
    table, truth = pd.read_csv(tmp_path / "found.csv"), drawn(900, 3, blur=1.5).require_labels()
    wrong = table["label"] != np.array(KINDS)[truth]
    risk = Gate.load(tmp_path / "again").promised_risk
    assert table["accepted"].mean() > 0.3
    assert wrong[table["accepted"]].mean() < risk


def test_one_of_the_rows_that_belong_together_calibrates(home: Path, tmp_path: Path, capsys: Captured) -> None:
    names = drawn(200, 4).require("ids")
    pd.DataFrame({"id": names, "group": np.arange(200) // 2}).to_csv(tmp_path / "pairs.csv", index=False)
    words = f"adapt --gate {home}/gate --outputs {home}/labelled --together {tmp_path}/pairs.csv --out {tmp_path}/again"
    assert main(words.split()) == 0
    assert "Of 75 calibration rows" in capsys.readouterr().out


def test_wrong_input_is_one_line(home: Path, tmp_path: Path, capsys: Captured) -> None:
    drawn(15, 5).save(tmp_path / "few")
    drawn(200, 6).changed(labels=None).save(tmp_path / "unlabelled")
    for rows, options, message in [
        (tmp_path / "few", "", "few: outputs: expected at least 20 labelled rows of the new source"),
        (tmp_path / "unlabelled", "", "expected the true class of each prediction, found none"),
        (home / "labelled", "--max-risk 5", "max_risk: expected a number from"),
        (home / "fit", "", "expected rows that"),
    ]:
        assert main(f"adapt --gate {home}/gate --outputs {rows} --out {tmp_path}/out {options}".split()) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
        assert not (tmp_path / "out").exists()
