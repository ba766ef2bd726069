"""Neighbours of many features: they are those in the principal components, and the state says which these are."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from steepslope.errors import SteepslopeError
from steepslope.oracle.evidence._neighbors import COMPONENTS, check_neighbors, fit_neighbors, neighbor_columns
from steepslope.oracle.evidence._states import State
from steepslope.outputs import ClassifierOutputs
from tests.conftest import make_complete
from tests.oracle.evidence.conftest import computed

WIDTH = 90


def wide(n: int, seed: int) -> ClassifierOutputs:
    """Make outputs of 90 features that vary unequally, far from 0."""
    outputs = make_complete(n, seed=seed)
    mixture = np.random.default_rng(7).normal(size=(8, WIDTH))
    noise = np.random.default_rng(seed).normal(size=(n, WIDTH)) * np.linspace(0.01, 1, WIDTH)
    return outputs.changed(features=(outputs.require_features() @ mixture + noise + 30).astype(np.float32))


@pytest.fixture(scope="module")
def state() -> State:
    return fit_neighbors(wide(600, 1))


def test_many_features_are_searched_in_components(state: State) -> None:
    known, outputs = wide(600, 1), wide(100, 2)
    components = PCA(COMPONENTS, svd_solver="full").fit(known.require_features().astype(np.float64))
    tree = NearestNeighbors(n_neighbors=50).fit(components.transform(known.require_features()))
    nearest = tree.kneighbors(components.transform(outputs.require_features()), return_distance=False)
    same = known.require_labels()[nearest] == outputs.predictions[:, None]
    found = computed(neighbor_columns, outputs, state, "features")
    np.testing.assert_allclose(found[:, 1], same[:, :10].mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(found[:, 3], same.mean(axis=1), atol=1e-6)
    assert state["points"].shape == (600, COMPONENTS)


def test_few_features_are_searched_as_they_are() -> None:
    assert fit_neighbors(make_complete(100)).keys() == {"points", "centre", "starts", "squares"}


def test_other_widths_and_damaged_states_are_refused(state: State) -> None:
    with pytest.raises(SteepslopeError, match="features: expected 90 columns, found 8"):
        computed(neighbor_columns, make_complete(10), state, "features")
    check_neighbors(state, 4)
    for damaged, classes, message in (
        (state, 5, "expected an index of references of 5 classes"),
        ({**state, "directions": state["directions"][:, 1:]}, 4, "expected arrays"),
        ({name: array for name, array in state.items() if name != "mean"}, 4, "expected arrays"),
        ({**state, "more": state["mean"]}, 4, "expected an index of references of 4 classes"),
    ):
        with pytest.raises(SteepslopeError, match=message):
            check_neighbors(damaged, classes)
