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

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
