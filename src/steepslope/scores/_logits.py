"""Scores on the logits, or on forward passes with dropout; they learn nothing."""

from steepslope.numerics import (
    Array,
    float64,
    highest,
    log_complements,
    log_entropy,
    log_softmax,
    logsumexp,
    namespace_of,
    top_log_odds,
)
from steepslope.scores._score import Rows, Score


class MCP(Score):
    """The classifier's own softmax probability p of its prediction, as log-odds ln(p / (1 − p)).

    Hendrycks & Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples …", 2017.

    The log-odds rank as p does, but stay different where p rounds to 1. Their logistic function is p, and their natural
    threshold, 0, is p = ½.

    >>> from steepslope.outputs import ClassifierOutputs
    >>> outputs = ClassifierOutputs(logits=[[50.0, 0.0], [60.0, 0.0], [0.0, 1.0]], labels=[0, 0, 0])
    >>> MCP().fit(outputs).confidence(outputs)
    array([50., 60.,  1.])
    """

    scale = "logit"

    def formula(self, rows: Rows) -> Array:
        """Return the log-odds of the predicted class, float64 (m,)."""
        return top_log_odds(rows["logits"])


class MaxLogit(Score):
    """The largest logit (Hendrycks et al., "Scaling Out-of-Distribution Detection …", 2022).

    >>> from steepslope.outputs import ClassifierOutputs
    >>> outputs = ClassifierOutputs(logits=[[2.0, 0.0], [9.0, 8.0]], labels=[0, 0])
    >>> MaxLogit().fit(outputs).confidence(outputs)
    array([2., 9.])
    """

    def formula(self, rows: Rows) -> Array:
        """Return the largest logit, float64 (m,)."""
        return namespace_of(rows["logits"]).max(rows["logits"], axis=1)


class Margin(Score):
    """The gap between the two largest logits.

    After Scheffer et al., "Active Hidden Markov Models …", 2001, who use probabilities.

    >>> from steepslope.outputs import ClassifierOutputs
    >>> outputs = ClassifierOutputs(logits=[[3.0, 1.0, 0.0], [50.0, 0.0, 0.0]], labels=[0, 0])
    >>> Margin().confidence(outputs)
    array([ 2., 50.])
    """

    def formula(self, rows: Rows) -> Array:
        """Return the margin of each prediction, float64 (m,), >= 0."""
        two = highest(rows["logits"], 2)
        return two[:, 0] - two[:, 1]


class Entropy(Score):
    """Shannon's entropy H of the softmax in nats, as −ln H, which is high for a sure classifier and never saturates.

    >>> from steepslope.outputs import ClassifierOutputs
    >>> outputs = ClassifierOutputs(logits=[[0.0, 0.0], [60.0, 0.0], [80.0, 0.0]], labels=[0, 0, 0])
    >>> Entropy().confidence(outputs).round(2)
    array([ 0.37, 55.89, 75.61])
    """

    def formula(self, rows: Rows) -> Array:
        """Return −ln H of each prediction, float64 (m,)."""
        return -log_entropy(rows["logits"])


class Doctor(Score):
    """The discriminator D_α = (1 − Σp²) / Σp², as −ln D.

    Granese et al., "DOCTOR: A Simple Method for Detecting Misclassification Errors", 2021. Their other discriminator,
    D_β = (1 − p) / p for the largest p, ranks as MCP.

    >>> from steepslope.outputs import ClassifierOutputs
    >>> outputs = ClassifierOutputs(logits=[[0.0, 0.0], [50.0, 0.0]], labels=[0, 0])
    >>> Doctor().confidence(outputs).round(2)
    array([ 0.  , 49.31])
    """

    scale = "logit"

    def formula(self, rows: Rows) -> Array:
        """Return −ln D of each prediction, float64 (m,)."""
        logits = rows["logits"]
        log_p = log_softmax(logits)
        return logsumexp(2 * log_p) - logsumexp(log_p + log_complements(logits))


class Energy(Score):
    """The negative free energy at temperature 1: ln Σ exp(logit).

    Liu et al., "Energy-based Out-of-distribution Detection", 2020.

    >>> from steepslope.outputs import ClassifierOutputs
    >>> outputs = ClassifierOutputs(logits=[[0.0, 0.0]], labels=[0])
    >>> Energy().fit(outputs).confidence(outputs).round(3)
    array([0.693])
    """

    def formula(self, rows: Rows) -> Array:
        """Return the log of the sum of exponentials, float64 (m,)."""
        return logsumexp(rows["logits"])


class MCDropout(Score):
    """The entropy H of the mean softmax over forward passes with dropout, as −ln H, which is the paper's baseline.

    Gal & Ghahramani, "Dropout as a Bayesian Approximation", 2016. The outputs hold that mean (``extract --evidence
    dropout``).
    """

    arrays = ("dropout",)

    def formula(self, rows: Rows) -> Array:
        """Return −ln H of each prediction, float64 (m,)."""
        return -log_entropy(float64(rows["dropout"][:, 0]))
