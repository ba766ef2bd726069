"""Graded answers with several signals, from a table to decisions by three commands that name the columns once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steepslope.cli._main import main
from tests.conftest import Captured

COLUMNS = ["judge", "p(true)"]


def write_answers(path: Path, seed: int, columns: list[str], graded: bool = True) -> None:
    draw = np.random.default_rng(seed)
    skill = draw.normal(size=600)
    numbers = [np.round(2 * (skill + draw.normal(size=600))), 1 / (1 + np.exp(skill + draw.normal(size=600)))]
    is_correct = skill + draw.normal(size=600) > -0.5
    lines = [",".join(["id", *columns, *["is_correct"] * graded])]
    for row in range(600):
        cells = [f"q{seed}-{row}", *(f"{column[row]:.6g}" for column in numbers[: len(columns)])]
        lines.append(",".join([*cells, *[str(is_correct[row]).lower()] * graded]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(["fit", "calibrate", "new"]):
        write_answers(tmp_path / f"{name}.csv", seed, COLUMNS, graded=name != "new")
    assert (
        main(["fit", "--outputs", "fit.csv", "--signals", "judge,p(true)", "--errors", "crossfit", "--out", "o"]) == 0
    )
    assert main(["calibrate", "--oracle", "o", "--outputs", "calibrate.csv", "--max-risk", ".2", "--out", "gate"]) == 0
    return tmp_path


def test_three_commands_lead_to_decisions(folder: Path, capsys: Captured) -> None:
    assert main(["predict", "--gate", "gate", "--outputs", "new.csv", "--out", "decisions.csv"]) == 0
    told = capsys.readouterr()
    assert "600 predictions" in told.err + told.out
    accepted = (folder / "decisions.csv").read_text(encoding="utf-8").count(",accept,")
    assert 100 < accepted < 550
    assert main(["evaluate", "--outputs", "calibrate.csv", "--scores", "mcp,o", "--bootstrap", "0", "--out", "r"]) == 0


def test_a_table_without_a_signal_is_refused_in_one_line(folder: Path, capsys: Captured) -> None:
    write_answers(folder / "few.csv", 3, ["judge"], graded=False)
    assert main(["predict", "--gate", "gate", "--outputs", "few.csv", "--out", "decisions.csv"]) == 2
    assert "few.csv: unknown column 'p(true)'" in capsys.readouterr().err
    assert not (folder / "decisions.csv").exists()


def test_a_gate_names_its_signals(folder: Path, capsys: Captured) -> None:
    assert main(["show", "gate"]) == 0
    assert "signal_judge (N), signal_p(true) (N)" in capsys.readouterr().out
