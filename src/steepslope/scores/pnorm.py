"""MaxLogit-pNorm: Cattelan & Silva, "How to Fix a Broken Confidence Estimator", 2024."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.metrics import aurc
from steepslope.outputs import ClassifierOutputs, over_logits, require_classes
from steepslope.scores.mcp import MCP
from steepslope.scores.score import Score, State, require_fitted

POWERS = tuple(range(11))


class MaxLogitPNorm(Score):
    """The largest of the centred logits, divided by their p-norm; p from 0 (no division) to 10, by AURC.

    Where no p has a lower AURC than MCP on the outputs it is fitted on, it is MCP (``power_`` None). With two classes
    every centred pair has the same quotient, so K = 2 is refused.
    """

    fits_on = "errors"
    least_classes = 3

    def __init__(self) -> None:
        self.power_: int | None = None
        self.num_classes_: int | None = None

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the power; −1 stands for MCP."""
        return {"power": np.array([-1.0 if self.power_ is None else float(self.power_)])}

    @classmethod
    def restored(cls, state: State, num_classes: int) -> Self:
        """Return the score with this power."""
        score = super().restored(state, num_classes)
        assert score.power_ is not None
        score.power_ = None if score.power_ < 0 else int(score.power_)
        return score

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Choose p on outputs of rows new to the classifier."""
        if outputs.num_classes < self.least_classes:
            raise SteepslopeError("max_logit_pnorm: expected at least 3 classes, found 2, where all predictions tie")
        risks = [aurc(_quotient(outputs, power), outputs.is_correct) for power in POWERS]
        best = int(np.argmin(risks))
        fallback = aurc(MCP().confidence(outputs), outputs.is_correct) <= risks[best]
        self.power_, self.num_classes_ = (None if fallback else POWERS[best]), outputs.num_classes
        return self

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return the quotient of each prediction, or MCP's log-odds, float64 (n,)."""
        num_classes = require_fitted("max_logit_pnorm", self.num_classes_, "held-out outputs")
        require_classes("max_logit_pnorm", outputs, num_classes)
        return MCP().confidence(outputs) if self.power_ is None else _quotient(outputs, self.power_)


def _quotient(outputs: ClassifierOutputs, power: int) -> NDArray[np.float64]:
    def quotient(logits: NDArray[np.float64]) -> NDArray[np.float64]:
        centred = logits - logits.mean(axis=1, keepdims=True)
        largest = centred.max(axis=1)
        if power == 0:
            return np.asarray(largest)
        scale = np.abs(centred).max(axis=1, keepdims=True)  # kept out of the powers, which could overflow
        scale[scale == 0] = 1
        norm = (np.abs(centred / scale) ** power).sum(axis=1) ** (1 / power)
        return np.asarray(largest / scale[:, 0] / np.maximum(norm, np.finfo(np.float64).tiny))

    return over_logits(outputs, quotient)
