"""Rows hold what the metrics give, and sentences are true."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from steepslope.metrics import METRICS, auroc, compare, coverage_at_risk, risk_at_coverage, tnr
from steepslope.metrics._intervals import Estimate
from steepslope.metrics._measures import table_metrics
from steepslope.metrics._selective import Groups
from steepslope.outputs import ClassifierOutputs
from steepslope.report._confidences import Scored, confidences_of_scores
from steepslope.report._evaluation import Evaluation, evaluated_rows
from steepslope.report._sentences import _mcp_sentence, evaluation_sentences
from steepslope.report._tables import _cut_table, _difference_table, main_table
from tests.conftest import make_outputs
from tests.report.samples import with_noise, with_scores


@pytest.fixture
def evaluation(outputs: ClassifierOutputs) -> Evaluation:
    return with_noise(outputs)


def test_rows_hold_what_the_metrics_give(evaluation: Evaluation) -> None:
    row, is_correct = evaluation.rows[1].as_json(), evaluation.predictions.is_correct
    mcp, noise = (one.confidence for one in evaluation.rows)
    others = {"score", "loss", "n", "delta_auc_vs_mcp", "vs_mcp", "vs_best_single", "replicates_lacking_a_class"}
    assert set(row) == METRICS.keys() | others | {"handed_over", "unknown", "gates"}
    assert row["handed_over"] is None
    assert row["vs_mcp"].keys() == METRICS.keys()
    assert row["vs_mcp"]["aurc"]["p"] <= 1
    assert row["auc"]["value"] == auroc(noise, is_correct)
    assert row["tnr"]["value"] == tnr(noise, is_correct, 0.0)
    difference = compare(noise, mcp, is_correct, bootstrap=100)["auc"]
    assert row["delta_auc_vs_mcp"] == {bound: difference[bound] for bound in ("value", "low", "high")}
    assert json.loads(json.dumps(row)) == row


def test_details_hold_what_the_metrics_give(evaluation: Evaluation) -> None:
    noise = evaluation.rows[1].details_as_json()
    confidence, is_correct = evaluation.rows[1].confidence, evaluation.predictions.is_correct
    assert noise["risk_at_coverage"][80]["value"] == risk_at_coverage(confidence, is_correct, 0.8)
    assert noise["coverage_at_risk"][10]["value"] == coverage_at_risk(confidence, is_correct, 0.1)
    assert noise["confusion"]["trusted_wrong"] == np.sum(~is_correct & (confidence > 0))
    assert noise["cuts"]["0.750"]["tnr"] == tnr(confidence, is_correct, np.log(3))
    assert [one["group"] for one in noise["groups"]] == ["0", "1", "2", "3"]
    assert sum(one["n"] for one in noise["groups"]) == len(confidence)
    assert json.loads(json.dumps(noise))["score"] == "noise"


def test_each_steep_slope_oracle_is_shown_at_its_own_cut() -> None:
    """The first one's cut once stood for that of all."""
    unseen = make_outputs(seed=1)
    noise = np.random.default_rng(0).normal(size=len(unseen))
    cuts = {"mild": 5 / 7, "steep": 0.9, "even": 0.5, "alike": 10 / 14}
    oracles = [Scored(name, "steep_slope", noise, "logit", natural_cut=cut) for name, cut in cuts.items()]
    evaluation = with_scores(unseen, *oracles)
    assert [list(row.cuts) for row in evaluation.rows] == [[0.5, 5 / 7, 0.9]] * 5
    for row in evaluation.rows:
        for cut, rates in row.cuts.items():
            assert rates["tnr"] == tnr(row.confidence, unseen.is_correct, np.log(cut / (1 - cut)))
    grid = _cut_table(evaluation.rows)
    assert [title for title in grid.columns if "TNR" in title] == [f"TNR at p > {cut}" for cut in (0.5, 0.714, 0.9)]
    assert "(mild at 0.714, steep at 0.9, even at 0.5, alike at 0.714)" in grid.note
    assert evaluation.rows[2].details_as_json()["natural_cut"] == 0.9


def test_a_score_that_only_ranks_has_no_cuts(outputs: ClassifierOutputs) -> None:
    ranks = Scored("ranks", None, np.arange(400.0) * 100, "rank")
    (row,) = evaluated_rows([ranks], outputs, groups=Groups(outputs.predictions), bootstrap=10)
    json_row = row.as_json()
    assert json_row["tpr"]["value"] is json_row["tnr"]["value"] is json_row["delta_auc_vs_mcp"]["value"] is None
    assert (row.confusion, row.cuts, row.groups) == (None, {}, [])
    assert 0 < ranks.unit_confidence.min() < ranks.unit_confidence.max() == 1


def test_lacking_replicates_are_counted() -> None:
    predictions = ClassifierOutputs.from_answers([1] * 10, np.arange(10) / 10, [1] * 9 + [0])
    (row,) = evaluated_rows([Scored("mcp", None, np.arange(10.0), "logit")], predictions, bootstrap=500)
    expected = 500 * 0.9**10
    assert row.resampled.lacking == pytest.approx(expected, abs=4 * np.sqrt(expected))
    assert f"{row.resampled.lacking} bootstrap replicates lacked an error" in main_table([row]).note


def test_mcp_is_no_baseline_for_what_comes_before_it(outputs: ClassifierOutputs) -> None:
    (mcp,) = confidences_of_scores([], outputs)
    rows = evaluated_rows([Scored("other", None, mcp.confidence, "logit"), mcp], outputs, bootstrap=0)
    assert [row.vs_mcp is None for row in rows] == [True, False]
    assert [row.groups for row in rows] == [[]] * 2  # which were not wanted


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ((0.2, 0.1, 0.3), "a ranks better than MCP (+20.0 AUC points, 95 % interval +10.0 to +30.0)."),
        ((-0.2, -0.3, -0.1), "a does NOT beat MCP: it ranks worse (-20.0 AUC points, 95 % interval -30.0 to -10.0)."),
        ((0, -0.1, 0.1), "a does not beat MCP: no significant difference (+0.0 AUC points, 95 % interval -10.0 to"),
        ((0.1, None, None), "a differs from MCP by +10.0 AUC points; without resamples it is not known if by luck."),
        ((None,) * 3, "a cannot be compared with MCP: AUC needs both errors and correct predictions."),
    ],
)
def test_sentences_say_who_wins(difference: tuple[float | None, ...], words: str) -> None:
    value, low, high = (np.nan if bound is None else bound for bound in difference)
    assert _mcp_sentence("a", Estimate(value=value, low=low, high=high)).startswith(words)


def with_oracle(outputs: ClassifierOutputs, shift: float, *, others: bool = True, bootstrap: int = 50) -> Evaluation:
    """Evaluate MCP, pure noise, a score that knows a little more than MCP, and an oracle that knows ``shift`` more."""
    mcp = confidences_of_scores([], outputs)[0].confidence
    generator = np.random.default_rng(0)
    noise, small, other = generator.normal(size=(3, len(outputs)))
    good = mcp + 0.3 * outputs.is_correct + 0.1 * small
    single = [Scored("noise", None, noise, "rank"), Scored("good", None, good, "rank")] if others else []
    oracle = Scored("fused", "steep_slope", good + shift * outputs.is_correct + 0.01 * other, "logit")
    return with_scores(outputs, *single, oracle, bootstrap=bootstrap)


def test_an_oracle_is_compared_with_the_best_single_score(outputs: ClassifierOutputs) -> None:
    evaluation = with_oracle(outputs, 0.5)
    rows = [row.as_json() for row in evaluation.rows]
    assert [row["score"] for row in rows] == ["mcp", "noise", "good", "fused"]
    assert min(rows[:3], key=lambda row: row["aurc"]["value"])["score"] == "good"
    assert [row["vs_best_single"] for row in rows[:3]] == [None] * 3
    found = rows[3]["vs_best_single"]
    confidence = {one.name: one.confidence for one in evaluation.rows}
    expected = compare(confidence["fused"], confidence["good"], outputs.is_correct, bootstrap=50)
    assert found == {"score": "good", "auc": expected["auc"], "aurc": expected["aurc"]}
    assert json.loads(json.dumps(rows)) == rows


@pytest.mark.parametrize(
    ("shift", "bootstrap", "words"),
    [
        (3.0, 50, r"better by AUC \(\+\d.*points.*\), better by AURC \(-.*thousandths, 95 % interval -.* to -.*\)\.$"),
        (-3.0, 50, r"clearly BELOW it by AUC \(-.* to -.*\), clearly BELOW it by AURC \(\+.* to \+.*\)\.$"),
        (0.0, 50, r"no significant difference by AUC \(.*\), no significant difference by AURC \(.*\)\.$"),
        (3.0, 0, r"AUC \+.* points, without resamples it is not known if by luck, AURC -.* thousandths, without"),
    ],
)
def test_sentences_name_the_best_single_score(
    outputs: ClassifierOutputs, shift: float, bootstrap: int, words: str
) -> None:
    lines = evaluation_sentences(with_oracle(outputs, shift, bootstrap=bootstrap).rows)
    assert [line.split()[0] for line in lines][:4] == ["noise", "good", "fused", "fused"]
    assert re.search("^fused against good, the best single score by AURC: " + words, lines[3])


def test_mcp_may_be_the_best_single_score_but_not_the_only_one(outputs: ClassifierOutputs) -> None:
    alone = with_oracle(outputs, 1.0, others=False)
    assert [row.vs_best_single for row in alone.rows] == [None, None]
    assert len(evaluation_sentences(alone.rows)) == 1
    mcp = confidences_of_scores([], outputs)[0].confidence
    others = [Scored("worse", None, -mcp, "rank"), Scored("fused", "focal", mcp + outputs.is_correct, "logit")]
    rows = with_scores(outputs, *others).rows
    assert rows[2].as_json()["vs_best_single"]["score"] == "mcp"
    assert evaluation_sentences(rows)[2].startswith("fused against mcp, the best single score by AURC: better by AUC")


def test_without_errors_no_best_single_score_is_named(outputs: ClassifierOutputs) -> None:
    right = ClassifierOutputs(outputs.logits, outputs.predictions, outputs.features)
    assert not any("best single score" in line for line in evaluation_sentences(with_oracle(right, 1.0).rows))


def test_without_resamples_no_comparison_is_counted(outputs: ClassifierOutputs) -> None:
    rows = with_oracle(outputs, 1.0, bootstrap=0).rows
    assert not any("comparisons" in line for line in [*evaluation_sentences(rows), _difference_table(rows).note])


def test_the_number_of_comparisons_is_told_with_holms_verdict(outputs: ClassifierOutputs) -> None:
    """Of three scores one truly ranks better; two are MCP with a little noise."""
    mcp = confidences_of_scores([], outputs)[0].confidence
    rng = np.random.default_rng(0)
    same = [Scored(f"same {one}", None, mcp + 0.01 * rng.normal(size=len(mcp)), "logit") for one in range(2)]
    better = Scored("better", None, mcp + 3.0 * outputs.is_correct, "logit")
    evaluation = with_scores(outputs, *same, better, bootstrap=400)
    last = evaluation_sentences(evaluation.rows)[-1]
    assert last.startswith("3 comparisons with MCP: without any true difference about 0.15 of the intervals")
    assert last.endswith("these differ: better.")
    note = _difference_table(evaluation.rows).note
    assert f"{3 * len(table_metrics())} comparisons with MCP" in note
    assert len(evaluation_sentences(with_noise(outputs).rows)) == 1
