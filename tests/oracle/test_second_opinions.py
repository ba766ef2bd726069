"""Opinions of other classifiers in a fused oracle: what they gain, where rows lack them, and what does no harm."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from steepslope.errors import SteepslopeError
from steepslope.metrics import aurc, auroc
from steepslope.numerics._opinion_pool import OpinionPool
from steepslope.oracle import FusedOracle, Oracle
from steepslope.oracle._pooling import Pool
from steepslope.oracle.evidence._opinions import fit_votes
from steepslope.oracle.evidence._values import FAR, evidence_columns, fit_states
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP, SCORES
from tests.oracle.conftest import fit_of, too_sure


def drawn(n: int, seed: int, num_classes: int = 4) -> tuple[ClassifierOutputs, np.ndarray]:
    """Return outputs with labels, and the logits of another classifier that errs on other rows."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(num_classes, size=n)
    own, other = (rng.normal(size=(n, num_classes)) + 2 * np.eye(num_classes)[labels] for _ in range(2))
    return ClassifierOutputs(own, labels), other


FIT, OTHER = drawn(800, 0)
NEW, OTHER_NEW = drawn(2_000, 1)
KINDS = {"logits": (OTHER, OTHER_NEW), "votes": (OTHER.argmax(axis=1), OTHER_NEW.argmax(axis=1))}


def ratio(oracle: FusedOracle, outputs: ClassifierOutputs) -> float:
    """Return an oracle's AURC over MCP's."""
    return aurc(oracle.trust_logit(outputs), outputs.is_correct) / aurc(MCP().confidence(outputs), outputs.is_correct)


@pytest.fixture(scope="module")
def oracles() -> dict[str, FusedOracle]:
    """Fit an oracle to each kind of opinion."""
    return {kind: FusedOracle().fit(FIT.with_opinion("other", fit)) for kind, (fit, _) in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_another_opinion_ranks_far_better(kind: str, oracles: dict[str, FusedOracle]) -> None:
    oracle, new = oracles[kind], NEW.with_opinion("other", KINDS[kind][1])
    assert fit_of(oracle).budget == "opinions"
    assert list(fit_of(oracle).gains) == ["free", "opinions"]
    assert ratio(oracle, new) < 0.75
    assert set(oracle.explain(new)) >= {f"{'vote' if kind == 'votes' else 'opinion'}_other"}


def test_no_opinion_is_one_clear_error() -> None:
    with pytest.raises(SteepslopeError, match=r"^budget: expected opinions of other classifiers, found none: give"):
        Oracle.fused(budget="opinions").fit(FIT)


def test_the_budget_free_does_without() -> None:
    oracle = Oracle.fused(budget="free").fit(FIT.with_opinion("other", OTHER))
    assert not [array for array in oracle.arrays if array.startswith("opinion")]
    assert np.isfinite(oracle.trust_logit(NEW)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_lack_it_are_ranked_as_by_the_classifier(kind: str, oracles: dict[str, FusedOracle]) -> None:
    """Though no row of the fit set lacks it; and half of them lacking, the rest is still ranked better."""
    oracle, new = oracles[kind], NEW.with_opinion("other", KINDS[kind][1])
    half = np.arange(len(NEW)) % 2 == 0
    name = next(name for name in new.further if name.endswith("_other"))
    values = new.require(name).copy()
    values[half] = np.nan if kind == "logits" else -1
    some = new.changed(**{name: values})
    none = oracle.trust_logit(some)[half]
    correct = NEW.is_correct
    assert auroc(none, correct[half]) > auroc(MCP().confidence(NEW)[half], correct[half]) - 0.003
    np.testing.assert_array_equal(oracle.trust_logit(some)[~half], oracle.trust_logit(new)[~half])
    assert ratio(oracle, some) < 0.95


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::steepslope.errors.FewErrorsWarning")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [200, 1_000])
def test_useless_opinions_do_no_harm(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    outputs, _ = drawn(n, 10 + seed)
    useless = {
        "random votes": (rng.integers(4, size=n), rng.integers(4, size=len(NEW))),
        "random logits": (rng.normal(size=(n, 4)), rng.normal(size=(len(NEW), 4))),
        "a copy": (outputs.logits, NEW.logits),
    }
    for fitted, new in useless.values():
        oracle = Oracle.fused().fit(outputs.with_opinion("other", fitted))
        assert ratio(oracle, NEW.with_opinion("other", new)) < 1.02


def test_columns_of_votes_know_no_labels() -> None:
    """An oracle on columns sees them of its own fit rows: what votes tell of classes is learnt from their labels."""
    outputs = FIT.with_opinion("other", KINDS["votes"][0])
    turned = outputs.changed(labels=(FIT.require_labels() + 1) % 4)
    found, again = (
        evidence_columns(outputs, ("vote_other",), slice(None), fit_states(("vote_other",), some, None))
        for some in (outputs, turned)
    )
    np.testing.assert_array_equal(found, again)
    np.testing.assert_array_equal(found[:, 0], outputs.require("vote_other") == FIT.predictions)


def test_what_votes_tell_by_hand() -> None:
    """Of five votes, three agree with the label. The prior weighs five rows a class, and 2 is any other class."""
    outputs = ClassifierOutputs(np.zeros((6, 2)), np.array([0, 0, 0, 1, 1, 0]))
    outputs = outputs.changed(vote_other=np.array([0, 0, 1, 1, 2, -1]))
    agreeing = (3 + 1) / (5 + 3)
    other = (1 - agreeing) / 2
    of_first = np.array([2 + 5 * agreeing, 1 + 5 * other, 5 * other]) / (3 + 5)
    of_second = np.array([5 * other, 1 + 5 * agreeing, 1 + 5 * other]) / (2 + 5)
    np.testing.assert_allclose(np.exp(fit_votes(outputs, "vote_other")["likelihood"]).T, [of_first, of_second])


def test_the_cost_names_the_opinions_and_the_advice_compares_them() -> None:
    fitted = fit_of(Oracle.fused().fit(FIT.with_opinion("b", OTHER).with_opinion("a", OTHER.argmax(axis=1))))
    assert fitted.gains["opinions"].cost == "1 forward pass and the opinions of b, a"
    assert fitted.gains["free"].cost == "1 forward pass"
    assert any(line.startswith("without an oracle, the opinion of b is right on ") for line in fitted.advice)
    assert any(line.startswith("without an oracle, the opinion of a is right on ") for line in fitted.advice)


@pytest.mark.slow
def test_an_opinion_twice_counts_once() -> None:
    once = Oracle.fused().fit(FIT.with_opinion("a", OTHER))
    twice = Oracle.fused().fit(FIT.with_opinion("a", OTHER).with_opinion("b", OTHER))
    ranked = once.trust_logit(NEW.with_opinion("a", OTHER_NEW))
    again = twice.trust_logit(NEW.with_opinion("a", OTHER_NEW).with_opinion("b", OTHER_NEW))
    assert np.corrcoef(again, ranked)[0, 1] > 0.999
    assert again.std() == pytest.approx(ranked.std(), rel=0.05)


def test_it_is_saved_with_what_votes_tell(tmp_path: Path, oracles: dict[str, FusedOracle]) -> None:
    oracle, new = oracles["votes"], NEW.with_opinion("other", KINDS["votes"][1])
    oracle.save(tmp_path / "oracle")
    np.testing.assert_array_equal(Oracle.load(tmp_path / "oracle").trust_logit(new), oracle.trust_logit(new))


def test_logits_alone_are_tempered() -> None:
    """Where logits mean little by themselves, a temperature ranks as well as the score that is made for it."""
    rng = np.random.default_rng(0)
    labels = rng.integers(30, size=4_000)
    logits = 6 * (rng.normal(size=(4_000, 30)) + 3 * np.eye(30)[labels])
    outputs = ClassifierOutputs(logits, labels)
    fit, new = outputs.subset(slice(2_000)), outputs.subset(slice(2_000, None))
    score = SCORES["temperature_scaled_mcp"]().fit(fit)
    oracle = Oracle.fused().fit(fit)
    assert fit_of(oracle).inputs == ("logits",)
    found, expected = (auroc(one, new.is_correct) for one in (oracle.trust_logit(new), score.confidence(new)))
    assert found > expected - 0.002
    assert found > auroc(MCP().confidence(new), new.is_correct) + 0.001


def test_a_pool_is_mixed_on_one_scale() -> None:
    """Log-odds of MCP that are ten times too large do not drown out the second backbone where rows are handed over."""
    rng = np.random.default_rng(0)

    def made(n: int) -> ClassifierOutputs:
        labels = rng.integers(4, size=n)
        own = 8 * (rng.normal(size=(n, 4)) + 1.2 * np.eye(4)[labels])
        return ClassifierOutputs(own, labels, auxiliary=rng.normal(size=(n, 6)) + 2 * np.eye(6)[labels])

    oracle, new = Oracle.fused(budget="auxiliary").fit(made(1_500), made(1_500)), made(3_000)
    fitted = fit_of(oracle)
    assert len(fitted.handovers) == 1
    alone = aurc(fitted.pool.log_odds(fitted.opinions(new)), new.is_correct)
    assert aurc(oracle.trust_logit(new), new.is_correct) < 1.05 * alone


@pytest.mark.slow
def test_images_without_copies_do_without_a_second_backbone() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=800)
    own = rng.normal(size=(800, 4)) + 1.5 * np.eye(4)[labels]
    outputs = ClassifierOutputs(own, labels, auxiliary=rng.normal(size=(800, 6)) + 2 * np.eye(6)[labels])
    assert fit_of(Oracle.fused().fit(outputs)).budget == "auxiliary"
    of_images = fit_of(Oracle.fused().fit(outputs.of_classifier("0" * 64)))
    assert of_images.budget == "free"
    assert "extract --augment 1" in of_images.left_out["second_opinion"]
    wanted = Oracle.fused(budget="auxiliary").fit(outputs.of_classifier("0" * 64))
    assert "second_opinion" in fit_of(wanted).inputs


def test_an_opinion_without_a_weight_has_an_infinite_temperature() -> None:
    pool = Pool(("logits",), (1,), OpinionPool(np.zeros(1), np.zeros(1)))
    assert pool.temperature == np.inf
    assert replace(pool, pool=OpinionPool(np.array([0.25, 1.0]), np.zeros(1))).temperature == 4
    assert "at a temperature of inf: no pool" in pool.summary


def test_with_few_errors_the_average_of_all_probabilities_counts(tmp_path: Path) -> None:
    """Where rows lack an opinion, it is that of the others; a folder, and new rows, give the same."""
    fit, new = too_sure(400, 0), too_sure(500, 100)
    values = new.require("opinion_one").copy()
    values[:200] = np.nan
    some = new.changed(opinion_one=values)
    oracle = Oracle.fused(budget="opinions").fit(fit)
    assert fit_of(oracle).pool.inputs == ("logits", "opinion_one", "opinion_two")
    assert fit_of(oracle).pool.summary == "the average of the classifier's probabilities and those of one, two"
    oracle.save(tmp_path / "oracle")
    probabilities = np.stack(
        [softmax(some.require(name).astype(float), axis=1) for name in ("logits", "opinion_one", "opinion_two")]
    )
    means, rows = np.nanmean(probabilities, axis=0), np.arange(len(new))
    mean, others = means[rows, new.predictions], (means * (np.arange(4) != new.predictions[:, None])).sum(axis=1)
    near = np.log(means).min(axis=1) > FAR
    odds = fit_of(oracle).slope * np.log(mean / others) + fit_of(oracle).offset - np.log(3)  # α⁻ is 3, and α⁺ 1
    for one in (oracle, Oracle.load(tmp_path / "oracle")):
        np.testing.assert_allclose(one.trust_logit(some)[near], odds[near], rtol=1e-6, atol=1e-6)
    assert aurc(oracle.trust_logit(new), new.is_correct) < 0.5 * aurc(MCP().confidence(new), new.is_correct)
