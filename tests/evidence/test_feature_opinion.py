"""What a small net on the classifier's features thinks, by its weights alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, log_softmax, logit

from steepslope.errors import SteepslopeError
from steepslope.evidence.probes import check_feature_opinion, fit_feature_opinion
from steepslope.evidence.states import State
from steepslope.evidence.values import columns, opinions_of
from steepslope.numerics import small_net
from tests.conftest import make_complete

ROWS, NAMES = slice(3, 40), ["feature_opinion"]


@pytest.fixture(scope="module")
def state(short_nets: None) -> State:
    return fit_feature_opinion(make_complete(600, seed=1))


def test_it_follows_its_weights(state: State) -> None:
    outputs = make_complete(50, seed=2)
    features = outputs.require_features()[ROWS].astype(np.float64)
    inner = np.array(
        [[max(0.0, float(value)) for value in row] for row in features @ state["inner"] + state["inner_bias"]]
    )
    logits = inner @ state["outer"] + state["outer_bias"]
    expected = log_softmax(logits, axis=1)
    opinions, classes = opinions_of(outputs, NAMES, ROWS, {"feature_opinion": state})
    np.testing.assert_allclose(opinions[:, 0], np.take_along_axis(expected, classes, axis=1), atol=1e-5)
    found = columns(outputs, NAMES, ROWS, {"feature_opinion": state})
    p, predicted = np.exp(expected), outputs.predictions[ROWS]
    of_prediction = p[np.arange(len(p)), predicted]
    np.testing.assert_allclose(expit(found[:, 0]), of_prediction, atol=1e-6)
    np.testing.assert_array_equal(found[:, 1], p.argmax(axis=1) == predicted)
    np.testing.assert_allclose(found[:, 2], logit(p.max(axis=1)), atol=1e-4)


def test_it_learns_from_labels_and_not_from_logits(state: State) -> None:
    """It knows the classes better than by chance, and the same without the classifier's logits."""
    outputs = make_complete(500, seed=2)
    opinions, classes = opinions_of(outputs, NAMES, slice(0, 500), {"feature_opinion": state})
    best = classes[np.arange(500), opinions[:, 0].argmax(axis=1)]
    assert (best == outputs.labels).mean() > 0.6
    reference = make_complete(600, seed=1)
    again = fit_feature_opinion(reference.changed(logits=np.zeros_like(reference.logits)))
    for name, array in state.items():
        np.testing.assert_array_equal(again[name], array)


def test_it_is_known_by_its_arrays(state: State) -> None:
    assert state["inner"].shape == (8, small_net.FEW_WIDTH)
    check_feature_opinion(state, 4)
    for damaged, classes in (
        (state, 5),
        ({}, 4),
        ({**state, "inner": state["inner"][:, :-1]}, 4),
        ({**state, "outer": state["outer"].astype(np.float64)}, 4),
        ({name: array for name, array in state.items() if name != "outer_bias"}, 4),
        ({**state, "more": state["outer"]}, 4),
    ):
        with pytest.raises(SteepslopeError, match="expected arrays"):
            check_feature_opinion(damaged, classes)


def test_other_features_are_named(state: State) -> None:
    outputs = make_complete(50, seed=2)
    with pytest.raises(SteepslopeError, match="features: expected 8 columns, found 5"):
        columns(outputs.changed(features=outputs.require_features()[:, :5]), NAMES, ROWS, {"feature_opinion": state})
    with pytest.raises(SteepslopeError, match="the outputs hold no features"):
        columns(outputs.changed(features=None), NAMES, ROWS, {"feature_opinion": state})
