"""`reproduce evidence`: its list of presets, a whole small preset, and wrong input told in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from steepslope.cli._main import main
from steepslope.promise import _draws as draws
from steepslope_lab.benchmark.preset import evidence_preset_names, read_evidence_preset
from tests.cli.predictions import refuses
from tests.conftest import Captured, files_below
from tests.lab.benchmark.tables import noisy_table

OWN: dict[str, Any] = {
    "title": "Made rows",
    "kind": "table",
    "source": "made by the test",
    "read": {"format": "csv", "files": ["t.csv"], "label": "kind"},
    "classifier": "logistic",
    "seeds": [0],
    "resamples": 100,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    noisy_table(300, 0).to_csv(tmp_path / "data" / "t.csv", index=False)
    write(tmp_path)
    return tmp_path


def write(folder: Path, **changes: Any) -> None:
    (folder / "own.yaml").write_text(yaml.safe_dump(OWN | changes))


def test_the_list_names_every_preset_with_its_source(capsys: Captured) -> None:
    assert main(["reproduce", "evidence", "--preset", "list"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown == [f"{name}: {read_evidence_preset(name).source}" for name in evidence_preset_names()]


@pytest.mark.slow
@pytest.mark.usefixtures("quick_nets")
def test_rows_tables_and_a_figure(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setattr(draws, "DRAWS", 3)
    words = ["reproduce", "evidence", "--preset", "own.yaml", "--data", "data", "--out", "out"]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "own: seed 0 is done" in shown.err
    assert "What fused oracles gain" in shown.out
    assert "Made rows" in shown.out
    assert "tables and a figure: out" in shown.out
    assert {"own.json", "evidence.json", "evidence.png", "evidence-gains.md"} <= {p.name for p in Path("out").iterdir()}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--preset banking7", "unknown preset 'banking7': did you mean 'banking77'?"),
        ("--preset wine", "data: expected the folder with the files of Wine quality (Cortez et al. 2009, UCI)"),
        ("--preset spoken-digits --data data", "data/recordings: expected files called LABEL_SPEAKER_NUMBER.wav"),
        ("--preset own.yaml --data data --compare", "compare: expected none with evidence"),
        ("--preset own.yaml --data data --set test=2", "own.yaml: test: expected a number from 0.01 to 0.99, found 2"),
    ],
)
def test_wrong_input(words: str, message: str, folder: Path, capsys: Captured) -> None:
    """Nothing is written where it cannot begin."""
    before = files_below(folder)
    refuses(f"reproduce evidence --out out {words}", capsys, message)
    assert files_below(folder) == before
