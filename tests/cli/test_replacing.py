"""No command replaces another result unasked; the same command again finds its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from steepslope.cli.main import COMMANDS, main
from tests.conftest import make_outputs
from tests.finetuning.trainings import trained, words


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("command", "other", "shown"),
    [
        ("fit --outputs {0}/o.npz --epochs 1 --out {0}/out", "--seed 1", "a fitted oracle already, with seed 0, not 1"),
        ("fit --outputs {0}/o.npz --epochs 1 --out {0}/out", "--outputs {0}/p.npz", "a fitted oracle already, with "),
        (
            "fit --outputs {0}/o.npz --epochs 1 --out {0}/out",
            "--alpha-neg 5",
            "a fitted oracle already, with alpha_neg 3.0, not 5.0",
        ),
        (
            "evaluate --outputs {0}/o.npz --bootstrap 0 --out {0}/out",
            "--seed 1",
            "a report already, with seed 0, not 1",
        ),
        (
            "evaluate --outputs {0}/o.npz --bootstrap 0 --out {0}/out",
            "--scores margin",
            "a report already, with scores",
        ),
        (
            "train-classifier --net digits-net --data digits --epochs 1 --out {0}/out",
            "--seed 1",
            "a classifier already, with seed 0, not 1",
        ),
    ],
)
def test_another_result_is_not_replaced_unasked(
    command: str, other: str, shown: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seed in (("o", 0), ("p", 1)):
        make_outputs(200, seed=seed).save(tmp_path / f"{name}.npz")
    first, second = command.format(tmp_path).split(), other.format(tmp_path).split()
    assert main(first) == 0
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "mine.txt").write_text("of the user")
    capsys.readouterr()
    assert main(first) == 0
    assert f"{tmp_path / 'out'}: already complete" in capsys.readouterr().err
    assert main([*first, *second]) == 2
    error = capsys.readouterr().err
    assert f"{tmp_path / 'out'}: holds {shown}" in error
    assert error.endswith(": choose another folder, or give --replace\n")
    assert error.count("\n") == 1
    assert {**before, "mine.txt": b"of the user"} == contents(tmp_path / "out")
    assert main([*first, *second, "--replace"]) == 0
    after = contents(tmp_path / "out")
    assert after.pop("mine.txt") == b"of the user"
    assert after != before
    assert main([*first, *second]) == 0  # which is complete now


def test_a_changed_input_is_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_outputs(200).save(tmp_path / "o.npz")
    command = f"evaluate --outputs {tmp_path}/o.npz --bootstrap 0 --out {tmp_path}/out".split()
    assert main(command) == 0
    make_outputs(300).save(tmp_path / "o.npz")
    assert main(command) == 2
    assert "holds a report already, with other content of " in capsys.readouterr().err


def test_a_report_of_unknown_making_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_outputs(60).save(tmp_path / "o.npz")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.html").write_text("mine")
    command = f"evaluate --outputs {tmp_path}/o.npz --bootstrap 0 --out {tmp_path}/out".split()
    assert main(command) == 2
    assert "holds a report already, made in a way that is not known" in capsys.readouterr().err
    assert main(["demo", "--out", str(tmp_path / "out")]) == 2
    assert (tmp_path / "out" / "report.html").read_text() == "mine"
    assert main([*command, "--replace"]) == 0


def test_another_finetuned_oracle_is_replaced_if_asked(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = trained(home, tmp_path)
    capsys.readouterr()
    other = ["finetune", *words(home, tmp_path, "--seed", "1")]
    assert main(other) == 2
    assert "or give --replace" in capsys.readouterr().err
    assert (tmp_path / "oracle.safetensors").read_bytes() == before
    assert main([*other, "--replace"]) == 0
    assert (tmp_path / "oracle.safetensors").read_bytes() != before
    assert json.loads((tmp_path / "oracle.json").read_text())["recipe"]["seed"] == 1
    assert sorted(path.name for path in tmp_path.glob("unfinished*")) == []
    assert main(other) == 0
    assert "already complete" in capsys.readouterr().err


def test_an_interrupted_command_says_what_to_type(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def waits(out: str, seed: int = 0) -> None:
        """Wait."""
        raise KeyboardInterrupt

    monkeypatch.setitem(COMMANDS, "waits", waits)
    assert main(["waits", "--out", "my runs/o", "--seed", "3"]) == 130
    expected = "earlier results are as they were; to go on: steepslope waits --out 'my runs/o' --seed 3\n"
    assert capsys.readouterr().err == f"steepslope: interrupted; {expected}"
