"""Which pool: fitted fold by fold, shrunk to the classifier's own opinion, and MCP where none ranks better."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import rankdata

from steepslope.evidence.fit_set import FitSet
from steepslope.evidence.fitting import all_parts
from steepslope.evidence.values import opinions_of
from steepslope.metrics import auroc
from steepslope.numerics.opinion_pool import OpinionPool, fit_opinion_pool
from steepslope.oracle.selection import LEAST_WEIGHT, MCP_ALONE, STRENGTHS, Opinions, Pool, _with_weight, best_pool
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP
from tests.conftest import make_complete
from tests.oracle.test_budget import aurc_by_hand

NAMES = "logits", "neighbors", "views"


def opinions_on(outputs: ClassifierOutputs, names: tuple[str, ...] = NAMES, seed: int = 0) -> Opinions:
    fit_set = FitSet.of(outputs, None, seed)
    (classes,) = all_parts(fit_set.rows, (), {}, opinions_of)
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
    np.testing.assert_allclose(opinions.own(), MCP().confidence(outputs), atol=1e-5)
    np.testing.assert_allclose(MCP_ALONE.log_odds(opinions.parts)[: len(outputs)], opinions.own(), atol=1e-12)


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


def test_no_opinion_counts_against_itself(opinions: Opinions) -> None:
    for strength in STRENGTHS:
        assert (opinions.pool(NAMES, strength).pool.weights >= 0).all()


def test_the_best_is_that_of_least_aurc(opinions: Opinions) -> None:
    is_correct = opinions.fit_set.outputs.is_correct
    found = best_pool(opinions, NAMES, is_correct)
    tried = [opinions.own(), *(opinions.held_out(NAMES, strength) for strength in STRENGTHS)]
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
    found = best_pool(misled, ("logits", "neighbors"), opinions.fit_set.outputs.is_correct)
    assert found.pool.inputs == ("logits",)
    assert found.pool.pool.weights.tolist() == [1]
    assert found.pool.pool.others.tolist() == [0]
    alone = best_pool(opinions, ("logits",), opinions.fit_set.outputs.is_correct)
    np.testing.assert_array_equal(alone.held_out, opinions.own())


@pytest.mark.parametrize("num_classes", [2, 3])
def test_random_labels_stay_unknown(num_classes: int) -> None:
    """Random logits, features and labels: log-odds of fit rows as seen from other folds do not know who is right."""
    aucs = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        logits, labels = rng.normal(size=(400, num_classes)), rng.integers(num_classes, size=400)
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
    found = _with_weight(pool)
    assert found.inputs == ("logits", "neighbors", "dropout")
    assert found.widths == (1, 2, 1)
    assert found.pool.weights.tolist() == [0, 0.4, 0.5, 1]
    assert found.pool.others.tolist() == [0.3]


def test_a_pools_log_odds_are_those_of_the_product(opinions: Opinions) -> None:
    """The probability of the prediction under the normalised product of powers."""
    pool = opinions.pool(("logits", "neighbors"), 1.0)
    stacked = np.concatenate([opinions.parts[name] for name in pool.inputs], axis=1)
    product = np.exp(stacked * pool.pool.weights[:, None]).prod(axis=1)
    p = product[:, 0] / product.sum(axis=1)
    np.testing.assert_allclose(pool.log_odds(opinions.parts), np.log(p / (1 - p)), atol=1e-6)
    assert len(np.unique(rankdata(p))) > 800
