"""What a frozen classifier said about a data set, in memory and on disk: the arrays on which everything later works."""

from steepslope.outputs.classifier_outputs import (
    ClassifierOutputs,
    Confidences,
    logit_blocks,
    over_logits,
    read_rows,
    require_classes,
)
from steepslope.utilities.blocks import BLOCK_ROWS, blocks

__all__ = [
    "BLOCK_ROWS",
    "ClassifierOutputs",
    "Confidences",
    "blocks",
    "logit_blocks",
    "over_logits",
    "read_rows",
    "require_classes",
]
