"""The switch that sends all predictions to review, wherever a gate is loaded."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steepslope import ClassifierOutputs, Gate, TrustedClassifier
from steepslope.cli._main import main
from steepslope.errors import ChangedWarning, SteepslopeError
from steepslope.gate._switch import reason_to_stop, start_gate, stop_gate
from steepslope.scores import MCP
from tests.conftest import make_outputs


@pytest.fixture
def gate(tmp_path: Path, outputs: ClassifierOutputs) -> Path:
    Gate.of(MCP(), outputs, max_risk=0.4).save(tmp_path / "gate")
    return tmp_path / "gate"


def test_a_stopped_gate_accepts_nothing_until_it_is_put_to_work_again(gate: Path) -> None:
    new = make_outputs(seed=5)
    before = Gate.load(gate).decide(new)
    assert before.accepted.any()
    stop_gate(gate, "wrong\njoins")
    assert reason_to_stop(gate) == "wrong joins"
    for when_changed in ("review", "warn"):
        with pytest.warns(ChangedWarning, match=r"This gate is stopped \(wrong joins\)"):
            after = Gate.load(gate).decide(new, when_changed=when_changed)
        assert not after.accepted.any()
        assert after.stopped is not None
        assert after.stopped.tolist() == before.accepted.tolist()
    start_gate(gate)
    assert Gate.load(gate).decide(new).decision.tolist() == before.decision.tolist()


def test_the_command_and_what_predict_and_show_say(
    gate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_outputs(seed=5).save(tmp_path / "new")
    out = tmp_path / "decisions.csv"
    words = ["predict", "--gate", str(gate), "--outputs", str(tmp_path / "new"), "--out", str(out)]
    assert main(words) == 0
    accepted = pd.read_csv(out)["accepted"]
    assert main(["stop", str(gate), "--reason", "a wrong join"]) == 0
    assert main(["show", str(gate)]) == 0
    assert capsys.readouterr().out.startswith("This gate is stopped (a wrong join), so nothing is accepted.")
    assert main(words) == 2  # the file is one of a gate at work
    assert main([*words, "--replace"]) == 0
    said = capsys.readouterr().err
    assert "This gate is stopped (a wrong join), so nothing is accepted." in said
    assert f"{accepted.sum():,} only because it is stopped" in said
    (gate / "calibration_rows.safetensors").unlink()  # a copy may be without them
    assert main([*words, "--replace"]) == 0
    assert "This gate is stopped (a wrong join), so nothing is accepted." in capsys.readouterr().err
    stopped = pd.read_csv(out)
    assert not stopped["accepted"].any()
    assert stopped["stopped"].tolist() == accepted.tolist()
    assert main(["stop", str(gate), "--undo"]) == 0
    assert main([*words, "--replace"]) == 0
    assert pd.read_csv(out)["accepted"].tolist() == accepted.tolist()


def test_a_trusted_classifier_is_stopped_by_its_own_folder(tmp_path: Path) -> None:
    from sklearn.datasets import make_classification
    from sklearn.linear_model import LogisticRegression

    features, classes = make_classification(700, random_state=0)
    trusted = TrustedClassifier(LogisticRegression(), max_risk=0.3).fit(features, classes)
    trusted.save(tmp_path / "trusted")
    stop_gate(tmp_path / "trusted")
    loaded = TrustedClassifier.load(tmp_path / "trusted", trusted.estimator_)
    with pytest.warns(ChangedWarning, match="This gate is stopped, so nothing is accepted"):
        _, accepted = loaded.decide(features)
    assert not accepted.any()


def test_the_folder_in_which_one_works_is_the_same_gate(gate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (gate / "inside").mkdir()
    for folder, name in ((gate, "."), (gate / "inside", "..")):
        monkeypatch.chdir(folder)
        assert Gate.load(name).stopped is None
        stop_gate(name, "wrong joins")
        assert reason_to_stop(gate) == Gate.load(name).stopped == "wrong joins"
        start_gate(gate)


def test_a_trusted_classifier_is_stopped_with_the_gate_inside(tmp_path: Path) -> None:
    from sklearn.datasets import make_classification
    from sklearn.linear_model import LogisticRegression

    features, classes = make_classification(700, random_state=0)
    trusted = TrustedClassifier(LogisticRegression(), max_risk=0.3).fit(features, classes)
    trusted.save(tmp_path / "trusted")
    stop_gate(tmp_path / "trusted" / "gate", "wrong joins")
    assert TrustedClassifier.load(tmp_path / "trusted", trusted.estimator_).gate_.stopped == "wrong joins"


def test_a_stopped_gate_of_confidences_alone_accepts_nothing(tmp_path: Path) -> None:
    """Such a gate has no other way to decide than these two."""
    confidence = np.linspace(-1, 0, 400)
    Gate.calibrate(confidence, confidence > -0.7, max_risk=0.4).save(tmp_path / "gate")
    assert Gate.load(tmp_path / "gate").accepts(confidence).any()
    stop_gate(tmp_path / "gate")
    stopped = Gate.load(tmp_path / "gate")
    assert not stopped.accepts(confidence).any()
    assert set(stopped.decisions(confidence)) == {"review"}


def test_a_gate_is_stopped_by_any_of_its_names(gate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a link that leads to it, as for a roll-out; and by a dot, from inside."""
    link = tmp_path / "current"
    link.symlink_to(gate)
    monkeypatch.chdir(gate)
    names = (gate, link, Path())
    for name in names:
        stop_gate(name, "wrong joins")
        assert [Gate.load(other).stopped for other in names] == ["wrong joins"] * 3
        start_gate(name)
        assert [Gate.load(other).stopped for other in names] == [None] * 3


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and links are POSIX's")
def test_whatever_lies_at_the_switchs_place_stops(gate: Path) -> None:
    """A pipe would wait for a writer, and a server with it."""
    switch = stop_gate(gate)
    start_gate(gate)

    def stops() -> bool:
        return (reason_to_stop(gate), stop_gate(gate, "again"), reason_to_stop(gate)) == ("", switch, "")

    switch.mkdir()
    assert stops()
    switch.rmdir()
    os.mkfifo(switch)
    assert stops()
    switch.unlink()
    switch.symlink_to(gate / "nothing")
    assert stops()


def test_what_is_no_gate_is_refused(tmp_path: Path) -> None:
    for change in (stop_gate, start_gate):
        with pytest.raises(SteepslopeError, match="expected the folder or the exported file of a gate, found nothing"):
            change(tmp_path / "none")
    assert reason_to_stop(tmp_path / "none") is None
    assert reason_to_stop("hub:me/gate") is None
