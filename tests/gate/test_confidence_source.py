"""What a gate's confidences come from comes back from its folder: oracle or score, and the classifier."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.gate import Gate, Origin
from steepslope.gate.confidence_source import ORACLE, UNRECORDED, ConfidenceSource
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP, SCORES
from tests.conftest import make_complete, make_outputs


def back(judge: ConfidenceSource, folder: Path) -> ConfidenceSource:
    return ConfidenceSource.read(folder, judge.write(folder), folder / "gate.json", Oracle.load)


@pytest.mark.parametrize("name", SCORES)
def test_every_score_comes_back_to_the_bit(name: str, tmp_path: Path) -> None:
    unseen = make_complete(200, seed=3)
    judge = ConfidenceSource.from_model(SCORES[name]().fit(make_complete(300, seed=2)), 4)
    found = back(judge, tmp_path)
    assert (found.name, found.num_classes, found.of_log_odds) == (name, 4, judge.of_log_odds)
    np.testing.assert_array_equal(found.confidence(unseen), judge.confidence(unseen))


def test_an_oracle_comes_back_with_what_its_thresholds_come_from(tmp_path: Path) -> None:
    fit_set, unseen = make_complete(300, seed=2), make_complete(200, seed=3)
    judge = ConfidenceSource.from_model(Oracle(epochs=1).fit(fit_set), 4)
    found = back(judge, tmp_path)
    assert found.name == ORACLE
    assert found.reference == judge.reference
    assert found.fitted_on(fit_set).all()
    assert not found.fitted_on(unseen).any()
    np.testing.assert_array_equal(found.confidence(unseen), judge.confidence(unseen))


def test_a_score_of_a_fit_set_has_its_percentiles() -> None:
    fit_set = make_complete(300, seed=2)
    judge = ConfidenceSource.from_model(MCP(), 4, fit_set)
    assert judge.reference is not None
    np.testing.assert_array_equal(judge.reference, np.percentile(MCP().confidence(fit_set), np.arange(101)))
    assert ConfidenceSource.from_model(MCP(), 4).reference is None
    assert not judge.fitted_on(fit_set).any()


def test_a_score_of_ones_own_cannot_be_stored() -> None:
    class Own(MCP):
        pass

    with pytest.raises(SteepslopeError, match="model: expected a score of SCORES or an oracle, found Own"):
        ConfidenceSource.from_model(Own(), 4)


def test_nan_is_named_by_its_row() -> None:
    class Numb(MCP):
        def confidence(self, outputs: ClassifierOutputs) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
            return np.where(np.arange(len(outputs)) == 7, np.nan, 0.5)

    judge = replace(ConfidenceSource.from_model(MCP(), 4), model=Numb())
    with pytest.raises(SteepslopeError, match="mcp: expected a confidence of each prediction, found NaN in row 7"):
        judge.confidence(make_complete(20))


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


def test_a_missing_state_is_named(tmp_path: Path) -> None:
    card = ConfidenceSource.from_model(SCORES["temperature_scaled_mcp"]().fit(make_complete(300, seed=2)), 4).write(
        tmp_path
    )
    (tmp_path / "score.safetensors").unlink()
    with pytest.raises(SteepslopeError, match=r"score\.safetensors: cannot be read"):
        ConfidenceSource.read(tmp_path, card, tmp_path / "gate.json", Oracle.load)


def test_a_folder_tells_both_nets(gates: Path) -> None:
    found = Origin.from_folder(gates / "outputs" / "test")
    manifest = json.loads((gates / "outputs" / "test" / "manifest.json").read_text())["extraction"]
    assert found.classifier is not None
    assert found.auxiliary is not None
    assert (found.classifier.spec, found.classifier.digest) == (manifest["classifier"], manifest["digest"])
    assert found.classifier.transform == manifest["transform"]
    assert found.auxiliary.spec == "module:tests.tiny_nets:ten_classes"
    assert Origin.from_json(json.loads(json.dumps(asdict(found))), Path("gate.json")) == found


def test_files_and_folders_of_ones_own_tell_nothing(tmp_path: Path) -> None:
    make_outputs().save(tmp_path / "outputs")
    assert Origin.from_folder(tmp_path / "outputs") == UNRECORDED
    make_outputs().save(tmp_path / "outputs.npz")
    assert Origin.from_folder(tmp_path / "outputs.npz") == UNRECORDED
    assert Origin.from_json(asdict(UNRECORDED), Path("gate.json")) == UNRECORDED


def test_another_classifier_is_refused_where_both_are_known(gates: Path) -> None:
    gate, outputs = Gate.load(gates / "mcp"), ClassifierOutputs.load(gates / "outputs" / "test")
    with pytest.raises(SteepslopeError, match=r"outputs: expected the net that the gate was calibrated for .* \(bbbb"):
        gate.decide(outputs.of_classifier("b" * 64))
    assert len(gate.decide(outputs.of_classifier(None))) == len(outputs)
    with pytest.raises(SteepslopeError, match="outputs: expected the net"):
        Gate.of(MCP(), outputs.of_classifier("b" * 64), origin=gate.origin)
