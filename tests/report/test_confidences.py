"""From names to confidences: which are found, how they are called, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.oracle import FusedOracle, Oracle
from steepslope.oracle._storage import ORACLE
from steepslope.outputs import ClassifierOutputs
from steepslope.report._confidences import Resources, Scored, _HandedOver, confidences_of_scores
from steepslope.report._evaluation import evaluate_predictions
from steepslope.report._sentences import _handover_sentence, evaluation_sentences
from steepslope.report.web._page_scores import _certified_page_stops, page_promises, page_scores
from steepslope.scores import MCP, SCORES, Score
from tests.conftest import make_complete, make_outputs
from tests.files.sealing import seal_again
from tests.refusal import refusal

UNSEEN = make_outputs(seed=1)  # rows that no oracle here was fitted on


@pytest.mark.nets
def test_mcp_comes_first_once(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    for name in ("a/ss", "b/ss", "b/ce"):
        Oracle(epochs=1).fit(outputs).save(tmp_path / name)
    names = [str(tmp_path / name) for name in ("a/ss", "b/ss", "b/ce")]
    scored = confidences_of_scores(["mcp", *names, f"{names[2]}/", str(tmp_path / "b" / ".." / "b" / "ce")], UNSEEN)
    assert [one.name for one in scored] == ["mcp", "a/ss", "b/ss", "ce"]
    np.testing.assert_array_equal(scored[0].confidence, MCP().confidence(UNSEEN))
    assert [one.loss for one in scored] == [None] + 3 * ["steep_slope"]


@pytest.mark.nets
def test_only_a_loss_with_a_cut_of_its_own_has_a_natural_cut(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    Oracle(loss="steep_slope", alpha_pos=2, alpha_neg=5, epochs=1).fit(outputs).save(tmp_path / "ss")
    Oracle(loss="focal", epochs=1).fit(outputs).save(tmp_path / "focal")
    scored = confidences_of_scores([str(tmp_path / "focal"), str(tmp_path / "ss")], UNSEEN)
    assert [one.natural_cut for one in scored] == [None, None, 5 / 7]


@pytest.mark.parametrize(
    ("name", "resources", "message"),
    [
        ("mpc", Resources(), "unknown score 'mpc': did you mean 'mcp'"),
        ("no/such", Resources(), "no/such: expected the folder of a fitted oracle"),
        ("temperature_scaled_mcp", Resources(), r"_mcp learns .*: expected outputs of held-out rows \(--fit\)"),
        ("trust_score", Resources(), r"trust_score learns .*: expected its training outputs \(--reference\)"),
        ("temperature_scaled_mcp", Resources(make_outputs(num_classes=5, seed=1)), "expected 4 classes to fit on"),
        ("trust_score", Resources(reference=make_outputs()), "^trust_score: expected other rows, found 400 in both"),
    ],
)
def test_what_is_unknown_or_lacks_something_is_named(name: str, resources: Resources, message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        confidences_of_scores([name], make_outputs(), resources)


@pytest.mark.nets
def test_an_error_inside_names_the_score_or_oracle_once(
    outputs: ClassifierOutputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def undefined(self: Score, outputs: ClassifierOutputs) -> np.ndarray:
        return np.full(len(outputs), np.nan)

    monkeypatch.setattr(SCORES["margin"], "confidence", undefined)
    told = refusal(confidences_of_scores, ["margin"], outputs)
    assert told == "margin: expected a confidence of each prediction, found NaN in row 0"
    Oracle(epochs=1).fit(outputs).save(tmp_path / "o")
    with pytest.raises(SteepslopeError, match=f"^oracle {tmp_path / 'o'}: "):
        confidences_of_scores([str(tmp_path / "o")], make_outputs(num_classes=5))


def gate_of(name: str, **aims: object) -> Gate:
    return Gate.of(SCORES[name](), make_outputs(900, seed=1), **({"max_risk": 0.25} | aims))  # type: ignore[arg-type]


def attached(outputs: ClassifierOutputs, **gates: Gate) -> list[tuple[str, int]]:
    folders = {name.replace("_", "/"): gate for name, gate in gates.items()}
    found = confidences_of_scores(["margin"], outputs, Resources(gates=folders))
    return [(one.name, len(one.gates)) for one in found]


def test_gates_of_one_score_are_attached_to_it(outputs: ClassifierOutputs) -> None:
    assert attached(outputs, a_gate=gate_of("margin"), b_gate=gate_of("margin", max_risk=0.3)) == [
        ("mcp", 0), ("margin", 2)]  # fmt: skip


def test_each_score_has_a_name_of_its_own(outputs: ClassifierOutputs) -> None:
    """Folders of gates are often called alike, and may be called like a score."""
    gates = {"a_gate": gate_of("entropy"), "b_gate": gate_of("max_logit"), "c_mcp": gate_of("doctor")}
    assert attached(outputs, **gates) == [("mcp", 0), ("margin", 0), ("gate", 1), ("b/gate", 1), ("c/mcp", 1)]


@pytest.mark.nets
def test_an_oracle_of_a_gate_is_evaluated_as_the_oracle_itself(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    oracle = Oracle(inputs=("logits",), head="hyperplane", epochs=3).fit(make_outputs(600, seed=2))
    oracle.save(tmp_path / "oracle")
    gate = Gate.of(oracle, make_outputs(900, seed=1), 0.3)
    alone = confidences_of_scores([], outputs, Resources(gates={"x/gate": gate}))[1]
    beside = confidences_of_scores([str(tmp_path / "oracle")], outputs, Resources(gates={"x/gate": gate}))
    assert [one.name for one in beside] == ["mcp", "oracle"]
    assert (alone.loss, alone.natural_cut, alone.scale) == (beside[1].loss, beside[1].natural_cut, beside[1].scale)
    assert alone.explain is not None


def test_thresholds_of_groups_are_not_certified_of_all(outputs: ClassifierOutputs) -> None:
    gate = gate_of("mcp", by="predicted", max_risk=0.35)
    evaluation = evaluate_predictions(outputs, [], Resources(gates={"by": gate}), bootstrap=0)
    assert evaluation.rows[0].gates
    assert _certified_page_stops(evaluation.rows[0]) == []
    assert page_scores(evaluation)["scores"][0]["certified"] == 0
    assert len(page_promises(evaluation)) == 4


def test_a_promise_is_never_rounded_down(outputs: ClassifierOutputs) -> None:
    gate = gate_of("mcp", max_risk=0.2500001)
    scored = Scored("mcp", None, SCORES["mcp"]().confidence(outputs), "logit", gates=(gate,))
    ((label, threshold),) = _certified_page_stops(scored)
    assert label == "certified: risk ≤ 25.01 % (δ 5 %)"
    assert (scored.confidence > threshold).tolist() == gate.accepts(scored.confidence).tolist()
    assert math.isfinite(threshold)


def test_nothing_is_certified_where_nothing_is_promised(outputs: ClassifierOutputs) -> None:
    gate = gate_of("mcp", max_risk=0.001)
    evaluation = evaluate_predictions(outputs, [], Resources(gates={"strict": gate}), bootstrap=0)
    assert _certified_page_stops(evaluation.rows[0]) == []
    assert page_promises(evaluation)[0].startswith("mcp: Nothing can be promised")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_report_says_what_a_gate_accepts_and_whether_that_is_a_test(seed: int) -> None:
    rows = make_outputs(900, seed=1)
    gate, outputs = Gate.of(SCORES["mcp"](), rows, 0.3), make_outputs(900, seed=seed)
    evaluation = evaluate_predictions(outputs, [], Resources(gates={"gate": gate}), bootstrap=0)
    accepted = gate.decide(outputs).accepted
    n, wrong = int(accepted.sum()), int((accepted & ~outputs.is_correct).sum())
    share, risk = (f"{100 * part:.1f} %" for part in (n / 900, wrong / n))
    told = f"The gate that ranks by mcp accepts {n} of 900 rows ({share}), {wrong} of them wrong ({risk}); it"
    (line,) = [line for line in evaluation_sentences(evaluation.rows) if line.startswith("The gate")]
    assert line.startswith(f"{told} promises at most 30 %.")
    assert ("found on these rows" in line) == (seed == 1)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_nets")
def test_the_part_handed_over_is_in_rows_and_words(tmp_path: Path) -> None:
    """Auxiliary features of all rows are shifted and scaled, which the free oracle does not see."""
    for budget in ("auxiliary", "free"):
        FusedOracle(budget=budget).fit(make_complete(300, seed=2)).save(tmp_path / budget)
    unseen = make_complete(200, seed=3)
    factors, offsets = np.array([3, 0.2, 1, 2, 1, 5, 1, 0.5]), np.arange(8) - 2.0
    unseen = unseen.changed(auxiliary=unseen.require("auxiliary") * factors + offsets)
    evaluation = evaluate_predictions(unseen, [str(tmp_path / "auxiliary"), str(tmp_path / "free")], bootstrap=0)
    weights = Oracle.load(tmp_path / "auxiliary").handed_over(unseen)
    assert weights is not None
    mcp, auxiliary, free = (row.as_json() for row in evaluation.rows)
    assert mcp["handed_over"] is None
    assert 0 <= free["handed_over"] < 0.1
    assert auxiliary["handed_over"] == pytest.approx(weights.mean()) == pytest.approx(1, abs=0.05)
    (sentence,) = (line for line in evaluation_sentences(evaluation.rows) if line.startswith("auxiliary:"))
    assert sentence.startswith(
        f"auxiliary: {100 * weights.mean():.0f} % of the rows look unfamiliar and use a simpler fallback"
    )
    assert sentence.endswith("% in fitting): a sign of shift.")


@pytest.mark.parametrize(
    ("part", "usual", "words"),
    [
        (0.16, 0.05, ": a sign of shift."),
        (0.14, 0.05, ": no sign of shift."),
        (0.04, 0.0, ": no sign of shift."),
        (0.06, 0.0, ": a sign of shift."),
        (0.3, None, "fused: 30 % of the rows look unfamiliar and use a simpler fallback."),
    ],
)
def test_what_looks_unlike_is_above_the_usual(
    part: float, usual: float | None, words: str, outputs: ClassifierOutputs
) -> None:
    (row,) = evaluate_predictions(outputs, [], bootstrap=0).rows
    assert _handover_sentence(row) == ""
    assert words in _handover_sentence(replace(row, name="fused", handed_over=_HandedOver(part, usual)))


@pytest.mark.usefixtures("quick_nets")
def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    FusedOracle(budget="free").fit(make_complete(300, seed=2)).save(tmp_path)
    fitted = json.loads((tmp_path / "oracle.json").read_text())["fitted"]
    for usual in (-0.1, 1.5, "much"):
        seal_again(ORACLE, tmp_path, fitted={**fitted, "usual_handover": usual})
        with pytest.raises(SteepslopeError, match=r"oracle\.json: expected the fit of a fused oracle"):
            Oracle.load(tmp_path)
