"""Confidences on scales that say nothing of probabilities, and of answers that have none; who agrees with whom."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit

from steepslope.errors import SteepslopeError
from steepslope.metrics import aurc
from steepslope.oracle import FusedOracle, Oracle
from steepslope.oracle.answer_scale import fit_answer_scales, on_answer_scales
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
    "log-probability": np.log,
    "1 to 5": lambda p: np.ceil(5 * (p - 1 / CLASSES) / (1 - 1 / CLASSES) + 1e-9),
    "missing": lambda p: np.where(np.arange(len(p)) % 4 == 0, np.nan, p),
}


def trust(scale: str) -> tuple[np.ndarray, ClassifierOutputs, FusedOracle]:
    """Return the trust logits of new rows, these, and the oracle."""
    oracle, rows = FusedOracle(budget="opinions").fit(services(600, 0, scale)), services(2_000, 1, scale)
    return oracle.trust_logit(rows), rows, oracle


@pytest.mark.parametrize("scale", ["percent", "log-probability"])
def test_a_change_of_scale_that_keeps_the_order_changes_little(scale: str) -> None:
    plain, rows, _ = trust("probability")
    found, others, oracle = trust(scale)
    assert oracle.fitted_ is not None
    assert set(oracle.fitted_.scales) == {"logits", "opinion_other"}
    risks = [aurc(values, rows.is_correct) for values in (MCP().confidence(rows), plain, found)]
    np.testing.assert_array_equal(rows.is_correct, others.is_correct)
    assert risks[1] < 0.9 * risks[0]
    assert risks[2] < 1.03 * risks[1]


@pytest.mark.parametrize("scale", [*SCALES])
def test_scales_are_kept_in_the_folder_and_explained(scale: str, tmp_path: Path) -> None:
    found, rows, oracle = trust(scale)
    oracle.save(tmp_path / "oracle")
    np.testing.assert_array_equal(Oracle.load(tmp_path / "oracle").trust_logit(rows), found)
    np.testing.assert_allclose(sum(oracle.explain(rows).values()), found, atol=1e-9)
    assert oracle.fitted_ is not None
    assert bool(oracle.fitted_.scales) == (scale != "probability")


def test_outputs_without_the_opinion_are_told_so() -> None:
    _, _, oracle = trust("percent")
    with pytest.raises(SteepslopeError, match="the outputs hold no opinion_other"):
        oracle.trust_logit(services(50, 1, "percent", other=False))


def test_ranks_become_log_odds_in_the_same_order() -> None:
    answers = services(500, 0, "1 to 5", other=False)
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
    np.testing.assert_allclose(MCP().confidence(scaled)[~lacks], MCP().confidence(answers)[~lacks], atol=1e-9)


def test_probabilities_and_logits_of_nets_keep_their_scale() -> None:
    assert fit_answer_scales(services(200, 0)) == {}
    draw = np.random.default_rng(0)
    net = ClassifierOutputs(50 * draw.normal(size=(200, 2)), draw.integers(2, size=200))
    assert fit_answer_scales(net) == {}


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
