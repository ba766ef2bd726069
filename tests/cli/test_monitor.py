"""`monitor` from file to file: counts once, remembers, tells the health as an exit code, and refuses in one line."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from steepslope.cli._main import main
from steepslope.gate import Gate
from steepslope.monitor import Monitor
from steepslope.outputs import ClassifierOutputs
from steepslope.predict._audit import AUDIT
from steepslope.scores import MCP
from tests.cli.predictions import LABELLED, NEW, refuses, watch
from tests.conftest import Captured


def monitor(home: Path, state: Path, days: str = "012", *options: str) -> int:
    files = [str(home / f"day{day}.parquet") for day in days]
    given = ["--predictions", *files] if files else []
    return main(watch(home, state, *given, *options))


def state_of(path: Path) -> Any:
    return json.loads(json.dumps(Monitor.load(path).as_json()))


def write_labels(path: Path, rows: Any, wrong: int = 0) -> str:
    """Write the true labels of some rows, the first of them wrong ones."""
    truths = NEW.predictions[rows].copy()
    truths[:wrong] = (truths[:wrong] + 1) % 4
    pc.write_csv(pa.table({"id": NEW.require("ids")[rows], "label": truths}), path)
    return str(path)


def test_it_counts_what_is_there_and_says_how_things_stand(watched: Path, tmp_path: Path, capsys: Captured) -> None:
    capsys.readouterr()
    assert monitor(watched, tmp_path / "state.sqlite") == 0
    shown = capsys.readouterr()
    gate = Gate.load(watched / "gate")
    decisions = gate.decide(NEW)
    found = state_of(tmp_path / "state.sqlite")
    assert (found["rows"], found["accepted"]) == (3_000, int(decisions.accepted.sum()))
    assert shown.out.startswith("3,000 predictions, 3,000 of them new.\nAccepted: ")
    assert "HEALTHY: there is not enough evidence of a change. " in shown.out
    risk = Monitor.load(tmp_path / "state.sqlite").means["risk"].mean
    assert risk == pytest.approx((1 - decisions.p_correct[decisions.accepted]).mean(), abs=1e-6)


def test_late_labels_tell_of_harm_that_stays(watched: Path, tmp_path: Path, capsys: Captured) -> None:
    state, accepted = tmp_path / "state.sqlite", np.flatnonzero(Gate.load(watched / "gate").decide(NEW).accepted)[::-1]
    monitor(watched, state)
    few, more = accepted[:50], accepted[50:450]
    assert monitor(watched, state, "", "--labels", write_labels(tmp_path / "few.csv", few)) == 0
    assert monitor(watched, state, "", "--labels", write_labels(tmp_path / "few.csv", few, 50)) == 0  # never twice
    assert state_of(state)["labelled"]["total"] == 0
    capsys.readouterr()
    assert monitor(watched, state, "", "--labels", write_labels(tmp_path / "more.csv", more, 200)) == 3
    shown = capsys.readouterr().out
    assert "450 labels, 400 of them new." in shown
    assert "HARMFUL after " in shown
    assert "by their labels, more than the promised 10 % of the accepted are wrong" in shown
    assert monitor(watched, state, "") == 3
    assert state_of(state)["labels"] == 450


def test_labels_in_a_column_of_the_predictions(watched: Path, tmp_path: Path) -> None:
    table = pq.read_table(watched / "day0.parquet")
    truths = [str(label) if row % 2 else None for row, label in enumerate(NEW.predictions[:1_000])]
    pq.write_table(table.append_column("truth", pa.array(truths)), tmp_path / "day.parquet")
    words = watch(watched, tmp_path / "state.sqlite")
    assert main([*words, "--predictions", str(tmp_path / "day.parquet"), "--labels", "truth"]) == 0
    found = state_of(tmp_path / "state.sqlite")
    assert (found["labels"], found["correct"]) == (500, 500)


def test_json_has_the_state_and_what_follows_from_it(watched: Path, tmp_path: Path, capsys: Captured) -> None:
    labels = write_labels(tmp_path / "labels.csv", np.arange(2_000))
    assert monitor(watched, tmp_path / "state.sqlite", "012", "--labels", labels, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["state"] == state_of(tmp_path / "state.sqlite")
    assert (shown["health"], shown["alarms"]) == ("healthy", {})
    low, high = shown["coverage_interval"]
    assert low < shown["state"]["accepted"] / 3_000 < high


REFUSED = [
    ("--delta 0.1", "made with delta 0.05, found 0.1: begin another state"),
    ("--labels HERE/names.csv", "expected labels as they are predicted, a whole number, found"),
    ("--labels HOME/day0.parquet", "expected true labels, found predictions, whose label is what was"),
    ("--predictions HOME/day1.parquet --labels label", "labels: expected a column of true labels"),
    ("--labels reviewed.tsv", "labels: expected a file that ends in .csv or .parquet, or a column of"),
    ("--labels HERE/none.csv", "expected a table, found no such file"),
    ("--predictions HERE/none.csv", "expected a table, found no such file"),
    ("--predictions HERE/accepted.parquet", "accepted.parquet: accepted: expected False for"),
    ("--predictions HERE/unmarked.parquet", "unmarked.parquet: audit: expected True for"),
    ("--predictions HERE/cut.parquet", "cut.parquet: cannot be read as a Parquet file ("),
    (
        "--predictions HOME/day1.parquet HERE/moved.parquet",
        "expected ids that tell predictions apart, over all files, found 'row/1/",
    ),
]


def test_bad_input_is_told_in_one_line_and_changes_nothing(watched: Path, tmp_path: Path, capsys: Captured) -> None:
    state = tmp_path / "state.sqlite"
    monitor(watched, state, "0")
    before = state.read_bytes()
    pc.write_csv(pa.table({"id": ["row/1/3"], "label": ["cat"]}), tmp_path / "names.csv")
    table = pq.read_table(watched / "day0.parquet")
    others = table.set_column(0, "id", pa.array([f"row/1/{row + 1}" for row in range(1_000)]))
    pq.write_table(others, tmp_path / "moved.parquet")
    for name, day, column, value in (("accepted", "day0", "accepted", True), ("unmarked", "audited", AUDIT, False)):
        rows = pq.read_table(watched / f"{day}.parquet")
        changed = rows.set_column(rows.column_names.index(column), column, pa.array([value] * len(rows)))
        pq.write_table(changed, tmp_path / f"{name}.parquet")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    for words, expected in REFUSED:
        given = words.replace("HERE", str(tmp_path)).replace("HOME", str(watched)).split()
        refuses(watch(watched, state, *given), capsys, expected)
        assert state.read_bytes() == before


def test_what_a_state_was_made_with_need_not_be_given_again(watched: Path, tmp_path: Path) -> None:
    assert monitor(watched, tmp_path / "state.sqlite", "0", "--delta", "0.1") == 0
    assert monitor(watched, tmp_path / "state.sqlite", "1") == 0
    found = state_of(tmp_path / "state.sqlite")
    assert (found["delta"], found["rows"]) == (0.1, 2_000)


def test_another_gate_is_refused(watched: Path, tmp_path: Path, capsys: Captured) -> None:
    monitor(watched, tmp_path / "state.sqlite", "0")
    Gate.of(MCP(), LABELLED, max_risk=0.2).save(tmp_path / "gate")
    words = ["monitor", "--gate", str(tmp_path / "gate"), "--state", str(tmp_path / "state.sqlite")]
    refuses(words, capsys, "expected the state of this gate, found another gate's: begin another")
    words[-1] = str(tmp_path / "new.sqlite")
    expected = f"day0.parquet: expected predictions of the gate {tmp_path / 'gate'}, found another gate's"
    refuses([*words, "--predictions", str(watched / "day0.parquet")], capsys, expected)
    assert not (tmp_path / "new.sqlite").exists()


@pytest.fixture
def bare(watched: Path, tmp_path: Path) -> Path:
    """Return the folder of a gate as it is shared, without its calibration rows."""
    replace(Gate.load(watched / "gate"), calibration_rows=None).save(tmp_path / "bare")
    return tmp_path / "bare"


def test_a_gate_without_its_rows_takes_labelled_outputs_and_keeps_to_them(
    bare: Path, watched: Path, tmp_path: Path, capsys: Captured
) -> None:
    LABELLED.subset(np.arange(len(LABELLED) // 2)).save(tmp_path / "half")
    words = ["monitor", "--gate", str(bare), "--state", str(tmp_path / "state.sqlite")]
    refuses(words, capsys, "expected a gate that knows its calibration rows", "calibrate it again, or give")
    for _ in range(2):
        assert main([*words, "--calibration", str(watched / "labelled")]) == 0
    assert state_of(tmp_path / "state.sqlite")["coverage"] == Gate.load(bare).decide(LABELLED).coverage
    expected = "made with other calibration rows than these: begin another state"
    refuses([*words, "--calibration", str(tmp_path / "half")], capsys, expected)


@pytest.mark.slow
def test_files_may_be_named_one_by_one_and_the_output_may_be_cut_off(watched: Path, tmp_path: Path) -> None:
    files = [f"--predictions {watched / f'day{day}.parquet'}" for day in range(3)]
    words = f"monitor --gate {watched / 'gate'} --state {tmp_path / 'state.sqlite'} {' '.join(files)} --json"
    program = f"{sys.executable} -m steepslope {words}"
    shown = subprocess.run(
        ["bash", "-c", f"{program} | true; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=True
    )
    assert state_of(tmp_path / "state.sqlite")["rows"] == 3_000
    assert shown.stdout == "141\n"
    assert "rror" not in shown.stderr


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_an_earlier_state_and_nothing_counts_twice(watched: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    files = [str(watched / f"day{day}.parquet") for day in "012"]
    words = ["-m", "steepslope", *watch(watched, state, "--predictions")]
    for wait in (1.0, 2.0, 3.0):
        process = subprocess.Popen([sys.executable, *words, *files])
        time.sleep(wait)
        process.kill()
        process.wait()
        assert not state.exists() or state_of(state)["rows"] in (0, 3_000)
    assert monitor(watched, state) == 0
    assert state_of(state)["rows"] == 3_000
    monitor(watched, tmp_path / "whole.sqlite")
    assert state_of(state) == state_of(tmp_path / "whole.sqlite")


def shifted_outputs(folder: Path) -> Path:
    """Write outputs whose classifier is less sure than that of the calibration rows."""
    logits = 0.4 * np.asarray(NEW.logits)
    ClassifierOutputs(logits, NEW.labels, ids=NEW.ids).save(folder)
    return folder


@pytest.mark.parametrize("out", ["found.parquet", "-"])
def test_predict_and_monitor_say_the_same_of_a_file(out: str, watched: Path, tmp_path: Path, capsys: Captured) -> None:
    shifted, file = shifted_outputs(tmp_path / "shifted"), out if out == "-" else str(tmp_path / out)
    words = ["predict", "--gate", str(watched / "gate"), "--outputs"]
    capsys.readouterr()
    assert main([*words, str(watched / "outputs0"), "--out", str(tmp_path / "as-it-was.parquet")]) == 0
    assert "HEALTHY: there is not enough evidence of a change." in capsys.readouterr().err
    assert main([*words, str(shifted), "--out", file]) == 4
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("CHANGED after ")]
    assert "P(correct) (mean " in line
    if out != "-":
        assert main([*words, str(shifted), "--out", file]) == 4  # already complete
        assert main(watch(watched, tmp_path / "state.sqlite", "--predictions", file)) == 4
        assert f"\n{line.split(':')[0]}: " in capsys.readouterr().out  # after as many predictions


def test_predict_says_where_health_cannot_be_known(bare: Path, watched: Path, tmp_path: Path, capsys: Captured) -> None:
    out = str(tmp_path / "found.csv")
    assert main(["predict", "--gate", str(bare), "--outputs", str(watched / "outputs0"), "--out", out]) == 0
    assert "Whether inputs have changed is unknown" in capsys.readouterr().err
