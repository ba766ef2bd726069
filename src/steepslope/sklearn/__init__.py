"""A scikit-learn classifier that tells which of its predictions to use.

- ``_trusted_classifier``: the class, a meta-estimator of scikit-learn.
- ``_held_out``: the rows it calibrates on, and out-of-fold predictions of the others.
- ``_dependence``: signs that rows of inputs depend on one another.
- ``_responses``: what a classifier predicts, as logits or votes.
- ``_features`` and ``_opinions``: what the oracle also sees, of the inputs and of other classifiers.
- ``_reader``: all of this as outputs.
- ``_storage``: the class on disk.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["TrustedClassifier"]
