"""Fused oracles that several tests read: fitted once, with nets that learn for a few steps alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from steepslope.numerics import small_net
from steepslope.oracle import Oracle
from steepslope.oracle.fused import FusedOracle
from steepslope.outputs import ClassifierOutputs
from tests.conftest import make_complete


@pytest.fixture(scope="package", autouse=True)
def short_nets() -> Iterator[None]:
    """Let the small nets learn for 30 steps, which is enough to tell something and takes no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_net, "LEAST_STEPS", 30)
        patch.setattr(small_net, "EPOCHS", 1)
        yield


@pytest.fixture(scope="package")
def reference() -> ClassifierOutputs:
    return make_complete(300, seed=1)


@pytest.fixture(scope="package")
def fit_set() -> ClassifierOutputs:
    return make_complete(500, seed=2)


@pytest.fixture(scope="package")
def unseen() -> ClassifierOutputs:
    return make_complete(3000, seed=3)


@pytest.fixture(scope="package")
def oracle(fit_set: ClassifierOutputs, reference: ClassifierOutputs) -> FusedOracle:
    """Fit the default, which chooses all evidence here, and so has a hand-over."""
    return Oracle.fused().fit(fit_set, reference)


@pytest.fixture(scope="package")
def free(fit_set: ClassifierOutputs, reference: ClassifierOutputs) -> FusedOracle:
    return Oracle.fused(budget="free").fit(fit_set, reference)


@pytest.fixture(scope="package")
def with_auxiliary(fit_set: ClassifierOutputs, reference: ClassifierOutputs) -> FusedOracle:
    return Oracle.fused(budget="auxiliary").fit(fit_set, reference)
