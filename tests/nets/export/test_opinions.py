"""Gates that count opinions as ONNX files: their nets go into the file, what comes from elsewhere is an input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steepslope.gate import Gate
from steepslope.nets.export._agreement import require_agreement
from steepslope.nets.export._exporting import export_gate
from steepslope.nets.export._file import ExportedGate
from steepslope.nets.predict._image_gate import ImageGate
from steepslope.oracle import FusedOracle, Oracle
from steepslope.oracle.evidence._registry import arrays_of_stack, is_stack
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs._options import ReadingOptions
from tests.cli.predictions import refuses
from tests.conftest import Captured
from tests.images import digits
from tests.nets.export.rows import run
from tests.oracle.conftest import too_sure
from tests.oracle.test_answer_scale import services

OPINIONS = {"twelve": "module:tests.tiny_nets:twelve_classes"}


@pytest.mark.slow
def test_a_file_has_the_nets_of_opinions_in_it(opinions: Path, tmp_path: Path) -> None:
    """One of them has other classes, of which two are one here, and one is none."""
    gate = ImageGate.load(opinions / "nets", opinions=OPINIONS)
    exported = export_gate(gate)
    assert require_agreement(exported) < 1e-3
    exported.save(tmp_path / "gate.onnx")
    images = np.repeat(digits(40)[..., None], 3, axis=3)
    file, expected = ExportedGate.open(tmp_path / "gate.onnx", threads=1), gate.predict(images)
    assert [one.name for one in file.inputs] == ["images"]
    found = file.run({"images": images})
    np.testing.assert_allclose(found["trust_logit"], expected.trust_logit, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found["label"], expected.labels)
    assert "counts the opinions of others on each prediction: second, twelve" in file.card.words


@pytest.mark.slow
def test_other_opinions_are_inputs_and_a_row_may_lack_them(opinions: Path) -> None:
    gate = Gate.load(opinions / "all")
    exported = export_gate(gate, "gate")
    assert require_agreement(exported) < 1e-3
    files = (f"people={opinions}/votes.csv", f"vendor={opinions}/vendor.csv")
    outputs = ClassifierOutputs.load(opinions / "outputs" / "test", ReadingOptions(opinion=files))
    assert (outputs.require("vote_people") < 0).any()
    assert np.isnan(outputs.require("opinion_vendor")).any()
    expected = gate.decide_rows(outputs)
    found = run(exported.model, {**outputs.arrays, "vote_people": outputs.require("vote_people")})
    np.testing.assert_allclose(found["trust_logit"], expected.trust_logit, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found["accepted"], expected.accepted)


@pytest.mark.slow
def test_a_stacker_is_in_the_file_and_a_row_may_lack_an_opinion(tmp_path: Path) -> None:
    """The other classifier knows one class, guesses between two, always surely: one weight cannot tell these apart."""
    rng = np.random.default_rng(0)

    def drawn(n: int) -> ClassifierOutputs:
        labels, guess = rng.integers(3, size=n), rng.normal(size=n)
        logits = 1.5 * np.eye(3)[labels] + rng.normal(size=(n, 3))
        about_one = np.where(labels == 2, 3, -3) + rng.normal(size=n)
        opinion = np.stack([5 * guess, -5 * guess, about_one], axis=1)
        return ClassifierOutputs(logits.astype(np.float32), labels).with_opinion("other", opinion.astype(np.float32))

    known, rows = drawn(3_000), drawn(500)
    lacking = np.array(rows.require("opinion_other"))
    lacking[::3] = np.nan
    rows = rows.changed(opinion_other=lacking)
    oracle = FusedOracle(budget="opinions").fit(known)
    assert oracle.fitted_ is not None
    assert any("opinion_other" in arrays_of_stack(name) for name in oracle.fitted_.pool.inputs if is_stack(name))
    oracle.save(tmp_path / "oracle")
    again = Oracle.load(tmp_path / "oracle")
    np.testing.assert_array_equal(again.trust_logit(rows), oracle.trust_logit(rows))
    gate = Gate.of(again, drawn(500), 0.3)
    exported = export_gate(gate, "gate")
    found = run(exported.model, dict(rows.arrays))
    np.testing.assert_allclose(found["trust_logit"], gate.decide_rows(rows).trust_logit, rtol=1e-4, atol=1e-5)


def test_an_average_is_in_the_file_and_a_row_may_lack_an_opinion() -> None:
    """As it is where errors are few, and others too sure."""
    fit, rows = too_sure(400, 0), too_sure(300, 1)
    oracle = FusedOracle(budget="opinions").fit(fit)
    assert oracle.fitted_ is not None
    assert oracle.fitted_.pool.is_linear
    assert oracle.fitted_.pool.inputs == ("logits", "opinion_one", "opinion_two")
    lacking = {name: np.array(rows.require(name)) for name in ("opinion_one", "opinion_two")}
    lacking["opinion_one"][::2] = lacking["opinion_two"][::3] = np.nan
    rows = rows.changed(**lacking)
    gate = Gate.of(oracle, too_sure(300, 2), 0.3)
    found = run(export_gate(gate, "gate").model, dict(rows.arrays))
    np.testing.assert_allclose(found["trust_logit"], gate.decide_rows(rows).trust_logit, rtol=1e-4, atol=1e-5)


def graded(n: int, seed: int) -> ClassifierOutputs:
    """Return graded answers with three signals, of which half lack one."""
    draw = np.random.default_rng(seed)
    skill = draw.normal(size=n)
    signals = {
        "judge": np.round(2 * (skill + draw.normal(size=n))),
        "agreement": 1 - 1e-7 * (draw.random(n) < 0.3) - draw.integers(4, size=n) / 4,  # some are nearly 1
        "entropy": np.where(np.arange(n) % 2, np.exp(-skill), np.nan),
    }
    return ClassifierOutputs.from_graded(signals, skill + draw.normal(size=n) > -0.5)


def test_signals_are_inputs_of_the_file() -> None:
    """A row may lack a signal as in the fit set; one that lacks another goes to review."""
    gate = Gate.of(FusedOracle(errors="crossfit").fit(graded(600, 1)), graded(600, 2), 0.3)
    rows = graded(500, 3)
    judge = np.where(np.arange(500) % 7, rows.require("signal_judge"), np.nan)
    rows = rows.changed(signal_judge=judge, labels=None)
    given = {name: array.astype(np.float32) for name, array in rows.arrays.items()}
    found, expected = run(export_gate(gate, "gate").model, given), gate.decide_rows(rows)
    np.testing.assert_allclose(found["trust_logit"], expected.trust_logit, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found["accepted"], expected.accepted)
    assert 0.3 < expected.accepted.mean() < 0.9
    assert not expected.accepted[::7].any()


@pytest.mark.parametrize("scale", ["probability", "percent", "missing"])
def test_answers_are_in_the_file_as_made_logits(scale: str) -> None:
    """Their scale and the regression on who agrees are, too."""
    oracle = FusedOracle(budget="opinions").fit(services(250, 4, scale))
    rows = services(300, 1, scale)
    rows = rows.changed(opinion_other=np.where(np.arange(300)[:, None] % 5 == 0, np.nan, rows.require("opinion_other")))
    gate = Gate.of(oracle, services(300, 2, scale), 0.3)
    given = {name: array.astype(np.float32) for name, array in rows.arrays.items() if name != "labels"}
    found = run(export_gate(gate, "gate").model, given)
    np.testing.assert_allclose(found["trust_logit"], gate.decide_rows(rows).trust_logit, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(found["label"], rows.predictions)
    percent = services(300, 1, "percent").logits.astype(np.float32)
    beyond = run(export_gate(gate, "gate").model, {**given, "logits": percent})
    assert (np.isnan(beyond["trust_logit"]) & ~beyond["accepted"]).mean() == (scale != "percent")


def test_nets_of_opinions_are_of_no_use_to_parts(opinions: Path, tmp_path: Path, capsys: Captured) -> None:
    words = f"export --gate {opinions}/all --part gate --out {tmp_path}/any.onnx --opinion twelve={OPINIONS['twelve']}"
    refuses(words, capsys, "opinion: expected none, since this file holds no nets")
