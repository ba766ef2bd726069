"""How well a confidence separates correct from wrong predictions: ``f(confidence, is_correct) -> float``.

Higher confidence means more trustworthy. Correct predictions are the positive class. Ties are treated by
distinct thresholds (precision-recall, FPR at a TPR), count one half (AUC), or give the expectation over their
random order (AURC, AUGRC, E-AURC).
"""

from steepslope.metrics.curves import Ranking, RiskCoverage, risk_coverage_curve
from steepslope.metrics.intervals import Estimate, compare, evaluate
from steepslope.metrics.measures import (
    accuracy,
    augrc,
    aupr_error,
    aupr_success,
    aurc,
    auroc,
    e_aurc,
    fpr_at_tpr,
    tnr,
    tpr,
)

__all__ = [
    "Estimate",
    "Ranking",
    "RiskCoverage",
    "accuracy",
    "augrc",
    "aupr_error",
    "aupr_success",
    "aurc",
    "auroc",
    "compare",
    "e_aurc",
    "evaluate",
    "fpr_at_tpr",
    "risk_coverage_curve",
    "tnr",
    "tpr",
]
