"""How well a confidence separates correct from wrong predictions: ``f(confidence, is_correct) -> float``.

Higher confidence means more trustworthy. Correct predictions are the positive class. Ties are treated by distinct
thresholds (precision-recall, FPR at a TPR), count one half (AUC), or give the expectation over their random order
(AURC, AUGRC, E-AURC, NAURC).

- ``ranking``: one sort, the counts of correct and wrong predictions at each distinct confidence, and sums over ties.
- ``measures``: every metric, by name in the dict ``METRICS``, and the distances of Gaussians.
- ``intervals``: the bootstrap, with intervals, paired differences and p.
- ``selective``: what a gate would do: the risk-coverage curve, operating points, the confusion, groups and Fisher's
  test, and what a probability is on the scale of a score.
- ``paper``: the paper's variants (``PAPER_METRICS``).
"""

from steepslope.metrics.intervals import Estimate, compare, evaluate
from steepslope.metrics.measures import (
    METRICS,
    Metric,
    accuracy,
    augrc,
    aupr_error,
    aupr_success,
    aurc,
    auroc,
    average_kl,
    bhattacharyya_distance,
    e_aurc,
    fpr_at_tpr,
    naurc,
    tnr,
    tpr,
)
from steepslope.metrics.ranking import Ranking
from steepslope.metrics.selective import (
    GroupRisk,
    Groups,
    OperatingPoint,
    RiskCoverage,
    confusion,
    coverage_at_risk,
    group_risks,
    risk_at_coverage,
    risk_coverage_curve,
)

__all__ = ["METRICS", "Estimate", "GroupRisk", "Groups", "Metric", "OperatingPoint", "Ranking", "RiskCoverage"]
__all__ += ["accuracy", "augrc", "aupr_error", "aupr_success", "aurc", "auroc", "average_kl", "bhattacharyya_distance"]
__all__ += ["compare", "confusion", "coverage_at_risk", "e_aurc", "evaluate", "fpr_at_tpr", "group_risks"]
__all__ += ["naurc", "risk_at_coverage", "risk_coverage_curve", "tnr", "tpr"]
