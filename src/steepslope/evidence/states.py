"""What evidence learns from a classifier's training outputs: named arrays, stored with the oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.outputs import ClassifierOutputs

Floats = NDArray[np.floating[Any]]
State = Mapping[str, NDArray[Any]]
NO_STATE: State = {}


@dataclass(frozen=True)
class Evidence:
    """A kind of evidence, given what ``fit`` learnt from references: of a slice of rows, ``columns`` (m, d).

    ``opinions`` are what it thinks of every class, as V log-probabilities each, (m, V, K), where it thinks so.
    ``array`` is what the outputs must hold; without ``fit`` there is nothing to learn.
    """

    columns: Callable[[ClassifierOutputs, slice, State], Floats]
    array: str = "logits"
    fit: Callable[[ClassifierOutputs], State] | None = None
    opinions: Callable[[ClassifierOutputs, slice, State], NDArray[np.float64]] | None = None
