"""Answers that a gate never saw: they are never accepted, the other rows are as before, and many of them are told."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.cli._main import main
from steepslope.errors import ChangedWarning, SteepslopeError
from steepslope.gate import Gate
from steepslope.oracle import FusedOracle
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES

CLASSES = np.array(["ant", "bee", "cow", "dog"])
N = 1_500
Scale = Callable[[NDArray[np.float64]], NDArray[np.float64]]
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
    decisions = gate.decide_rows(ClassifierOutputs.from_answers(said, sure, classes=gate.classes), top=2)
    new = np.arange(300) % 10 == 0
    assert (decisions.decision[new] == "review").all()
    assert (decisions.top_labels[new] == -1).all()
    assert {*decisions.table()["label"][new]} == {"none of the classes"}
    rest = ClassifierOutputs.from_answers(np.array(said)[~new], sure[~new], classes=gate.classes)
    expected = gate.decide_rows(rest)
    np.testing.assert_array_equal(decisions.trust_logit[~new], expected.trust_logit)
    np.testing.assert_array_equal(decisions.decision[~new], expected.decision)
    if gate.source is not None and gate.source.oracle is not None:
        unknown = ClassifierOutputs.from_answers(["zebra"], [1.0], classes=gate.classes)
        assert not gate.source.oracle.trusts(unknown).any()


@pytest.mark.parametrize(
    ("usual", "other", "expected"),
    [
        (lambda p: p, lambda p: 100 * p, r"confidences in \[0, 1\]"),
        (lambda p: p, lambda p: 1.03 + p / 10, r"confidences in \[0, 1\]"),
        (lambda p: p, lambda p: np.log(p), r"confidences in \[0, 1\]"),
        (lambda p: np.log(p), lambda p: p, "confidences of at most 0"),
        (lambda p: np.full(len(p), np.nan), lambda p: p, "no confidences"),
        (lambda p: 100 * p, lambda p: p, None),
    ],
)
def test_confidences_on_another_scale_than_the_calibration_rows_are_refused(
    usual: Scale, other: Scale, expected: str | None, tmp_path: Path
) -> None:
    """They would all be accepted. Of an opinion they are refused, too; what lies below is not accepted."""
    said, sure, truths = answers(N, 0)
    rows = ClassifierOutputs.from_answers(said, usual(sure), truths)
    Gate.of(SCORES["mcp"](), rows, max_risk=0.3).save(tmp_path / "gate")
    gate = Gate.load(tmp_path / "gate")
    new = {
        name: ClassifierOutputs.from_answers(said, form(sure), classes=gate.classes)
        for name, form in {"usual": usual, "other": other}.items()
    }
    gate.decide(new["usual"])
    if expected is None:
        with pytest.warns(ChangedWarning):
            assert not gate.decide(new["other"]).accepted.any()
        return
    with pytest.raises(SteepslopeError, match=f"^confidence: expected {expected}, as in the calibration rows"):
        gate.decide(new["other"])


def test_an_opinion_on_another_scale_or_none_is_told(tmp_path: Path) -> None:
    def with_vendor(n: int, seed: int, factor: float = 1) -> ClassifierOutputs:
        said, sure, truths = answers(n, seed)
        told, how_sure, _ = answers(n, seed, 0.9)
        vendor = ClassifierOutputs.from_answers(told, factor * how_sure, classes=[*CLASSES])
        return ClassifierOutputs.from_answers(said, sure, truths).with_opinion("vendor", vendor)

    oracle = FusedOracle(budget="opinions").fit(with_vendor(600, 1))
    gate, rows = Gate.of(oracle, with_vendor(N, 2), max_risk=0.2), with_vendor(300, 3)
    assert gate.source is not None
    assert gate.source.answers == dict.fromkeys(["logits", "opinion_vendor"], "confidences in [0, 1]")
    with pytest.raises(SteepslopeError, match=r"opinion_vendor: expected confidences in \[0, 1\]"):
        gate.decide(with_vendor(300, 3, 100))
    alone = ClassifierOutputs.from_answers(*answers(300, 3))
    for act in (lambda: gate.decide(alone), lambda: Gate.of(oracle, with_vendor(N, 2), 0.2, target=alone)):
        with pytest.raises(SteepslopeError, match="the outputs hold no opinion_vendor"):
            act()
    assert gate.decide(rows).accepted.any()


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


@pytest.mark.parametrize("batch", [[[0.0, 25.0]], [[0.0, 3.0]] * 50, [[0.0, 0.0], [0.0, 2.0]]])
def test_logits_of_an_ordinary_net_are_never_taken_for_answers(batch: list[list[float]]) -> None:
    """Neither those of a batch that has one number above 0 in each row, nor the fit and calibration rows."""
    draw = np.random.default_rng(0)
    logits = np.maximum(draw.normal(size=(900, 2)) * [0, 3], 0)
    labels = (draw.random(900) < 1 / (1 + np.exp(-logits[:, 1]))).astype(int)
    rows = ClassifierOutputs(logits, labels, as_logits=True)
    gate = Gate.of(FusedOracle().fit(rows.subset(slice(400))), rows.subset(slice(400, None)), max_risk=0.4)
    assert gate.source is not None
    assert gate.source.answers == {}
    assert np.isfinite(gate.decide_rows(ClassifierOutputs(batch, as_logits=True)).trust_logit).all()
