"""Tell which predictions of a frozen classifier to trust.

The names below load on first use, so that importing the package stays quick.
"""

from typing import TYPE_CHECKING

from steepslope.utilities.faces import late

__version__ = "0.1.0"

if TYPE_CHECKING:
    from steepslope.metrics import compare as compare
    from steepslope.metrics import evaluate as evaluate
    from steepslope.oracle import Oracle as Oracle
    from steepslope.outputs import ClassifierOutputs as ClassifierOutputs
    from steepslope.scores import SCORES as SCORES

__all__ = ["SCORES", "ClassifierOutputs", "Oracle", "compare", "evaluate"]
__getattr__ = late(
    __name__,
    {
        "ClassifierOutputs": "steepslope.outputs",
        "Oracle": "steepslope.oracle",
        "SCORES": "steepslope.scores",
        "compare": "steepslope.metrics",
        "evaluate": "steepslope.metrics",
    },
)
