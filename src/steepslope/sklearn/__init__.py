"""A scikit-learn classifier that tells which of its predictions to use.

``trusted_classifier``: the class, which behaves as scikit-learn's do. ``held_out``: which rows it calibrates on, and
what clones say of the others without having seen them. ``responses``: what a classifier and its inputs give, as an
oracle sees it.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from steepslope.sklearn.trusted_classifier import Decision as Decision, TrustedClassifier as TrustedClassifier

_IN = {"trusted_classifier": ["Decision", "TrustedClassifier"]}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_IN)
