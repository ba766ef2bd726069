"""Scores that learn a temperature, or the power of a norm, from the classifier's errors on rows it has not seen."""

import numpy as np
from scipy.optimize import minimize_scalar

from steepslope.errors import SteepslopeError
from steepslope.metrics import aurc
from steepslope.numerics import Array, ArrayDict, clipped, logsumexp, namespace_of, top_log_odds
from steepslope.outputs import ClassifierOutputs, over_logits
from steepslope.scores._logits import MCP
from steepslope.scores._score import Rows, Score, State

_LOG_TEMPERATURES = -4.0, 4.0
_LARGEST_POWER = 10
TINY = float(np.finfo(np.float64).tiny)


class TemperatureScaledMCP(Score):
    """MCP of logits / T as log-odds, with T from held-out outputs.

    Guo et al., "On Calibration of Modern Neural Networks", 2017.

    T, between e⁻⁴ and e⁴, minimises the negative log-likelihood of the labels. Out-of-class rows are left out, because
    no temperature makes their label likely.
    """

    scale = "logit"
    fits_on = "errors"

    def __init__(self) -> None:
        self.temperature_: float | None = None

    def learn(self, outputs: ClassifierOutputs) -> None:
        """Choose the temperature on outputs of rows new to the classifier."""
        self.temperature_ = float(np.exp(_fit_log_temperature(outputs.of_known_classes())))

    def formula(self, rows: Rows) -> Array:
        """Return the log-odds of the predicted class at that temperature, float64 (m,)."""
        assert self.temperature_ is not None
        return top_log_odds(rows["logits"] * float(np.exp(-np.log(self.temperature_))))


def _fit_log_temperature(outputs: ClassifierOutputs) -> float:
    of_labels = np.asarray(outputs.logits[np.arange(len(outputs)), outputs.require_labels()], dtype=np.float64)

    def loss(log_temperature: float) -> float:
        scale = float(np.exp(-log_temperature))
        totals = over_logits(outputs, lambda logits: logsumexp(logits * scale))
        return float((totals - of_labels * scale).mean())

    return float(minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded", options={"xatol": 1e-6}).x)


class MaxLogitPNorm(Score):
    """The largest centred logit, divided by the p-norm of the centred logits; p is chosen by AURC.

    Cattelan & Silva, "How to Fix a Broken Confidence Estimator", 2024.

    p is from 0 (no division) to 10. If no p has a lower AURC than MCP on the fit set, the score is MCP (``power_``
    None). With two classes every centred pair has the same quotient, so K = 2 is refused.
    """

    fits_on = "errors"
    least_classes = 3

    def __init__(self) -> None:
        self.power_: int | None = None

    def state(self) -> ArrayDict:
        """Return the power as an array; −1 means MCP."""
        return {"power": np.array([-1.0 if self.power_ is None else float(self.power_)])}

    def restore(self, state: State, num_classes: int) -> None:
        """Restore the power."""
        super().restore(state, num_classes)
        power = state["power"][0]
        if power not in range(-1, _LARGEST_POWER + 1):
            raise SteepslopeError(f"expected a whole number from -1 to {_LARGEST_POWER}, found {power}", "power")
        self.power_ = None if power < 0 else int(power)

    def learn(self, outputs: ClassifierOutputs) -> None:
        """Choose p on outputs of rows new to the classifier."""

        def risk(power: int) -> float:
            found = over_logits(outputs, lambda logits: _max_logit_by_norm(logits, power))
            return aurc(found, outputs.is_correct)

        risks = [risk(power) for power in range(_LARGEST_POWER + 1)]
        best = int(np.argmin(risks))
        fallback = aurc(MCP().confidence(outputs), outputs.is_correct) <= risks[best]
        self.power_ = None if fallback else best

    def formula(self, rows: Rows) -> Array:
        """Return the quotient of each prediction, or MCP's log-odds, float64 (m,)."""
        if self.power_ is None:
            return MCP().formula(rows)
        return _max_logit_by_norm(rows["logits"], self.power_)


def _max_logit_by_norm(logits: Array, power: int) -> Array:
    xp = namespace_of(logits)
    centred = logits - xp.mean(logits, axis=1, keepdims=True)
    largest = xp.max(centred, axis=1)
    if power == 0:
        return largest
    scale = xp.max(xp.abs(centred), axis=1, keepdims=True)  # kept out of the powers, which could overflow
    scale = xp.where(scale == 0, 1.0, scale)
    norm = xp.sum(xp.abs(centred / scale) ** power, axis=1) ** (1 / power)
    return largest / scale[:, 0] / clipped(norm, TINY)
