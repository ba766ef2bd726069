"""A gate that follows its audit, by commands: strict after bad labels, and open again after good ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.gate._storage import digest_of_gate
from steepslope.monitor import Monitor
from steepslope.outputs import ClassifierOutputs
from steepslope.predict import _prediction_file as prediction_file
from steepslope.predict._audit import AUDIT, CHANCE, audit_chances
from steepslope.scores import MCP
from steepslope.serve._monitoring import ServedMonitor
from tests.cli.predictions import RISK, predicted, refuses, watch, write_labels
from tests.conftest import Captured, make_outputs


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
        marked = table[AUDIT].to_numpy()
        labels = write_labels(self.here / f"labels{day}.csv", table.filter(table[AUDIT]), is_wrong[marked])
        return self.monitor("--predictions", str(self.here / f"{day}.parquet"), "--labels", labels)

    def monitor(self, *options: str) -> int:
        """Run the monitor."""
        return main(watch(self.gate.parent, self.state, *options))

    @property
    def audit(self) -> Any:
        """What the state tells of all that was audited."""
        return Monitor.load(self.state).audit

    @property
    def limit(self) -> float:
        """The limit in the state."""
        return float(self.audit.followed.limit.p_correct)


def doubtful(table: Any, share: float = 2 / 3) -> np.ndarray:
    """Return which predictions are more doubtful than a share of the accepted, two thirds unless told, (m,)."""
    p_correct, accepted = (table[name].to_numpy() for name in ("p_correct", "accepted"))
    return np.asarray(p_correct < np.quantile(p_correct[accepted], 1 - share))


@pytest.fixture
def days(watched: Path, tmp_path: Path) -> Days:
    """Begin a state with which the gate follows."""
    found = Days(watched, tmp_path)
    assert found.monitor("--follow") == 0
    return found


def test_it_is_strict_after_bad_labels_and_opens_after_good_ones(days: Days, capsys: Captured) -> None:
    first = days.predict(1)
    capsys.readouterr()
    days.label(1, first, doubtful(first))
    shown = capsys.readouterr().out
    assert "The gate follows its audit. CUSUM of errors over the promise, weighted: " in shown
    assert "`predict --follow` accepts only rows with p_correct of at least 0." in shown
    limit = days.limit
    assert first["p_correct"].to_numpy()[doubtful(first)].max() < limit < 1

    second = days.predict(2)
    shown = capsys.readouterr().err
    p_correct, accepted, chance = (second[name].to_numpy() for name in ("p_correct", "accepted", CHANCE))
    could = chance > 0  # what the gate accepts by itself
    assert accepted.tolist() == (could & (p_correct.astype(np.float32) >= np.float32(limit))).tolist()
    assert set(second["decision"].to_numpy()[could & ~accepted]) == {"review"}
    np.testing.assert_allclose(chance[could], audit_chances(p_correct[could], RISK, 100))
    assert second[AUDIT].to_numpy()[could & ~accepted].any()
    held = int((could & ~accepted).sum())
    assert f"{held:,} below the limit of --follow" in shown
    assert json.loads((days.here / "2.parquet.json").read_text())["below_limit"] == held

    for day in range(2, 4):  # nothing is wrong any more, also of what is left to review
        table = second if day == 2 else days.predict(day)
        days.label(day, table, np.zeros(len(table), np.int64))
    assert days.limit == 0
    last = days.predict(4)
    assert (last["accepted"].to_numpy() == (last[CHANCE].to_numpy() > 0)).all()


def test_what_is_left_to_review_is_no_part_of_the_risk(days: Days) -> None:
    first = days.predict(1)
    days.label(1, first, doubtful(first))
    limit = days.limit
    before = days.audit
    second = days.predict(2)
    days.label(2, second, (second["p_correct"].to_numpy().astype(np.float32) < np.float32(limit)).astype(np.int64))
    after = days.audit
    assert after.accepted == before.accepted + second["accepted"].to_numpy().sum()
    assert after.labels == before.labels + (second["accepted"].to_numpy() & second[AUDIT].to_numpy()).sum()
    assert after.risk < before.risk


def test_nothing_is_accepted_where_no_limit_helps(days: Days, capsys: Captured) -> None:
    first = days.predict(1)
    assert days.label(1, first, np.ones(len(first), np.int64)) == 3
    assert (
        "The latest labels support no limit on P(correct), so `predict --follow` accepts nothing."
        in capsys.readouterr().out
    )
    second = days.predict(2)
    assert not second["accepted"].to_numpy().any()
    assert second[AUDIT].to_numpy().any()
    assert days.label(2, second, np.ones(len(second), np.int64)) == 3
    shown = capsys.readouterr().out
    assert "HARMFUL: of all predictions accepted under audit so far, more than the promised 10 % are wrong." in shown


@pytest.mark.slow
def test_harm_of_all_so_far_does_not_stay_for_ever(days: Days) -> None:
    first = days.predict(1)
    assert days.label(1, first, doubtful(first, share=1 / 2)) == 3  # harm that one good day does not outweigh
    codes = []
    for day in range(2, 12):
        table = days.predict(day)
        codes.append(days.label(day, table, np.zeros(len(table), np.int64)))
    assert codes[0] == 3
    assert codes[-1] == 0


def test_without_labels_the_gate_decides_as_it_does_alone(days: Days, capsys: Captured) -> None:
    assert days.monitor() == 0
    assert "but no audited predictions have been counted yet" in capsys.readouterr().out
    followed = days.predict(1)
    outputs = ["--outputs", str(days.here / "outputs1"), "--audit", "100"]
    assert predicted(days.gate, days.here / "plain.parquet", *outputs).equals(followed)


def test_what_cannot_be_followed_is_refused(days: Days, watched: Path, capsys: Captured) -> None:
    days.predict(1)
    words = ["predict", "--gate", str(watched / "gate"), "--outputs", str(days.here / "outputs1"), "--out"]
    out, state = str(days.here / "x.csv"), days.state
    refuses([*words, out, "--follow", str(state)], capsys, "audit: expected a number of labels with --follow")
    missing = str(days.here / "missing.sqlite")
    refuses([*words, out, "--audit", "9", "--follow", missing], capsys, "missing.sqlite: ", "no such file")
    plain = days.here / "plain.sqlite"
    assert main(watch(watched, plain)) == 0
    expected = "plain.sqlite: expected a state that follows the audit (monitor --follow), found one that does not"
    refuses([*words, out, "--audit", "9", "--follow", str(plain)], capsys, expected)
    Gate.of(MCP(), make_outputs(3_000, seed=5), max_risk=RISK).save(days.here / "other")
    other = ["predict", "--gate", str(days.here / "other"), *words[3:]]
    refuses([*other, out, "--audit", "9", "--follow", str(state)], capsys, "expected the state of this gate")
    assert not Path(out).exists()


def test_a_good_gate_of_which_all_is_labelled_is_not_harmful(watched: Path, tmp_path: Path) -> None:
    """The interval of rows that are all labelled is narrow: it may exclude the promise though the gate keeps it."""
    days = Days(watched, tmp_path)
    assert days.monitor("--follow") == 0
    table = days.predict(1, "--audit", "1500")
    accepted = np.flatnonzero(table["accepted"].to_numpy())
    is_wrong = np.zeros(len(table), np.int64)
    is_wrong[accepted[: int(1.1 * RISK * len(accepted))]] = 1
    assert days.label(1, table, is_wrong) == 0
    assert days.audit.low > RISK


def test_a_complete_file_stays_when_the_limit_moves(days: Days, capsys: Captured) -> None:
    first = days.predict(1)
    days.label(1, first, doubtful(first))
    assert days.limit > 0
    capsys.readouterr()
    assert days.predict(1).equals(first)
    assert "already complete" in capsys.readouterr().err
    plain = ["predict", "--gate", str(days.gate), "--outputs", str(days.here / "outputs1"), "--audit", "100", "--out"]
    refuses([*plain, str(days.here / "1.parquet")], capsys, "already, with follows True, not False")


def test_a_killed_run_goes_on_with_the_limit_of_its_end(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    first = days.predict(1)
    with monkeypatch.context() as patch:
        patch.setattr(prediction_file, "_join_prediction_chunks", stop)
        with pytest.raises(AssertionError):  # its exit code
            days.predict(2)
    days.label(1, first, doubtful(first))
    second = days.predict(2)
    at_limit = second["p_correct"].to_numpy().astype(np.float32) >= np.float32(days.limit)
    assert second["accepted"].to_numpy().tolist() == ((second[CHANCE].to_numpy() > 0) & at_limit).tolist()


def stop(*_: object) -> None:
    raise KeyboardInterrupt


def test_rows_that_did_not_follow_are_counted(days: Days, capsys: Captured) -> None:
    first = days.predict(1)
    days.label(1, first, doubtful(first))
    days.predict(2)
    outputs, forgot = str(days.here / "outputs2"), days.here / "forgot.parquet"
    table = predicted(days.gate, forgot, "--outputs", outputs, "--audit", "100")
    below = table["p_correct"].to_numpy().astype(np.float32) < np.float32(days.limit)
    capsys.readouterr()
    days.monitor("--predictions", str(forgot))
    count = int((table["accepted"].to_numpy() & below).sum())
    assert (
        f"{count:,} new accepted predictions are below the present limit, or were not audited."
        in capsys.readouterr().out
    )


def test_labels_that_no_audit_drew_and_following_do_not_go_together(
    watched: Path, tmp_path: Path, capsys: Captured
) -> None:
    days = Days(watched, tmp_path)
    assert days.monitor() == 0
    make_outputs(500, seed=3).save(tmp_path / "outputs")
    plain = predicted(watched / "gate", tmp_path / "plain.parquet", "--outputs", str(tmp_path / "outputs"))
    truths = write_labels(tmp_path / "truths.csv", plain)
    files = ["--predictions", str(tmp_path / "plain.parquet"), "--labels", truths]
    other = watch(watched, tmp_path / "other.sqlite", *files)
    assert main([*other, "--follow"]) == 0
    assert Monitor.load(tmp_path / "other.sqlite").labelled.count == 0  # they are no evidence
    assert days.monitor(*files) == 0
    refuses(
        watch(watched, days.state, "--follow"),
        capsys,
        "expected a state in which all labels come from audits, found other labels",
    )


def test_following_can_be_ended(days: Days, watched: Path, capsys: Captured) -> None:
    days.predict(1)
    assert days.monitor("--follow", "false") == 0
    words = ["predict", "--gate", str(watched / "gate"), "--outputs", str(days.here / "outputs1"), "--audit", "9"]
    refuses([*words, "--out", str(days.here / "x.csv"), "--follow", str(days.state)], capsys, "found one that does not")
    assert days.monitor("--follow") == 0
    with pytest.raises(SteepslopeError, match="a server cannot follow an audit, found one with it"):
        ServedMonitor.open(days.state, digest_of_gate(watched / "gate"))
