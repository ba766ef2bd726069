"""Confidences on any scale, of which only the order counts, and answers that have none; who agrees with whom."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit

from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.metrics import aurc
from steepslope.oracle import FusedOracle, Oracle
from steepslope.oracle._answer_scale import fit_answer_scales, on_answer_scales
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP

CLASSES = 3


def services(n: int, seed: int, scale: str = "probability", other: bool = True) -> ClassifierOutputs:
    """Return the answers of a service, and of another as an opinion, with confidences on a scale."""
    draw = np.random.default_rng(seed)
    labels, hard = draw.integers(CLASSES, size=n), draw.normal(size=n)
    found: list[ClassifierOutputs] = []
    for _ in range(2):
        logits = draw.normal(size=(n, CLASSES)) + (1.8 - hard)[:, None] * np.eye(CLASSES)[labels]
        shares = np.exp(1.5 * logits)
        shares /= shares.sum(axis=1, keepdims=True)
        confidence = SCALES[scale](shares.max(axis=1))
        given = labels if not found else None
        found.append(ClassifierOutputs.from_answers(shares.argmax(axis=1), confidence, given, classes=range(CLASSES)))
    return found[0].with_opinion("other", found[1]) if other else found[0]


SCALES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "probability": lambda p: p,
    "percent": lambda p: 100 * p,
    "squared": np.square,
    "a third": lambda p: p / 3,
    "log-probability": np.log,
    "1 to 5": lambda p: np.ceil(5 * (p - 1 / CLASSES) / (1 - 1 / CLASSES) + 1e-9),
    "missing": lambda p: np.where(np.arange(len(p)) % 4 == 0, np.nan, p),
}


def trust(scale: str) -> tuple[np.ndarray, ClassifierOutputs, FusedOracle]:
    """Return the trust logits of new rows, these, and the oracle."""
    oracle, rows = FusedOracle(budget="opinions").fit(services(600, 0, scale)), services(2_000, 1, scale)
    return oracle.trust_logit(rows), rows, oracle


@pytest.mark.parametrize("scale", ["percent", "squared", "a third", "log-probability"])
def test_a_change_of_scale_that_keeps_the_order_changes_no_decision_but_few(scale: str) -> None:
    plain, rows, _ = trust("probability")
    found, others, oracle = trust(scale)
    assert oracle.fitted_ is not None
    assert set(oracle.fitted_.scales) == {"logits", "opinion_other"}
    np.testing.assert_array_equal(rows.is_correct, others.is_correct)
    risks = [aurc(values, rows.is_correct) for values in (MCP().confidence(rows), plain, found)]
    assert risks[1] < 0.9 * risks[0]
    assert risks[2] == pytest.approx(risks[1], rel=0.01)
    assert ((plain > 0) != (found > 0)).mean() < 0.005


@pytest.mark.parametrize("scale", ["percent", "squared", "a third"])
def test_a_gate_decides_the_same_on_another_scale(scale: str) -> None:
    """A score in [0, 1] need not be the probability of the predicted class."""
    accepted = {}
    for name in ("probability", scale):
        oracle = FusedOracle().fit(services(300, 0, name, other=False))
        gate = Gate.of(oracle, services(1_000, 1, name, other=False), max_risk=0.1)
        accepted[name] = gate.decide(services(1_000, 2, name, other=False)).accepted
    assert accepted[scale].any()
    assert (accepted[scale] != accepted["probability"]).sum() <= 5


@pytest.mark.parametrize("scale", [*SCALES])
def test_scales_are_kept_in_the_folder_and_explained(scale: str, tmp_path: Path) -> None:
    found, rows, oracle = trust(scale)
    oracle.save(tmp_path / "oracle")
    np.testing.assert_array_equal(Oracle.load(tmp_path / "oracle").trust_logit(rows), found)
    np.testing.assert_allclose(sum(oracle.explain(rows).values()), found, atol=1e-9)
    assert oracle.fitted_ is not None
    assert set(oracle.fitted_.scales) == {"logits", "opinion_other"}


def test_outputs_without_the_opinion_are_told_so() -> None:
    _, _, oracle = trust("percent")
    with pytest.raises(SteepslopeError, match="the outputs hold no opinion_other"):
        oracle.trust_logit(services(50, 1, "percent", other=False))


@pytest.mark.parametrize("scale", ["1 to 5", "probability"])
def test_ranks_become_log_odds_in_the_same_order(scale: str) -> None:
    answers = services(500, 0, scale, other=False)
    scales = fit_answer_scales(answers)
    scaled = answers.changed(**on_answer_scales(answers.arrays, scales))
    before, after = MCP().confidence(answers), MCP().confidence(scaled)
    np.testing.assert_array_equal(np.unique(before, return_inverse=True)[1], np.unique(after, return_inverse=True)[1])
    middle = np.median(after)
    assert abs(expit(middle) - answers.is_correct.mean()) < 0.15
    assert scaled.predictions.tolist() == answers.predictions.tolist()


def test_without_a_confidence_an_answer_is_right_as_often_as_others_without() -> None:
    answers = services(4_000, 0, "missing", other=False)
    lacks = np.arange(4_000) % 4 == 0
    scaled = answers.changed(**on_answer_scales(answers.arrays, fit_answer_scales(answers)))
    expected = logit(answers.is_correct[lacks].mean())
    np.testing.assert_allclose(MCP().confidence(scaled)[lacks], expected, atol=0.05)


def test_logits_of_nets_keep_their_scale_whatever_they_look_like() -> None:
    draw = np.random.default_rng(0)
    for logits in (50 * draw.normal(size=(200, 2)), draw.normal(size=(200, 2)) ** 2 * [0, 1], np.eye(2)[[0, 1] * 100]):
        assert fit_answer_scales(ClassifierOutputs(logits, draw.integers(2, size=200), as_logits=True)) == {}


def test_one_confidence_of_all_and_none_at_all_are_scales_too() -> None:
    for confidence in (np.full(200, 0.9), None):
        answers = ClassifierOutputs.from_answers([0, 1] * 100, confidence, [0, 1, 1, 1] * 50)
        scaled = answers.changed(**on_answer_scales(answers.arrays, fit_answer_scales(answers)))
        np.testing.assert_allclose(MCP().confidence(scaled), logit(0.75), atol=0.02)


def test_confidences_beyond_those_of_the_fit_set_go_on_in_their_order() -> None:
    """Two of the fit set's are nearly the same, and log-odds do not fly off behind them."""

    def answers(confidence: list[float]) -> ClassifierOutputs:
        return ClassifierOutputs.from_answers([0] * len(confidence), confidence, [0] * len(confidence), classes=[0, 1])

    scales = fit_answer_scales(answers([0.5, 0.6, 0.7, 0.7 + 1e-12]))
    new = answers([0.4, 0.5, 0.6, 0.7, 0.8, 0.99])
    found = MCP().confidence(new.changed(**on_answer_scales(new.arrays, scales)))
    assert (np.diff(found) > 0).all()
    assert found[-1] < 10


def weak(n: int, seed: int, useful: bool) -> ClassifierOutputs:
    """Return a service whose errors another one tells a little, or not at all."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(2, size=n)
    confidence = draw.uniform(0.5, 1, n)
    first = np.where(draw.random(n) < confidence, labels, 1 - labels)
    second = np.where(draw.random(n) < 0.68, labels, 1 - labels) if useful else draw.integers(2, size=n)
    sure = draw.uniform(0.5, 1, n)
    other = ClassifierOutputs.from_answers(second, sure, classes=range(2))
    return ClassifierOutputs.from_answers(first, confidence, labels, classes=range(2)).with_opinion("other", other)


@pytest.mark.parametrize("useful", [True, False])
def test_a_weak_opinion_is_kept_with_few_rows_and_a_useless_one_costs_little(useful: bool) -> None:
    ratios = []
    for seed in range(6):
        oracle, rows = FusedOracle().fit(weak(300, seed, useful)), weak(2_000, 100 + seed, useful)
        ratios.append(aurc(oracle.trust_logit(rows), rows.is_correct) / aurc(MCP().confidence(rows), rows.is_correct))
    assert np.mean(ratios) < 0.93 if useful else max(ratios) < 1.02


@pytest.mark.parametrize("scale", ["probability", "missing"])
def test_confidences_on_another_scale_than_the_fit_set_are_refused(scale: str) -> None:
    _, rows, oracle = trust(scale)
    other = services(2_000, 1, "percent")
    with pytest.raises(SteepslopeError, match=r"confidence: expected confidences in \[0, 1\], .* found others in row"):
        oracle.trust_logit(other)
    with pytest.raises(SteepslopeError, match=r"opinion_other: expected confidences in \[0, 1\]"):
        oracle.trust_logit(rows.changed(opinion_other=other.arrays["opinion_other"]))


def test_logits_in_place_of_answers_are_refused() -> None:
    _, rows, oracle = trust("percent")
    expected = r"logits: expected a class and a confidence a row .*, as in the fit set, found logits in row 1"
    logits = np.array(rows.logits)
    logits[1] = [3.0, 0.5, 0.0]
    with pytest.raises(SteepslopeError, match=expected):
        oracle.trust_logit(rows.changed(logits=logits))
