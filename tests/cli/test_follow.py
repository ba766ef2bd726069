"""A gate that follows its audit, by commands: strict after bad labels, and open again after good ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pytest

from steepslope.cli.main import main
from steepslope.gate import Gate
from steepslope.monitor import Monitor
from steepslope.outputs import ClassifierOutputs
from steepslope.predict.audit import AUDIT, CHANCE, chances
from steepslope.scores import MCP
from tests.cli.predictions import predicted, refuses
from tests.conftest import make_outputs

RISK = 0.1


class Days:
    """A gate, its monitor's state, and a file of predictions a day."""

    def __init__(self, home: Path, here: Path) -> None:
        self.gate, self.here, self.state = home / "gate", here, here / "state.sqlite"

    def predict(self, day: int, *options: str) -> Any:
        """Decide on a day's rows, of which about 100 are to be labelled, by the limit in the state."""
        rows = make_outputs(1_500, seed=10 + day)
        ids = np.array([f"day {day}, row {row}" for row in range(len(rows))])
        ClassifierOutputs(rows.logits, ids=ids).save(self.here / f"outputs{day}")
        words = ["--outputs", str(self.here / f"outputs{day}"), "--audit", "100", "--follow", str(self.state)]
        return predicted(self.gate, self.here / f"{day}.parquet", *words, *options)

    def label(self, day: int, table: Any, is_wrong: np.ndarray) -> int:
        """Count a day's file, and labels of all that its audit drew."""
        truths = (table["label"].to_numpy() + is_wrong) % 4
        marked = table[AUDIT].to_numpy()
        path = self.here / f"labels{day}.csv"
        pc.write_csv(pa.table({"id": table["id"].to_numpy()[marked], "label": truths[marked]}), path)
        files = ["--predictions", str(self.here / f"{day}.parquet"), "--labels", str(path)]
        return self.monitor(*files)

    def monitor(self, *options: str) -> int:
        """Run the monitor."""
        return main(["monitor", "--gate", str(self.gate), "--state", str(self.state), *options])

    @property
    def limit(self) -> float:
        """The limit in the state."""
        audit = Monitor.load(self.state).audit
        assert audit is not None
        assert audit.followed is not None
        return audit.followed.limit.p_correct


def doubtful(table: Any) -> np.ndarray:
    """Return which predictions are more doubtful than two thirds of the accepted, (m,)."""
    p_correct, accepted = (table[name].to_numpy() for name in ("p_correct", "accepted"))
    return np.asarray(p_correct < np.quantile(p_correct[accepted], 1 / 3))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a gate of MCP; tests must not write there."""
    folder = tmp_path_factory.mktemp("followed")
    Gate.of(MCP(), make_outputs(4_000), max_risk=RISK).save(folder / "gate")
    return folder


@pytest.fixture
def days(home: Path, tmp_path: Path) -> Days:
    """Begin a state with which the gate follows."""
    found = Days(home, tmp_path)
    assert found.monitor("--follow") == 0
    return found


def test_it_is_strict_after_bad_labels_and_opens_after_good_ones(
    days: Days, capsys: pytest.CaptureFixture[str]
) -> None:
    first = days.predict(1)
    capsys.readouterr()
    days.label(1, first, doubtful(first))
    shown = capsys.readouterr().out
    assert "It follows its audit, whose labels show " in shown
    assert "`predict --follow` accepts only what has p_correct of at least 0." in shown
    assert "Until then" not in shown
    limit = days.limit
    assert first["p_correct"].to_numpy()[doubtful(first)].max() < limit < 1

    second = days.predict(2)
    shown = capsys.readouterr().err
    p_correct, accepted, chance = (second[name].to_numpy() for name in ("p_correct", "accepted", CHANCE))
    could = chance > 0  # what the gate accepts by itself
    assert accepted.tolist() == (could & (p_correct.astype(np.float32) >= np.float32(limit))).tolist()
    assert set(second["decision"].to_numpy()[could & ~accepted]) == {"review"}
    np.testing.assert_allclose(chance[could], chances(p_correct[could], RISK, 100))
    assert second[AUDIT].to_numpy()[could & ~accepted].any()
    held = int((could & ~accepted).sum())
    assert f"{held:,} of these only because of the limit that is followed" in shown
    assert json.loads((days.here / "2.parquet.json").read_text())["limited"] == held

    for day in range(2, 8):  # nothing is wrong any more, also of what is left to review
        table = second if day == 2 else days.predict(day)
        days.label(day, table, np.zeros(len(table), np.int64))
    assert days.limit == 0
    last = days.predict(8)
    assert (last["accepted"].to_numpy() == (last[CHANCE].to_numpy() > 0)).all()


def test_what_is_left_to_review_is_no_part_of_the_risk(days: Days, capsys: pytest.CaptureFixture[str]) -> None:
    first = days.predict(1)
    days.label(1, first, doubtful(first))
    limit = days.limit
    before = Monitor.load(days.state).audit
    second = days.predict(2)
    days.label(2, second, (second["p_correct"].to_numpy().astype(np.float32) < np.float32(limit)).astype(np.int64))
    after = Monitor.load(days.state).audit
    assert before is not None
    assert after is not None
    assert after.accepted == before.accepted + second["accepted"].to_numpy().sum()
    assert after.labels == before.labels + (second["accepted"].to_numpy() & second[AUDIT].to_numpy()).sum()
    assert before.risk is not None
    assert after.risk is not None
    assert after.risk < before.risk
    assert capsys.readouterr().out


def test_nothing_is_accepted_where_no_limit_helps(days: Days, capsys: pytest.CaptureFixture[str]) -> None:
    first = days.predict(1)
    assert days.label(1, first, np.ones(len(first), np.int64)) == 3
    assert "`predict --follow` accepts nothing, since the latest labels" in capsys.readouterr().out
    second = days.predict(2)
    assert not second["accepted"].to_numpy().any()
    assert second[AUDIT].to_numpy().any()
    assert days.label(2, second, np.ones(len(second), np.int64)) == 3
    shown = capsys.readouterr().out
    assert "HARMFUL: of all that was accepted under audit, more than the promised 10 % are wrong." in shown


def test_harm_of_all_so_far_does_not_stay_for_ever(days: Days) -> None:
    first = days.predict(1)
    assert days.label(1, first, doubtful(first)) == 3
    codes = []
    for day in range(2, 12):
        table = days.predict(day)
        codes.append(days.label(day, table, np.zeros(len(table), np.int64)))
    assert codes[0] == 3
    assert codes[-1] == 0


def test_without_labels_the_gate_decides_as_it_does_alone(days: Days, capsys: pytest.CaptureFixture[str]) -> None:
    assert days.monitor() == 0
    assert "It follows its audit, of which nothing has been counted yet" in capsys.readouterr().out
    followed = days.predict(1)
    outputs = ["--outputs", str(days.here / "outputs1"), "--audit", "100"]
    assert predicted(days.gate, days.here / "plain.parquet", *outputs).equals(followed)


def test_what_cannot_be_followed_is_refused(days: Days, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    days.predict(1)
    words = ["predict", "--gate", str(home / "gate"), "--outputs", str(days.here / "outputs1"), "--out"]
    out, state = str(days.here / "x.csv"), days.state
    refuses([*words, out, "--follow", str(state)], capsys, "audit: expected a number of labels with --follow")
    refuses([*words, "-", "--audit", "9", "--follow", str(state)], capsys, "expected a file to write to with --audit")
    missing = str(days.here / "missing.sqlite")
    refuses([*words, out, "--audit", "9", "--follow", missing], capsys, "missing.sqlite: ", "no such file")
    plain = days.here / "plain.sqlite"
    assert main(["monitor", "--gate", str(home / "gate"), "--state", str(plain)]) == 0
    expected = "plain.sqlite: expected a state that follows the audit (monitor --follow), found one that does not"
    refuses([*words, out, "--audit", "9", "--follow", str(plain)], capsys, expected)
    Gate.of(MCP(), make_outputs(3_000, seed=5), max_risk=RISK).save(days.here / "other")
    other = ["predict", "--gate", str(days.here / "other"), *words[3:]]
    refuses([*other, out, "--audit", "9", "--follow", str(state)], capsys, "expected the state of this gate")
    assert not Path(out).exists()
