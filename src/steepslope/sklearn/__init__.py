"""A scikit-learn classifier that tells which of its predictions to use.

``trusted_classifier``: the class, a meta-estimator as scikit-learn has them.
``held_out``: which rows it calibrates on, and what clones say of the others without having seen them. ``responses``:
what a classifier gives. ``features`` and ``opinions``: what an oracle sees next to it, of the inputs and of other
classifiers. ``reader``: all of this as outputs, with the oracle and the gate of these. ``storage``: the class on disk.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
