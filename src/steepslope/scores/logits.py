"""Scores read off the logits, or off forward passes with dropout: they learn nothing."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from steepslope.errors import SteepslopeError, require_known
from steepslope.numerics.log_space import log_complements, log_entropy, log_odds_of, log_probabilities, top_log_odds
from steepslope.outputs import ClassifierOutputs, logit_blocks, over_logits
from steepslope.scores.score import Score


class MCP(Score):
    """The classifier's own softmax probability p of what it predicts, as log-odds ln(p / (1 − p)).

    Hendrycks & Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples …", 2017.

    The log-odds rank as p does, but stay apart where p rounds to 1; their logistic function is p, and their
    natural threshold, 0, is p = ½.

    >>> outputs = ClassifierOutputs(logits=[[50.0, 0.0], [60.0, 0.0], [0.0, 1.0]], labels=[0, 0, 0])
    >>> MCP().fit(outputs).confidence(outputs)
    array([50., 60.,  1.])
    """

    scale = "logit"

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return the log-odds of the predicted class, float64 (n,)."""
        return over_logits(outputs, top_log_odds)


class MaxLogit(Score):
    """The largest logit as it is: Hendrycks et al., "Scaling Out-of-Distribution Detection …", 2022.

    >>> outputs = ClassifierOutputs(logits=[[2.0, 0.0], [9.0, 8.0]], labels=[0, 0])
    >>> MaxLogit().fit(outputs).confidence(outputs)
    array([2., 9.])
    """

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return the largest logit, float64 (n,)."""
        return over_logits(outputs, lambda logits: logits.max(axis=1))


class Margin(Score):
    """The gap between the two largest logits, or of the two largest softmax probabilities, as −ln(1 − gap).

    Scheffer et al., "Active Hidden Markov Models …", 2001, for softmax. The logarithm ranks as the gap does, but stays
    apart where the gap rounds to 1.

    >>> outputs = ClassifierOutputs(logits=[[3.0, 1.0, 0.0], [50.0, 0.0, 0.0]], labels=[0, 0])
    >>> Margin().confidence(outputs)
    array([ 2., 50.])
    >>> Margin("softmax").confidence(outputs).round(2)
    array([ 1.31, 48.9 ])
    """

    def __init__(self, space: Literal["logit", "softmax"] = "logit") -> None:
        require_known("space of the margin", space, MARGINS)
        self.space = space

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return the margin of each prediction, float64 (n,), >= 0."""
        return over_logits(outputs, MARGINS[self.space])


def _logit_margin(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    second, first = np.partition(logits, -2, axis=1)[:, -2:].T
    return np.asarray(first - second)


def _softmax_margin(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return −ln(1 − (p₁ − p₂)): for small gaps from the gap, for large ones from (1 − p₁) + p₂."""
    top = logits.argmax(axis=1)[:, None]
    gap = _logit_margin(logits)
    log_first = np.take_along_axis(log_probabilities(logits), top, axis=1)[:, 0]
    log_rest = np.take_along_axis(log_complements(logits), top, axis=1)[:, 0]
    fraction = -np.exp(log_first) * np.expm1(-gap)
    return np.where(fraction < 0.5, -np.log1p(-np.minimum(fraction, 0.5)), -np.logaddexp(log_rest, log_first - gap))


MARGINS = {"logit": _logit_margin, "softmax": _softmax_margin}


class Entropy(Score):
    """Shannon's entropy H of the softmax in nats, as −ln H: high where the classifier is sure, and never saturated.

    >>> outputs = ClassifierOutputs(logits=[[0.0, 0.0], [60.0, 0.0], [80.0, 0.0]], labels=[0, 0, 0])
    >>> Entropy().confidence(outputs).round(2)
    array([ 0.37, 55.89, 75.61])
    """

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return −ln H of each prediction, float64 (n,)."""
        return over_logits(outputs, lambda logits: -log_entropy(logits))


class Doctor(Score):
    """The discriminators D_α = (1 − Σp²) / Σp² and D_β = (1 − p) / p of the largest p, each as −ln D.

    Granese et al., "DOCTOR: A Simple Method for Detecting Misclassification Errors", 2021. D_β ranks exactly as MCP
    does.

    >>> outputs = ClassifierOutputs(logits=[[0.0, 0.0], [50.0, 0.0]], labels=[0, 0])
    >>> Doctor().confidence(outputs).round(2), Doctor("beta").confidence(outputs).round(2)
    (array([ 0.  , 49.31]), array([ 0., 50.]))
    """

    scale = "logit"

    def __init__(self, variant: Literal["alpha", "beta"] = "alpha") -> None:
        require_known("variant of doctor", variant, VARIANTS)
        self.variant = variant

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return −ln D of each prediction, float64 (n,)."""
        return over_logits(outputs, VARIANTS[self.variant])


def _alpha(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    log_p = log_probabilities(logits)
    return np.asarray(logsumexp(2 * log_p, axis=1) - logsumexp(log_p + log_complements(logits), axis=1))


VARIANTS = {"alpha": _alpha, "beta": top_log_odds}


GEN_GAMMA = 0.1
GEN_MOST = 100


class GEN(Score):
    """The generalised entropy G = Σ p^γ (1 − p)^γ over the M largest probabilities, γ = 0.1, M = min(K, 100), as −ln G.

    Liu et al., "GEN: Pushing the Limits of Softmax-Based Out-of-Distribution Detection", 2023, whose score is −G; the
    logarithm ranks as it does, but stays apart where p rounds to 1.

    >>> outputs = ClassifierOutputs(logits=[[0.0, 0.0], [50.0, 0.0], [90.0, 0.0]], labels=[0, 0, 0])
    >>> GEN().confidence(outputs).round(2)  # of two classes G is 2 (p (1 - p))^0.1
    array([-0.55,  4.31,  8.31])
    """

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return −ln G of each prediction, float64 (n,)."""
        return over_logits(outputs, lambda logits: -_log_generalised_entropy(logits))


def _log_generalised_entropy(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    terms = GEN_GAMMA * (log_probabilities(logits) + log_complements(logits))
    if terms.shape[1] > GEN_MOST:  # p (1 - p) falls with p's place, so the largest terms are those of the largest p
        terms = np.partition(terms, -GEN_MOST, axis=1)[:, -GEN_MOST:]
    return np.asarray(logsumexp(terms, axis=1))


class Energy(Score):
    """The negative free energy at temperature 1: ln Σ exp(logit).

    Liu et al., "Energy-based Out-of-distribution Detection", 2020.

    >>> outputs = ClassifierOutputs(logits=[[0.0, 0.0]], labels=[0])
    >>> Energy().fit(outputs).confidence(outputs).round(3)
    array([0.693])
    """

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return the log of the sum of exponentials, float64 (n,)."""
        return over_logits(outputs, lambda logits: np.asarray(logsumexp(logits, axis=1)))


class MCDropout(Score):
    """The mean softmax over forward passes with dropout, as the outputs hold it (``extract --evidence dropout``).

    Gal & Ghahramani, "Dropout as a Bayesian Approximation", 2016. ``measure="entropy"`` gives −ln H of the mean
    softmax, by which the paper's baseline ranks; "probability" the log-odds of the predicted class's mean probability,
    which has a threshold.
    """

    arrays = ("dropout",)

    def __init__(self, measure: Literal["entropy", "probability"] = "entropy") -> None:
        require_known("measure of mc_dropout", measure, ("probability", "entropy"))
        self.measure = measure
        self.scale = "logit" if measure == "probability" else "rank"

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return the confidence of each prediction, float64 (n,)."""
        passes = outputs.require("dropout")
        of_block = {"entropy": lambda log_mean, _: -log_entropy(log_mean), "probability": log_odds_of}[self.measure]
        blocks = ((passes[rows, 0].astype(np.float64), outputs.predictions[rows]) for rows in logit_blocks(outputs))
        confidence = np.concatenate([of_block(*block) for block in blocks])
        if not np.isfinite(confidence).all():
            row = int((~np.isfinite(confidence)).argmax())
            raise SteepslopeError(f"expected finite values, found others in row {row}", "dropout")
        return confidence
