"""A scikit-learn classifier that tells which of its predictions to use.

- ``trusted_classifier``: the class, a meta-estimator of scikit-learn.
- ``held_out``: the rows it calibrates on, and out-of-fold predictions of the others.
- ``dependence``: signs that rows of inputs depend on one another.
- ``responses``: what a classifier predicts, as logits or votes.
- ``features`` and ``opinions``: what the oracle also sees, of the inputs and of other classifiers.
- ``reader``: all of this as outputs.
- ``learning``: the classifiers and the oracle, fitted to the rows that do not calibrate.
- ``writing``: a file of decisions, and a report.
- ``storage``: the class on disk.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["TrustedClassifier"]
