"""Nets that learn for a few steps alone, and what a formula of evidence gives of some rows."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from numpy.typing import NDArray

from steepslope.numerics import _small_net as small_net
from steepslope.oracle.evidence._states import State
from steepslope.outputs import ClassifierOutputs
from steepslope.scores._score import rows_of


@pytest.fixture(scope="module")
def short_nets() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_net, "LEAST_STEPS", 60)
        patch.setattr(small_net, "EPOCHS", 1)
        yield


def computed(formula: Callable[..., Any], outputs: ClassifierOutputs, state: State, *arrays: str) -> NDArray[Any]:
    """Return what a formula gives of all rows, by logits and further arrays."""
    found: NDArray[Any] = formula(rows_of(outputs, ["logits", *arrays], slice(None)), state)
    return found
