"""How far estimates of a classifier's accuracy without labels are off on shifted rows."""

import numpy as np

from steepslope.gate.calibration import CalibrationRows, ProbabilityMap
from steepslope.gate.decisions import most_probable
from steepslope.monitor.estimators import learnt_estimators
from steepslope.numerics.tensors import tensor
from steepslope.study.lines import DIGITS
from steepslope.study.trial import FREE, TEST, JudgedRows, Trial


def estimate_errors(trial: Trial, name: str) -> dict[str, float]:
    """Return estimate less accuracy of each estimator, all learnt on the judged rows that are not shifted.

    P(correct) is of the fused oracle without opinions, calibrated on those rows.
    """
    usual, other = trial.judged[TEST], trial.judged[name]
    right = usual.outputs.is_correct
    scale = ProbabilityMap.from_rows(usual.fused[FREE], right, of_log_odds=True)

    def calibration_rows(rows: JudgedRows) -> CalibrationRows:
        p_correct = scale(tensor(rows.fused[FREE])).numpy()
        probability = most_probable(rows.outputs, 1)[1][:, 0]
        return CalibrationRows(p_correct, rows.outputs.is_correct, np.ones(len(p_correct), np.bool_), probability)

    seen = calibration_rows(other)
    accuracy = float(seen.is_correct.mean())
    return {
        kind: round(estimator.estimate(float(estimator.statistic(seen).mean())) - accuracy, DIGITS)
        for kind, estimator in learnt_estimators(calibration_rows(usual)).items()
    }
