"""The shapes of views and dropout passes in outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.outputs import ClassifierOutputs


def test_outputs_keep_views_and_dropout_in_shape() -> None:
    logits, labels = np.zeros((4, 3)), np.zeros(4, dtype=int)
    good: dict[str, Any] = {"views": np.zeros((4, 5, 3)), "dropout": np.zeros((4, 2, 3))}
    ClassifierOutputs(logits, labels, further=good)
    for name, shape in (("views", (4, 3)), ("views", (4, 0, 3)), ("dropout", (4, 3, 3)), ("dropout", (4, 2, 2))):
        with pytest.raises(SteepslopeError, match=f"{name}: expected float16, float32 or float64 of shape"):
            ClassifierOutputs(logits, labels, further={name: np.zeros(shape)})
