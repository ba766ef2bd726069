"""Monte Carlo dropout: Gal & Ghahramani, "Dropout as a Bayesian Approximation", 2016."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, require_known
from steepslope.estimators.log_space import log_entropy, log_odds_of
from steepslope.outputs import ClassifierOutputs, logit_blocks
from steepslope.scores.score import Score


class MCDropout(Score):
    """The mean softmax over forward passes with dropout, as the outputs hold it (``extract --evidence dropout``).

    ``measure="entropy"`` gives −ln H of the mean softmax, by which the paper's baseline ranks; "probability" the
    log-odds of the predicted class's mean probability, which has a threshold.
    """

    arrays = ("dropout",)

    def __init__(self, measure: Literal["entropy", "probability"] = "entropy") -> None:
        require_known("measure of mc_dropout", measure, ("probability", "entropy"))
        self.measure = measure
        self.scale = "logit" if measure == "probability" else "rank"

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return the confidence of each prediction, float64 (n,)."""
        passes = outputs.require("dropout")
        parts = []
        for rows in logit_blocks(outputs):
            log_mean = np.asarray(passes[rows, 0], dtype=np.float64)
            parts.append(
                log_odds_of(log_mean, outputs.predictions[rows])
                if self.measure == "probability"
                else -log_entropy(log_mean)
            )
        confidence = np.concatenate(parts)
        if not np.isfinite(confidence).all():
            row = int((~np.isfinite(confidence)).argmax())
            raise SteepslopeError(f"expected finite values, found others in row {row}", "dropout")
        return confidence
