"""`steepslope push`, and what it left named in the place of a folder: by its path, and by its name on the Hub."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from steepslope.cli._main import main
from steepslope.files import _hub as hub
from steepslope.outputs import ClassifierOutputs
from tests.cli.predictions import refuses
from tests.conftest import Captured
from tests.files.hub_server import Repo, served


@pytest.fixture
def repos(tmp_path: Path) -> Iterator[dict[str, Repo]]:
    with served(tmp_path / "cache") as found:
        yield found


def decided(gate: str, gates: Path, out: Path) -> bytes:
    assert main(["predict", "--gate", gate, "--outputs", str(gates / "outputs" / "test"), "--out", str(out)]) == 0
    return out.read_bytes()


def test_a_gate_is_named_by_its_shared_folder_and_on_the_hub(
    gates: Path, repos: dict[str, Repo], tmp_path: Path, capsys: Captured
) -> None:
    push = ["push", "--gate", str(gates / "free"), "--to", "me/digits", "--out", str(tmp_path / "shared")]
    assert main(push) == 0
    shown = capsys.readouterr().err
    assert f"hub:me/digits@{repos['me/digits'].head}: gate uploaded" in shown
    names = (str(gates / "free"), str(tmp_path / "shared"), "hub:me/digits", f"hub:me/digits@{repos['me/digits'].head}")
    tables = [decided(name, gates, tmp_path / f"{number}.csv") for number, name in enumerate(names)]
    assert len({*tables}) == 1
    summaries = [json.loads((tmp_path / f"{number}.csv.json").read_text())["key"]["gate"] for number in range(4)]
    assert len({*summaries}) == 1
    files = {"config.json", "README.md", "gate.json", "certificate.md", "oracle/oracle.json"}
    assert files < {*repos["me/digits"].commits[repos["me/digits"].head]}


def test_the_program_of_the_page_loads_what_was_pushed(home: Path, gates: Path, repos: dict[str, Repo]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "sharing.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert main(["push", "--gate", str(gates / "free"), "--to", "USER/NAME"]) == 0
    assert main(["push", "--gate", str(gates / "free-oracle"), "--to", "USER/ORACLE"]) == 0
    program = re.sub(r"@[0-9a-f]{40}", f"@{repos['USER/ORACLE'].head}", program)
    names: dict[str, Any] = {}
    exec(compile(program.replace("runs/net", str(home / "classifier")), "sharing.md", "exec"), names)
    outputs = ClassifierOutputs.load(gates / "outputs" / "test")
    assert (names["gate"].gate.decide(outputs).trust_logit == names["oracle"].trust_logit(outputs)).all()


def test_a_repository_is_private_unless_it_is_to_be_public(gates: Path, repos: dict[str, Repo]) -> None:
    push = ["push", "--gate", str(gates / "mcp"), "--to"]
    assert main([*push, "me/secret"]) == 0
    assert main([*push, "me/open", "--public"]) == 0
    assert {name: repo.private for name, repo in repos.items()} == {"me/secret": True, "me/open": False}


def test_a_gate_is_monitored_if_it_was_shared_for_that(gates: Path, tmp_path: Path, capsys: Captured) -> None:
    for name, more, code in (("without", [], 2), ("with", ["--for-monitor"], 0)):
        assert main(["push", "--gate", str(gates / "free"), "--out", str(tmp_path / name), *more]) == 0
        state = str(tmp_path / f"{name}.sqlite")
        assert main(["monitor", "--gate", str(tmp_path / name), "--state", state]) == code
    assert "or give --calibration with labelled outputs" in capsys.readouterr().err


def test_decisions_of_two_revisions_are_not_mixed(
    gates: Path, repos: dict[str, Repo], tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "decisions.csv"
    predict = ["predict", "--gate", "hub:me/digits", "--outputs", str(gates / "outputs" / "test"), "--out", str(out)]
    assert main(["push", "--gate", str(gates / "free"), "--to", "me/digits"]) == 0
    assert main(predict) == 0
    assert main(["push", "--gate", str(gates / "mcp"), "--to", "me/digits"]) == 0
    hub.hub_snapshot.cache_clear()
    refuses(predict, capsys, "holds predictions in decisions.csv already, with other gate")
    assert main([*predict[:2], f"hub:me/digits@{[*repos['me/digits'].commits][1]}", *predict[3:]]) == 0


def test_an_oracle_is_evaluated_and_calibrated_by_its_name(
    gates: Path, repos: dict[str, Repo], tmp_path: Path, capsys: Captured
) -> None:
    oracle, outputs = str(gates / "columns-oracle"), str(gates / "outputs" / "test")
    assert main(["push", "--gate", oracle, "--to", "hub:me/columns"]) == 0
    evaluate = ["evaluate", "--outputs", outputs, "--bootstrap", "0", "--images", "false", "--out"]
    rows = {}
    for number, name in enumerate((oracle, "hub:me/columns")):
        assert main([*evaluate, str(tmp_path / f"r{number}"), "--scores", name]) == 0
        rows[name] = json.loads((tmp_path / f"r{number}" / "metrics.json").read_text())[1]
        calibrate = ["calibrate", "--oracle", name, "--outputs", outputs, "--max-risk", "0.1"]
        assert main([*calibrate, "--out", str(tmp_path / f"g{number}")]) == 0
    assert [row.pop("score") for row in rows.values()] == ["columns-oracle", "columns"]
    assert len({json.dumps(row) for row in rows.values()}) == 1
    cards = [json.loads((tmp_path / f"g{number}" / "gate.json").read_text()) for number in range(2)]
    assert cards[0]["digest"] == cards[1]["digest"]
    assert cards[1]["made"]["commit of hub:me/columns"] == repos["me/columns"].head
    refuses([*evaluate, str(tmp_path / "r2"), "--scores", "hub:me/no"], capsys, "hub:me/no: the Hub has no such")


def test_a_file_that_was_changed_on_the_hub_is_refused(gates: Path, repos: dict[str, Repo], capsys: Captured) -> None:
    assert main(["push", "--gate", str(gates / "free"), "--to", "me/digits"]) == 0
    repos["me/digits"].commit({"oracle/oracle.safetensors": b"other"})
    predict = ["predict", "--gate", "hub:me/digits", "--outputs", str(gates / "outputs" / "test"), "--out", "-"]
    refuses(predict, capsys, "expected the file written with oracle.json, found another")


def test_wrong_input_is_one_line_and_nothing_is_uploaded(
    gates: Path, repos: dict[str, Repo], tmp_path: Path, capsys: Captured
) -> None:
    gate, out = str(gates / "mcp"), str(tmp_path / "out")
    unfinished = tmp_path / "unfinished"
    shutil.copytree(gates / "free", unfinished)
    (unfinished / "gate.json").unlink()
    lacking = tmp_path / "lacking"
    shutil.copytree(gates / "free", lacking)
    (lacking / "oracle" / "evidence.safetensors").unlink()
    for words, expected in (
        (["--out", out], "the following arguments are required: --gate"),
        (["--gate", gate], "expected --to, a repository, or --out, a folder, found neither"),
        (["--gate", gate, "--out", out, "--public"], "public: expected --to with it, found none"),
        (["--gate", f"{gates}/columns-oracle", "--out", out, "--for-monitor"], "expected a gate with calibration_r"),
        (["--gate", str(unfinished), "--to", "me/x"], "expected a calibrated gate, but it has no gate.json"),
        (["--gate", str(lacking), "--to", "me/x"], "expected the file written with oracle.json, found none"),
        (["--gate", gate, "--to", "digits"], "digits: expected the name of a repository, user/name"),
        (["--gate", gate, "--to", "me/d€gits"], "me/d€gits: the Hub cannot be reached, or refuses this (Repo id must"),
        (["--gate", gate, "--to", "me/x@v1"], "me/x@v1: expected no revision"),
        (["--gate", gate, "--to", "me/x", "--out", str(gates / "free")], "expected an empty folder, found f"),
    ):
        refuses(["push", *words], capsys, expected)
    assert not repos
    assert not (tmp_path / "out").exists()


def test_without_the_library_one_is_told_what_to_install(
    gates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    hub.hub_snapshot.cache_clear()
    for words in (
        ["push", "--gate", str(gates / "mcp"), "--to", "me/x"],
        ["predict", "--gate", "hub:me/x", "--outputs", str(gates / "outputs" / "test"), "--out", "-"],
    ):
        refuses(words, capsys, "needs huggingface_hub: pip install 'steepslope[hub]'")
