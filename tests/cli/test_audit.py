"""An audit by commands: `predict` marks what to label, and `monitor` tells by these labels how many are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from steepslope.cli.main import main
from steepslope.gate import Gate
from steepslope.monitor import Monitor, counting
from steepslope.outputs import ClassifierOutputs
from steepslope.predict.audit import AUDIT, CHANCE, chances
from steepslope.scores import MCP
from tests.cli.predictions import predict, predicted, refuses
from tests.conftest import make_outputs

NEW = make_outputs(3_000, seed=1)
AUDITED = ("--audit", "150")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a gate of MCP, and a file of its decisions with an audit; tests must not write there."""
    folder = tmp_path_factory.mktemp("audited")
    Gate.of(MCP(), make_outputs(4_000), max_risk=0.1).save(folder / "gate")
    NEW.save(folder / "outputs")
    predicted(folder / "gate", folder / "day.parquet", "--outputs", str(folder / "outputs"), *AUDITED)
    return folder


def monitor(home: Path, state: Path, *options: str, day: Path | None = None) -> int:
    files = ["--predictions", str(day or home / "day.parquet")]
    return main(["monitor", "--gate", str(home / "gate"), "--state", str(state), *files, *options])


def labels(path: Path, table: Any, wrong: np.ndarray) -> str:
    """Write a true label of each row: the predicted one, or another where it is to be wrong."""
    truths = (table["label"].to_numpy() + wrong) % 4
    pc.write_csv(pa.table({"id": table["id"], "label": truths}), path)
    return str(path)


def test_the_doubtful_are_marked_more_often_and_each_probability_stands_there(home: Path) -> None:
    table = pq.read_table(home / "day.parquet")
    accepted, p_correct = (table[name].to_numpy() for name in ("accepted", "p_correct"))
    chance, marked = table[CHANCE].to_numpy(), table[AUDIT].to_numpy()
    np.testing.assert_allclose(chance[accepted], chances(p_correct[accepted], 0.1, 150))
    assert not chance[~accepted].any()
    assert not marked[~accepted].any()
    assert abs(marked.sum() - 150) < 4 * np.sqrt(150)
    assert p_correct[marked].mean() < p_correct[accepted].mean()
    assert json.loads((home / "day.parquet.json").read_text())["audited"] == marked.sum()


def test_however_a_file_is_cut_and_named_the_same_rows_are_marked(home: Path, tmp_path: Path) -> None:
    options = ["--outputs", str(home / "outputs"), *AUDITED]
    assert predict(home / "gate", tmp_path / "day.csv", *options) == 0
    found, expected = pc.read_csv(tmp_path / "day.csv"), pq.read_table(home / "day.parquet")
    assert found[AUDIT].to_pylist() == expected[AUDIT].to_pylist()
    np.testing.assert_allclose(found[CHANCE].to_numpy(), expected[CHANCE].to_numpy(), rtol=1e-12)
    plain = predicted(home / "gate", tmp_path / "plain.parquet", *options[:2])
    assert plain.equals(expected.drop_columns([AUDIT, CHANCE]))


def test_labels_of_an_audit_tell_the_risk_of_all(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pq.read_table(home / "day.parquet")
    marked = table.filter(table[AUDIT])
    rng = np.random.default_rng(0)
    wrong = rng.random(len(marked)) < 1 - marked["p_correct"].to_numpy()
    half = labels(tmp_path / "half.csv", marked.slice(50), wrong[50:])
    capsys.readouterr()
    assert monitor(home, tmp_path / "state.sqlite", "--labels", half) == 0
    shown = capsys.readouterr().out
    accepted = int(np.sum(table["accepted"].to_numpy()))
    assert f"Risk of the {accepted:,} accepted under audit, by {len(marked) - 50} labels: " in shown
    assert " 50 that were drawn have no label yet." in shown
    assert "Accuracy on all, by" not in shown
    whole = labels(tmp_path / "whole.csv", marked, wrong)  # its first fifty are new
    assert monitor(home, tmp_path / "state.sqlite", "--labels", whole, "--json") == 0
    audit = json.loads(capsys.readouterr().out)["audit"]
    weights = 1 / marked[CHANCE].to_numpy()
    assert audit["risk"] == pytest.approx(weights @ wrong / weights.sum())
    assert (audit["labels"], audit["waiting"], audit["accepted"]) == (len(marked), 0, accepted)
    assert audit["low"] <= audit["risk"] <= audit["high"] < 0.5
    assert monitor(home, tmp_path / "state.sqlite", "--json") == 0
    assert json.loads(capsys.readouterr().out)["audit"] == audit


def test_a_broken_promise_is_harmful(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pq.read_table(home / "day.parquet")
    marked = table.filter(table[AUDIT])
    wrong = marked["p_correct"].to_numpy() < np.median(marked["p_correct"].to_numpy())
    truths = labels(tmp_path / "labels.csv", marked, wrong)
    capsys.readouterr()
    assert monitor(home, tmp_path / "state.sqlite", "--labels", truths) == 3
    shown = capsys.readouterr().out
    assert "HARMFUL after " in shown
    assert monitor(home, tmp_path / "state.sqlite") == 3


def test_labels_that_the_audit_did_not_ask_for_are_no_evidence(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Complaints: only wrong ones, and many of them."""
    table = pq.read_table(home / "day.parquet")
    others = table.filter(pa.array(table["accepted"].to_numpy() & ~table[AUDIT].to_numpy()))
    truths = labels(tmp_path / "labels.csv", others, np.ones(len(others), np.int64))
    assert monitor(home, tmp_path / "state.sqlite", "--labels", truths) == 0
    shown = capsys.readouterr().out
    assert f"{len(others):,} new labels are of predictions that no audit drew, and are no evidence." in shown
    assert "HEALTHY: there is not enough evidence of a change. Errors that leave no trace" in shown
    plain = table.drop_columns([AUDIT, CHANCE])
    pq.write_table(plain, tmp_path / "plain.parquet")
    assert monitor(home, tmp_path / "other.sqlite", "--labels", truths, day=tmp_path / "plain.parquet") == 3


def test_marked_rows_alone_are_refused_and_so_is_another_audit_of_the_same_rows(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pq.read_table(home / "day.parquet")
    pq.write_table(table.filter(table[AUDIT]), tmp_path / "marked.parquet")
    watch = ["monitor", "--gate", str(home / "gate"), "--state", str(tmp_path / "state.sqlite"), "--predictions"]
    refuses(
        [*watch, str(tmp_path / "marked.parquet")],
        capsys,
        "audit_probability: expected ",
        "by an audit of the whole file, found 0.",
    )
    pq.write_table(table.drop_columns([AUDIT, CHANCE]), tmp_path / "plain.parquet")
    assert main([*watch, str(tmp_path / "plain.parquet")]) == 0
    refuses(
        [*watch, str(home / "day.parquet")],
        capsys,
        "audit_probability: expected the one with which",
        "was counted before",
    )
    truths = labels(tmp_path / "labels.csv", table.slice(0, 50), np.zeros(50, np.int64))
    assert main([*watch, str(tmp_path / "plain.parquet"), "--labels", truths]) == 0
    other = table.set_column(0, "id", pa.array([f"new {row}" for row in range(len(table))]))
    pq.write_table(other, tmp_path / "other.parquet")
    refuses([*watch, str(tmp_path / "other.parquet")], capsys, "this state already counts labels that no audit drew")


def test_several_files_in_parts_are_one_audit(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the parts in which a file is counted, what its labels tell is the same."""
    table = pq.read_table(home / "day.parquet")
    marked = table.filter(table[AUDIT])
    truths = labels(tmp_path / "labels.csv", marked, np.arange(len(marked)) % 9 == 0)
    found = []
    for size in (2**16, 700):
        monkeypatch.setattr(counting, "PART", size)
        assert monitor(home, tmp_path / f"{size}.sqlite", "--labels", truths) in (0, 3)
        found.append(Monitor.load(tmp_path / f"{size}.sqlite"))
    assert found[0].under_audit == found[1].under_audit
    assert found[0].least_chances[1] == found[1].least_chances[1]
    one, other = (state.audit for state in found)
    assert one is not None
    assert other is not None
    assert (one.risk, one.labels, one.alarm) == (other.risk, other.labels, other.alarm)


def test_what_an_audit_cannot_be_is_refused(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["predict", "--gate", str(home / "gate"), "--outputs", str(home / "outputs")]
    refuses([*words, "--out", "-", *AUDITED], capsys, "out: expected a file to write to with --audit", "found -")
    refuses(
        [*words, "--out", str(tmp_path / "a.csv"), "--audit", "0"],
        capsys,
        "audit: expected a whole number >= 1, found 0",
    )
    table = pq.read_table(home / "day.parquet")
    watch = ["monitor", "--gate", str(home / "gate"), "--state", str(tmp_path / "state.sqlite"), "--predictions"]
    for name, changed, *expected in (
        ("one", table.drop_columns([CHANCE]), "both columns of an audit, audit and audit_probability", "found one"),
        ("zero", table.set_column(table.column_names.index(CHANCE), CHANCE, pa.array(np.zeros(len(table)))),
         "audit_probability: expected a probability above 0 for each accepted prediction, found 0"),
        ("words", table.set_column(table.column_names.index(AUDIT), AUDIT, pa.array(["yes"] * len(table))),
         "column 'audit': expected true or false"),
    ):  # fmt: skip
        pq.write_table(changed, tmp_path / f"{name}.parquet")
        refuses([*watch, str(tmp_path / f"{name}.parquet")], capsys, *expected)


def test_nothing_accepted_is_nothing_to_audit(home: Path, tmp_path: Path) -> None:
    rows = ClassifierOutputs(np.zeros((40, 4)), ids=np.array([f"none {row}" for row in range(40)]))
    rows.save(tmp_path / "outputs")
    predict(home / "gate", tmp_path / "day.parquet", "--outputs", str(tmp_path / "outputs"), *AUDITED)
    table = pq.read_table(tmp_path / "day.parquet")
    assert not table["accepted"].to_numpy().any()
    assert not table[AUDIT].to_numpy().any()
    assert monitor(home, tmp_path / "state.sqlite", day=tmp_path / "day.parquet") in (0, 4)
    found = Monitor.load(tmp_path / "state.sqlite")
    assert (found.rows, found.under_audit, found.audit) == (40, 0, None)
