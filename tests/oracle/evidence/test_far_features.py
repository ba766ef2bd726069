"""Features far from 0 tell as much as near it: float64 is kept until they are centred."""

from typing import Any

import numpy as np
import pytest

from steepslope.oracle import Oracle
from steepslope.oracle._handover import Handover
from steepslope.oracle.evidence import EVIDENCE
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES
from steepslope.scores._neighbors import KNNDistance
from tests.conftest import make_complete

FAR = 1e6
VECTORS = ("features", "auxiliary")
OF_VECTORS = [name for name, kind in EVIDENCE.items() if set(kind.arrays) & set(VECTORS)]
BY_PLACE = [name for name, kind in SCORES.items() if kind.arrays == ("features",) and kind is not KNNDistance]


def moved(outputs: ClassifierOutputs, by: float = FAR, dtype: Any = np.float64) -> ClassifierOutputs:
    """Return the same in float64, with all vectors so far from where they were."""
    return outputs.changed(**{name: (outputs.require(name).astype(np.float64) + by).astype(dtype) for name in VECTORS})


@pytest.fixture(scope="module")
def sets() -> tuple[ClassifierOutputs, ClassifierOutputs, ClassifierOutputs]:
    """Make a fit set, a reference and unseen rows."""
    return make_complete(400, seed=2), make_complete(300, seed=1, prefix="known"), make_complete(300, seed=3)


def test_what_is_seen_far_away_includes_all_scores_of_features() -> None:
    assert {"trust_score", "mahalanobis_ratio"} == set(BY_PLACE)
    assert {"features", "neighbors", "feature_opinion", "second_opinion", "joint_opinion"} <= set(OF_VECTORS)


@pytest.mark.parametrize("name", BY_PLACE)
def test_a_score_is_the_same(name: str, sets: Any) -> None:
    _, reference, unseen = sets
    near, far = (SCORES[name]().fit(move(reference)).confidence(move(unseen)) for move in (_same, moved))
    np.testing.assert_allclose(far, near, rtol=1e-4, atol=1e-4)


def test_directions_are_told_apart_far_away(sets: Any) -> None:
    """Scaled to length 1, features far away are nearly the same: float64 sees the rest, float32 does not."""
    _, reference, unseen = sets
    found = KNNDistance(5).fit(moved(reference)).confidence(moved(unseen))
    units = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in _vectors(reference, unseen)]
    brute = np.sort(np.linalg.norm(units[1][:, None] - units[0], axis=2), axis=1)[:, 4]
    np.testing.assert_allclose(-found, brute, rtol=1e-3)


@pytest.mark.nets
@pytest.mark.parametrize("name", OF_VECTORS)
def test_an_oracle_on_them_is_the_same(name: str, sets: Any, short_nets: None) -> None:
    fit_set, reference, unseen = sets
    found = []
    for move in (_same, moved):
        oracle = Oracle(inputs=name, epochs=10, learning_rate=0.03)
        found.append(oracle.fit(move(fit_set), move(reference)).trust_logit(move(unseen)))
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=0.05 * found[0].std())


def test_the_hand_over_is_the_same(sets: Any) -> None:
    fit_set, reference, unseen = sets
    weights = [
        Handover.from_outputs(move(fit_set), move(reference), None).weight(move(unseen)) for move in (_same, moved)
    ]
    np.testing.assert_allclose(weights[1], weights[0], atol=1e-3)


def _same(outputs: ClassifierOutputs) -> ClassifierOutputs:
    return outputs


def _vectors(*outputs: ClassifierOutputs) -> list[Any]:
    return [moved(one).require_features() for one in outputs]
