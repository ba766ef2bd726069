"""Tell which predictions of a frozen classifier to trust.

The names below load on first use, so that importing the package stays quick.
"""

from typing import TYPE_CHECKING

import lazy_loader

__version__ = "0.1.0"

if TYPE_CHECKING:
    from steepslope.gate import Gate as Gate
    from steepslope.metrics import compare as compare, evaluate as evaluate
    from steepslope.oracle import Oracle as Oracle
    from steepslope.outputs import ClassifierOutputs as ClassifierOutputs
    from steepslope.scores import SCORES as SCORES
    from steepslope.sklearn import TrustedClassifier as TrustedClassifier

_IN = {
    "sklearn": ["TrustedClassifier"],
    "gate": ["Gate"],
    "metrics": ["compare", "evaluate"],
    "oracle": ["Oracle"],
    "outputs": ["ClassifierOutputs"],
    "scores": ["SCORES"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_IN)
