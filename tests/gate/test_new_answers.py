"""Answers that a gate never saw: they are never accepted, the other rows are as before, and many of them are told."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.cli.main import main
from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.oracle import FusedOracle
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES

CLASSES = np.array(["ant", "bee", "cow", "dog"])
N = 1_500
OF_LOGITS = [name for name, kind in SCORES.items() if {*kind.arrays} <= {"logits"} and kind.fits_on != "reference"]


def answers(n: int, seed: int, right: float = 0.8) -> tuple[NDArray[np.str_], NDArray[np.float64], NDArray[np.str_]]:
    """Return what a service says, how sure it is, and the truth."""
    draw = np.random.default_rng(seed)
    truths = draw.integers(4, size=n)
    said = np.where(draw.random(n) < right, truths, draw.integers(4, size=n))
    sure = np.where(said == truths, draw.beta(5, 1, n), draw.beta(2, 2, n))
    return CLASSES[said], sure, CLASSES[truths]


def with_new(n: int, every: int) -> tuple[list[str], NDArray[np.float64]]:
    """Return new answers, of which one in so many is a class that nobody knows; it is the surest."""
    said, sure, _ = answers(n, 7)
    sure[::every] = 1.0
    return ["zebra" if row % every == 0 else str(one) for row, one in enumerate(said)], sure


def accepting_gate(kind: str) -> Gate:
    """Return a gate that may accept all: its threshold is the lowest that there is."""
    outputs = ClassifierOutputs.from_answers(*answers(N, 0))
    source = FusedOracle().fit(outputs.subset(slice(500))) if kind == "fused" else SCORES[kind]().fit(outputs)
    return Gate.of(source, outputs.subset(slice(500, None)), max_risk=0.7)


@pytest.mark.filterwarnings("ignore::steepslope.errors.UnknownLabelsWarning")
@pytest.mark.parametrize("kind", [*OF_LOGITS, "fused"])
def test_they_go_to_review_even_where_all_is_accepted(kind: str) -> None:
    gate = accepting_gate(kind)
    assert gate.coverage > 0.99
    said, sure = with_new(300, 10)
    decisions = gate.decide(ClassifierOutputs.from_answers(said, sure, classes=gate.classes), top=2)
    new = np.arange(300) % 10 == 0
    assert (decisions.decision[new] == "review").all()
    assert (decisions.top_labels[new] == -1).all()
    assert {*decisions.table()["label"][new]} == {"none of the classes"}
    rest = ClassifierOutputs.from_answers(np.array(said)[~new], sure[~new], classes=gate.classes)
    expected = gate.decide(rest)
    np.testing.assert_array_equal(decisions.trust_logit[~new], expected.trust_logit)
    np.testing.assert_array_equal(decisions.decision[~new], expected.decision)
    if gate.source is not None and gate.source.oracle is not None:
        unknown = ClassifierOutputs.from_answers(["zebra"], [1.0], classes=gate.classes)
        assert not gate.source.oracle.trusts(unknown).any()


@pytest.mark.parametrize("kind", ["mcp", "fused"])
def test_confidences_on_another_scale_than_the_calibration_rows_are_refused(kind: str, tmp_path: Path) -> None:
    """Percentages after numbers in [0, 1] would all be accepted."""
    accepting_gate(kind).save(tmp_path / "gate")
    gate, (said, sure, _) = Gate.load(tmp_path / "gate"), answers(300, 7)
    assert gate.decide(ClassifierOutputs.from_answers(said, sure, classes=gate.classes)).accepted.any()
    with pytest.raises(SteepslopeError, match=r"^confidence: expected confidences in \[0, 1\], as those of the "):
        gate.decide(ClassifierOutputs.from_answers(said, 100 * sure, classes=gate.classes))


@pytest.mark.parametrize(("every", "code"), [(300, 0), (20, 4), (1, 4)])
def test_a_file_with_many_of_them_is_changed(
    every: int, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = Gate.of(SCORES["mcp"](), ClassifierOutputs.from_answers(*answers(N, 0)), max_risk=0.15)
    gate.save(tmp_path / "gate")
    said, sure = with_new(900, every)
    rows = [f"{row},{one},{value:.4f}" for row, (one, value) in enumerate(zip(said, sure, strict=True))]
    (tmp_path / "new.csv").write_text("\n".join(["id,prediction,confidence", *rows]) + "\n")
    out = str(tmp_path / "decisions.csv")
    command = ["predict", "--gate", str(tmp_path / "gate"), "--outputs", str(tmp_path / "new.csv"), "--out", out]
    assert main(command) == code
    told = capsys.readouterr().err
    assert f"{-(-900 // every):,} with an answer that is none of the classes" in told
    assert ("CHANGED" in told) == (code == 4)
    watched = ["monitor", "--gate", str(tmp_path / "gate"), "--state", str(tmp_path / "state"), "--predictions", out]
    assert main(watched) == code  # the file agrees with the gate
