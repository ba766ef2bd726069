# What the package lends to the others. What is public, __all__ names.
from ._options import ANYBODY as ANYBODY, SignatureOptions as SignatureOptions
from ._sharing import copy_shared as copy_shared, write_shared as write_shared
from ._signatures import sign as sign, verified as verified
