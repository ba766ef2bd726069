"""Killed runs, runs of several processes, and work folders of others end as they should."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from steepslope.cli.main import main
from tests.conftest import kill_once_there

pytestmark = pytest.mark.slow
SMALL = """
title: "Small"
paper: [SS]
beside: [MCP, best single score, "fused, free"]
columns: [auc, tnr, delta_auc]
"""


def words_of(folder: Path, *more: str) -> list[str]:
    """Return the command of a small experiment of one's own, in a folder of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "small.yaml").write_text(SMALL)
    options = ["--preset", "digits", "--seeds", "0", "--set", "resamples=20", "--out", str(folder / "out"), *more]
    return ["reproduce", str(folder / "small.yaml"), *options]


def shown(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "out" / "small.json").read_text())
    return content


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("once")
    assert main(words_of(folder)) == 0
    assert len(shown(folder)["rows"]) == 4 * 4  # lines of pairs
    return folder


@pytest.mark.parametrize(
    "last", ["nets/early-0/classifier.json", "outputs/late-0/test/manifest.json", "oracles/late-late-0/ss/oracle.json"]
)
def test_a_killed_run_goes_on_to_the_same_rows(last: str, once: Path, tmp_path: Path) -> None:
    state = tmp_path / "run" / "out" / "work" / last
    assert (once / "out" / "work" / last).exists()
    words = words_of(tmp_path / "run")
    kill_once_there([sys.executable, "-m", "steepslope", *words], state)
    assert not (tmp_path / "run" / "out" / "small.json").exists()
    made = state.stat().st_mtime_ns
    assert main(words) == 0
    assert state.stat().st_mtime_ns == made
    assert shown(tmp_path / "run") == shown(once)


def test_two_processes_give_the_same_rows(once: Path, tmp_path: Path) -> None:
    assert main(words_of(tmp_path / "run", "--jobs", "2")) == 0
    assert shown(tmp_path / "run") == shown(once)
    files = [{path.relative_to(folder) for path in (folder / "out").rglob("*")} for folder in (once, tmp_path / "run")]
    assert files[0] == files[1]


def test_seeds_are_added_to_those_that_are_there(once: Path, tmp_path: Path) -> None:
    """The work of the first seed is used again, and its rows stay as they are."""
    work = once / "out" / "work"
    before = {path: path.stat().st_mtime_ns for path in work.rglob("row.json")}
    words = words_of(tmp_path / "run", "--work", str(work))
    words[words.index("--seeds") + 1] = "0,1"
    assert main(words) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    rows = shown(tmp_path / "run")["rows"]
    assert [row for row in rows if row["seed"] == 0] == shown(once)["rows"]
    assert len(rows) == 2 * len(shown(once)["rows"])


def test_the_work_of_another_preset_is_not_mixed(
    once: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = words_of(tmp_path / "run", "--work", str(once / "out" / "work"))
    words[words.index("resamples=20")] = "resamples=20,features.epochs=3"
    before = {path: path.read_bytes() for path in (once / "out" / "work").rglob("*.json")}
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "holds the work of a preset already, with epochs " in error
    assert {path: path.read_bytes() for path in (once / "out" / "work").rglob("*.json")} == before
    assert not (tmp_path / "run" / "out").exists()
