"""Predictions of shifted Fashion-MNIST, for the benchmarks of the monitor: a file of columns a shift, kept once made.

The gate is calibrated on the first half of the test rows; streams come from the second: its first part as it is, its
second part shifted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from steepslope.files.folders import staged_folder
from steepslope.files.weights import load_arrays, save_arrays
from steepslope.gate import Gate
from steepslope.gate.calibration import CalibrationRows
from steepslope.shifts.distortions import CHOSEN_ON, DISTORTIONS

if TYPE_CHECKING:
    from steepslope.outputs import ClassifierOutputs

CLEAN, CALIBRATION = "clean", "calibration"
REPORTED = ("gaussian_noise", "defocus_blur", "brightness", "contrast", "jpeg_compression")  # the five of the delays
SEVERITIES = (1, 3, 5)
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Stream:
    """Predictions (n,) in a random order: what ranks them, the classifier's own probability, and which are right."""

    trust_logit: NDArray[np.float64]
    probability: NDArray[np.float64]
    is_correct: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.is_correct)

    def subset(self, rows: Rows) -> Stream:
        """Return some rows, by numbers."""
        return Stream(*(getattr(self, name)[rows] for name in NAMES))

    def judged(self, gate: Gate) -> CalibrationRows:
        """Return what a gate thinks of them."""
        accepted = gate.accepts(self.trust_logit)
        return CalibrationRows(gate.p_correct(self.trust_logit), self.is_correct, accepted, self.probability)


NAMES = ("trust_logit", "probability", "is_correct")


def shift_names() -> list[str]:
    """Return the specs of all shifts: distortions, of which choices are made on some, and corruptions, reported on."""
    from steepslope.shifts.corruptions import PAPER_CORRUPTIONS

    corruptions = [f"corrupt:{kind}:{severity}" for severity in SEVERITIES for kind in PAPER_CORRUPTIONS]
    distortions = [f"distort:{kind}:{severity}" for severity in (0, 1) for kind in (*CHOSEN_ON, *DISTORTIONS)]
    return [*corruptions, *distortions]


def streams(made: Path, data: str, work: Path, names: Sequence[str], rows: int) -> dict[str, Stream]:
    """Return the stream of each shift, from the work folder where it is there already.

    ``made`` has ``classifier``, ``outputs/test`` and the oracle ``fused``, each as the command of its name writes it.
    """
    return {name: _kept(made, data, work, name, rows) for name in names}


def _kept(made: Path, data: str, work: Path, name: str, rows: int) -> Stream:
    path = work / f"{name.replace(':', '-')}-{rows}.safetensors"
    if not path.exists():
        found = _made(made, data, work, name, rows)
        with staged_folder(work, last=path.name) as staging:
            save_arrays({column: getattr(found, column) for column in NAMES}, staging / path.name)
        print(name, f"accuracy {found.is_correct.mean():.3f}", flush=True)
    arrays = load_arrays(path)
    return Stream(*(arrays[column] for column in NAMES))


def _made(made: Path, data: str, work: Path, name: str, rows: int) -> Stream:
    """Return the predictions of the calibration rows, of the clean rows of a stream, or of its shifted rows."""
    from steepslope.oracle import Oracle
    from steepslope.outputs import ClassifierOutputs

    if name in (CALIBRATION, CLEAN):
        test = ClassifierOutputs.load(made / "outputs" / "test")
        half = len(test) // 2
        outputs = test.subset(np.arange(half) if name == CALIBRATION else half + np.arange(rows))
    else:
        outputs = _shifted(made, data, work, name, rows)
    from scipy.special import softmax

    probability = softmax(np.asarray(outputs.logits, dtype=np.float64), axis=1).max(axis=1)
    trust_logit = Oracle.load(made / "fused").trust_logit(outputs)
    return Stream(trust_logit, probability, outputs.is_correct)


def _shifted(made: Path, data: str, work: Path, name: str, rows: int) -> ClassifierOutputs:
    """Run the classifier on shifted images, and return its outputs."""
    from steepslope.classifiers.specs import load_classifier
    from steepslope.data.images import Divisible
    from steepslope.data.shifted import Shifted
    from steepslope.extraction.extraction import extract, summary
    from steepslope.extraction.options import ExtractionOptions
    from steepslope.outputs import ClassifierOutputs
    from steepslope.shifts.specs import parse_data

    images = parse_data(f"{data}:test").look().open()
    assert isinstance(images, Divisible)
    some = images.subset(np.arange(len(images) - rows, len(images)))
    shift = parse_data(f"{name}/digits").shifts[0]  # the data play no part
    shift.look()
    shifted = Shifted(some, shift.load())
    out = work / "outputs" / name.replace(":", "-")
    options = ExtractionOptions(evidence=("features", "noise"), workers=0)
    extract(load_classifier(f"checkpoint:{made}/classifier"), {out: (name, shifted)}, options, summary, print)
    return ClassifierOutputs.load(out)
