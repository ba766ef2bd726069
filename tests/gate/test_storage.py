"""A gate's folder: it decides to the bit as before, and says in one line what of it is not as it was written."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from steepslope.cli.main import main
from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.gate.storage import CALIBRATION_ROWS, GATE
from steepslope.nets.predict.image_gate import ImageGate
from steepslope.outputs import ClassifierOutputs
from tests.conftest import make_outputs
from tests.files.sealing import seal_again

KINDS = ("mcp", "temperature", "columns", "free", "auxiliary", "predicted")
FILES = {
    "mcp": ["gate.json", "errors.safetensors", "certificate.md"],
    "temperature": ["score.safetensors"],
    "free": [f"oracle/{name}" for name in ("oracle.json", "oracle.safetensors", "evidence.safetensors")],
}
EVIL = "module:evil:net"
CASES = [(kind, name) for kind, names in FILES.items() for name in names]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_it_decides_as_before(kind: str, gates: Path, tmp_path: Path) -> None:
    outputs = ClassifierOutputs.load(gates / "outputs" / "test")
    gate = Gate.load(gates / kind)
    gate.save(tmp_path / "again")
    again = Gate.load(tmp_path / "again")
    assert gate.decide(outputs, top=2).table().equals(again.decide(outputs, top=2).table())
    np.testing.assert_array_equal(gate.of_errors, again.of_errors)
    assert (again.certificates, again.objectives, again.n, again.by, again.origin, again.classes) == (
        gate.certificates, gate.objectives, gate.n, gate.by, gate.origin, gate.classes,
    )  # fmt: skip
    ours, theirs = contents(tmp_path / "again"), contents(gates / kind)
    assert {name: ours[name] for name in ours if name != "gate.json"} == {
        name: theirs[name] for name in theirs if name not in ("gate.json", ".lock")
    }


def test_a_gate_of_confidences_alone_comes_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(2_000)
    gate = Gate.calibrate(confidence, rng.random(2_000) < 0.7 + 0.3 * confidence, 0.1, reject=0.2, coverage=0.5)
    gate.save(tmp_path)
    again = Gate.load(tmp_path)
    assert (again.threshold, again.rejection, again.source) == (gate.threshold, gate.rejection, None)
    np.testing.assert_array_equal(again.p_correct(confidence), gate.p_correct(confidence))
    with pytest.raises(SteepslopeError, match="gate: expected a gate with an oracle or a score of its own, found one"):
        again.decide(make_outputs())
    with pytest.raises(SteepslopeError, match="gate: expected a gate with an oracle or a score of its own"):
        ImageGate.of(again)


def test_what_accepts_nothing_or_all_comes_back(tmp_path: Path) -> None:
    for correct, threshold in ((np.zeros(500, bool), np.inf), (np.ones(500, bool), -np.inf)):
        Gate.calibrate(np.arange(500.0), correct, thresholds=[9.0, -np.inf]).save(tmp_path)
        assert Gate.load(tmp_path).threshold == threshold


@pytest.mark.parametrize("damage", ["truncated", "swapped", "missing"])
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_damaged_file_is_named(kind: str, name: str, damage: str, gates: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    shutil.copytree(gates / kind, gate)
    path, content = gate / name, (gate / name).read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    else:
        other = gates / ("predicted" if kind == "mcp" else "mcp") / name
        path.write_bytes(other.read_bytes() if other.exists() else content.replace(content[-9:], b"123456789"))
    expected = f"{path}: "
    if name == "gate.json" and damage != "truncated":
        expected = (
            f"{gate}: expected a calibrated"
            if damage == "missing"
            else "expected the file written with gate.json, found another: "
        )
    with pytest.raises(SteepslopeError, match=re.escape(expected)):
        Gate.load(gate)


def test_a_damaged_gate_decides_nothing(gates: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(gates / "mcp", tmp_path / "gate")
    (tmp_path / "gate" / "errors.safetensors").write_bytes(b"")
    words = f"predict --gate {tmp_path}/gate --outputs {gates}/outputs/test --out {tmp_path}/out/found.csv"
    assert main(words.split()) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def edited(gate: Path, **changes: object) -> None:
    """Change a gate's card, and its digest to match."""
    seal_again(GATE, gate, **changes)


def test_a_certificate_edited_by_hand_is_refused(gates: Path, tmp_path: Path) -> None:
    """With a digest to match, what does not follow from the counts is refused all the same."""
    shutil.copytree(gates / "free", tmp_path / "gate")
    path = tmp_path / "gate" / "gate.json"
    text = path.read_text()
    certificate = json.loads(text)["certificates"][0]
    path.write_text(text.replace(f'"threshold": {certificate["threshold"]}', '"threshold": -99.0', 1))
    with pytest.raises(SteepslopeError, match=r"gate\.json: was changed after it was written"):
        Gate.load(tmp_path / "gate")
    edited(tmp_path / "gate", certificates=[{**certificate, "accepted": 10**6}])
    with pytest.raises(SteepslopeError, match=r"gate\.json: expected a certificate whose bound"):
        Gate.load(tmp_path / "gate")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"version": 1}, "expected version 4 of the format, found 1"),
        ({"certificates": []}, "expected a certificate, found none"),
        ({"classes": "abc"}, "field 'classes'"),
        ({"rows": 0}, "field 'rows'"),
        ({"probability": {"slope": 0.0}}, "probability|offset"),
        ({"objectives": {"risk": 1}}, "expected objectives"),
        ({"source": {}}, "the field 'kind' is missing"),
    ],
)
def test_cards_of_others_are_named(change: dict[str, object], expected: str, gates: Path, tmp_path: Path) -> None:
    shutil.copytree(gates / "mcp", tmp_path / "gate")
    edited(tmp_path / "gate", **change)
    with pytest.raises(SteepslopeError, match=expected) as caught:
        Gate.load(tmp_path / "gate")
    assert "gate.json" in str(caught.value)


def test_what_it_makes_of_its_calibration_rows_may_be_left_out_but_not_changed(gates: Path, tmp_path: Path) -> None:
    shutil.copytree(gates / "free", tmp_path / "gate")
    outputs, rows = ClassifierOutputs.load(gates / "outputs" / "test"), tmp_path / "gate" / CALIBRATION_ROWS
    rows.write_bytes((gates / "mcp" / CALIBRATION_ROWS).read_bytes())
    with pytest.raises(
        SteepslopeError, match=f"{CALIBRATION_ROWS}: expected the file written with gate.json, found another"
    ):
        Gate.load(tmp_path / "gate")
    rows.unlink()
    gate = Gate.load(tmp_path / "gate")
    assert gate.calibration_rows is None
    assert gate.decide(outputs, top=2).table().equals(Gate.load(gates / "free").decide(outputs, top=2).table())
    rows.mkdir()
    with pytest.raises(
        SteepslopeError, match=f"{CALIBRATION_ROWS}: expected the file written with gate.json, found none"
    ):
        Gate.load(tmp_path / "gate")


def test_one_gate_replaces_another_and_leaves_nothing_of_it(gates: Path, tmp_path: Path) -> None:
    for kind in ("free", "temperature", "mcp", "columns", "free"):
        Gate.load(gates / kind).save(tmp_path)
        assert set(contents(tmp_path)) == {name for name in contents(gates / kind) if name != ".lock"}
    assert Gate.load(tmp_path).thresholds == Gate.load(gates / "free").thresholds


def test_what_cannot_be_written_leaves_the_earlier_gate(
    gates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Gate.load(gates / "free").save(tmp_path)
    before = contents(tmp_path)
    other = Gate.load(gates / "auxiliary")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("steepslope.gate.storage.save_arrays", full)  # after the oracle's own files
    with pytest.raises(SteepslopeError, match="writing failed"):
        other.save(tmp_path)
    assert contents(tmp_path) == before


def test_code_never_runs_because_a_file_says_so(gates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a classifier's nor a second backbone's; what is given runs, if it is the recorded net."""
    (tmp_path / "evil.py").write_text("from pathlib import Path\nPath('ran').touch()\ndef net():\n    return None\n")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(gates / "auxiliary", "gate")
    edited(Path("gate"), classifier={**json.loads(Path("gate/gate.json").read_text())["classifier"], "spec": EVIL})
    with pytest.raises(SteepslopeError, match=f"classifier: {EVIL} is code of your own, which no file gets to run"):
        ImageGate.load("gate")
    assert not Path("ran").exists()
    with pytest.raises(SteepslopeError, match=r"auxiliary: module:.* is code of your own"):
        ImageGate.load(gates / "auxiliary")
