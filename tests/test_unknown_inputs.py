"""Rows of none of the classes, from scores and oracles to gates, reports and monitors: errors, and never a class."""

import numpy as np
import pytest

from steepslope import Oracle
from steepslope.errors import SteepslopeError
from steepslope.evidence.registry import EVIDENCE
from steepslope.losses import LOSSES
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES
from tests.conftest import make_complete

ROWS = np.arange(400)
STRANGE = ROWS % 7 == 3


def with_unknown(outputs: ClassifierOutputs) -> ClassifierOutputs:
    """Return the same with every seventh row of none of the classes."""
    return outputs.changed(labels=np.where(STRANGE, -1, outputs.labels))


def with_wrong(outputs: ClassifierOutputs) -> ClassifierOutputs:
    """Return the same with the same rows wrong, of a class that was not predicted."""
    others = (outputs.predictions + 1) % outputs.num_classes
    return outputs.changed(labels=np.where(STRANGE, others, outputs.labels))


LEARNING = [name for name, score in SCORES.items() if score.fits_on != "nothing"]
OF_KNOWN = [name for name in LEARNING if SCORES[name].fits_on == "reference" or name == "temperature_scaled_mcp"]


@pytest.mark.parametrize("name", OF_KNOWN)
def test_what_learns_classes_learns_from_the_known_rows_alone(name: str) -> None:
    outputs = make_complete()
    found = SCORES[name]().fit(with_unknown(outputs)).state()
    expected = SCORES[name]().fit(outputs.subset(np.flatnonzero(~STRANGE))).state()
    assert found.keys() == expected.keys()
    for key, array in found.items():
        np.testing.assert_array_equal(array, expected[key])


@pytest.mark.parametrize("name", sorted({*LEARNING} - {*OF_KNOWN}))
def test_what_learns_from_errors_counts_the_unknown_as_such(name: str) -> None:
    outputs = make_complete()
    found, expected = (SCORES[name]().fit(rows).state() for rows in (with_unknown(outputs), with_wrong(outputs)))
    for key, array in found.items():
        np.testing.assert_array_equal(array, expected[key])


@pytest.mark.parametrize("name", OF_KNOWN)
def test_nothing_is_learnt_of_classes_without_known_rows(name: str) -> None:
    outputs = make_complete()
    with pytest.raises(SteepslopeError, match="expected rows of the classes, found 400 that belong to none"):
        SCORES[name]().fit(outputs.changed(labels=np.full(400, -1)))


@pytest.mark.parametrize("loss", LOSSES)
def test_an_oracle_of_each_loss_learns_from_unknown_rows_as_errors(loss: str) -> None:
    outputs = make_complete()
    oracles = [Oracle(loss, inputs="logits", epochs=3).fit(rows(outputs)) for rows in (with_unknown, with_wrong)]
    same = [oracle.trust_logit(outputs) for oracle in oracles]
    if loss == "true_class_probability":  # learns towards 0 for unknown rows, towards what a wrong label has for others
        assert same[0][STRANGE].mean() < same[1][STRANGE].mean()
    else:
        np.testing.assert_array_equal(*same)


@pytest.mark.parametrize("name", [name for name, kind in EVIDENCE.items() if kind.needs_reference])
@pytest.mark.parametrize("errors", ["holdout", "crossfit"])
def test_evidence_of_classes_never_takes_an_unknown_row_for_one(name: str, errors: str) -> None:
    outputs, reference = make_complete(), make_complete(seed=1, prefix="reference")
    given = None if errors == "crossfit" else with_unknown(reference)
    oracle = Oracle(inputs=(name,), epochs=1, errors=errors).fit(with_unknown(outputs), given)  # type: ignore[arg-type]
    known = (with_unknown(outputs) if given is None else given).of_known_classes()
    learning = EVIDENCE[name].learning
    assert learning is not None
    assert oracle.fitted_ is not None
    for key, array in learning.fit(known).items():
        np.testing.assert_array_equal(array, oracle.fitted_.states[name][key])
