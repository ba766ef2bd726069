"""Names for the arrays that annotations speak of, by the kind of their entries."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Counts = NDArray[np.int64]  # also numbers of rows and of classes
Bools = NDArray[np.bool_]
Values = NDArray[Any]
Arrays = Mapping[str, Values]  # by name
ArrayDict = dict[str, Values]
