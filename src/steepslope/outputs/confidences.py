"""Predictions of which only a confidence is known: enough to evaluate."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.metrics.curves import checked
from steepslope.outputs import formats
from steepslope.outputs.arrays import ARRAYS
from steepslope.outputs.classifier_outputs import ClassifierOutputs


@dataclass(frozen=True, eq=False)
class Confidences:
    """Confidences (n,), higher for what is more trustworthy, and whether each prediction is correct, (n,)."""

    confidence: NDArray[np.float64]
    is_correct: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.confidence)


def load_predictions(path: Path, ids: bool = False) -> ClassifierOutputs | Confidences:
    """Read outputs, without their ids unless these are wanted, or ``confidence`` and ``is_correct`` without logits."""
    with formats.naming(path):
        arrays = formats.read(path, ids)
        if "logits" not in arrays and "confidence" in arrays:
            if "is_correct" not in arrays:
                raise SteepslopeError(f"expected is_correct, found only {', '.join(sorted(arrays))}")
            return Confidences(*checked(arrays["confidence"], arrays["is_correct"]))
        return ClassifierOutputs.of(formats.required({name: arrays[name] for name in ARRAYS if name in arrays}, arrays))
