"""A gate in an ONNX file: its numbers are those of NumPy, and a file that is none is refused in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.gate._storage import digest_of_gate
from steepslope.nets.export._file import ArraySpec, ExportedGate, GateCard, require_fitting_inputs, sealed_onnx
from tests.serve.models import CARD, CLASSES, array_gate, decided, drawn, image_gate, of_images


def test_images_are_decided_on(tmp_path: Path) -> None:
    exported = ExportedGate.open(image_gate(tmp_path, hands_over=True))
    images = drawn(5, 7, 4)
    found = exported.run({"images": images})
    assert [*found] == [one.name for one in exported.outputs] == [*of_images(images), "handed_over"]
    for name, expected in of_images(images).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-6)
        assert found[name].dtype == expected.dtype
    assert exported.inputs == (ArraySpec("images", np.uint8, (None, None, None, 3)),)


def test_arrays_are_decided_on(tmp_path: Path) -> None:
    exported = ExportedGate.open(array_gate(tmp_path))
    rng = np.random.default_rng(0)
    features, auxiliary = (rng.normal(size=(6, width)).astype(np.float32) for width in (3, 5))
    found = exported.run({"auxiliary": auxiliary, "features": features})
    for name, expected in decided(features + auxiliary.max(axis=1, keepdims=True)).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-5)
    assert exported.card.part == "gate"


def test_the_card_is_what_was_written(tmp_path: Path) -> None:
    card = ExportedGate.open(image_gate(tmp_path)).card
    assert json.loads(json.dumps(card.as_json())) == CARD
    assert card.classes == CLASSES
    assert card.accepts_any


@pytest.mark.parametrize("kind", ["free", "predicted", "mcp"])
def test_the_card_of_a_gate_is_read_as_it_is_written(kind: str, gates: Path) -> None:
    gate = Gate.load(gates / kind)
    card = GateCard.of(gate, digest_of_gate(gates / kind))
    assert GateCard.read(json.dumps(card.as_json()), Path("file.onnx")) == card
    assert card.words == gate.sentences()
    assert card.threshold == (None if gate.has_groups else gate.threshold)
    assert (card.thresholds is None) != gate.has_groups
    assert card.coverage == gate.coverage
    assert card.accepts_any


def test_a_gate_that_accepts_nothing_has_no_threshold() -> None:
    gate = Gate.calibrate(np.arange(30.0), np.arange(30) % 2 == 0, 0.01)
    card = GateCard.of(gate, "digest", "oracle")
    assert card.threshold is None
    assert not card.accepts_any
    assert card.part == "oracle"


def _changed(**fields: Any) -> str:
    return json.dumps({name: value for name, value in {**CARD, **fields}.items() if value != "gone"})


BAD_CARDS = {
    "no JSON": ("{", "expected JSON in its metadata"),
    "a list": ("[]", "expected version 2 of the metadata, found []"),
    "another version": (_changed(version=1), "expected version 2 of the metadata, found 1"),
    "another part": (_changed(part="half"), "unknown part"),
    "no words": (_changed(words="gone"), "the field 'words' is missing"),
    "a threshold of text": (_changed(threshold="high"), "field 'threshold': found 'high' of an unexpected type"),
    "certificates of numbers": (_changed(certificates=[1]), "field 'certificates': found 1 of an unexpected type"),
}


@pytest.mark.parametrize("case", BAD_CARDS)
def test_other_metadata_are_refused(case: str) -> None:
    text, message = BAD_CARDS[case]
    with pytest.raises(SteepslopeError) as raised:
        GateCard.read(text, Path("gate.onnx"))
    assert message in str(raised.value)
    assert "gate.onnx" in str(raised.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SteepslopeError, match="expected an ONNX file, found none"):
        ExportedGate.open(tmp_path / "none.onnx")
    model = onnx.load(image_gate(tmp_path))
    del model.metadata_props[:]
    bare = model.SerializeToString()
    for content, message in (
        (b"hello", "expected a file that steepslope export wrote, with its SHA-256"),
        (bare, "expected a file that steepslope export wrote, with its SHA-256"),
        (sealed_onnx(b"hello"), "cannot be read as an ONNX file"),
        (sealed_onnx(bare), "expected a file that steepslope export wrote, found an ONNX file without"),
    ):
        (tmp_path / "other.onnx").write_bytes(content)
        with pytest.raises(SteepslopeError, match=rf"other\.onnx: {message}"):
            ExportedGate.open(tmp_path / "other.onnx")


def test_a_bit_that_is_changed_anywhere_is_found(tmp_path: Path) -> None:
    source = image_gate(tmp_path)
    content = source.read_bytes()
    assert len(onnx.load(source).metadata_props) == 2
    for bit in np.random.default_rng(0).integers(0, 8 * len(content), 300):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << (bit % 8)
        source.write_bytes(changed)
        with pytest.raises(SteepslopeError, match="SHA-256"):
            ExportedGate.open(source)


def test_what_onnx_runtime_cannot_run_on_is_told_in_one_line(tmp_path: Path) -> None:
    class Broken:
        def run(self, names: list[str], arrays: Any, options: Any) -> None:
            raise RuntimeError("Non-zero status code\n while running Conv")

    exported = replace(ExportedGate.open(image_gate(tmp_path)), session=Broken())
    with pytest.raises(SteepslopeError, match=r"images\.onnx: cannot run on these arrays \(Non-zero status code while"):
        exported.run({"images": drawn(1, 2, 2)})


BAD_ARRAYS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"features": np.zeros((2, 3), np.float32), "auxilary": 0}, "unknown input 'auxilary': did you mean"),
    "missing": ({"features": np.zeros((2, 3), np.float32)}, "found no auxiliary"),
    "another type": ({"features": np.zeros((2, 3)), "auxiliary": 0}, "expected features float32 (N, 3), found float64"),
    "another width": ({"features": np.zeros((2, 4), np.float32), "auxiliary": 0}, "found float32 (2, 4)"),
    "other rows": ({"features": np.zeros((3, 3), np.float32), "auxiliary": 0}, "expected as many rows of each"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_other_arrays_are_refused(case: str) -> None:
    arrays, message = BAD_ARRAYS[case]
    specs = ArraySpec("features", np.float32, (None, 3)), ArraySpec("auxiliary", np.float32, (None, 5))
    given = {name: np.zeros((2, 5), np.float32) if isinstance(one, int) else one for name, one in arrays.items()}
    with pytest.raises(SteepslopeError) as raised:
        require_fitting_inputs(given, specs)
    assert message in str(raised.value)
