"""Evidence: the columns, and the opinions on classes, that an oracle sees, computed from classifier outputs.

- ``states``: what a kind of evidence is and learns, and how rows are dealt to folds.
- ``classifier``: the classifier itself, on the image, on its views and with dropout.
- ``opinions``: other classifiers, or people.
- ``signals``: numbers beside an answer.
- ``neighbors``: the nearest references.
- ``probes``: probes and small nets on the features of one net, or of both.
- ``stack``: a logistic regression on the log-probabilities of all classifiers and the features.
- ``registry``: all kinds of evidence by name, and every score as one.
- ``row_augmentation``: changed copies of rows.
- ``values``: the columns and opinions of chosen kinds.
- ``fitting``: those of a fit set, where no row sees its own label. ``fit_set``: the same for a fused oracle, with
  references from other folds and augmented copies.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["EVIDENCE"]
