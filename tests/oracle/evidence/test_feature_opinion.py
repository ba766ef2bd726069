"""What a small net on the classifier's features thinks, by its weights alone."""

from typing import Any

import numpy as np
import pytest
from scipy.special import expit, log_softmax, logit

from steepslope.errors import SteepslopeError
from steepslope.numerics import _small_net as small_net
from steepslope.oracle.evidence import EVIDENCE, _probes as probes
from steepslope.oracle.evidence._states import Learning, State
from steepslope.oracle.evidence._values import evidence_columns, evidence_opinions
from tests.conftest import make_complete

ROWS, NAMES = slice(3, 40), ["feature_opinion"]
KIND = EVIDENCE["feature_opinion"]
assert KIND.learning is not None
LEARNING: Learning = KIND.learning


@pytest.fixture(scope="module")
def state(short_nets: None) -> State:
    return LEARNING.fit(make_complete(600, seed=1))


def test_it_follows_its_weights(state: State) -> None:
    outputs = make_complete(50, seed=2)
    features = outputs.require_features()[ROWS] - state["centre"]
    inner = np.array(
        [[max(0.0, float(value)) for value in row] for row in features @ state["inner"] + state["inner_bias"]]
    )
    logits = inner @ state["outer"] + state["outer_bias"]
    expected = log_softmax(logits, axis=1)
    opinions, classes = evidence_opinions(outputs, NAMES, ROWS, {"feature_opinion": state})
    np.testing.assert_allclose(opinions[:, 0], np.take_along_axis(expected, classes, axis=1), atol=1e-5)
    found = evidence_columns(outputs, NAMES, ROWS, {"feature_opinion": state})
    p, predicted = np.exp(expected), outputs.predictions[ROWS]
    of_prediction = p[np.arange(len(p)), predicted]
    np.testing.assert_allclose(expit(found[:, 0]), of_prediction, atol=1e-6)
    np.testing.assert_array_equal(found[:, 1], p.argmax(axis=1) == predicted)
    np.testing.assert_allclose(found[:, 2], logit(p.max(axis=1)), atol=1e-4)


def test_it_learns_from_labels_and_not_from_logits(state: State) -> None:
    """It knows the classes better than by chance, and the same without the classifier's logits."""
    outputs = make_complete(500, seed=2)
    opinions, classes = evidence_opinions(outputs, NAMES, slice(0, 500), {"feature_opinion": state})
    best = classes[np.arange(500), opinions[:, 0].argmax(axis=1)]
    assert (best == outputs.labels).mean() > 0.6
    reference = make_complete(600, seed=1)
    again = LEARNING.fit(reference.changed(logits=np.zeros_like(reference.logits)))
    for name, array in state.items():
        np.testing.assert_array_equal(again[name], array)


@pytest.mark.parametrize(
    ("change", "classes"),
    [
        ({}, 5),
        ({"inner": np.zeros((8, 7), np.float32)}, 4),
        ({"outer": np.zeros((small_net.FEW_WIDTH, 4))}, 4),
        ({"more": np.zeros(4, np.float32)}, 4),
    ],
)
def test_it_is_known_by_its_arrays(change: dict[str, Any], classes: int, state: State) -> None:
    assert state["inner"].shape == (8, small_net.FEW_WIDTH)
    LEARNING.check(state, 4)
    with pytest.raises(SteepslopeError, match="expected arrays centre"):
        LEARNING.check({**state, **change}, classes)


def test_probes_on_an_auxiliary_backbone_learn_in_components(short_nets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their weights are of all columns, and the fewer components the less they know; other nets keep their columns."""
    reference, outputs, found = make_complete(600, seed=1), make_complete(500, seed=2), {}
    for components in (1, 6, 16):
        monkeypatch.setattr(probes, "COMPONENTS", components)
        learning = EVIDENCE["joint_opinion"].learning
        assert learning is not None
        state = learning.fit(reference)
        learning.check(state, 4)
        assert state["weights"].shape == (16, 4)
        opinions, classes = evidence_opinions(outputs, ["joint_opinion"], slice(0, 500), {"joint_opinion": state})
        best = np.take_along_axis(classes[:, None], opinions.argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
        found[components] = (best == outputs.require_labels()[:, None]).mean(axis=0)
        assert len(LEARNING.fit(reference)["inner"]) == 8
    assert (found[1] < found[6] - 0.1).all()
    assert (found[6] > found[16] - 0.1).all()
