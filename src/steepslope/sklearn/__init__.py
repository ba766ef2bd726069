"""Gates at work: what decides on new images and rows.

``options``: what can be chosen, free of torch. ``parts``: images or outputs become rows of decisions, part by part;
``prediction_file``: these become one file, and go on where they were killed; ``verdict``: what the fraction of
accepted predictions means for the promise; ``kept``: what is promised on some labelled rows and kept on others.
``export``: a gate as one ONNX file; ``exported``: such a file, read and run without torch. ``serving``: a gate behind
HTTP. ``cluster``: predictions on many machines. ``monitoring``: alarms on harm.

``sharing``: a gate or an oracle packed for others; ``model_card``: what they have to know of it; ``card_facts``: what
of that is read off the gate or oracle itself.

``trusted_classifier``: a scikit-learn classifier that tells which of its predictions to use. ``held_back``: which rows
it calibrates on, and which folds it learns from; ``cross_fitting``: what a classifier predicts of rows that it has not
seen; ``responses``: from what it gives to the logits of its own predictions; ``tables``: its inputs as features.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from steepslope.sklearn.trusted_classifier import Decision as Decision, TrustedClassifier as TrustedClassifier

_IN = {"trusted_classifier": ["Decision", "TrustedClassifier"]}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_IN)
