"""Gates that an evaluation is given: to which score they belong, under which name, and what is certified of all."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from steepslope.gate import Gate
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.report.confidences import Resources, Scored, score_predictions
from steepslope.report.evaluation import evaluate_predictions
from steepslope.report.web.page_scores import certified, page_scores, promises
from steepslope.scores import SCORES
from tests.conftest import make_outputs


def gate_of(name: str, **aims: object) -> Gate:
    return Gate.of(SCORES[name](), make_outputs(900, seed=1), **({"max_risk": 0.25} | aims))  # type: ignore[arg-type]


def attached(outputs: ClassifierOutputs, **gates: Gate) -> list[tuple[str, int]]:
    folders = {name.replace("_", "/"): gate for name, gate in gates.items()}
    found = score_predictions(["margin"], outputs, Resources(gates=folders))
    return [(one.name, len(one.gates)) for one in found]


def test_gates_of_one_score_are_attached_to_it(outputs: ClassifierOutputs) -> None:
    assert attached(outputs, a_gate=gate_of("margin"), b_gate=gate_of("margin", max_risk=0.3)) == [
        ("mcp", 0), ("margin", 2)]  # fmt: skip


def test_each_score_has_a_name_of_its_own(outputs: ClassifierOutputs) -> None:
    """Folders of gates are often called alike, and may be called like a score."""
    gates = {"a_gate": gate_of("entropy"), "b_gate": gate_of("max_logit"), "c_mcp": gate_of("doctor")}
    assert attached(outputs, **gates) == [("mcp", 0), ("margin", 0), ("gate", 1), ("b/gate", 1), ("c/mcp", 1)]


def test_an_oracle_of_a_gate_is_evaluated_as_the_oracle_itself(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    oracle = Oracle(inputs=("logits",), head="hyperplane", epochs=3).fit(make_outputs(600, seed=2))
    oracle.save(tmp_path / "oracle")
    gate = Gate.of(oracle, make_outputs(900, seed=1), 0.3)
    alone = score_predictions([], outputs, Resources(gates={"x/gate": gate}))[1]
    beside = score_predictions([str(tmp_path / "oracle")], outputs, Resources(gates={"x/gate": gate}))
    assert [one.name for one in beside] == ["mcp", "oracle"]
    assert (alone.loss, alone.natural_cut, alone.scale) == (beside[1].loss, beside[1].natural_cut, beside[1].scale)
    assert alone.explain is not None


def test_thresholds_of_groups_are_not_certified_of_all(outputs: ClassifierOutputs) -> None:
    evaluation = evaluate_predictions(
        outputs, [], Resources(gates={"by": gate_of("mcp", by="predicted", max_risk=0.35)}), bootstrap=0
    )
    assert evaluation.scored[0].gates
    assert certified(evaluation.scored[0]) == []
    assert page_scores(evaluation)["scores"][0]["certified"] == []
    assert len(promises(evaluation)) == 4


def test_a_promise_is_never_rounded_down(outputs: ClassifierOutputs) -> None:
    gate = gate_of("mcp", max_risk=0.2500001)
    scored = Scored("mcp", None, SCORES["mcp"]().confidence(outputs), "logit", gates=(gate,))
    ((label, threshold),) = certified(scored)
    assert label == "certified: risk ≤ 25.01 % (δ 5 %)"
    assert (scored.confidence > threshold).tolist() == gate.accepts(scored.confidence).tolist()
    assert math.isfinite(threshold)


def test_nothing_is_certified_where_nothing_is_promised(outputs: ClassifierOutputs) -> None:
    gate = gate_of("mcp", max_risk=0.001)
    evaluation = evaluate_predictions(outputs, [], Resources(gates={"strict": gate}), bootstrap=0)
    assert certified(evaluation.scored[0]) == []
    assert promises(evaluation)[0].startswith("mcp: Nothing can be promised")


@pytest.mark.parametrize("seed", range(3))
def test_all_rows_are_accepted_at_the_last_point(seed: int) -> None:
    outputs = make_outputs(200, seed=seed)
    evaluation = evaluate_predictions(outputs, ["entropy"], bootstrap=0)
    for one in page_scores(evaluation)["scores"]:
        assert one["points"]["correct"][-1] + one["points"]["wrong"][-1] == 200
        assert one["points"]["correct"][-1] == np.sum(outputs.is_correct)
