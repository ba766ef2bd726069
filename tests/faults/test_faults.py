"""Commands survive every fault, and the harness of docs/reliability.md sees it where one does not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.faults.kinds import FAULTS, ending_problem, result_problem
from benchmarks.faults.process import Ending
from benchmarks.faults.scenarios import SCENARIOS
from benchmarks.results.reliability import BEGIN, END, reliability_table, renew_page

from steepslope.cli._main import all_commands

ROOT = Path(__file__).parents[2]
QUICK = ("predict CSV", "monitor")
IN_TABLE_ONLY = ("demo", "benchmark", "export", "evaluate", "serve")  # they take long
UNTRIED = {"shift stylize", "shift train-stylizer", "shift recolor"}  # hours, or a net that learns

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the harness needs Linux")


def disturb(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the harness in a process of its own, which has no threads, and so may fork."""
    words = [
        sys.executable,
        "-m",
        "benchmarks.results",
        "reliability",
        "--work",
        str(folder),
        "--out",
        str(folder / "out"),
    ]
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run([*words, *options], env=environment, capture_output=True, text=True, check=False, cwd=folder)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which all commands find their inputs."""
    folder = tmp_path_factory.mktemp("faults")
    folder.chmod(0o755)  # a user without rights enters it
    folder.parent.chmod(0o755)
    return folder


def test_commands_survive_each_kind_of_fault(work: Path) -> None:
    done = disturb(work, "--only", ",".join(QUICK), "--moments", "4")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((work / "out" / "rows.json").read_text(encoding="utf-8"))["rows"]
    assert {(row["command"], row["fault"]) for row in rows} == {(name, fault) for name in QUICK for fault in FAULTS}


@pytest.mark.slow
def test_all_other_commands_survive_each_kind_of_fault(work: Path) -> None:
    names = [name for name in SCENARIOS if name not in (*QUICK, *IN_TABLE_ONLY)]
    done = disturb(work, "--only", ",".join(names), "--moments", "4")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_is_disturbed() -> None:
    tried = {name for name in all_commands() for scenario in SCENARIOS.values() if scenario.words.startswith(name)}
    assert {*all_commands()} - tried == UNTRIED


@pytest.mark.parametrize(
    ("ending", "problem"),
    [
        (Ending(2, "steepslope: error: a.csv: expected a table, found none", 0.1, 0), ""),
        (Ending(-9, "", 0.1, 0), ""),
        (Ending(2, "steepslope: internal error: KeyError: 'a'", 0.1, 0), "said: .*internal error"),
        (Ending(1, "a line", 0.1, 0), "exit code 1: a line"),
        (Ending(-6, "", 0.1, 0), "exit code -6"),
        (Ending(-9, "", 61, 0, is_late=True), "still ran after 60 s"),
    ],
)
def test_an_end_that_says_nothing_useful_is_a_problem(ending: Ending, problem: str) -> None:
    assert re.match(problem or "$", ending_problem(ending))


@pytest.mark.parametrize(
    ("code", "now", "problem"),
    [
        (0, {"out/a": "new", "out/b": "new"}, ""),
        (0, {"out/a": "new", "out/b": "old"}, "ended with code 0 and other results"),
        (2, {"out/a": "old", "out/b": "old"}, ""),
        (2, {"out/a": "old"}, "an earlier result changed: out/b"),
        (-9, {"out/a": "new"}, ""),
        (-9, {"out/a": "new", "out/b": "old"}, "a mixture of earlier and new files"),
        (-9, {"out/a": "half", "out/b": "old"}, "out/a: neither the earlier nor the new one"),
    ],
)
def test_a_lost_result_is_a_problem(code: int, now: dict[str, str], problem: str) -> None:
    earlier, new = ({"out/a": age, "out/b": age} for age in ("old", "new"))
    assert result_problem(Ending(code, "", 0.1, 0), earlier, new, now, expected_code=0) == problem


def test_the_table_counts_what_was_survived(tmp_path: Path) -> None:
    rows = [
        {"command": "fit", "fault": "killed", "case": "at change 3", "problem": ""},
        {"command": "fit", "fault": "killed", "case": "at change 9", "problem": "a mixture of earlier and new files"},
        {"command": "show", "fault": "disk full", "case": "0 KiB free", "problem": ""},
    ]
    table = reliability_table(rows)
    assert "| fit | 1 of 2 | – |" in table
    assert "| all | 1 of 2 | 1 of 1 |" in table
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nan older table\n{END}\nafter\n", encoding="utf-8")
    renew_page(page, table)
    assert page.read_text(encoding="utf-8") == f"before\n{BEGIN}\n{table.strip()}\n{END}\nafter\n"
