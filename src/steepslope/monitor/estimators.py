"""Estimates of a classifier's accuracy on predictions without labels, from what each learns on calibration rows.

Each is the mean of a number a row, corrected by what was learnt, so that a stream of any length costs one sum. All
assume that a shift leaves some relation as it was; none knows whether it did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.monitor.predictions import Judged
from steepslope.promise.calibration import CalibrationRows

Floats = NDArray[np.float64]
NONE_REACHES = 2.0  # a threshold of probabilities


@dataclass(frozen=True)
class Estimator:
    """An estimate of accuracy; ``learnt`` is the number that it learnt on calibration rows, if it learns any.

    ``column`` of rows is the confidence: the classifier's own ``probability``, or ``p_correct``.
    """

    learnt: float = 0.0
    column: ClassVar[str] = "probability"

    @classmethod
    def of(cls, rows: CalibrationRows) -> Self:
        """Learn from labelled calibration rows."""
        return cls()

    @classmethod
    def confidence(cls, rows: Judged) -> Floats:
        """Return the confidence that the estimate looks at, (m,)."""
        return np.asarray(getattr(rows, cls.column), dtype=np.float64)

    def statistic(self, rows: Judged) -> Floats:
        """Return a number in [0, 1] a row, (m,): its confidence, unless an estimate says otherwise."""
        return self.confidence(rows)

    def estimate(self, mean: float) -> float:
        """Return the estimated accuracy, in [0, 1], from the mean of the statistic."""
        return mean


class MeanPCorrect(Estimator):
    """The mean of P(correct), calibrated on the gate's rows; it learns nothing more."""

    column = "p_correct"


class AverageThresholdedConfidence(Estimator):
    """ATC (Garg et al., "Leveraging Unlabeled Data to Predict Out-of-Distribution Performance", arXiv 2201.04234).

    The fraction of rows with a confidence of at least a threshold, from which on as many calibration rows lie as are
    correct. The confidence is the classifier's own probability.

    >>> rows = CalibrationRows(np.ones(4), np.arange(4) > 0, np.ones(4, np.bool_), np.array([0.6, 0.7, 0.8, 0.9]))
    >>> found = AverageThresholdedConfidence.of(rows)
    >>> found.learnt, found.statistic(rows).mean()
    (0.7, np.float64(0.75))
    """

    @classmethod
    def of(cls, rows: CalibrationRows) -> Self:
        """Learn the threshold."""
        confidence, errors = np.sort(cls.confidence(rows)), int((~rows.is_correct).sum())
        return cls(float(confidence[errors]) if errors < len(confidence) else NONE_REACHES)

    def statistic(self, rows: Judged) -> Floats:
        """Return 1 where the threshold is reached, else 0."""
        return (self.confidence(rows) >= self.learnt).astype(np.float64)


class ThresholdedPCorrect(AverageThresholdedConfidence):
    """ATC with P(correct) in place of the classifier's own probability."""

    column = "p_correct"


class DifferenceOfConfidences(Estimator):
    """DoC (Guillory et al., "Predicting with Confidence on Unseen Distributions", arXiv 2107.03315).

    The calibration rows' accuracy, less by as much as the mean of the classifier's own probability has fallen.
    """

    @classmethod
    def of(cls, rows: CalibrationRows) -> Self:
        """Learn by how much the accuracy lies above the mean probability."""
        return cls(float(rows.is_correct.mean() - cls.confidence(rows).mean()))

    def estimate(self, mean: float) -> float:
        """Return the estimated accuracy, in [0, 1]."""
        return min(1.0, max(0.0, mean + self.learnt))


ESTIMATORS: dict[str, type[Estimator]] = {  # the one that errs least comes first (docs/monitoring.md)
    "atc_p_correct": ThresholdedPCorrect,
    "mean_p_correct": MeanPCorrect,
    "atc": AverageThresholdedConfidence,
    "doc": DifferenceOfConfidences,
}


def learnt_estimators(rows: CalibrationRows) -> dict[str, Estimator]:
    """Return all estimators that can learn from some rows, by name."""
    return {name: kind.of(rows) for name, kind in ESTIMATORS.items() if getattr(rows, kind.column) is not None}
