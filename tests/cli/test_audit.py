"""An audit by commands: `predict` marks what to label, and `monitor` tells by these labels how many are wrong.

Labels that are copies of the predictions are a caution; few labels or true ones raise no doubt.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steepslope.cli._main import main
from steepslope.monitor import Monitor, _counting as counting
from steepslope.outputs import ClassifierOutputs
from steepslope.predict._audit import AUDIT, CHANCE, audit_chances
from tests.cli.predictions import predict, refuses, watch, write_labels
from tests.conftest import Captured

AUDITED = ("--audit", "150")


def monitor(home: Path, state: Path, *options: str, day: Path | None = None) -> int:
    return main(watch(home, state, "--predictions", str(day or home / "audited.parquet"), *options))


def test_the_doubtful_are_marked_more_often_and_each_probability_stands_there(watched: Path) -> None:
    table = pq.read_table(watched / "audited.parquet")
    accepted, p_correct = (table[name].to_numpy() for name in ("accepted", "p_correct"))
    chance, marked = table[CHANCE].to_numpy(), table[AUDIT].to_numpy()
    np.testing.assert_allclose(chance[accepted], audit_chances(p_correct[accepted], 0.1, 150))
    assert not chance[~accepted].any()
    assert not marked[~accepted].any()
    assert abs(marked.sum() - 150) < 4 * np.sqrt(150)
    assert p_correct[marked].mean() < p_correct[accepted].mean()
    assert json.loads((watched / "audited.parquet.json").read_text())["audited"] == marked.sum()


def test_labels_of_an_audit_tell_the_risk_of_all(watched: Path, tmp_path: Path, capsys: Captured) -> None:
    table = pq.read_table(watched / "audited.parquet")
    marked = table.filter(table[AUDIT])
    rng = np.random.default_rng(0)
    wrong = rng.random(len(marked)) < 1 - marked["p_correct"].to_numpy()
    half = write_labels(tmp_path / "half.csv", marked.slice(50), wrong[50:])
    capsys.readouterr()
    assert monitor(watched, tmp_path / "state.sqlite", "--labels", half) == 0
    shown = capsys.readouterr().out
    accepted = int(np.sum(table["accepted"].to_numpy()))
    assert f"Risk of the {accepted:,} accepted under audit, by {len(marked) - 50} labels: " in shown
    assert " 50 that were drawn have no label yet." in shown
    assert "Accuracy on all, by" not in shown
    whole = write_labels(tmp_path / "whole.csv", marked, wrong)  # its first fifty are new
    assert monitor(watched, tmp_path / "state.sqlite", "--labels", whole, "--json") == 0
    audit = json.loads(capsys.readouterr().out)["audit"]
    weights = 1 / marked[CHANCE].to_numpy()
    assert audit["risk"] == pytest.approx(weights @ wrong / weights.sum())
    assert (audit["labels"], audit["waiting"], audit["accepted"]) == (len(marked), 0, accepted)
    assert audit["low"] <= audit["risk"] <= audit["high"] < 0.5
    assert monitor(watched, tmp_path / "state.sqlite", "--json") == 0
    assert json.loads(capsys.readouterr().out)["audit"] == audit


def test_labels_that_the_audit_did_not_ask_for_are_no_evidence(watched: Path, tmp_path: Path, capsys: Captured) -> None:
    """Complaints: only wrong ones, and many of them."""
    table = pq.read_table(watched / "audited.parquet")
    others = table.filter(pa.array(table["accepted"].to_numpy() & ~table[AUDIT].to_numpy()))
    truths = write_labels(tmp_path / "labels.csv", others, np.ones(len(others), np.int64))
    assert monitor(watched, tmp_path / "state.sqlite", "--labels", truths) == 0
    shown = capsys.readouterr().out
    assert f"{len(others):,} new labels are of predictions that no audit drew, and are no evidence." in shown
    assert "HEALTHY: there is not enough evidence of a change. Errors that leave no trace" in shown
    plain = table.drop_columns([AUDIT, CHANCE])
    pq.write_table(plain, tmp_path / "plain.parquet")
    assert monitor(watched, tmp_path / "other.sqlite", "--labels", truths, day=tmp_path / "plain.parquet") == 3


def test_another_audit_of_the_same_rows_is_refused(watched: Path, tmp_path: Path, capsys: Captured) -> None:
    table = pq.read_table(watched / "audited.parquet")
    begin = watch(watched, tmp_path / "state.sqlite", "--predictions")
    pq.write_table(table.drop_columns([AUDIT, CHANCE]), tmp_path / "plain.parquet")
    assert main([*begin, str(tmp_path / "plain.parquet")]) == 0
    refuses(
        [*begin, str(watched / "audited.parquet")],
        capsys,
        "audit_probability: expected the one with which",
        "was counted before",
    )
    truths = write_labels(tmp_path / "labels.csv", table.slice(0, 50), np.zeros(50, np.int64))
    assert main([*begin, str(tmp_path / "plain.parquet"), "--labels", truths]) == 0
    other = table.set_column(0, "id", pa.array([f"new {row}" for row in range(len(table))]))
    pq.write_table(other, tmp_path / "other.parquet")
    refuses([*begin, str(tmp_path / "other.parquet")], capsys, "this state already counts labels that no audit drew")


def test_several_files_in_parts_are_one_audit(watched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the parts in which a file is counted, what its labels tell is the same."""
    table = pq.read_table(watched / "audited.parquet")
    marked = table.filter(table[AUDIT])
    truths = write_labels(tmp_path / "labels.csv", marked, np.arange(len(marked)) % 9 == 0)
    found: list[Any] = []
    for size in (2**16, 700):
        monkeypatch.setattr(counting, "PART", size)
        assert monitor(watched, tmp_path / f"{size}.sqlite", "--labels", truths) in (0, 3)
        found.append(Monitor.load(tmp_path / f"{size}.sqlite"))
    assert found[0].under_audit == found[1].under_audit
    assert found[0].least_chances[1] == found[1].least_chances[1]
    one, other = (state.audit for state in found)
    assert (one.risk, one.labels, one.alarm) == (other.risk, other.labels, other.alarm)


def test_what_an_audit_cannot_be_is_refused(watched: Path, tmp_path: Path, capsys: Captured) -> None:
    words = ["predict", "--gate", str(watched / "gate"), "--outputs", str(watched / "outputs")]
    file = str(tmp_path / "a.csv")
    refuses([*words, "--out", file, "--audit", "0"], capsys, "audit: expected a whole number >= 1, found 0")
    table = pq.read_table(watched / "audited.parquet")
    begin = watch(watched, tmp_path / "state.sqlite", "--predictions")
    for name, changed, *expected in (
        ("one", table.drop_columns([CHANCE]), "both columns of an audit, audit and audit_probability", "found one"),
        ("zero", table.set_column(table.column_names.index(CHANCE), CHANCE, pa.array(np.zeros(len(table)))),
         "audit_probability: expected a probability above 0 for each accepted prediction, found 0"),
        ("words", table.set_column(table.column_names.index(AUDIT), AUDIT, pa.array(["yes"] * len(table))),
         "column 'audit': expected true or false"),
    ):  # fmt: skip
        pq.write_table(changed, tmp_path / f"{name}.parquet")
        refuses([*begin, str(tmp_path / f"{name}.parquet")], capsys, *expected)


def test_nothing_accepted_is_nothing_to_audit(watched: Path, tmp_path: Path) -> None:
    rows = ClassifierOutputs(np.zeros((40, 4)), ids=np.array([f"none {row}" for row in range(40)]))
    rows.save(tmp_path / "outputs")
    predict(watched / "gate", tmp_path / "day.parquet", "--outputs", str(tmp_path / "outputs"), *AUDITED)
    table = pq.read_table(tmp_path / "day.parquet")
    assert not table["accepted"].to_numpy().any()
    assert not table[AUDIT].to_numpy().any()
    assert monitor(watched, tmp_path / "state.sqlite", day=tmp_path / "day.parquet") in (0, 4)
    found = Monitor.load(tmp_path / "state.sqlite")
    assert (found.rows, found.under_audit, found.audit) == (40, 0, None)


def truths(frame: pd.DataFrame) -> np.ndarray:
    """Draw true labels that are wrong as often as P(correct) says."""
    labels: np.ndarray = frame["label"].to_numpy().copy()
    is_wrong = np.random.default_rng(0).random(len(frame)) > frame["p_correct"].to_numpy()
    labels[is_wrong] = (labels[is_wrong] + 1) % 4
    return labels


def test_copies_of_the_predictions_are_a_caution(watched: Path, tmp_path: Path, capsys: Captured) -> None:
    frame = pd.read_parquet(watched / "audited.parquet")
    chosen, state, labels = frame[frame[AUDIT]], tmp_path / "state.sqlite", tmp_path / "labels.csv"
    chosen[["id", "label"]].to_csv(labels, index=False)
    capsys.readouterr()
    files = ["--predictions", str(watched / "audited.parquet"), "--labels", str(labels)]
    assert main(watch(watched, state, *files)) == 0
    expected = f"Caution: 0 of {len(chosen):,} labels are errors, where by P(correct) about "
    assert expected in capsys.readouterr().out
    assert main(watch(watched, state, "--json")) == 0  # also later
    assert json.loads(capsys.readouterr().out)["caution"].startswith(f"0 of {len(chosen):,} labels are")


@pytest.mark.parametrize("count", [20, 300])
def test_few_labels_without_an_error_and_many_with_some_are_no_caution(
    count: int, watched: Path, tmp_path: Path, capsys: Captured
) -> None:
    frame = pd.read_parquet(watched / "day0.parquet")
    chosen = frame[frame["accepted"]].iloc[:count]
    labels = chosen["label"].to_numpy() if count == 20 else truths(chosen)
    pd.DataFrame({"id": chosen["id"], "label": labels}).to_csv(tmp_path / "labels.csv", index=False)
    files = ["--predictions", str(watched / "day0.parquet"), "--labels", str(tmp_path / "labels.csv")]
    assert main(watch(watched, tmp_path / "state.sqlite", *files)) == 0
    assert "Caution" not in capsys.readouterr().out


def test_copies_that_come_after_true_labels_are_noticed(watched: Path, tmp_path: Path, capsys: Captured) -> None:
    first = pd.read_parquet(watched / "day0.parquet")
    second = first.assign(id=[f"second {row}" for row in range(len(first))])
    for day, labels in ((first, truths(first)), (second, second["label"].to_numpy())):
        path = tmp_path / "day.csv"
        day.assign(truth=labels).to_csv(path, index=False)
        capsys.readouterr()
        words = watch(watched, tmp_path / "state.sqlite", "--predictions", str(path), "--labels", "truth")
        assert main(words) == 0
        assert ("labels are errors, where by P(correct) about " in capsys.readouterr().out) == (day is second)
