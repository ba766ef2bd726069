"""What a frozen classifier said about a data set, in memory and on disk: the arrays on which everything later works."""

from steepslope.outputs.classifier_outputs import (
    BLOCK_ROWS,
    ClassifierOutputs,
    Confidences,
    blocks,
    logit_blocks,
    over_logits,
    read_rows,
    require_classes,
)

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
