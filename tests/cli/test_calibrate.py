"""`steepslope calibrate`: a gate of whatever judges, or one line and nothing lost."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pytest

from steepslope.cli._calibrate import _read_class_mix_to_calibrate
from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.gate._confidence_source import ConfidenceSource
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP
from tests.cli.predictions import refuses
from tests.conftest import Captured, files_below, make_complete, make_outputs

TARGET = "--outputs HOME/rows.npz --max-risk 0.4 --target"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write outputs to fit, to calibrate and to refer to; no case may change them."""
    home = tmp_path_factory.mktemp("stored")
    for seed, name in enumerate(("fit", "rows", "reference")):
        outputs = make_complete(500, seed=seed, prefix=name)
        outputs.save(home / f"{name}.npz")
    make_complete(500, seed=1, prefix="rows").changed(labels=None).save(home / "bare.npz")
    make_outputs(500, num_classes=5).save(home / "five.npz")
    coming = make_complete(500, seed=5, prefix="coming").changed(labels=None)
    coming.save(home / "coming.npz")
    coming.changed(logits=3 * coming.logits).save(home / "surer.npz")
    rows = make_outputs(500)
    logits = {f"logit_{k}": rows.logits[:, k] for k in range(4)}
    table = {"label": rows.require_labels(), **logits, "camera": ["ab"[row % 2] for row in range(500)]}
    pc.write_csv(pa.table(table), home / "table.csv")
    pc.write_csv(pa.table({**table, "truth": table["label"]}).drop_columns("label"), home / "truth.csv")
    assert main(f"fit --oracle paper --epochs 1 --outputs {home}/fit.npz --out {home}/oracle".split()) == 0
    assert main(f"fit --oracle paper --epochs 1 --outputs {home}/five.npz --out {home}/of-five".split()) == 0
    assert main(f"calibrate --max-risk 0.3 --outputs {home}/rows.npz --out {home}/gate".split()) == 0
    return home


def calibrate(home: Path, out: Path, words: str) -> int:
    return main(f"calibrate --out {out} {words}".replace("HOME", str(home)).split())


@pytest.mark.parametrize("name", ["margin", "temperature_scaled_mcp", "trust_score"])
def test_a_gate_of_a_score_of_every_kind(name: str, stored: Path, tmp_path: Path) -> None:
    words = f"--oracle {name} --outputs HOME/rows.npz --fit HOME/fit.npz --reference HOME/reference.npz --max-risk 0.3"
    assert calibrate(stored, tmp_path, words) == 0
    gate, rows = Gate.load(tmp_path), ClassifierOutputs.load(stored / "rows.npz")
    assert gate.source is not None
    assert gate.source.name == name
    assert gate.n == 500
    assert gate.decide(rows).accepted.sum() == sum(one.accepted for one in gate.promises)


def test_it_is_that_of_python(stored: Path, tmp_path: Path, capsys: Captured) -> None:
    rows, fit_set = (ClassifierOutputs.load(stored / f"{name}.npz") for name in ("rows", "fit"))
    objectives = "--max-risk 0.2,0.3 --delta 0.1 --reject 0.6"
    capsys.readouterr()
    assert calibrate(stored, tmp_path / "a", f"--outputs HOME/rows.npz {objectives}") == 0
    expected = Gate.of(MCP(), rows, (0.2, 0.3), 0.1, reject=0.6)
    assert Gate.load(tmp_path / "a").certificates == expected.certificates
    assert capsys.readouterr().out == expected.sentences() + "\n"
    assert (tmp_path / "a" / "certificate.md").read_text() == expected.sentences() + "\n"
    assert calibrate(stored, tmp_path / "b", "--outputs HOME/rows.npz --fit HOME/fit.npz") == 0
    spaced = Gate.of(ConfidenceSource.from_model(MCP(), 4, fit_set), rows)
    assert Gate.load(tmp_path / "b").certificates == spaced.certificates
    assert sum(one.n for one in spaced.promises) == 500  # none are used up to space the thresholds


@pytest.mark.parametrize("by", ["predicted", "camera", "FOLDER/groups.csv"])
def test_groups(by: str, stored: Path, tmp_path: Path) -> None:
    if by.endswith(".csv"):
        groups = ["ab"[row % 2] for row in range(500)]
        pc.write_csv(pa.table({"group": groups}), tmp_path / "groups.csv")
    named = by.replace("FOLDER", str(tmp_path))
    assert calibrate(stored, tmp_path / "gate", f"--outputs HOME/table.csv --groups {named} --max-risk 0.4") == 0
    gate = Gate.load(tmp_path / "gate")
    assert gate.by == named
    assert set(gate.thresholds) == (set("0123") if by == "predicted" else set("ab"))
    assert {one.delta for one in gate.promises} == {0.05 / len(gate.promises)}


@pytest.mark.parametrize(
    ("name", "text"),
    [("mix.csv", "class,share\n0,0.7\n1,0.1\n2,0.1\n3,0.1\n"), ("mix.txt", "0=0.7\n1=.1\n2=.1\n3=.1\n")],
)
def test_a_gate_for_another_mix_of_classes(
    name: str, text: str, stored: Path, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / name).write_text(text)
    words = f"--outputs HOME/rows.npz --max-risk 0.4 --class-mix {tmp_path}/{name}"
    assert calibrate(stored, tmp_path / "gate", words) == 0
    assert "the classes come in this mix: 0 70 %, 1 10 %, 2 10 %, 3 10 %" in capsys.readouterr().out
    gate = Gate.load(tmp_path / "gate")
    assert gate.promises[0].weighted is not None
    assert gate.coverage > 0


def test_a_gate_for_rows_without_labels(stored: Path, tmp_path: Path, capsys: Captured) -> None:
    assert calibrate(stored, tmp_path / "gate", f"{TARGET} HOME/coming.npz") == 0
    assert "in the same mix as 500 target rows without labels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0=much\n", "mix.txt: expected a number for each class"),
        ("0=\n", "mix.txt: expected a number for each class"),
        ("0\n", "mix.txt: expected class=share in each line"),
        ("", "mix.txt: expected the names of classes, found none"),
    ],
)
def test_what_is_no_mix_is_refused(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "mix.txt").write_text(text)
    with pytest.raises(SteepslopeError, match=expected):
        _read_class_mix_to_calibrate(tmp_path / "mix.txt")


CASES: list[tuple[str, str]] = [
    ("--outputs HOME/bare.npz", "labels: expected the true class of each prediction"),
    ("--outputs HOME/truth.csv", "label"),
    ("--outputs HOME/fit.npz --oracle HOME/oracle", "expected rows that the oracle was not fitted on"),
    ("--outputs HOME/fit.npz --fit HOME/fit.npz", "fit: expected other rows, found"),
    ("--outputs HOME/rows.npz --oracle HOME/of-five", "fitted for 5 classes, found 4"),
    ("--outputs HOME/table.csv --oracle HOME/oracle", "the outputs hold no features"),
    ("--outputs HOME/rows.npz --groups camera", "expected a .csv or .parquet file with a column 'camera'"),
    ("--outputs HOME/table.csv --groups camra", "'camra': did you mean 'camera'"),
    ("--outputs HOME/table.csv --groups label", "groups: expected groups that are known for a new input"),
    ("--outputs HOME/truth.csv --label-column truth --groups truth", "groups: expected groups that are known for"),
    ("--outputs HOME/rows.npz --label-column truth", "expected a .csv or .parquet file to go with it"),
    (f"{TARGET} HOME/surer.npz", "target: no class mix explains the predictions"),
    (f"{TARGET} HOME/bare.npz", "target: rows: expected other rows, found 500 in both, such as"),
    (f"{TARGET} HOME/five.npz", "expected 4 classes, as of the calibration rows, found 5"),
    ("--outputs HOME/rows.npz --out HOME/rows.npz", "rows.npz"),
    ("--outputs HOME/rows.npz --out HOME/gate", "holds a calibrated gate already, with "),
]


@pytest.mark.parametrize(("words", "expected"), CASES, ids=[words[10:70] for words, _ in CASES])
def test_one_line_and_nothing_lost(words: str, expected: str, stored: Path, tmp_path: Path, capsys: Captured) -> None:
    before = {path: path.read_bytes() for path in files_below(stored)}
    refuses(f"calibrate --out {tmp_path}/out {words.replace('HOME', str(stored))}", capsys, expected)
    assert not files_below(tmp_path)
    assert {path: path.read_bytes() for path in files_below(stored)} == before


def test_rows_that_the_oracle_was_fitted_on_are_left_out(stored: Path, tmp_path: Path, capsys: Captured) -> None:
    words = f"fit --oracle paper --epochs 1 --outputs {stored}/rows.npz --hold-back 0.6 --out {tmp_path}/half"
    assert main(words.split()) == 0
    n = len(ClassifierOutputs.load(stored / "rows.npz"))
    assert calibrate(stored, tmp_path / "gate", f"--outputs HOME/rows.npz --oracle {tmp_path}/half --max-risk 0.4") == 0
    left_out = n - round(0.6 * n)
    assert f"{left_out:,} rows that the oracle was fitted on are left out" in capsys.readouterr().err
    assert Gate.load(tmp_path / "gate").n == n - left_out
