"""Fused oracles that several tests read: fitted once, with nets that learn for a few steps alone."""

from collections.abc import Iterator

import numpy as np
import pytest

from steepslope.numerics import _small_net as small_net
from steepslope.oracle import Oracle
from steepslope.oracle._fused import FusedOracle
from steepslope.oracle._fused_fit import FusedFit
from steepslope.outputs import ClassifierOutputs
from tests.conftest import make_complete

FIT_SET, REFERENCE, UNSEEN = make_complete(500, seed=2), make_complete(300, seed=1), make_complete(3_000, seed=3)


@pytest.fixture(scope="package", autouse=True)
def short_nets() -> Iterator[None]:
    """Let the small nets learn for 30 steps, which is enough to tell something and takes no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_net, "LEAST_STEPS", 30)
        patch.setattr(small_net, "EPOCHS", 1)
        yield


@pytest.fixture(scope="package")
def oracle() -> FusedOracle:
    """Fit the default, which chooses all evidence here, and so has a hand-over."""
    return Oracle.fused().fit(FIT_SET, REFERENCE)


@pytest.fixture(scope="package")
def free() -> FusedOracle:
    return Oracle.fused(budget="free").fit(FIT_SET, REFERENCE)


@pytest.fixture(scope="package")
def with_auxiliary() -> FusedOracle:
    return Oracle.fused(budget="auxiliary").fit(FIT_SET, REFERENCE)


def fit_of(oracle: FusedOracle) -> FusedFit:
    """Return what fitting left."""
    assert oracle.fitted_ is not None
    return oracle.fitted_


def sure_of_its_errors(n: int, seed: int) -> ClassifierOutputs:
    """Draw features about the centres of six classes, and logits that are sure of another class in 5 % of the rows."""
    rng, centres = np.random.default_rng(seed), np.random.default_rng(9).normal(size=(6, 8))
    labels = rng.integers(6, size=n)
    features = centres[labels] + 0.75 * rng.normal(size=(n, 8))
    said = np.where(rng.random(n) < 0.06, rng.integers(6, size=n), labels)
    logits = rng.normal(size=(n, 6)) + (2 + 12 * rng.random((n, 1))) * np.eye(6)[said]
    return ClassifierOutputs(logits.astype(np.float32), labels, features=features.astype(np.float32))


def too_sure(n: int, seed: int) -> ClassifierOutputs:
    """Return three classifiers that err on other rows, often with a probability near 0 for the true class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=n)
    logits = (3.6 * rng.standard_t(2, size=(n, 4)) + 12.8 * np.eye(4)[labels] for _ in range(3))
    own, one, two = (part.astype(np.float32) for part in logits)
    return ClassifierOutputs(own, labels).with_opinion("one", one).with_opinion("two", two)
