"""Outputs without labels, and the names of classes: kept in memory and on disk, and asked for by name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.oracle import Oracle
from steepslope.oracle.evidence.fit_set import joined_outputs
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES
from tests.conftest import make_outputs

NAMES = ("ant", "bee", "cat", "dog")
MISSING = "labels: expected the true class of each prediction, found none"


@pytest.fixture
def labelled() -> ClassifierOutputs:
    return make_outputs().named(NAMES)


@pytest.fixture
def unlabelled(labelled: ClassifierOutputs) -> ClassifierOutputs:
    return labelled.changed(labels=None)


@pytest.mark.parametrize(
    "use",
    [
        lambda outputs: outputs.is_correct,
        lambda outputs: Oracle().fit(outputs),
        lambda outputs: Oracle.fused().fit(outputs),
        lambda outputs: SCORES["temperature_scaled_mcp"]().fit(outputs),
    ],
)
def test_what_needs_labels_says_so(unlabelled: ClassifierOutputs, use: Callable[[ClassifierOutputs], Any]) -> None:
    assert unlabelled.labels is None
    with pytest.raises(SteepslopeError, match=MISSING):
        use(unlabelled)


def test_what_needs_no_labels_is_the_same(labelled: ClassifierOutputs, unlabelled: ClassifierOutputs) -> None:
    np.testing.assert_array_equal(unlabelled.predictions, labelled.predictions)
    np.testing.assert_array_equal(unlabelled.subset(slice(3, 5)).logits, labelled.logits[3:5])
    assert "labels" not in unlabelled.arrays
    for oracle in (Oracle(epochs=2).fit(labelled), Oracle.fused().fit(labelled.changed(features=None))):
        np.testing.assert_array_equal(oracle.trust_logit(unlabelled), oracle.trust_logit(labelled))
        for name, part in oracle.explain(unlabelled).items():
            np.testing.assert_array_equal(part, oracle.explain(labelled)[name])


@pytest.mark.parametrize("name", sorted(SCORES))
def test_scores_judge_without_labels(labelled: ClassifierOutputs, name: str) -> None:
    random = np.random.default_rng(0)
    further = {"dropout": np.log(random.dirichlet(np.ones(4), (len(labelled), 2)))}
    labelled = labelled.changed(**further)
    score = SCORES[name]().fit(labelled)
    np.testing.assert_array_equal(score.confidence(labelled.changed(labels=None)), score.confidence(labelled))


@pytest.mark.parametrize("fused", [False, True])
def test_a_reference_without_labels_is_named(labelled: ClassifierOutputs, fused: bool) -> None:
    reference = make_outputs(seed=1).changed(labels=None, ids=None)
    oracle = Oracle.fused() if fused else Oracle(inputs="neighbors")
    with pytest.raises(SteepslopeError, match=f"^reference: .*{MISSING}"):
        oracle.fit(labelled, reference)


def test_copies_have_the_labels_and_names_of_their_originals(labelled: ClassifierOutputs) -> None:
    outputs = labelled.changed(augmented_logits=np.repeat(labelled.logits[:, None], 3, axis=1))
    copies = outputs.augmented()
    bare = outputs.changed(labels=None).augmented()
    assert copies is not None
    assert bare is not None
    assert copies.labels is not None
    assert bare.labels is None
    assert copies.classes == bare.classes == NAMES
    assert joined_outputs([labelled, copies]).labels is not None
    assert joined_outputs([labelled, bare]).labels is None
    assert joined_outputs([labelled, copies]).classes == NAMES
