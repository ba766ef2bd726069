"""Gates that count opinions as ONNX files: their nets go into the file, what comes from elsewhere is an input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steepslope.export.agreement import require_agreement
from steepslope.export.exporting import export_gate
from steepslope.export.file import ExportedGate
from steepslope.gate import Gate
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.options import ReadingOptions
from tests.cli.predictions import refuses
from tests.export.rows import run
from tests.images import opened

OPINIONS = {"twelve": "module:tests.nets:twelve_classes"}


def test_a_file_has_the_nets_of_opinions_in_it(opinions: Path, tmp_path: Path) -> None:
    """One of them has other classes, of which two are one here, and one is none."""
    gate = Gate.load(opinions / "nets", opinions=OPINIONS)
    exported = export_gate(gate)
    assert require_agreement(exported) < 1e-3
    exported.save(tmp_path / "gate.onnx")
    data = opened("digits:test")
    images = np.repeat(np.stack([np.asarray(data.image(row)) for row in range(40)])[..., None], 3, axis=3)
    file, expected = ExportedGate.open(tmp_path / "gate.onnx", threads=1), gate.predict(images)
    assert [one.name for one in file.inputs] == ["images"]
    found = file.run({"images": images})
    np.testing.assert_allclose(found["trust_logit"], expected.trust_logit, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found["label"], expected.labels)
    assert "counts the opinions of others on each prediction: second, twelve" in file.card.words


def test_other_opinions_are_inputs_and_a_row_may_lack_them(opinions: Path) -> None:
    gate = Gate.load(opinions / "all")
    exported = export_gate(gate, "gate")
    assert require_agreement(exported) < 1e-3
    files = (f"people={opinions}/votes.csv", f"vendor={opinions}/vendor.csv")
    outputs = ClassifierOutputs.load(opinions / "outputs" / "test", ReadingOptions(opinion=files))
    assert (outputs.require("vote_people") < 0).any()
    assert np.isnan(outputs.require("opinion_vendor")).any()
    expected = gate.decide(outputs)
    found = run(exported.model, {**outputs.arrays, "vote_people": outputs.require("vote_people")})
    np.testing.assert_allclose(found["trust_logit"], expected.trust_logit, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found["accepted"], expected.accepted)


def test_nets_of_opinions_are_of_no_use_to_parts(
    opinions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"export --gate {opinions}/all --part gate --out {tmp_path}/any.onnx --opinion twelve={OPINIONS['twelve']}"
    refuses(words, capsys, "opinion: expected none, since this file holds no nets")
