"""The sentence that a report begins with is true to the numbers and to their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from steepslope.evaluation.score import Scored
from steepslope.metrics import fpr_at_tpr
from steepslope.outputs import ClassifierOutputs
from steepslope.report.headline import headline, leader, remarks
from tests.conftest import make_outputs
from tests.evaluation.samples import with_noise, with_scores


def better(outputs: ClassifierOutputs, strength: float) -> Scored:
    confidence = np.random.default_rng(0).normal(size=len(outputs)) + strength * outputs.is_correct
    return Scored("good", "focal", confidence, "logit")


def test_the_best_score_is_named_with_what_it_finds() -> None:
    outputs = make_outputs(1500)
    evaluation = with_scores(outputs, better(outputs, 0.1), better(outputs, 4), bootstrap=200)
    evaluation.rows[1:2] = []  # type: ignore[index]
    of_mcp, found = (1 - fpr_at_tpr(one.confidence, outputs.is_correct, tpr=0.95) for one in evaluation.scored[::2])
    assert headline(evaluation.rows) == (
        f"good finds {100 * found:.0f} % of the errors while trusting 95 % of the correct predictions; "
        f"MCP finds {100 * of_mcp:.0f} %."
    )


def test_what_is_worse_or_may_be_luck_is_said(outputs: ClassifierOutputs) -> None:
    noise = with_noise(make_outputs(1500), bootstrap=200)
    assert headline(noise.rows).endswith("clearly more, so MCP is the better choice.")
    mcp = with_scores(outputs, bootstrap=20).scored[0].confidence
    alike = with_scores(outputs, Scored("alike", None, mcp + 1e-9, "logit"), bootstrap=50)
    assert headline(alike.rows).endswith("The difference may be luck.")


def test_without_resamples_luck_is_not_known(outputs: ClassifierOutputs) -> None:
    assert headline(with_noise(outputs, bootstrap=0).rows).endswith("Without resamples it is not known if by luck.")


def test_mcp_alone_and_no_errors(outputs: ClassifierOutputs) -> None:
    assert headline(with_scores(outputs).rows).startswith("mcp finds ")
    right = ClassifierOutputs(outputs.logits, outputs.predictions, outputs.features)
    assert (
        headline(with_noise(right).rows) == "Nothing can be compared: that needs both errors and correct predictions."
    )


def test_the_leader_has_the_least_aurc(outputs: ClassifierOutputs) -> None:
    rows = with_scores(outputs, better(outputs, 1), Scored("bad", None, -outputs.is_correct.astype(float), "rank")).rows
    assert leader(rows).name == "good"


@pytest.mark.parametrize("n", [60, 4000])
def test_few_errors_are_warned_of(n: int) -> None:
    outputs = make_outputs(n)
    errors = int((~outputs.is_correct).sum())
    found = remarks(with_noise(outputs, bootstrap=5).rows)
    assert found[0].text.startswith(f"{n:,} predictions, {errors:,} wrong")
    warned = [one.text for one in found if one.warns]
    assert warned == ([f"only {errors} errors: below about 50, all numbers depend on luck"] if errors < 50 else [])
