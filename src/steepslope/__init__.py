"""Tell which predictions of a frozen classifier to trust.

The names below load on first use, so that importing the package stays quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from steepslope.metrics import compare as compare
    from steepslope.metrics import evaluate as evaluate
    from steepslope.oracle import Oracle as Oracle
    from steepslope.outputs import ClassifierOutputs as ClassifierOutputs
    from steepslope.scores import SCORES as SCORES

_HOMES = {
    "ClassifierOutputs": "steepslope.outputs",
    "Oracle": "steepslope.oracle",
    "SCORES": "steepslope.scores",
    "compare": "steepslope.metrics",
    "evaluate": "steepslope.metrics",
}
__all__ = ["SCORES", "ClassifierOutputs", "Oracle", "compare", "evaluate"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'steepslope' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
