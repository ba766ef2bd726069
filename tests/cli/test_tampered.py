"""Files of decisions that were changed after `predict` wrote them: `monitor` refuses them, and its state stays."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from steepslope.cli.main import main
from steepslope.gate import Gate
from steepslope.predict.audit import AUDIT, CHANCE
from steepslope.scores import MCP
from tests.cli.predictions import predicted, refuses
from tests.conftest import make_outputs

NEW = make_outputs(3_000, seed=1)
Change = Callable[[pd.DataFrame], Any]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make gates of MCP, and files of their decisions on rows drawn alike; tests must not write there."""
    folder = tmp_path_factory.mktemp("tampered")
    labelled, columns = make_outputs(4_000), {"site": np.array(["north", "south"])}
    NEW.save(folder / "outputs")
    table = {f"logit_{k}": NEW.logits[:, k] for k in range(4)} | {
        "id": NEW.ids,
        "site": np.tile(columns["site"], 1_500),
    }
    pq.write_table(pa.table(table), folder / "sites.parquet")
    sites = np.tile(columns["site"], 2_000)
    for name, gate in {
        "gate": Gate.of(MCP(), labelled, max_risk=0.1),
        "rejecting": Gate.of(MCP(), labelled, max_risk=0.1, reject=0.5),
        "sites": Gate.of(MCP(), labelled, max_risk=0.1, by="site", groups=sites),
    }.items():
        gate.save(folder / name)
        outputs = folder / ("sites.parquet" if name == "sites" else "outputs")
        predicted(folder / name, folder / f"{name}-day.parquet", "--outputs", str(outputs))
    predicted(folder / "gate", folder / "audited.parquet", "--outputs", str(folder / "outputs"), "--audit", "300")
    return folder


def accept(frame: pd.DataFrame, rows: Any) -> None:
    """Decide of some rows that they are accepted, and of others that they are not."""
    frame["accepted"] = rows
    frame["decision"] = np.where(rows, "accept", "review")


def alone(name: str, value: Any) -> Change:
    return lambda frame: frame.__setitem__(name, value)


def unmarked(frame: pd.DataFrame) -> None:
    """Take the mark from some rows, as who would rather not have them labelled."""
    frame.loc[frame.index[frame[AUDIT]][:20], AUDIT] = False


def unlikely(frame: pd.DataFrame) -> None:
    """Do so, and make the probabilities of these rows so low that they need not have been drawn."""
    rows = frame.index[frame[AUDIT]][:5]
    frame.loc[rows, AUDIT] = False
    frame.loc[rows, CHANCE] = 1e-4


def surer(frame: pd.DataFrame) -> None:
    frame["p_correct"] = 0.5 + frame["p_correct"] / 2


def hidden(frame: pd.DataFrame) -> None:
    """Make an accepted row look as if its image could not be read."""
    frame.loc[frame.index[frame["accepted"]][:3], "p_correct"] = None


TAMPERED: dict[str, tuple[str, Change, str]] = {
    "all accepted": ("gate-day", lambda frame: accept(frame, True), "decision: expected review for"),
    "none accepted": ("gate-day", lambda frame: accept(frame, False), "decision: expected accept for"),
    "all, in one column": ("gate-day", alone("accepted", True), "accepted: expected False for"),
    "none, in one column": ("gate-day", alone("accepted", False), "accepted: expected True for"),
    "all of sites": ("sites-day", lambda frame: accept(frame, True), "decision: expected review for"),
    "none of sites": ("sites-day", lambda frame: accept(frame, False), "decision: expected accept for"),
    "another site": ("sites-day", alone("group", "elsewhere"), "decision: expected review for"),
    "nothing rejected": (
        "rejecting-day",
        lambda frame: frame.__setitem__("decision", frame["decision"].replace("reject", "review")),
        "decision: expected reject for",
    ),
    "all of an audit": ("audited", lambda frame: accept(frame, False), "decision: expected accept for"),
    "surer": ("gate-day", surer, "p_correct: expected 0."),
    "surer logits": ("gate-day", alone("trust_logit", 0.999), "p_correct: expected 0."),
    "hidden": ("gate-day", hidden, "column 'p_correct': expected a number in each accepted row"),
    "unmarked": ("audited", unmarked, "audit: expected True for"),
    "unlikely": ("audited", unlikely, "audit_probability: expected 0."),
    "other ids": (
        "audited",
        lambda frame: frame.__setitem__("id", [f"new {row}" for row in range(len(frame))]),
        "audit: expected ",
    ),
}


def write(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)
    return path


def watch(home: Path, gate: str, state: Path, *options: str) -> list[str]:
    return ["monitor", "--gate", str(home / gate), "--state", str(state), *options]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize("name", TAMPERED)
def test_what_contradicts_is_one_line_and_the_state_stays(
    name: str, ending: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day, change, expected = TAMPERED[name]
    gate = day.removesuffix("-day") if day.endswith("-day") else "gate"
    state = tmp_path / "state.sqlite"
    assert main(watch(home, gate, state)) == 0
    before = state.read_bytes()
    frame = pd.read_parquet(home / f"{day}.parquet")
    change(frame)
    path = write(frame, tmp_path / f"day.{ending}")
    line = refuses(watch(home, gate, state, "--predictions", str(path)), capsys, f"day.{ending}: ", expected)
    assert line.startswith(f"steepslope: error: {path}: ")
    assert state.read_bytes() == before


@pytest.mark.parametrize("day", ["gate-day", "sites-day", "rejecting-day", "audited"])
@pytest.mark.parametrize("written", ["%.6f", "%.4f", "%.6g", "%.3g", "float32"])
def test_files_that_were_written_again_with_fewer_digits_are_believed(
    day: str, written: str, home: Path, tmp_path: Path
) -> None:
    frame, gate = pd.read_parquet(home / f"{day}.parquet"), day.removesuffix("-day").replace("audited", "gate")
    path = tmp_path / "day.csv"
    if written == "float32":
        names = frame.select_dtypes("float64").columns
        path = write(frame.astype(dict.fromkeys(names, np.float32)), tmp_path / "day.parquet")
    else:
        frame.to_csv(path, index=False, float_format=written)
    assert main(watch(home, gate, tmp_path / "state.sqlite", "--predictions", str(path))) == 0


def test_a_state_whose_rows_were_edited_is_refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state.sqlite"
    assert main(watch(home, "gate", state, "--predictions", str(home / "gate-day.parquet"))) == 0
    with closing(sqlite3.connect(state)) as connection, connection:
        connection.execute("UPDATE predictions SET p_correct = 0.99")
    refuses(watch(home, "gate", state), capsys, "state.sqlite: was changed after it was written, or is damaged")


@pytest.mark.parametrize("day", ["audited", "gate-day"])
def test_labels_that_are_copies_of_the_predictions_are_a_caution(
    day: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.read_parquet(home / f"{day}.parquet")
    chosen = frame[frame[AUDIT]] if day == "audited" else frame[frame["accepted"]]
    state, labels = tmp_path / "state.sqlite", tmp_path / "labels.csv"
    files = ["--predictions", str(home / f"{day}.parquet"), "--labels", str(labels)]
    chosen[["id", "label"]].to_csv(labels, index=False)
    capsys.readouterr()
    assert main(watch(home, "gate", state, *files)) == 0
    shown = capsys.readouterr().out
    assert f"Caution: the latest {len(chosen):,} labels equal the predictions, all of them." in shown
    assert main(watch(home, "gate", state, "--json")) == 0  # also later
    assert json.loads(capsys.readouterr().out)["caution"].startswith(f"the latest {len(chosen):,} labels")


@pytest.mark.parametrize("count", [20, 300])
def test_few_labels_without_an_error_and_many_with_some_are_no_caution(
    count: int, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twenty rows with a mean P(correct) of 94 % are all right in one of three cases."""
    frame = pd.read_parquet(home / "gate-day.parquet")
    chosen = frame[frame["accepted"]].iloc[:count]
    truths = chosen["label"].to_numpy().copy()
    if count > 20:
        is_wrong = np.random.default_rng(0).random(count) > chosen["p_correct"].to_numpy()
        truths[is_wrong] = (truths[is_wrong] + 1) % 4
    labels = tmp_path / "labels.csv"
    pc.write_csv(pa.table({"id": chosen["id"].to_list(), "label": truths}), labels)
    files = ["--predictions", str(home / "gate-day.parquet"), "--labels", str(labels)]
    assert main(watch(home, "gate", tmp_path / "state.sqlite", *files)) == 0
    assert "Caution" not in capsys.readouterr().out


def test_copies_that_come_after_true_labels_are_noticed(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (pd.read_parquet(home / "gate-day.parquet") for _ in range(2))
    second["id"] = [f"second {row}" for row in range(len(second))]
    truths = first["label"].to_numpy().copy()
    is_wrong = np.random.default_rng(0).random(len(first)) > first["p_correct"].to_numpy()
    truths[is_wrong] = (truths[is_wrong] + 1) % 4
    state = tmp_path / "state.sqlite"
    for day, labels in ((first, truths), (second, second["label"].to_numpy())):
        path = write(day.assign(truth=labels), tmp_path / "day.parquet")
        capsys.readouterr()
        assert main(watch(home, "gate", state, "--predictions", str(path), "--labels", "truth")) == 0
        assert ("Caution: the latest " in capsys.readouterr().out) == (day is second)
