"""Predictions of which only a confidence is known: enough to evaluate."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.metrics.curves import checked
from steepslope.outputs import formats
from steepslope.outputs.classifier_outputs import ClassifierOutputs


@dataclass(frozen=True, eq=False)
class Confidences:
    """Confidences (n,), higher for what is more trustworthy, and whether each prediction is correct, (n,)."""

    confidence: NDArray[np.float64]
    is_correct: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.confidence)


def load_predictions(path: Path, ids: bool = False) -> ClassifierOutputs | Confidences:
    """Read predictions to evaluate: outputs with labels, or ``confidence`` and ``is_correct`` without logits.

    Outputs come without their ids unless these are wanted.
    """
    with formats.naming(path):
        arrays = formats.read(path, ids)
        if "logits" not in arrays and "confidence" in arrays:
            if "is_correct" not in arrays:
                raise SteepslopeError(f"expected is_correct, found only {', '.join(sorted(arrays))}")
            return Confidences(*checked(arrays["confidence"], arrays["is_correct"]))
        outputs = ClassifierOutputs.of(*formats.required(arrays))
        outputs.require_labels()
        return outputs.of_classifier(formats.classifier_of(path))
