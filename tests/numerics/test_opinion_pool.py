"""The pool against an independently written objective, minimised by scipy with numerical gradients."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, logit, logsumexp

from steepslope.numerics._opinion_pool import LinearPool, OpinionPool, fit_agreement_pool, fit_opinion_pool

Floats = NDArray[np.float64]


def problem(
    n: int = 150, opinions: int = 3, classes: int = 4, seed: int = 0
) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Return opinions on candidates in an order of each row's own, of decreasing use, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    order = np.argsort(rng.normal(size=(n, classes)), axis=1)
    signal = 2 * (order == labels[:, None])[:, None] / (1 + np.arange(opinions))[:, None]
    return log_softmax(rng.normal(size=(n, opinions, classes)) + signal, axis=2), order, labels


def by_hand(
    opinions: Floats, position: NDArray[np.int64], penalty: float, weights: Floats | None, others: bool
) -> Floats:
    """Return weights and offset of the least weighted mean loss and ridge around (1, 0, …, 0)."""
    count = opinions.shape[1]
    goal = np.array([1.0, *[0.0] * count])
    shares = np.full(len(opinions), 1 / len(opinions)) if weights is None else weights / weights.sum()

    def objective(parameters: Floats) -> float:
        total = sum(weight * opinions[:, one] for one, weight in enumerate(parameters[:count]))
        total = np.array(total)
        total[:, -1] += parameters[-1]
        chosen = total[np.arange(len(total)), position]
        ridge = sum((a - b) ** 2 for a, b in zip(parameters, goal, strict=True))
        return float(sum(shares * (np.log(np.exp(total).sum(axis=1)) - chosen)) + penalty * ridge / 2)

    bounds = [(0, None)] * count + [(None, None) if others else (0, 0)]
    found = minimize(objective, np.full(count + 1, 0.3) * [*[1] * count, 0], bounds=bounds, options={"ftol": 1e-13})
    return np.asarray(found.x)


@pytest.mark.parametrize(("penalty", "weighted"), [(1e-4, True), (0.05, False), (1.0, True)])
def test_it_is_at_the_minimum(penalty: float, weighted: bool) -> None:
    opinions, classes, labels = problem()
    weights: Floats | None = np.random.default_rng(1).uniform(0, 2, size=150) if weighted else None
    found = fit_opinion_pool(opinions, classes, labels, 4, penalty, weights)
    expected = by_hand(opinions, (classes == labels[:, None]).argmax(axis=1), penalty, weights, False)
    np.testing.assert_allclose(np.concatenate([found.weights, found.others]), expected, atol=2e-3)


def test_the_last_candidate_stands_for_all_others() -> None:
    """Of six classes, three are listed; labels beyond them are the last candidate, which has an offset."""
    rng = np.random.default_rng(3)
    labels = rng.integers(6, size=200)
    classes = np.column_stack([np.argsort(rng.normal(size=(200, 6)), axis=1)[:, :3], np.full(200, 6)])
    opinions = log_softmax(rng.normal(size=(200, 2, 4)), axis=2)
    listed = classes[:, :3] == labels[:, None]
    position = np.where(listed.any(axis=1), listed.argmax(axis=1), 3)
    found = fit_opinion_pool(opinions, classes, labels, 6, 0.01)
    expected = by_hand(opinions, position, 0.01, None, True)
    np.testing.assert_allclose(np.concatenate([found.weights, found.others]), expected, atol=2e-3)
    assert found.others[0] > 0.3


def test_a_misleading_opinion_has_weight_0() -> None:
    opinions, classes, labels = problem()
    against = np.where(classes == labels[:, None], -3.0, -0.4)
    found = fit_opinion_pool(np.stack([opinions[:, 0], against], axis=1), classes, labels, 4, 1e-3)
    assert found.weights[1] == 0


def test_log_odds_are_those_of_the_normalised_product() -> None:
    opinions, _, _ = problem(40)
    pool = OpinionPool(np.array([0.5, 1.5, 0.2]), np.array([-0.7]))
    product = np.exp(opinions[:, 0]) ** 0.5 * np.exp(opinions[:, 1]) ** 1.5 * np.exp(opinions[:, 2]) ** 0.2
    product[:, -1] *= np.exp(-0.7)
    p = product[:, 0] / product.sum(axis=1)
    np.testing.assert_allclose(pool.log_odds(opinions), np.log(p / (1 - p)), atol=1e-9)
    utilities = pool.utilities(opinions)
    np.testing.assert_allclose(
        utilities - logsumexp(utilities, axis=1, keepdims=True),
        np.log(product / product.sum(axis=1, keepdims=True)),
        atol=1e-9,
    )


def test_a_linear_pool_is_the_mean_of_the_probabilities_that_a_row_has() -> None:
    opinions, _, _ = problem(40)
    opinions[::3, 1] = 0  # lacking
    shares = np.tile([0.5, 0.3, 0.2], (40, 1))
    shares[::3, 1] = 0
    mean = (np.exp(opinions) * shares[:, :, None]).sum(axis=1)
    mean[:, -1] *= np.exp(-0.7)
    pool = LinearPool(np.array([0.5, 0.3, 0.2]), np.array([-0.7]))
    np.testing.assert_allclose(pool.log_odds(opinions), np.log(mean[:, 0] / mean[:, 1:].sum(axis=1)), atol=1e-9)


def test_in_a_linear_pool_none_has_a_veto() -> None:
    """Where one of two is sure of another class, the log-odds are near 0; a product would be near -40."""
    sure = np.log(np.array([[[0.9, 0.1], [1e-20, 1]]]))
    assert LinearPool(np.full(2, 0.5), np.zeros(1)).log_odds(sure)[0] == pytest.approx(np.log(0.45 / 0.55))
    assert OpinionPool(np.full(2, 1.0), np.zeros(1)).log_odds(sure)[0] < -40


@pytest.mark.parametrize("others", [0.0, -0.7, -1e9])
def test_what_each_adds_to_a_linear_pool_is_the_log_odds_in_all(others: float) -> None:
    opinions, _, _ = problem(40)
    opinions[::3, 1] = 0  # lacking
    opinions[0] = np.log([[0.5, 0.2, 0.2, 0.1]] * 3)  # log-odds of 0
    pool = LinearPool(np.array([0.5, 0.3, 0.2]), np.array([others]))
    parts = pool.contributions(opinions)
    np.testing.assert_allclose(parts.sum(axis=1), pool.log_odds(opinions), atol=1e-9)
    p = np.exp(opinions)
    p[:, :, -1] *= np.exp(others)
    assert ((parts > 0) == (p[:, :, 0] > p[:, :, 1:].sum(axis=2) + 1e-12))[1:][parts[1:] != 0].all()
    assert (parts[3::3, 1] == 0).all()


def agreement_rows(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return opinions (n, 4, 3) of a classifier and another that three of ten rows lack, and what is right."""
    draw = np.random.default_rng(seed)
    right = draw.random(n) < 0.7
    own = np.sort(draw.normal(size=(n, 3)) * 2)[:, ::-1]
    said = draw.normal(size=(n, 3)) + np.where(right, 2.0, 0.0)[:, None] * np.eye(3)[0]
    said[draw.random(n) < 0.3] = 0
    nothing, has = np.zeros((n, 3)), said.any(axis=1, keepdims=True)
    other = np.where(has, log_softmax(said, axis=1), 0)
    return np.stack([log_softmax(own, axis=1), other, nothing, nothing], axis=1), right


def test_agreement_is_the_regression_of_least_loss() -> None:
    """Against another solver, where no weight is on its bound."""
    opinions, right = agreement_rows(2_000)
    found = fit_agreement_pool(opinions, right, 10.0)
    own, said = opinions[:, 0], opinions[:, 1]
    odds = own[:, 0] - np.logaddexp(own[:, 1], own[:, 2])
    there, top = said.any(axis=1), said.argmax(axis=1)
    p = np.exp(said.max(axis=1))
    sure = np.where(there, logit(np.where(there, p, 0.5)), 0)
    agrees, differs = there & (top == 0), there & (top != 0)
    columns = np.stack([odds, agrees / 2 - differs / 2, agrees * sure, differs * -sure, np.ones(len(p))], axis=1)
    scale = np.sqrt((columns**2).mean(axis=0))
    ridge = np.array([1, *(10 * scale[1:4] ** 2), 1])

    def loss(weights: np.ndarray) -> float:
        signed = np.where(right, 1, -1) * (columns @ weights)
        return float(np.logaddexp(0, -signed).sum() + (ridge * (weights - np.eye(5)[0]) ** 2).sum() / 2)

    bounds = [(0, None)] * 4 + [(None, None)]
    expected = minimize(loss, np.eye(5)[0], method="L-BFGS-B", bounds=bounds, options={"maxiter": 2_000, "ftol": 1e-14})
    np.testing.assert_allclose([*found.weights, *found.others], expected.x, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(found.log_odds(opinions), columns @ [*found.weights, *found.others], atol=1e-9)
    parts = found.contributions(opinions)
    np.testing.assert_allclose(parts.sum(axis=1) + found.others[0], found.log_odds(opinions), atol=1e-9)
    assert not parts[~there, 1:].any()


def test_agreement_gives_no_weight_to_what_counts_against_its_own_answer() -> None:
    opinions, right = agreement_rows(2_000)
    turned = opinions.copy()
    turned[:, 1] = opinions[:, 1, [1, 0, 2]]
    assert fit_agreement_pool(turned, right, 3.0).weights[1] == 0


def test_agreement_is_shrunk_to_the_classifier_itself() -> None:
    opinions, right = agreement_rows(300)
    sizes = [np.abs(fit_agreement_pool(opinions, right, strength).weights[1:]).sum() for strength in (3, 100, 1e7)]
    assert sizes[0] > 1.5 * sizes[1] > sizes[2]
    assert sizes[2] < 1e-3
