"""A gate's folder: it decides to the bit as before, and says in one line what of it is not as it was written."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from steepslope.errors import SteepslopeError, read_fields
from steepslope.gate import Gate
from steepslope.gate._confidence_source import ORACLE, UNRECORDED, ConfidenceSource, Origin
from steepslope.gate._storage import CALIBRATION_ROWS, GATE
from steepslope.nets.predict._image_gate import ImageGate
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP, SCORES
from tests.conftest import contents, make_complete, make_outputs, require_same_table
from tests.files.sealing import seal_again

KINDS = ("mcp", "temperature", "columns", "free", "auxiliary", "predicted")
EVIL = "module:evil:net"


@pytest.mark.parametrize("kind", KINDS)
def test_it_decides_as_before(kind: str, gates: Path, tmp_path: Path) -> None:
    outputs = ClassifierOutputs.load(gates / "outputs" / "test")
    gate = Gate.load(gates / kind)
    gate.save(tmp_path / "again")
    again = Gate.load(tmp_path / "again")
    require_same_table(gate.decide(outputs, top=2).table(), again.decide(outputs, top=2).table())
    assert (again.certificates, again.objectives, again.wrong, again.n, again.by, again.origin, again.classes) == (
        gate.certificates, gate.objectives, gate.wrong, gate.n, gate.by, gate.origin, gate.classes,
    )  # fmt: skip
    ours, theirs = contents(tmp_path / "again"), contents(gates / kind)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name] and name != "gate.json"] == []


def test_a_gate_of_confidences_alone_comes_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(2_000)
    gate = Gate.calibrate(confidence, rng.random(2_000) < 0.7 + 0.3 * confidence, 0.1, reject=0.2, coverage=0.5)
    gate.save(tmp_path)
    again = Gate.load(tmp_path)
    assert (again.threshold, again.rejection, again.source) == (gate.threshold, gate.rejection, None)
    np.testing.assert_array_equal(again.p_correct(confidence), gate.p_correct(confidence))
    with pytest.raises(SteepslopeError, match="gate: expected a gate with its own oracle or score, found one"):
        again.decide(make_outputs())
    with pytest.raises(SteepslopeError, match="gate: expected a gate with its own oracle or score"):
        ImageGate.of(again)


def test_a_file_that_is_cut_missing_or_of_another_gate_is_named(gates: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    shutil.copytree(gates / "free", gate)
    for name in contents(gate).keys() - {CALIBRATION_ROWS, "gate.json"}:
        path, content = gate / name, (gate / name).read_bytes()
        for other in (content[: len(content) // 2], content[:-1] + bytes([content[-1] ^ 1]), None):
            path.unlink() if other is None else path.write_bytes(other)
            with pytest.raises(SteepslopeError, match=re.escape(f"{path}: ")):
                Gate.load(gate)
        path.write_bytes(content)
    path = gate / "gate.json"
    for content, expected in (
        (path.read_bytes()[:-40], f"{path}: "),
        ((gates / "mcp" / "gate.json").read_bytes(), "expected the file written with gate.json, found another: "),
    ):
        path.write_bytes(content)
        with pytest.raises(SteepslopeError, match=re.escape(expected)):
            Gate.load(gate)
    path.unlink()
    with pytest.raises(SteepslopeError, match=re.escape(f"{gate}: expected a calibrated")):
        Gate.load(gate)


def test_a_certificate_edited_by_hand_is_refused(gates: Path, tmp_path: Path) -> None:
    """With a digest to match, what does not follow from the counts is refused all the same."""
    shutil.copytree(gates / "free", tmp_path / "gate")
    path = tmp_path / "gate" / "gate.json"
    text = path.read_text()
    certificate = json.loads(text)["certificates"][0]
    path.write_text(text.replace(f'"threshold": {certificate["threshold"]}', '"threshold": -99.0', 1))
    with pytest.raises(SteepslopeError, match=r"gate\.json: was changed after it was written"):
        Gate.load(tmp_path / "gate")
    seal_again(GATE, tmp_path / "gate", certificates=[{**certificate, "accepted": 10**6}])
    with pytest.raises(SteepslopeError, match=r"gate\.json: expected a certificate whose bound"):
        Gate.load(tmp_path / "gate")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"version": 1}, "expected version 9 of the format, found 1"),
        ({"certificates": []}, "expected a certificate, found none"),
        ({"classes": "abc"}, "field 'classes'"),
        ({"n": 0}, "field 'n'"),
        ({"probability": {"slope": 0.0}}, "probability|offset"),
        ({"objectives": {"risk": 1}}, "the field 'max_risk' is missing"),
        ({"source": {}}, "the field 'kind' is missing"),
    ],
)
def test_cards_of_others_are_named(change: dict[str, object], expected: str, gates: Path, tmp_path: Path) -> None:
    shutil.copytree(gates / "mcp", tmp_path / "gate")
    seal_again(GATE, tmp_path / "gate", **change)
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
    expected = Gate.load(gates / "free").decide(outputs, top=2).table()
    require_same_table(gate.decide(outputs, top=2).table(), expected)
    rows.mkdir()
    with pytest.raises(
        SteepslopeError, match=f"{CALIBRATION_ROWS}: expected the file written with gate.json, found none"
    ):
        Gate.load(tmp_path / "gate")


def test_what_cannot_be_written_leaves_the_earlier_gate(
    gates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Gate.load(gates / "free").save(tmp_path)
    before = contents(tmp_path)
    other = Gate.load(gates / "auxiliary")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("steepslope.gate._storage.save_arrays", full)  # after the oracle's own files
    with pytest.raises(SteepslopeError, match="writing failed"):
        other.save(tmp_path)
    assert contents(tmp_path) == before


def test_code_never_runs_because_a_file_says_so(gates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a classifier's nor a second backbone's; what is given runs, if it is the recorded net."""
    (tmp_path / "evil.py").write_text("from pathlib import Path\nPath('ran').touch()\ndef net():\n    return None\n")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(gates / "auxiliary", "gate")
    seal_again(
        GATE, Path("gate"), classifier={**json.loads(Path("gate/gate.json").read_text())["classifier"], "spec": EVIL}
    )
    with pytest.raises(SteepslopeError, match=f"classifier: {EVIL} is code of your own, which no file gets to run"):
        ImageGate.load("gate")
    assert not Path("ran").exists()
    with pytest.raises(SteepslopeError, match=r"auxiliary: module:.* is code of your own"):
        ImageGate.load(gates / "auxiliary")


def back(source: ConfidenceSource, folder: Path) -> ConfidenceSource:
    return ConfidenceSource.read(folder, source.write(folder), folder / "gate.json", Oracle.load)


@pytest.mark.parametrize("name", SCORES)
def test_every_score_comes_back_to_the_bit(name: str, tmp_path: Path) -> None:
    unseen = make_complete(200, seed=3)
    source = ConfidenceSource.from_model(SCORES[name]().fit(make_complete(300, seed=2)), 4)
    found = back(source, tmp_path)
    assert (found.name, found.num_classes, found.of_log_odds) == (name, 4, source.of_log_odds)
    np.testing.assert_array_equal(found.confidence(unseen), source.confidence(unseen))


def test_an_oracle_comes_back_with_what_its_thresholds_come_from(tmp_path: Path) -> None:
    fit_set, unseen = make_complete(300, seed=2), make_complete(200, seed=3)
    source = ConfidenceSource.from_model(Oracle(epochs=1).fit(fit_set), 4)
    found = back(source, tmp_path)
    assert found.name == ORACLE
    assert found.reference == source.reference
    assert found.fitted_on(fit_set).all()
    assert not found.fitted_on(unseen).any()
    np.testing.assert_array_equal(found.confidence(unseen), source.confidence(unseen))


def test_a_score_of_a_fit_set_has_its_percentiles() -> None:
    fit_set = make_complete(300, seed=2)
    source = ConfidenceSource.from_model(MCP(), 4, fit_set)
    assert source.reference is not None
    np.testing.assert_array_equal(source.reference, np.percentile(MCP().confidence(fit_set), np.arange(101)))
    assert ConfidenceSource.from_model(MCP(), 4).reference is None
    assert not source.fitted_on(fit_set).any()


def test_a_score_of_ones_own_cannot_be_stored() -> None:
    class Own(MCP):
        pass

    with pytest.raises(SteepslopeError, match="model: expected a score of SCORES or an oracle, found Own"):
        ConfidenceSource.from_model(Own(), 4)


def test_nan_is_named_by_its_row() -> None:
    class Numb(MCP):
        def confidence(self, outputs: ClassifierOutputs) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
            return np.where(np.arange(len(outputs)) == 7, np.nan, 0.5)

    source = replace(ConfidenceSource.from_model(MCP(), 4), model=Numb())
    with pytest.raises(SteepslopeError, match="mcp: expected a confidence of each prediction, found NaN in row 7"):
        source.confidence(make_complete(20))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"kind": 3}, "gate.json: field 'kind': found 3"),
        ({"name": "mpc"}, "unknown score in .*gate.json: 'mpc': did you mean 'mcp'"),
        ({"num_classes": 0}, "field 'num_classes': expected a number >= 1"),
        ({"learnt": None}, "field 'learnt'"),
    ],
)
def test_a_damaged_card_is_named(change: dict[str, object], expected: str, tmp_path: Path) -> None:
    card = ConfidenceSource.from_model(MCP(), 4).write(tmp_path)
    with pytest.raises(SteepslopeError, match=expected):
        ConfidenceSource.read(tmp_path, {**card, **change}, tmp_path / "gate.json", Oracle.load)


def test_a_folder_tells_both_nets(gates: Path) -> None:
    found = Origin.from_folder(gates / "outputs" / "test")
    manifest = json.loads((gates / "outputs" / "test" / "manifest.json").read_text())["extraction"]
    assert found.classifier is not None
    assert found.auxiliary is not None
    assert (found.classifier.spec, found.classifier.digest) == (manifest["classifier"], manifest["digest"])
    assert found.classifier.transform == manifest["transform"]
    assert found.auxiliary.spec == "module:tests.tiny_nets:ten_classes"
    assert read_fields(Origin, json.loads(json.dumps(asdict(found))), "gate.json") == found


def test_files_and_folders_of_ones_own_tell_nothing(tmp_path: Path) -> None:
    make_outputs().save(tmp_path / "outputs")
    assert Origin.from_folder(tmp_path / "outputs") == UNRECORDED
    make_outputs().save(tmp_path / "outputs.npz")
    assert Origin.from_folder(tmp_path / "outputs.npz") == UNRECORDED
    assert read_fields(Origin, asdict(UNRECORDED), "gate.json") == UNRECORDED


def test_another_classifier_is_refused_where_both_are_known(gates: Path) -> None:
    gate, outputs = Gate.load(gates / "mcp"), ClassifierOutputs.load(gates / "outputs" / "test")
    with pytest.raises(SteepslopeError, match=r"outputs: expected the net that the gate was calibrated for .* \(bbbb"):
        gate.decide(outputs.of_classifier("b" * 64))
    assert len(gate.decide(outputs.of_classifier(None))) == len(outputs)
    with pytest.raises(SteepslopeError, match="outputs: expected the net"):
        Gate.of(MCP(), outputs.of_classifier("b" * 64), origin=gate.origin)
