"""The hand-over: what is unusual about an auxiliary backbone's features, by plain formulas, and who takes over then."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from steepslope.errors import SteepslopeError
from steepslope.oracle._handover import FeatureHandover, Handover, handover_from_arrays, mixed_by_handovers
from steepslope.outputs import ClassifierOutputs
from tests.conftest import make_complete, make_outputs

SHARE = 0.75


def of_features(n: int, seed: int, width: int = 60, noise: int = 0) -> ClassifierOutputs:
    """Make auxiliary features of more columns than there are components, with very different variances."""
    rng = np.random.default_rng(seed)
    scales = np.geomspace(3, 0.1, width)
    mixing = np.linalg.qr(np.random.default_rng(9).normal(size=(width, width)))[0]
    auxiliary = (2 + rng.normal(size=(n, width)) * scales @ mixing).astype(np.float32)
    estimates = rng.uniform(1, 2, size=(n, noise)) if noise else None
    return make_outputs(n, seed=seed).changed(auxiliary=auxiliary, noise=estimates)


@pytest.fixture(scope="module")
def reference() -> ClassifierOutputs:
    return of_features(400, 1)


@pytest.fixture(scope="module")
def fit_set() -> ClassifierOutputs:
    return of_features(300, 2)


@pytest.fixture(scope="module")
def handover(fit_set: ClassifierOutputs, reference: ClassifierOutputs) -> Handover:
    return Handover.from_outputs(fit_set, reference, None)


def statistics_of(rows: NDArray[Any], known: NDArray[Any], count: int = 50) -> NDArray[np.float64]:
    """Return the statistics by a singular value decomposition, and distances one by one."""
    rows, known = np.asarray(rows, dtype=np.float64), np.asarray(known, dtype=np.float64)
    centre = known.mean(axis=0)
    _, singular, axes = np.linalg.svd(known - centre, full_matrices=False)
    axes, deviation = axes[:count], singular[:count] / np.sqrt(len(known) - 1)
    inside, points = (rows - centre) @ axes.T / deviation, (known - centre) @ axes.T / deviation
    tenth = [np.sort(np.linalg.norm(points - one, axis=1))[9] for one in inside]
    explained = ((rows - centre) @ axes.T) @ axes
    unexplained = ((rows - centre - explained) ** 2).sum(axis=1)
    return np.column_stack([np.log(tenth), np.log((inside**2).sum(axis=1)), np.log(unexplained), rows.mean(axis=1)])


def test_the_statistics_are_those_of_plain_formulas(
    handover: Handover, fit_set: ClassifierOutputs, reference: ClassifierOutputs
) -> None:
    """The limits are quantiles of the fit set's, and weights rise from there over half of the usual width."""
    assert (handover.direction == 0).all()  # without copies
    known, new = reference.require("auxiliary"), of_features(200, 3)
    of_fit_set = statistics_of(fit_set.require("auxiliary"), known)
    low, high = np.quantile(of_fit_set, [0.05, 0.95], axis=0)
    np.testing.assert_allclose(handover.limits[:, 1:], [low, high], rtol=1e-3, atol=1e-3)
    found = statistics_of(new.require("auxiliary"), known)
    beyond = np.maximum(low - found, found - high) / ((high - low) / 2)
    expected = np.clip(beyond, 0, 1).max(axis=1)
    np.testing.assert_allclose(handover.weight(new), expected, atol=0.01)
    assert 0.1 < (expected > 0).mean() < 0.6


def test_without_a_reference_the_fit_set_says_what_is_usual(fit_set: ClassifierOutputs) -> None:
    alone = Handover.from_outputs(fit_set, fit_set, None)
    assert len(alone.points) == 300
    assert alone.weight(fit_set).mean() < 0.15
    assert (alone.weight(fit_set.changed(auxiliary=fit_set.require("auxiliary") + 5)) == 1).all()


def test_what_looks_like_a_copy_is_handed_over(fit_set: ClassifierOutputs, reference: ClassifierOutputs) -> None:
    """Copies that differ in one direction of little variance, by a linear classifier's own formula."""
    shift = np.zeros(60, dtype=np.float32)
    shift[7] = 0.6
    copies = reference.changed(auxiliary=reference.require("auxiliary") + shift)
    plain, aware = Handover.from_outputs(fit_set, reference, None), Handover.from_outputs(fit_set, reference, copies)
    both = np.concatenate([reference.require("auxiliary"), copies.require("auxiliary")]).astype(np.float64)
    scaled = (both - both.mean(axis=0)) / both.std(axis=0)
    # Two opposite columns of weights under one ridge are one column under half of it.
    theirs = LogisticRegression(C=2 / (1e-3 * 800), tol=1e-8, max_iter=5000).fit(scaled, np.repeat([0, 1], 400))
    direction = theirs.coef_[0] / both.std(axis=0)
    assert np.corrcoef(direction, aware.direction)[0, 1] > 0.98
    new = of_features(300, 5)
    changed = new.changed(auxiliary=new.require("auxiliary") + shift)
    assert aware.weight(changed).mean() > plain.weight(changed).mean() + 0.2
    less = new.changed(auxiliary=new.require("auxiliary") - 0.2 * shift)  # less like a copy than usual
    np.testing.assert_allclose(aware.weight(less).mean(), plain.weight(less).mean(), atol=0.05)


def test_who_is_heard_at_what_weight() -> None:
    weight, last = np.array([0, 0.5, 1]), np.full(3, 4.0)
    first, second = np.full(3, 8.0), np.zeros(3)
    assert mixed_by_handovers([first], []).tolist() == [8, 8, 8]
    assert mixed_by_handovers([first, second], [weight]).tolist() == [8, 8 * (1 - SHARE / 2), 8 * (1 - SHARE)]
    of_three = [8, 8 + SHARE / 2 * (2 * SHARE - 8), 8 + SHARE * (4 * SHARE - 8)]
    assert mixed_by_handovers([first, second, last], [weight, weight]).tolist() == of_three


def test_noise_counts_where_the_fit_set_has_it(reference: ClassifierOutputs) -> None:
    """Drawn evenly from 1 to 2: usual from 1.05 to 1.95, and far from 0.45 less and more on."""
    noisy = of_features(300, 2, noise=2)
    guarded = Handover.from_outputs(noisy, reference, None)
    assert guarded.limits.shape == (2, 7)
    np.testing.assert_allclose(guarded.limits[:, 5:], [[1.05] * 2, [1.95] * 2], atol=0.03)
    plain = noisy.changed(noise=np.full((300, 2), 1.5))
    for noise, expected in (((1.5, 0.5), 1), ((2.5, 1.5), 1), ((1.5, 2.0), 0.11), ((1.0, 1.5), 0.11)):
        weight = guarded.weight(plain.changed(noise=np.tile(noise, (300, 1))))
        np.testing.assert_allclose(weight, np.maximum(expected, guarded.weight(plain)), atol=0.07)
    with pytest.raises(SteepslopeError, match="noise: expected the 2 estimates of the fit set, found none"):
        guarded.weight(plain.changed(noise=None))
    with pytest.raises(SteepslopeError, match="noise: expected the 2 estimates of the fit set, found 1"):
        guarded.weight(plain.changed(noise=np.ones((300, 1))))
    without = Handover.from_outputs(noisy.changed(noise=None), reference, None)
    np.testing.assert_array_equal(without.weight(plain.changed(noise=np.full((300, 2), 99.0))), without.weight(plain))


def test_a_constant_statistic_never_hands_over() -> None:
    """Noise that was the same in all of the fit set has no usual width."""
    fit_set = of_features(300, 2).changed(noise=np.zeros((300, 1)))
    guarded, plain = (Handover.from_outputs(one, one, None) for one in (fit_set, fit_set.changed(noise=None)))
    np.testing.assert_array_equal(guarded.weight(fit_set.changed(noise=np.ones((300, 1)))), plain.weight(fit_set))


def test_fewer_rows_than_columns_will_do() -> None:
    few = Handover.from_outputs(of_features(30, 1), of_features(30, 1), None)
    assert few.basis.shape == (60, 29)
    assert np.isfinite(few.weight(of_features(50, 2))).all()
    fewer = Handover.from_outputs(of_features(8, 1), of_features(8, 1), None)
    assert fewer.weight(of_features(50, 2)).shape == (50,)


def test_it_is_stored_and_restored(handover: Handover) -> None:
    again, new = Handover.from_arrays(vars(handover)), of_features(200, 3)
    np.testing.assert_array_equal(again.weight(new), handover.weight(new))


@pytest.mark.parametrize(
    "damage",
    [
        {"basis": np.zeros(3, dtype=np.float32)},
        {"basis": np.full((60, 50), np.nan, dtype=np.float32)},
        {"centre": np.zeros(59, dtype=np.float32)},
        {"points": np.zeros((0, 50), dtype=np.float32)},
        {"limits": np.zeros((2, 4))},
        {"more": np.zeros(2)},
    ],
)
def test_damaged_arrays_are_named(damage: dict[str, Any], handover: Handover) -> None:
    with pytest.raises(SteepslopeError, match=r"hand-over: expected .* found"):
        Handover.from_arrays({**vars(handover), **damage})
    for name in damage.keys() & vars(handover).keys():
        with pytest.raises(SteepslopeError, match=r"hand-over: expected arrays basis .* found"):
            Handover.from_arrays({key: array for key, array in vars(handover).items() if key != name})


def test_other_features_are_named(handover: Handover) -> None:
    with pytest.raises(SteepslopeError, match="auxiliary: expected 60 columns, found 8"):
        handover.weight(make_complete(50))
    with pytest.raises(SteepslopeError, match="the outputs hold no auxiliary"):
        handover.weight(make_outputs(50))
    far = replace(handover, centre=handover.centre + 100)
    assert (far.weight(of_features(20, 3)) == 1).all()


def test_features_lie_far_by_the_distance_to_the_nearest(
    fit_set: ClassifierOutputs, reference: ClassifierOutputs
) -> None:
    """The weight rises from 0 to 1 between the 90 and the 99.9 % quantile of the fit set's log-distances."""
    reference = reference.subset(slice(200))
    found = FeatureHandover.from_outputs(fit_set, reference)
    known = np.asarray(reference.features, dtype=np.float64)
    scaled = [(np.asarray(one.features) - known.mean(axis=0)) / known.std(axis=0) for one in (fit_set, reference)]
    nearest = 2 * np.log([np.linalg.norm(scaled[1] - one, axis=1).min() for one in scaled[0]])
    low, high = np.quantile(nearest, [0.9, 0.999])
    np.testing.assert_allclose(found.limits, [low, high], atol=1e-5)
    np.testing.assert_allclose(found.weight(fit_set), np.clip((nearest - low) / (high - low), 0, 1), atol=1e-4)
    far = fit_set.changed(features=10 + np.asarray(fit_set.features))
    assert (found.weight(far) == 1).all()


def test_features_of_one_value_are_no_obstacle(reference: ClassifierOutputs) -> None:
    constant = reference.changed(features=np.full((400, 3), 7.0))
    found = FeatureHandover.from_outputs(constant, None)
    assert found.weight(constant).tolist() == [0.0] * 400
    assert found.weight(constant.changed(features=np.full((400, 3), 8.0))).tolist() == [1.0] * 400


@pytest.mark.parametrize("rare", [0.1, -0.04723006])  # their mean is not exactly the value
def test_a_rare_category_is_not_infinitely_far(rare: float) -> None:
    """One-hot columns, standardised, are constant among the references; any deviation from that is a rounding error."""
    draw = np.random.default_rng(0)

    def outputs(n: int, category: float) -> ClassifierOutputs:
        features = np.column_stack([draw.normal(size=(n, 20)), np.full(n, category)])
        return ClassifierOutputs(draw.normal(size=(n, 3)), features=features)

    handover = FeatureHandover.from_outputs(outputs(2_000, rare), outputs(400, rare))
    new = outputs(500, rare)
    weights = handover.weight(new)
    assert weights.mean() < 0.2
    assert np.allclose(
        weights, handover.weight(new.changed(features=new.require_features().astype(np.float32))), atol=1e-3
    )
    assert handover.weight(outputs(500, rare + 0.5)).mean() < 0.3
    assert handover.weight(outputs(500, rare + 50)).min() == 1


def test_fresh_rows_weigh_as_the_fit_set_without_a_reference() -> None:
    """No row is its own neighbour where its distances become the limits."""
    fit_set, fresh = make_outputs(400, seed=1), make_outputs(4_000, seed=2)
    found = FeatureHandover.from_outputs(fit_set, None)
    far = [(found.weight(fresh) > 0).mean(), (found.weight(fresh) == 1).mean()]
    np.testing.assert_allclose(far, [0.1, 0.001], atol=0.04)


def test_that_of_features_is_stored_and_restored(fit_set: ClassifierOutputs, reference: ClassifierOutputs) -> None:
    found = FeatureHandover.from_outputs(fit_set, reference)
    again = handover_from_arrays(vars(found))
    np.testing.assert_array_equal(again.weight(fit_set), found.weight(fit_set))
    with pytest.raises(SteepslopeError, match=r"hand-over: expected .* found"):
        handover_from_arrays({**vars(found), "limits": np.zeros(3)})
    with pytest.raises(SteepslopeError, match=r"features: expected \d+ columns, found 60"):
        found.weight(fit_set.changed(features=fit_set.require("auxiliary")))
