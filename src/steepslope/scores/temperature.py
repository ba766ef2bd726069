"""Temperature scaling: Guo et al., "On Calibration of Modern Neural Networks", 2017."""

from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from steepslope.errors import require_known
from steepslope.estimators.log_space import top_log_odds
from steepslope.metrics import aurc
from steepslope.outputs import ClassifierOutputs, over_logits, require_classes
from steepslope.scores.score import Score, require_fitted

LOG_TEMPERATURES = np.linspace(-4, 4, 65)
TIE = 1e-12


class TemperatureScaledMCP(Score):
    """MCP of logits / T as log-odds, with T from held-out outputs.

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
    of_labels = np.asarray(outputs.logits[np.arange(len(outputs)), outputs.labels], dtype=np.float64)

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        totals = over_logits(outputs, lambda logits: np.asarray(logsumexp(logits * scale, axis=1)))
        return float((totals - of_labels * scale).mean())

    low, high = LOG_TEMPERATURES[[0, -1]]
    return float(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6}).x)


def _by_aurc(outputs: ClassifierOutputs) -> float:
    risks = np.array([aurc(_scaled(outputs, value), outputs.is_correct) for value in LOG_TEMPERATURES])
    best = LOG_TEMPERATURES[risks <= risks.min() + TIE]
    return float(best[np.abs(best).argmin()])


CRITERIA = {"nll": _by_likelihood, "aurc": _by_aurc}
