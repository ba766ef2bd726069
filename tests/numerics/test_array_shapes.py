"""What holds arrays is shown in a few words: shapes stand for entries, however many rows there are."""

from __future__ import annotations

import numpy as np
import pytest

from steepslope import ClassifierOutputs, Gate
from steepslope.metrics import risk_coverage_curve
from steepslope.monitor import Monitor
from steepslope.outputs._row_hashes import RowHashes
from steepslope.report._evaluation import evaluate_predictions
from steepslope.scores import MCP

N, K, D = 1_797, 10, 64


@pytest.fixture(scope="module")
def outputs() -> ClassifierOutputs:
    draw = np.random.default_rng(0)
    labels = draw.integers(K, size=N)
    logits = draw.normal(size=(N, K)) + 4 * np.eye(K)[labels]
    second = ClassifierOutputs(logits[::-1], as_logits=True)
    return ClassifierOutputs(logits, labels, draw.normal(size=(N, D))).with_opinion("second", second)


def test_outputs_are_shown_by_the_shapes_of_what_they_hold(outputs: ClassifierOutputs) -> None:
    held = "logits (1797, 10), labels (1797,), features (1797, 64), further {opinion_second (1797, 10)}"
    assert repr(outputs) == f"ClassifierOutputs({held})"
    bare = ClassifierOutputs([[2.0, 0.0]], classes=["ant", "bee"]).of_classifier("f00d")
    assert repr(bare) == "ClassifierOutputs(logits (1, 2), classes=('ant', 'bee'), classifier='f00d')"


def test_a_thousand_names_are_cut(outputs: ClassifierOutputs) -> None:
    many = ClassifierOutputs(np.zeros((3, 1_000)), classes=[f"class {number}" for number in range(1_000)])
    assert repr(many).startswith("ClassifierOutputs(logits (3, 1000), classes=('class 0', 'class 1', ")
    assert len(repr(many)) < 200


def test_nothing_that_is_shown_grows_with_the_rows(outputs: ClassifierOutputs) -> None:
    """A line or a few on a screen, where 500 rows filled 25,000 characters."""
    gate = Gate.of(MCP(), outputs, max_risk=0.2)
    monitor = Monitor.of(gate)
    decisions = gate.decide(outputs)
    monitor.update(decisions.p_correct, decisions.accepted, decisions.probability, decisions.labels)
    curve = risk_coverage_curve(decisions.p_correct, outputs.is_correct)
    evaluation = evaluate_predictions(outputs, ["mcp"], bootstrap=2)
    for shown in (decisions, gate.calibration_rows, RowHashes.of(outputs), curve, evaluation, monitor):
        assert repr(shown).startswith(f"{type(shown).__name__}(")
        assert len(repr(shown)) < 1_000
    assert f"p_correct ({N},)" in repr(decisions)
    assert repr(RowHashes.of(outputs)) == f"RowHashes(sketches ({N}, 5))"
