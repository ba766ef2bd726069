"""The sentence that a report begins with is true to the numbers and to their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from steepslope.gate import Gate
from steepslope.metrics import fpr_at_tpr
from steepslope.outputs import ClassifierOutputs
from steepslope.report._confidences import Resources, Scored, confidences_of_scores
from steepslope.report._evaluation import evaluate_predictions, evaluated_rows
from steepslope.report._sentences import headline_sentence, remark_sentences
from steepslope.scores import SCORES
from tests.conftest import make_outputs
from tests.report.samples import with_noise, with_scores


def better(outputs: ClassifierOutputs, strength: float) -> Scored:
    confidence = np.random.default_rng(0).normal(size=len(outputs)) + strength * outputs.is_correct
    return Scored("good", "focal", confidence, "logit")


def test_the_best_score_is_named_with_what_it_finds() -> None:
    outputs = make_outputs(1500)
    evaluation = with_scores(outputs, better(outputs, 0.1), better(outputs, 4), bootstrap=200)
    evaluation.rows[1:2] = []  # type: ignore[index]
    of_mcp, found = (1 - fpr_at_tpr(one.confidence, outputs.is_correct, tpr=0.95) for one in evaluation.rows)
    assert headline_sentence(evaluation.rows) == (
        f"good finds {100 * found:.0f} % of the errors while trusting at least 95 % of the correct predictions; "
        f"MCP finds {100 * of_mcp:.0f} %."
    )


def test_what_is_worse_or_may_be_luck_is_said(outputs: ClassifierOutputs) -> None:
    noise = with_noise(make_outputs(1500), bootstrap=200)
    assert headline_sentence(noise.rows).endswith(". By AURC, MCP is clearly better.")
    mcp = with_scores(outputs, bootstrap=20).rows[0].confidence
    alike = with_scores(outputs, Scored("alike", None, mcp + 1e-9, "logit"), bootstrap=50)
    assert headline_sentence(alike.rows).endswith(". By AURC the difference may be luck.")


def test_without_resamples_luck_is_not_known(outputs: ClassifierOutputs) -> None:
    told = headline_sentence(with_noise(outputs, bootstrap=0).rows)
    assert told.endswith("Without resamples it is not known whether this is luck.")


def test_mcp_alone_and_no_errors(outputs: ClassifierOutputs) -> None:
    assert headline_sentence(with_scores(outputs).rows).startswith("mcp finds ")
    right = ClassifierOutputs(outputs.logits, outputs.predictions, outputs.features)
    told = headline_sentence(with_noise(right).rows)
    assert told == "Nothing can be compared: that needs both errors and correct predictions."


@pytest.mark.parametrize("n", [60, 4000])
def test_few_errors_are_warned_of(n: int) -> None:
    outputs = make_outputs(n)
    errors = int((~outputs.is_correct).sum())
    found = remark_sentences(with_noise(outputs, bootstrap=5).rows)
    assert found[0].text.startswith(f"{n:,} predictions, {errors:,} wrong")
    warned = [one.text for one in found if one.warns]
    expected = f"only {errors} wrong predictions: below about 50, all numbers depend on luck"
    assert warned == ([expected] if errors < 50 else [])


@pytest.mark.parametrize(("share", "broken"), [(0.0, False), (0.4, True)])
def test_a_promise_that_is_not_kept_stands_out(share: float, broken: bool) -> None:
    outputs, others = make_outputs(2000), make_outputs(2000, seed=1)
    gate = Gate.of(SCORES["margin"](), outputs, 0.2)
    wrong = np.random.default_rng(0).random(2000) < share
    others = others.changed(labels=np.where(wrong, (others.predictions + 1) % 4, others.require_labels()))
    rows = evaluate_predictions(others, [], Resources(gates={"gate": gate}), bootstrap=0).rows
    (told,) = [one for one in remark_sentences(rows) if one.text.startswith("The gate that ranks by gate accepts")]
    assert told.broken == broken
    assert not told.warns


def test_few_clusters_are_warned_of() -> None:
    outputs = make_outputs(4000)
    scored = confidences_of_scores([], outputs)
    rows = evaluated_rows(scored, outputs, bootstrap=5, clusters=np.arange(4000) % 20)
    warned = [one.text for one in remark_sentences(rows) if one.warns]
    assert warned == ["only 20 clusters with a wrong prediction: below about 50, all numbers depend on luck"]


def test_the_sentence_is_judged_by_what_chose_the_score() -> None:
    """A score that ranks better by AURC may find fewer errors at a TPR of 95 %: it is not called worse for that."""
    outputs = make_outputs(3000)
    mcp = confidences_of_scores([], outputs)[0].confidence
    good = mcp + 3 * outputs.is_correct
    lowest = np.random.default_rng(0).choice(np.flatnonzero(outputs.is_correct), 160, replace=False)
    good[lowest] = mcp.min() - 1 - np.arange(160)  # more than 5 % of the correct are below all errors
    rows = with_scores(outputs, Scored("good", "focal", good, "logit"), bootstrap=100).rows
    assert rows[1].vs_mcp is not None
    assert rows[1].vs_mcp["aurc"]["high"] < 0
    assert rows[1].vs_mcp["fpr_at_95tpr"]["value"] > 0
    assert headline_sentence(rows).endswith(". By AURC it is clearly better all the same.")
