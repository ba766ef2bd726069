"""Evidence: the columns, and the opinions on classes, that an oracle sees, computed from classifier outputs.

- ``_states``: what a kind of evidence is and learns, and how rows are dealt to folds.
- ``_classifier``: the classifier itself, on the image, on its views and with dropout.
- ``_opinions``: other classifiers, or people.
- ``_signals``: numbers beside an answer.
- ``_neighbors``: the nearest references.
- ``_probes``: probes and small nets on the features of one net, or of both.
- ``_stack``: a logistic regression on the log-probabilities of all classifiers and the features.
- ``_registry``: all kinds of evidence by name, and every score as one.
- ``_row_augmentation``: changed copies of rows.
- ``_values``: the columns and opinions of chosen kinds.
- ``_fitting``: those of a fit set, where no row sees its own label. ``_fit_set``: the same for a fused oracle, with
  references from other folds and augmented copies.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["EVIDENCE"]
