from .arrays import ARRAYS as ARRAYS
from .classifier_outputs import (
    ClassifierOutputs as ClassifierOutputs,
    logit_blocks as logit_blocks,
    over_logits as over_logits,
    require_classes as require_classes,
)
from .options import ReadingOptions as ReadingOptions
