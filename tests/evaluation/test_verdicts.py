"""What an evaluation says in words, and that it is true."""

from __future__ import annotations

import numpy as np
import pytest

from steepslope.evaluation.evaluation import evaluate_predictions
from steepslope.evaluation.score import Scored, score_predictions
from steepslope.evaluation.verdicts import verdicts
from steepslope.outputs import ClassifierOutputs, Confidences
from tests.evaluation.samples import with_noise, with_scores


@pytest.mark.parametrize(
    ("shift", "words"),
    [(3.0, "ranks better than MCP"), (-3.0, "does NOT beat MCP"), (0.0, "no significant difference")],
)
def test_verdicts_say_who_wins(outputs: ClassifierOutputs, shift: float, words: str) -> None:
    mcp = score_predictions([], outputs)[0]
    noise = 0.01 * np.random.default_rng(0).normal(size=len(outputs))
    other = Scored("other", None, mcp.confidence + shift * outputs.is_correct + noise, "logit")
    (sentence,) = verdicts(with_scores(outputs, other, bootstrap=200).rows)
    assert words in sentence


def test_verdicts_say_what_cannot_be_compared(outputs: ClassifierOutputs) -> None:
    right = ClassifierOutputs(outputs.logits, outputs.predictions, outputs.features)
    assert verdicts(with_noise(right, 5).rows) == [
        "noise cannot be compared with MCP: AUC needs both errors and correct predictions."
    ]
    (sentence,) = verdicts(with_noise(outputs, 0).rows)
    assert "without resamples nobody can say if by luck" in sentence
    alone = Confidences(np.array([0.2, 0.9]), np.array([False, True]))
    rows = evaluate_predictions(alone, [], bootstrap=5).rows
    assert verdicts(rows) == ["confidence cannot be compared with MCP: that needs logits."]
