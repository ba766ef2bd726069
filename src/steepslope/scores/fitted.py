"""Scores that are fitted to the classifier's errors, in outputs of rows that it had not seen."""

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from steepslope.errors import SteepslopeError, require_known
from steepslope.metrics import aurc
from steepslope.numerics.log_space import top_log_odds
from steepslope.outputs import ClassifierOutputs, over_logits, require_classes
from steepslope.scores.logits import MCP
from steepslope.scores.score import Score, State, require_fitted

LOG_TEMPERATURES = np.linspace(-4, 4, 65)
TIE = 1e-12
LARGEST_POWER = 10


class TemperatureScaledMCP(Score):
    """MCP of logits / T as log-odds, with T from held-out outputs.

    Guo et al., "On Calibration of Modern Neural Networks", 2017.

    T minimises the negative log-likelihood of the labels (``criterion="nll"``), or the AURC ("aurc", by a grid of 65;
    among equals, as all are for two classes, the T closest to 1). It is between e⁻⁴ and e⁴.
    """

    scale = "logit"
    fits_on = "errors"

    def __init__(self, criterion: Literal["nll", "aurc"] = "nll") -> None:
        require_known("criterion of the temperature", criterion, CRITERIA)
        self.criterion = criterion
        self.temperature_: float | None = None
        self.num_classes_: int = 0

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Choose the temperature on outputs of rows new to the classifier."""
        self.temperature_ = float(np.exp(CRITERIA[self.criterion](outputs)))
        self.num_classes_ = outputs.num_classes
        return self

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return the log-odds of the predicted class at that temperature, float64 (n,)."""
        temperature = require_fitted("temperature_scaled_mcp", self.temperature_, "held-out outputs")
        require_classes("temperature_scaled_mcp", outputs, self.num_classes_)
        return _scaled(outputs, float(np.log(temperature)))


def _scaled(outputs: ClassifierOutputs, log_temperature: float) -> NDArray[np.float64]:
    return over_logits(outputs, lambda logits: top_log_odds(logits * np.exp(-log_temperature)))


def _by_likelihood(outputs: ClassifierOutputs) -> float:
    of_labels = np.asarray(outputs.logits[np.arange(len(outputs)), outputs.require_labels()], dtype=np.float64)

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        totals = over_logits(outputs, lambda logits: np.asarray(logsumexp(logits * scale, axis=1)))
        return float((totals - of_labels * scale).mean())

    bounds = LOG_TEMPERATURES[[0, -1]]
    return float(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x)


def _by_aurc(outputs: ClassifierOutputs) -> float:
    risks = np.array([aurc(_scaled(outputs, value), outputs.is_correct) for value in LOG_TEMPERATURES])
    best = LOG_TEMPERATURES[risks <= risks.min() + TIE]
    return float(best[np.abs(best).argmin()])


CRITERIA = {"nll": _by_likelihood, "aurc": _by_aurc}


class MaxLogitPNorm(Score):
    """The largest of the centred logits, divided by their p-norm; p from 0 (no division) to 10, by AURC.

    Cattelan & Silva, "How to Fix a Broken Confidence Estimator", 2024.

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
        power = state["power"][0]
        if power not in range(-1, LARGEST_POWER + 1):
            raise SteepslopeError(f"expected a whole number from -1 to {LARGEST_POWER}, found {power}", "power")
        score.power_ = None if power < 0 else int(power)
        return score

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Choose p on outputs of rows new to the classifier."""
        if outputs.num_classes < self.least_classes:
            raise SteepslopeError("expected at least 3 classes, found 2, where all predictions tie", "max_logit_pnorm")
        risks = [aurc(_quotient(outputs, power), outputs.is_correct) for power in range(LARGEST_POWER + 1)]
        best = int(np.argmin(risks))
        fallback = aurc(MCP().confidence(outputs), outputs.is_correct) <= risks[best]
        self.power_, self.num_classes_ = (None if fallback else best), outputs.num_classes
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
