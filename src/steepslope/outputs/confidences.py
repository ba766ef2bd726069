"""Predictions of which only a confidence is known: enough to evaluate."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.metrics.curves import checked
from steepslope.outputs import formats
from steepslope.outputs.classifier_outputs import ClassifierOutputs
from steepslope.outputs.reading import AS_WRITTEN, ReadingOptions


@dataclass(frozen=True, eq=False)
class Confidences:
    """Confidences (n,), higher for what is more trustworthy, and whether each prediction is correct, (n,)."""

    confidence: NDArray[np.float64]
    is_correct: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.confidence)


def load_predictions(
    path: Path, ids: bool = False, options: ReadingOptions = AS_WRITTEN
) -> ClassifierOutputs | Confidences:
    """Read predictions to evaluate: outputs with labels, or ``confidence`` and ``is_correct`` without logits.

    Outputs come without their ids unless these are wanted. Logits of a file that look like probabilities are refused,
    unless the options take them for logits.
    """
    with formats.naming(path):
        arrays = formats.read(path, ids, options, labelled=True)
        if "logits" not in arrays and "confidence" in arrays:
            if "is_correct" not in arrays:
                raise SteepslopeError(f"expected is_correct, found only {', '.join(sorted(arrays))}")
            return Confidences(*checked(arrays["confidence"], arrays["is_correct"]))
        outputs = ClassifierOutputs.from_file(arrays, AS_WRITTEN if path.is_dir() else options, path.is_dir())
        outputs.require_labels()
        return outputs.of_classifier(formats.classifier_of(path))
