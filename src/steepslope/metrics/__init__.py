"""How well a confidence separates correct from wrong predictions: ``f(confidence, is_correct) -> float``.

Higher confidence means more trustworthy. Correct predictions are the positive class. Tied predictions share a threshold
(precision-recall, FPR at a TPR), count one half (AUC), or contribute the expectation over their random order (AURC,
AUGRC, E-AURC, NAURC).

- ``_ranking``: one sort, the counts of correct and wrong predictions at each distinct confidence, and sums over errors.
- ``_measures``: every metric, by name in the dict ``METRICS``, and the distances of Gaussians.
- ``_intervals``: the bootstrap, with intervals, paired differences and p-values.
- ``_selective``: selective risk: the risk-coverage curve, operating points, the confusion, groups with Fisher's test,
  and the scales of confidences.
- ``_paper``: the paper's variants (``PAPER_METRICS``).
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__ = [
    "METRICS",
    "accuracy",
    "augrc",
    "aupr_error",
    "aupr_success",
    "aurc",
    "auroc",
    "average_kl",
    "bhattacharyya_distance",
    "compare",
    "coverage_at_risk",
    "e_aurc",
    "evaluate",
    "fpr_at_tpr",
    "naurc",
    "risk_at_coverage",
    "risk_coverage_curve",
    "tnr",
    "tpr",
]
