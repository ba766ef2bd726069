"""What a gate keeps of the rows that it was calibrated on, so that predictions to come can be compared with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError

if TYPE_CHECKING:
    from steepslope.gate.calibration import CalibrationRows
    from steepslope.gate.gate import Gate

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
TYPES = {"p_correct": np.float64, "is_correct": np.bool_, "accepted": np.bool_, "probability": np.float64}
OPTIONAL = ("probability",)


@dataclass(frozen=True, eq=False)
class JudgedRows:
    """Labelled rows (n,) as a gate judges them: P(correct), which are correct, and which it accepts.

    ``probability`` (n,) is the classifier's own of each predicted class; None where a gate knows confidences alone.
    """

    p_correct: Floats
    is_correct: Bools
    accepted: Bools
    probability: Floats | None = None

    def __len__(self) -> int:
        return len(self.p_correct)

    @classmethod
    def of(cls, gate: Gate, rows: CalibrationRows, probability: Floats | None = None) -> JudgedRows:
        """Return labelled rows as a gate judges them; ``probability`` (n,) is the classifier's own."""
        accepted = gate.accepts(rows.confidence, rows.groups)
        return cls(gate.p_correct(rows.confidence), rows.is_correct, accepted, probability)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name, without those that are not known."""
        return {name: getattr(self, name) for name in TYPES if getattr(self, name) is not None}

    @classmethod
    def read(cls, arrays: Mapping[str, NDArray[Any]], path: Path) -> JudgedRows:
        """Return the rows that a file holds; raise unless its arrays are of one length and of their types."""
        expected = {name: kind for name, kind in TYPES.items() if name in arrays or name not in OPTIONAL}
        if {name: array.dtype for name, array in arrays.items()} != expected or not _fit(arrays):
            found = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items()) or "nothing"
            raise SteepslopeError(f"expected {', '.join(expected)} of calibration rows (n,), found {found}", path)
        return cls(**arrays)


def _fit(arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Return whether all arrays are as long, and all numbers probabilities."""
    n = len(arrays["p_correct"])
    return all(
        array.shape == (n,) and (array.dtype == np.bool_ or bool(((array >= 0) & (array <= 1)).all()))
        for array in arrays.values()
    )
