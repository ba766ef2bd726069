"""How well a confidence separates correct from wrong predictions: ``f(confidence, is_correct) -> float``.

Higher confidence means more trustworthy. Correct predictions are the positive class. Ties are treated by
distinct thresholds (precision-recall, FPR at a TPR), count one half (AUC), or give the expectation over their
random order (AURC, AUGRC, E-AURC, NAURC).

``curves.py`` sorts once, and holds the risk-coverage curve; ``sums.py`` adds up long arrays of counts. ``measures.py``
has every metric and the dict ``METRICS``, from which tables, JSON and docs derive, and the distances of Gaussians.
``intervals.py`` is the bootstrap: intervals and paired differences; ``limits.py`` how replicates become limits and p.
``selective.py`` has operating points, the confusion, and what a probability is on the scale of a score; ``groups.py``
groups and Fisher's test; ``paper.py`` the paper's variants (``PAPER_METRICS``).
"""

from steepslope.metrics.curves import Ranking, RiskCoverage, risk_coverage_curve
from steepslope.metrics.groups import GroupRisk, Groups, group_risks
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
from steepslope.metrics.selective import OperatingPoint, confusion, coverage_at_risk, risk_at_coverage

__all__ = ["METRICS", "Estimate", "GroupRisk", "Groups", "Metric", "OperatingPoint", "Ranking", "RiskCoverage"]
__all__ += ["accuracy", "augrc", "aupr_error", "aupr_success", "aurc", "auroc", "average_kl", "bhattacharyya_distance"]
__all__ += ["compare", "confusion", "coverage_at_risk", "e_aurc", "evaluate", "fpr_at_tpr", "group_risks"]
__all__ += ["naurc", "risk_at_coverage", "risk_coverage_curve", "tnr", "tpr"]
