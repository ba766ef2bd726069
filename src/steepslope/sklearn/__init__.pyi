# What the package lends to the others. What is public, __all__ names.
from ._dependence import copies_in_inputs as copies_in_inputs
from ._features import Features as Features
from ._held_out import held_out_rows as held_out_rows
from ._learning import Learning as Learning
from ._reader import Reader as Reader
from ._responses import Responses as Responses, class_codes as class_codes
from ._storage import TRUSTED as TRUSTED
from ._trusted_classifier import (
    LARGEST_SEED as LARGEST_SEED,
    Decision as Decision,
    TrustedClassifier as TrustedClassifier,
)
