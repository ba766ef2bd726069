"""Commands on overlapping groups, and on several rows of one thing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pytest
from numpy.typing import NDArray

from steepslope.cli._main import main
from steepslope.errors import ChangedWarning, SteepslopeError
from steepslope.gate import Gate
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs._copies import rows_together
from steepslope.scores import MCP
from tests.cli.predictions import refuses
from tests.conftest import Captured, make_outputs

N = 900
CLASSES = ("cat", "dog", "emu", "yak")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a table with two kinds of groups, and three images of each of 300 things as outputs with ids."""
    home, rows = tmp_path_factory.mktemp("home"), make_outputs(N)
    labels = rows.require_labels()
    ids = np.array([f"{CLASSES[labels[row]]}/thing{row // 3}/{row % 3}.png" for row in range(N)])
    features = np.random.default_rng(0).normal(size=(N, 5)).astype(np.float32)
    ClassifierOutputs(rows.logits, labels, features, ids, classes=CLASSES).save(home / "images")
    logits = {f"logit_{k}": rows.logits[:, k] for k in range(4)}
    groups = {"sex": [*"fm"] * (N // 2), "age": ["old", "old", "new"] * (N // 3), "thing": np.arange(N) // 3}
    pc.write_csv(pa.table({"label": labels, **logits, **groups}), home / "table.csv")
    return home


def run(home: Path, words: str) -> int:
    return main(words.replace("HOME", str(home)).split())


def test_a_gate_by_two_columns_decides_by_both(home: Path, tmp_path: Path, capsys: Captured) -> None:
    words = f"calibrate --outputs HOME/table.csv --max-risk 0.3 --groups sex,age --out {tmp_path}/gate"
    assert run(home, words) == 0
    assert "So the promise also holds for each sex and for each age" in capsys.readouterr().out
    gate = Gate.load(tmp_path / "gate")
    assert gate.by == "sex × age"
    assert [*gate.thresholds] == ["f × new", "f × old", "m × new", "m × old"]
    for columns in ("", "--groups sex,age"):
        out = tmp_path / f"decisions{len(columns)}.csv"
        assert run(home, f"predict --gate {tmp_path}/gate --outputs HOME/table.csv --out {out} {columns}") == 0
        table = pc.read_csv(out)
        assert table["group"].to_pylist()[:3] == ["f × old", "m × old", "f × new"]
        rows = zip(table["group"].to_pylist(), table["trust_logit"].to_pylist(), strict=True)
        assert table["accepted"].to_pylist() == [trust >= gate.thresholds[group] for group, trust in rows]
    capsys.readouterr()
    predict = f"predict --gate {tmp_path}/gate --outputs {home}/table.csv --out {tmp_path}/other.csv --groups sex"
    refuses(predict, capsys, "groups: expected columns for sex × age, found sex")


@pytest.mark.parametrize("columns", ["sex,label", "predicted,sex"])
def test_groups_that_a_new_row_does_not_tell_are_refused(
    columns: str, home: Path, tmp_path: Path, capsys: Captured
) -> None:
    expected = "groups: expected groups that are known for a new input: predicted alone, or columns"
    refuses(f"calibrate --outputs {home}/table.csv --groups {columns} --out {tmp_path}/gate", capsys, expected)


@pytest.mark.parametrize(
    "words", ["--outputs HOME/images --together folder", "--outputs HOME/table.csv --together thing"]
)
def test_one_row_of_those_that_belong_together_counts(words: str, home: Path, tmp_path: Path) -> None:
    assert run(home, f"calibrate --max-risk 0.3 --out {tmp_path}/gate {words}") == 0
    assert Gate.load(tmp_path / "gate").n == N // 3


def test_no_thing_is_on_both_sides_of_what_is_held_back(quick_nets: None, home: Path, tmp_path: Path) -> None:
    fit = f"fit --outputs HOME/images --budget free --hold-back 0.4 --together folder --out {tmp_path}/oracle"
    assert run(home, fit) == 0
    calibrate = f"calibrate --outputs HOME/images --oracle {tmp_path}/oracle --max-risk 0.4 --out {tmp_path}/gate"
    assert run(home, f"{calibrate} --together folder") == 0
    gate, outputs = Gate.load(tmp_path / "gate"), ClassifierOutputs.load(home / "images")
    assert gate.n == 120
    seen = gate.require_source().fitted_on(outputs).reshape(300, 3)
    assert seen.sum() == 540
    assert (seen.all(axis=1) == seen.any(axis=1)).all()


def test_images_right_in_the_folder_of_their_class_are_no_things(home: Path, tmp_path: Path, capsys: Captured) -> None:
    outputs = ClassifierOutputs.load(home / "images")
    ids = np.array([f"{name.split('/')[0]}/{row}.png" for row, name in enumerate(outputs.require("ids"))])
    outputs.changed(ids=ids).save(tmp_path / "flat")
    expected = "together: expected each image in a folder below that of its class, such as cat/patient7/3.png, found"
    refuses(f"calibrate --outputs {tmp_path}/flat --together folder --out {tmp_path}/gate", capsys, expected)


def test_a_gate_counts_one_of_each_in_python(home: Path) -> None:
    outputs = ClassifierOutputs.load(home / "images")
    things = np.arange(N) // 3
    gate = Gate.of(MCP(), outputs, max_risk=0.3, together=things)
    assert gate.n == len(np.unique(rows_together(outputs, things))) == 300


def documents(count: int, seed: int) -> tuple[ClassifierOutputs, NDArray[np.str_], NDArray[np.int64]]:
    """Return two answers about each document, one harder than the other, with the questions and the documents."""
    draw, document = np.random.default_rng(seed), np.repeat(np.arange(count), 2)
    skill = np.repeat(draw.normal(size=count), 2) + draw.normal(size=2 * count)
    is_correct = skill > np.tile([-2.0, -0.5], count)
    ids = [f"{seed}-{row}" for row in range(2 * count)]
    outputs = ClassifierOutputs.from_graded({"judge": skill}, is_correct, confidence="judge", ids=ids)
    return outputs, np.tile(["easy", "hard"], count), document


def test_each_question_counts_one_row_of_each_document() -> None:
    outputs, question, document = documents(400, seed=0)
    gate = Gate.of(MCP(), outputs, 0.1, by="question", groups=question, together=document)
    assert [one.n for one in gate.promises] == [360, 360]  # the other documents fix the thresholds
    assert gate.calibration_rows is not None
    assert len(gate.calibration_rows.p_correct) == 400  # which a later change is judged against
    assert Gate.of(MCP(), outputs, 0.1, together=document).n == 400
    rejecting = Gate.of(MCP(), outputs, 0.1, by="question", groups=question, together=document, reject=0.8)
    assert rejecting.n == 400  # a promise about the rows of all groups


@pytest.mark.slow
def test_promises_of_questions_are_kept_together() -> None:
    """Each answer stands forty times, with other signals: without ``together``, many gates break a promise."""
    world, question, _ = documents(20_000, seed=1)
    broken: dict[bool, list[bool]] = {True: [], False: []}
    for seed in range(60):
        outputs, asked, document = documents(150, seed=2 + seed)
        rows = np.repeat(np.arange(len(outputs)), 40)
        judge = outputs.require("signal_judge")[rows] + 0.01 * np.random.default_rng(seed).normal(size=len(rows))
        copies = ClassifierOutputs.from_graded({"judge": judge}, outputs.is_correct[rows], confidence="judge")
        for is_told, kept in broken.items():
            things = document[rows] if is_told else np.arange(len(rows))
            gate = Gate.of(MCP(), copies, 0.1, 0.1, by="question", groups=asked[rows], together=things, seed=seed)
            accepted = gate.accepts(MCP().confidence(world), question)
            wrong = [~world.is_correct[accepted & (question == name)] for name in ("easy", "hard")]
            kept.append(any(len(errors) and errors.mean() > 0.1 for errors in wrong))
    assert sum(broken[True]) <= 12  # of 60 at 10 %, which chance exceeds once in 100
    assert sum(broken[False]) > 15


# a burst: sixty rows of each of twenty things


@pytest.fixture(scope="module")
def burst(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a gate and twenty usual rows, each sixty times: in a table, its groups in another, and as images."""
    folder = tmp_path_factory.mktemp("burst")
    Gate.of(MCP(), make_outputs(2_000, seed=1), max_risk=0.3).save(folder / "gate")  # which knows no names of classes
    usual = make_outputs(20, seed=2)
    things = np.repeat(np.arange(20), 60)
    logits = usual.logits[things] + np.random.default_rng(0).normal(0, 1e-3, (1_200, 4))
    ids = np.array([f"thing{thing}/{row}.png" for row, thing in enumerate(things)])
    ClassifierOutputs(logits, ids=ids, classes=CLASSES).save(folder / "images")
    columns = {f"logit_{k}": logits[:, k] for k in range(4)} | {"thing": things}
    pc.write_csv(pa.table(columns), folder / "table.csv")
    pc.write_csv(pa.table({"id": ids, "group": things}), folder / "things.csv")
    return folder


@pytest.mark.parametrize(
    ("outputs", "together"), [("table.csv", "thing"), ("images", "folder"), ("images", "HOME/things.csv")]
)
def test_rows_of_one_thing_tell_once_of_a_change(outputs: str, together: str, burst: Path, tmp_path: Path) -> None:
    classes = tmp_path / "classes.txt"
    classes.write_text("\n".join(CLASSES))
    named = f"--classes {classes} " if outputs == "table.csv" else ""
    predict = f"predict --gate HOME/gate --outputs HOME/{outputs} {named}--out {tmp_path}/decisions.csv"
    assert run(burst, predict) == 4
    assert run(burst, f"{predict} --replace --together {together}") == 0
    decisions = pc.read_csv(tmp_path / "decisions.csv")
    assert len(decisions) == 1_200
    assert "together" not in decisions.column_names
    assert not any(decisions["stopped"].to_pylist())
    assert any(decisions["accepted"].to_pylist())


def test_rows_without_ids_lie_in_no_folder(burst: Path, tmp_path: Path, capsys: Captured) -> None:
    rows = pc.read_csv(burst / "table.csv").drop_columns(["thing"])
    pc.write_csv(rows, tmp_path / "rows.csv")
    predict = f"predict --gate {burst}/gate --outputs {tmp_path}/rows.csv --out {tmp_path}/decisions.csv"
    refuses(f"{predict} --together folder", capsys, "together: expected each image in a folder below that of its class")


def test_in_python_too(burst: Path) -> None:
    gate, outputs = Gate.load(burst / "gate"), ClassifierOutputs.load(burst / "images")
    with pytest.warns(ChangedWarning):
        assert not gate.decide(outputs).accepted.any()
    assert gate.decide(outputs, together=np.repeat(np.arange(20), 60)).accepted.any()
    with pytest.raises(SteepslopeError, match=r"together: expected one for each prediction, \(1200,\), found shape"):
        gate.decide(outputs, together=np.arange(20))
