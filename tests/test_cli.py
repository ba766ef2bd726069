"""The command line: the whole line on digits, and one clear line for whatever is wrong."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import steepslope
from steepslope.cli._fit import _copies_in_fit
from steepslope.cli._main import COMMANDS, GROUPS, all_commands, main
from steepslope.losses import LOSSES
from steepslope.nets.classifiers._specs import load_classifier
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from tests.conftest import make_complete, make_outputs


@pytest.mark.slow
def test_demo_leaves_what_it_promises(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads((demo / "metrics.json").read_text())
    assert [row["score"] for row in rows] == ["mcp", "CE", "Focal", "TCP", "SS", "fused"]
    assert {row["loss"] for row in rows} - {None} <= set(LOSSES)
    assert all(row["n"] == 797 for row in rows)
    assert (demo / "table.md").exists()
    assert (demo / "report.html").exists()
    test = ClassifierOutputs.load(demo / "seed0" / "outputs" / "test")
    assert rows[0]["accuracy"]["value"] == pytest.approx(test.is_correct.mean())
    assert rows[-1]["delta_auc_vs_mcp"]["low"] > 0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path / "again")]) == 0
    shown = capsys.readouterr().out
    assert "FPR95" in shown
    assert str(tmp_path / "again" / "report.html") in shown
    assert (tmp_path / "again" / "metrics.json").read_bytes() == (demo / "metrics.json").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("budget", "shown"), [("free", ["free"]), ("auxiliary", ["free", "auxiliary"])])
@pytest.mark.usefixtures("quick_nets")
def test_fit_shows_what_each_budget_gains_and_costs(
    budget: str, shown: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_complete(300, seed=2).save(tmp_path / "outputs.npz")
    words = f"fit --budget {budget} --outputs {tmp_path}/outputs.npz --out {tmp_path}/oracle".split()
    assert main(words) == 0
    lines = capsys.readouterr().err.splitlines()
    gains = [line for line in lines if re.match(r"budget \w+( \(chosen\))?: [+-]\d+\.\d\d AUC points, AURC × ", line)]
    assert [line.split()[1].rstrip(":") for line in gains] == shown
    assert [" (chosen)" in line for line in gains] == [name == budget for name in shown]
    assert gains[0].endswith("; 1 forward pass")
    assert len(gains) == 1 or gains[1].endswith("; 1 forward pass and a second backbone")
    assert json.loads((tmp_path / "oracle" / "oracle.json").read_text())["fitted"]["budget"] == budget


def test_fit_says_where_copies_come_from() -> None:
    """Copies are made of features where logits are linear in them; extracted ones are not named."""
    (told,) = _copies_in_fit({"fit set": "features", "reference": "none", "rows": "extracted"})
    made, none = "copies of features were made instead", "none could be made, because the logits are not linear"
    assert told.startswith(f"no augmented copies of the fit set: {made} and of the reference: {none} ")
    assert "(extract --augment 1 keeps copies of changed images" in told


def test_fit_never_destroys_a_classifier(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "classifier", tmp_path / "c")
    assert main(f"fit --oracle paper --outputs {home}/outputs/holdout --epochs 1 --out {tmp_path}/c".split()) == 0
    load_classifier(f"checkpoint:{tmp_path}/c")
    Oracle.load(tmp_path / "c")


def test_odd_folder_names_are_printed_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_outputs(200).save(tmp_path / "in put.npz")
    out = tmp_path / "a[red]b"
    assert main(["evaluate", "--outputs", str(tmp_path / "in put.npz"), "--bootstrap", "5", "--out", str(out)]) == 0
    assert f"report: {out / 'report.html'}" in capsys.readouterr().out
    assert main(["evaluate", "--outputs", str(tmp_path / "in put.npz"), "--out", ""]) == 2
    assert "an empty value was given after" in capsys.readouterr().err


def test_a_bug_is_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        """Break."""
        raise ZeroDivisionError("by zero")

    monkeypatch.setitem(COMMANDS, "broken", broken)
    assert main(["broken"]) == 2
    assert capsys.readouterr().err == ("steepslope: internal error: ZeroDivisionError: by zero (--debug shows where)\n")


def test_debug_shows_where(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no such file or folder"):
        main(["--debug", "evaluate", "--outputs", str(tmp_path / "no"), "--out", str(tmp_path)])


def test_warnings_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_outputs(60).save(tmp_path / "outputs.npz")
    assert main(f"fit --oracle paper --outputs {tmp_path}/outputs.npz --epochs 1 --out {tmp_path}/o".split()) == 0
    assert "steepslope: warning: the oracle is fitted on only" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--help"], ["shift"]])
def test_no_command_shows_the_help_in_groups(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    shown = capsys.readouterr().out
    assert end.value.code == 0
    assert [title for title in GROUPS if f"\n{title}\n" in shown] == (["Research"] if words == ["shift"] else [*GROUPS])


def test_errors_are_coloured_where_a_person_reads_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["fitt"]) == 2
    assert capsys.readouterr().err.startswith("steepslope: \x1b[31merror: unknown command 'fitt'")
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["fitt"]) == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_commands_and_options(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("shtab")
    with pytest.raises(SystemExit) as end:
        main(["--print-completion", shell])
    shown = capsys.readouterr().out
    assert end.value.code == 0
    assert "calibrate" in shown
    assert "--max-risk" in shown
    assert main(["--print-completion", "bish"]) == 2
    assert "unknown shell 'bish': did you mean" in capsys.readouterr().err


def test_help_names_every_command_and_is_light() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "steepslope", "--help"], check=True, capture_output=True, text=True
    ).stdout
    assert all(name in shown for name in all_commands())
    heavy = ("torch", "sklearn", "pyarrow", "matplotlib")
    check = f"import atexit, sys, os; heavy = {heavy}\n"
    check += "atexit.register(lambda: os._exit(any(name in sys.modules for name in heavy)))\n"
    check += "from contextlib import suppress\nfrom steepslope.cli._main import COMMANDS, GROUPS, all_commands, main\n"
    check += "for name in all_commands():\n    with suppress(SystemExit):\n        main([*name.split(), '--help'])"
    subprocess.run([sys.executable, "-c", check], check=True, stdout=subprocess.DEVNULL)


def test_public_names_are_those_of_their_page() -> None:
    """All of a package's ``__all__`` stand there, and all that stands there can be imported."""
    text = (Path(__file__).parents[1] / "docs" / "public.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(steepslope[\w.]*)` \| (.*) \|$", text, re.MULTILINE)
    for place, names in rows:
        module: Any = import_module(place)
        shown = re.findall(r"`(\w+)`", names.partition(";")[0].partition(", and ")[0])
        assert [name for name in shown if getattr(module, name, None) is None] == [], place
        assert {*getattr(module, "__all__", shown)} == {*shown}, place
    lazy = [path.parent for path in Path(steepslope.__file__).parent.rglob("__init__.pyi")]
    top = Path(steepslope.__file__).parents[1]
    packages = {".".join(folder.relative_to(top).parts) for folder in lazy}
    assert {name for name in packages if import_module(name).__all__} <= {place for place, _ in rows}
    package: Any = steepslope
    with pytest.raises(AttributeError, match="oracle_of_delphi"):
        _ = package.oracle_of_delphi
