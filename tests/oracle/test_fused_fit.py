"""Pools: which opinions count, what each budget gains, and which is chosen where none is named."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp

from steepslope.errors import SteepslopeError
from steepslope.metrics import auroc
from steepslope.numerics._opinion_pool import OpinionPool, fit_opinion_pool
from steepslope.oracle import Oracle
from steepslope.oracle._fused import FusedOracle
from steepslope.oracle._fused_fit import LEVELS, Gain, _cheapest_budget, _evidence_at_budget, _gain_of_budget
from steepslope.oracle._pooling import (
    LEAST_WEIGHT,
    MCP_ALONE,
    STRENGTHS,
    Candidate,
    Opinions,
    Pool,
    _is_worth_a_search,
    _pool_of_weighty_inputs,
    best_pool,
)
from steepslope.oracle.evidence import EVIDENCE, _fit_set as fit_set_module
from steepslope.oracle.evidence._fit_set import FitSet
from steepslope.oracle.evidence._fitting import evidence_of_all_rows
from steepslope.oracle.evidence._values import evidence_opinions
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP
from tests.conftest import make_complete, make_outputs
from tests.oracle.conftest import FIT_SET, REFERENCE, UNSEEN, fit_of

NAMES = "logits", "neighbors", "views"


def opinions_on(outputs: ClassifierOutputs, names: tuple[str, ...] = NAMES, seed: int = 0) -> Opinions:
    fit_set = FitSet.of(outputs, None, seed)
    (classes,) = evidence_of_all_rows(fit_set.rows, (), {}, evidence_opinions)
    return Opinions(fit_set, classes, {name: fit_set.opinions(name)[0] for name in names})


def with_copies(n: int, seed: int) -> ClassifierOutputs:
    """Make outputs whose copies, two of each, are noisier."""
    outputs, rng = make_complete(n, seed=seed), np.random.default_rng(seed + 50)
    arrays = {
        f"augmented_{name}": np.repeat(outputs.require(name)[:, None], 2, axis=1)
        + rng.normal(size=(n, 2, outputs.require(name).shape[1])).astype(np.float32)
        for name in ("logits", "features")
    }
    return outputs.changed(**arrays)


@pytest.fixture(scope="module")
def opinions() -> Opinions:
    return opinions_on(with_copies(300, 4))


def test_mcp_is_the_softmaxs_own(opinions: Opinions) -> None:
    outputs = opinions.fit_set.outputs
    assert opinions.mcp().pool is MCP_ALONE
    np.testing.assert_allclose(opinions.mcp().held_out, MCP().confidence(outputs), atol=1e-5)


@pytest.mark.parametrize("inputs", [("logits", "neighbors"), ("logits", "neighbors", "views")])
def test_held_out_rows_have_no_say_in_their_own_log_odds(inputs: tuple[str, ...], opinions: Opinions) -> None:
    """Each fold by a pool fitted to the others, and to copies where all opinions have them, a tenth in all."""
    fit_set, n = opinions.fit_set, 300
    rows = n if "views" in inputs else 3 * n
    assert len(fit_set.rows) == 3 * n
    labels, stacked = (
        fit_set.rows.require_labels(),
        np.concatenate([opinions.parts[name][:rows] for name in inputs], axis=1),
    )
    weights = np.array([1.0] * n + [0.1 * n / (2 * n)] * (2 * n))[:rows]
    found = opinions.held_out(inputs, 10.0)
    for number in range(5):
        kept = np.flatnonzero(fit_set.fold[:rows] != number)
        inside = np.flatnonzero(fit_set.fold[:n] == number)
        penalty = 10.0 / (n - len(inside))
        pool = fit_opinion_pool(stacked[kept], opinions.classes[kept], labels[kept], 4, penalty, weights[kept])
        utilities = (stacked[inside] * pool.weights[:, None]).sum(axis=1)
        expected = utilities[:, 0] - logsumexp(utilities[:, 1:], axis=1)
        np.testing.assert_allclose(found[inside], expected, atol=1e-6)


def test_few_errors_leave_the_classifiers_own_opinion() -> None:
    """The stronger the shrinkage, and the fewer the rows, the nearer are the weights to (1, 0, …)."""

    def distance(n: int, strength: float) -> float:
        weights = opinions_on(make_complete(n, seed=8)).pool(NAMES, strength).pool.weights
        return float(np.linalg.norm(weights - np.eye(len(weights))[0]))

    assert distance(80, 1e7) < 1e-4
    assert distance(80, 100.0) < distance(80, 10.0) < distance(80, 1.0)
    assert distance(80, 100.0) < 0.5 * distance(800, 100.0)


def test_the_best_is_that_of_least_aurc(opinions: Opinions) -> None:
    is_correct = opinions.fit_set.outputs.is_correct
    found = best_pool(opinions, NAMES)
    tried = [opinions.mcp().held_out, *(opinions.held_out(NAMES, strength) for strength in STRENGTHS)]
    risks = [aurc_by_hand(odds, is_correct) for odds in tried]
    np.testing.assert_array_equal(found.held_out, tried[int(np.argmin(risks))])
    assert int(np.argmin(risks)) > 0
    expected = opinions.pool(NAMES, STRENGTHS[int(np.argmin(risks)) - 1])
    np.testing.assert_array_equal(found.pool.pool.weights, expected.pool.weights)


def test_mcp_stays_where_others_know_nothing(opinions: Opinions) -> None:
    """Opinions that are the labels turned round: no weight >= 0 makes use of them."""
    labels, classes = opinions.fit_set.rows.require_labels(), opinions.classes
    against = np.where(classes == labels[:, None], -3.0, -0.4)[:, None]
    misled = Opinions(opinions.fit_set, classes, {**opinions.parts, "neighbors": against})
    found = best_pool(misled, ("logits", "neighbors"))
    assert found.pool.inputs == ("logits",)
    alone = best_pool(opinions, ("logits",))
    np.testing.assert_array_equal(found.held_out, alone.held_out)


def test_random_labels_stay_unknown() -> None:
    """Random logits, features and labels: log-odds of fit rows as seen from other folds do not know who is right."""
    aucs = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        logits, labels = rng.normal(size=(400, 3)), rng.integers(3, size=400)
        outputs = ClassifierOutputs(logits, labels, rng.normal(size=(400, 4)))
        opinions = opinions_on(outputs, ("logits", "neighbors", "feature_opinion"), seed)
        for name, part in opinions.parts.items():
            for column in part.transpose(1, 0, 2)[:, :400]:
                odds = column[:, 0] - logsumexp(column[:, 1:], axis=1)
                assert auroc(odds, outputs.is_correct) == pytest.approx(0.5, abs=0.11), name
        held_out = opinions.held_out(tuple(opinions.parts), 10.0)
        aucs.append(auroc(held_out, outputs.is_correct))
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.05)


def test_what_has_next_to_no_weight_is_left_out() -> None:
    weights = np.array([0.0, 0.4, 0.5, LEAST_WEIGHT / 3, LEAST_WEIGHT / 3, 1.0])
    pool = Pool(("logits", "neighbors", "views", "dropout"), (1, 2, 2, 1), OpinionPool(weights, np.array([0.3])))
    found = _pool_of_weighty_inputs(pool)
    assert found.inputs == ("logits", "neighbors", "dropout")
    assert found.widths == (1, 2, 1)
    assert found.pool.weights.tolist() == [0, 0.4, 0.5, 1]
    assert found.pool.others.tolist() == [0.3]


@pytest.mark.parametrize(
    ("inputs", "averaged"), [(NAMES, ("logits", "neighbors")), (("logits", "views"), None), (("logits",), None)]
)
def test_without_opinions_the_average_is_with_what_features_say(
    opinions: Opinions, inputs: tuple[str, ...], averaged: tuple[str, ...] | None
) -> None:
    """Each kind counts the same, and so does each of its opinions."""
    averages = opinions.averages(inputs)
    assert [one.pool.inputs for one in averages] == [averaged] * (averaged is not None)
    if averaged is None:
        return
    (found,) = averages
    assert found.pool.is_linear
    assert found.pool.summary == "the average of the classifier's probabilities and those of neighbors"
    clean = opinions.fit_set.num_clean
    own, neighbors = (np.exp(opinions.parts[name][:clean]).mean(axis=1) for name in ("logits", "neighbors"))
    mean = (own + neighbors) / 2
    np.testing.assert_allclose(found.held_out, np.log(mean[:, 0] / mean[:, 1:].sum(axis=1)), rtol=1e-6)


def test_neighbours_and_the_net_say_what_is_of_no_class() -> None:
    """Rows that look like none of the classes are not trusted, however sure the classifier is."""
    outputs = make_complete(600, seed=4)
    labels, features = np.array(outputs.labels), np.array(outputs.features)
    labels[::6], features[::6] = -1, features[::6] + 20
    opinions = opinions_on(outputs.changed(labels=labels, features=features), ("logits", "neighbors"))
    (found,) = opinions.averages(("logits", "neighbors"))
    own = opinions.mcp().held_out
    assert (found.held_out < own)[::6].mean() > 0.95
    assert found.held_out[::6].max() < 1.5  # at most two of three sides are sure


def aurc_by_hand(confidence: NDArray[np.float64], is_correct: NDArray[np.bool_]) -> float:
    """Return the mean of the error rates among the k most confident, for every k; no ties."""
    wrong = ~is_correct[np.argsort(-confidence)]
    return float(np.mean(np.cumsum(wrong) / np.arange(1, len(wrong) + 1)))


def without(outputs: ClassifierOutputs, *names: str) -> ClassifierOutputs:
    return outputs.changed(**dict.fromkeys(names))


def test_free_needs_the_classifier_alone(free: FusedOracle) -> None:
    assert fit_of(free).budget == "free"
    bare = without(UNSEEN, "auxiliary", "views", "dropout")
    np.testing.assert_array_equal(free.trust_logit(bare), free.trust_logit(UNSEEN))
    assert list(fit_of(free).gains) == ["free"]
    assert fit_of(free).gains["free"].cost == "1 forward pass"


def test_auxiliary_needs_a_second_backbone(with_auxiliary: FusedOracle) -> None:
    assert fit_of(with_auxiliary).budget == "auxiliary"
    assert fit_of(with_auxiliary).gains["auxiliary"].cost == "1 forward pass and a second backbone"
    bare = without(UNSEEN, "views", "dropout")
    np.testing.assert_array_equal(with_auxiliary.trust_logit(bare), with_auxiliary.trust_logit(UNSEEN))
    with pytest.raises(SteepslopeError, match="the outputs hold no auxiliary"):
        with_auxiliary.trust_logit(without(UNSEEN, "auxiliary"))


@pytest.mark.slow
def test_all_needs_what_it_was_fitted_with(oracle: FusedOracle) -> None:
    every = Oracle.fused(budget="all").fit(FIT_SET, REFERENCE)
    assert fit_of(every).budget == "all"
    assert "1 forward pass and a second backbone, 2 views" in fit_of(every).gains["all"].cost
    with pytest.raises(SteepslopeError, match="the outputs hold no views"):
        every.trust_logit(without(UNSEEN, "views"))
    if fit_of(oracle).budget == "all":
        np.testing.assert_array_equal(every.trust_logit(UNSEEN), oracle.trust_logit(UNSEEN))


def test_auto_says_what_each_budget_gains(oracle: FusedOracle, free: FusedOracle, with_auxiliary: FusedOracle) -> None:
    found = fit_of(oracle)
    assert list(found.gains) == ["free", "auxiliary", "all"]  # there are no opinions of others
    assert found.gains["free"] == fit_of(free).gains["free"]
    assert found.gains["auxiliary"] == fit_of(with_auxiliary).gains["auxiliary"]
    assert found.gains[found.budget].aurc_ratio < found.gains["free"].aurc_ratio < 1
    assert found.summary.startswith("budget free: +")
    assert f"budget {found.budget} (chosen): +" in found.summary


def test_no_second_backbone_is_one_clear_error() -> None:
    words = r"budget: expected features of an auxiliary backbone \(extract --auxiliary\): no \w+ in the outputs"
    with pytest.raises(SteepslopeError, match=words):
        Oracle.fused(budget="auxiliary").fit(without(FIT_SET, "auxiliary"), REFERENCE)
    with pytest.raises(SteepslopeError, match="no auxiliary in the reference"):
        Oracle.fused(budget="auxiliary").fit(FIT_SET, without(REFERENCE, "auxiliary"))


def test_a_probe_on_a_second_backbone_needs_no_features_of_the_classifier() -> None:
    fit_set, reference = (without(outputs, "features") for outputs in (FIT_SET, REFERENCE))
    assert fit_of(Oracle.fused(budget="auxiliary").fit(fit_set, reference)).inputs == (
        "logits",
        "second_opinion",
        "stack(logits)",
    )


def test_auto_pays_for_nothing_that_does_not_help() -> None:
    """An auxiliary backbone and views that know nothing; a joint opinion would know the classifier's features."""
    rng = np.random.default_rng(0)

    def blind(outputs: ClassifierOutputs) -> ClassifierOutputs:
        n = len(outputs)
        arrays = {"auxiliary": rng.normal(size=(n, 8)), "views": rng.normal(size=(n, 2, 4))}
        return outputs.changed(**arrays, dropout=None, features=None)

    fitted = Oracle.fused().fit(blind(FIT_SET), blind(REFERENCE))
    assert fit_of(fitted).budget == "free"
    bare = without(UNSEEN, "auxiliary", "views", "dropout", "features")
    assert np.isfinite(fitted.trust_logit(bare)).all()


def test_what_has_no_weight_is_not_needed() -> None:
    """Views that find all classes the same, whose weight changes no loss, and so shrinks to 0."""
    flat = FIT_SET.changed(views=np.zeros((len(FIT_SET), 2, 4)), dropout=None, auxiliary=None)
    fitted = Oracle.fused(budget="all").fit(flat, REFERENCE)
    assert fit_of(fitted).budget == "all"
    assert "neighbors" in fit_of(fitted).inputs
    assert "views" not in fit_of(fitted).inputs
    assert fit_of(fitted).gains["all"].cost == "1 forward pass"
    assert np.isfinite(fitted.trust_logit(without(UNSEEN, "views", "auxiliary", "dropout"))).all()


def test_each_kind_has_its_price() -> None:
    names = [name for name, kind in EVIDENCE.items() if kind.opinions is not None]
    free, opinions = ["logits", "neighbors", "feature_opinion"], ["opinion_forest"]
    with_auxiliary = [*free, "second_opinion", "joint_opinion", "familiar_opinion"]
    expected = {"free": free, "auxiliary": with_auxiliary, "all": [*with_auxiliary, "views", "dropout"]}
    expected = {level: [*some, *opinions[: level != "free"]] for level, some in expected.items()}
    expected["opinions"] = [*free, *opinions]
    names += opinions
    assert {level: set(_evidence_at_budget(level, names)) for level in LEVELS} == {
        one: {*some} for one, some in expected.items()
    }


def test_gains_are_differences_to_mcp() -> None:
    outputs, rng = make_complete(400, seed=4), np.random.default_rng(0)
    mcp, odds = MCP().confidence(outputs), rng.normal(size=400) + 2 * outputs.is_correct
    found = _gain_of_budget(Candidate(MCP_ALONE, odds, outputs.is_correct), mcp, outputs)
    pairs = odds[outputs.is_correct][:, None] > odds[~outputs.is_correct]
    assert found.auc == pytest.approx(pairs.mean() - auroc(mcp, outputs.is_correct))
    ratio = aurc_by_hand(odds, outputs.is_correct) / aurc_by_hand(mcp, outputs.is_correct)
    assert found.aurc_ratio == pytest.approx(ratio)
    assert str(Gain(0.0123, 0.9, "2 views")) == "+1.23 AUC points, AURC × 0.900 against MCP; 2 views"


def within_one_error(a: Any, b: Any, is_correct: NDArray[np.bool_]) -> bool:
    """Return whether the AURC of A is not above that of B by more than one bootstrap standard error."""
    rng, differences = np.random.default_rng(5), []
    for _ in range(400):
        rows = rng.integers(len(is_correct), size=len(is_correct))
        differences.append(aurc_by_hand(a[rows], is_correct[rows]) - aurc_by_hand(b[rows], is_correct[rows]))
    return aurc_by_hand(a, is_correct) - aurc_by_hand(b, is_correct) <= float(np.std(differences))


def test_the_cheapest_within_one_standard_error_is_chosen() -> None:
    """Log-odds that know the more, the dearer they are; where the step is small, the cheaper one does."""
    rng = np.random.default_rng(1)
    is_correct = rng.uniform(size=1500) < 0.8
    noise = rng.normal(size=1500)
    chosen = set()
    for strength in (0.0, 0.01, 0.3, 1.0):
        odds = {
            "free": noise + is_correct,
            "auxiliary": noise + 0.05 * rng.normal(size=1500) + (1 + strength) * is_correct,
            "all": noise + 0.05 * rng.normal(size=1500) + (1 + 1.01 * strength) * is_correct,
        }
        found = _cheapest_budget(odds, is_correct, 0)
        best = min(odds, key=lambda name: aurc_by_hand(odds[name], is_correct))
        fits = [name for name in odds if name == best or within_one_error(odds[name], odds[best], is_correct)]
        assert found == fits[0]
        chosen.add(found)
    assert len(chosen) >= 2
    assert _cheapest_budget({"free": noise, "auxiliary": noise}, is_correct, 0) == "free"
    assert _cheapest_budget({"free": noise + 3 * is_correct, "auxiliary": noise}, is_correct, 0) == "free"


def test_neighbours_are_searched_only_where_they_rank_clearly_better() -> None:
    rng = np.random.default_rng(0)
    is_correct = rng.random(4_000) < 0.8
    odds = rng.normal(size=4_000) + is_correct
    noise = rng.normal(size=4_000)
    plain = Candidate(MCP_ALONE, odds, is_correct)
    for gain, expected in ((0.0, False), (0.02, False), (0.5, True)):
        better = Candidate(MCP_ALONE, odds + gain * is_correct, is_correct)
        assert _is_worth_a_search(better, plain, 0) is expected
    assert not _is_worth_a_search(Candidate(MCP_ALONE, odds + noise, is_correct), plain, 0)


def test_an_oracle_of_many_rows_leaves_useless_neighbours_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It decides as well as one that is fitted in folds, and knows all rows again."""
    monkeypatch.setattr(fit_set_module, "MANY_ROWS", 400)
    monkeypatch.setattr(fit_set_module, "JUDGED_ROWS", 200)
    outputs, unseen = make_outputs(900, seed=1), make_outputs(600, seed=2)
    rng = np.random.default_rng(0)
    outputs, unseen = (each.changed(features=rng.normal(size=(len(each), 4))) for each in (outputs, unseen))
    oracle = FusedOracle(budget="free").fit(outputs)
    assert oracle.fitted_ is not None
    assert "neighbors" not in oracle.fitted_.inputs
    assert oracle.rows_fitted_on(outputs) == 900
    assert (
        auroc(oracle.trust_logit(unseen), unseen.is_correct) > auroc(MCP().confidence(unseen), unseen.is_correct) - 0.02
    )
