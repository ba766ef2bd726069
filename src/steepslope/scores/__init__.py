"""Post-hoc scores: confidences read off a classifier's outputs, one paper a file.

A score has ``fit(outputs) -> self``, ``confidence(outputs) -> float64 (n,)`` (higher = more trustworthy, in
log space, so that nothing saturates into ties) and ``scale``: a name in ``steepslope.metrics.scales.SCALES``, which
says what a probability of ½ is.
"""

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.outputs import ClassifierOutputs
from steepslope.scores.mcp import MCP


class Score(Protocol):
    """What every post-hoc score can do."""

    scale: str

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Learn what the score needs from outputs, and return the score itself."""
        ...

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return the confidence of each prediction, (n,)."""
        ...


SCORES: dict[str, type[Score]] = {"mcp": MCP}

__all__ = ["MCP", "SCORES", "Score"]
