"""The outputs of a frozen classifier on a data set, in memory and on disk: the arrays from which all later steps work.

``arrays``: the schema of all arrays, one literal. ``classifier_outputs``: the class that users hold. ``confidences``:
predictions of which only a confidence is known. ``formats``: which reader and writer a path gets; ``folder``: folders
with their manifest, and whether two come from one classifier; ``tables``: CSV and Parquet files.
``conversion``: frames, tensors and lists become arrays; ``labels``: labels by name; ``probabilities``: those in place
of logits.
"""

from steepslope.outputs.arrays import ARRAYS
from steepslope.outputs.classifier_outputs import ClassifierOutputs, logit_blocks, over_logits, require_classes
from steepslope.outputs.confidences import Confidences, load_predictions

__all__ = [
    "ARRAYS",
    "ClassifierOutputs",
    "Confidences",
    "load_predictions",
    "logit_blocks",
    "over_logits",
    "require_classes",
]
