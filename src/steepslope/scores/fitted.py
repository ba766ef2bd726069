"""Scores that learn from the classifier's errors, in outputs of rows that it had not seen.

A temperature, the power of a norm, or a matrix of which confusions go with errors.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from steepslope.errors import SteepslopeError
from steepslope.metrics import aurc
from steepslope.numerics.formulas import Array, clipped, constant, float64, log_softmax, logsumexp, namespace_of
from steepslope.numerics.log_space import is_class, top_log_odds, without
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.classifier_outputs import logit_blocks, over_logits
from steepslope.scores.logits import MCP
from steepslope.scores.score import Rows, Score, State, require_both_sides

LOG_TEMPERATURES = -4.0, 4.0
LARGEST_POWER = 10
FOLDS = 5
WRONG_ROWS = 0.5  # how much wrong rows count in RelU, against correct ones
TINY = float(np.finfo(np.float64).tiny)
Floats = NDArray[np.float64]


class TemperatureScaledMCP(Score):
    """MCP of logits / T as log-odds, with T from held-out outputs.

    Guo et al., "On Calibration of Modern Neural Networks", 2017.

    T, between e⁻⁴ and e⁴, minimises the negative log-likelihood of the labels. Out-of-class rows are left out: no
    temperature makes their label likely.
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

    return float(minimize_scalar(loss, bounds=LOG_TEMPERATURES, method="bounded", options={"xatol": 1e-6}).x)


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

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the power; −1 stands for MCP."""
        return {"power": np.array([-1.0 if self.power_ is None else float(self.power_)])}

    def restore(self, state: State, num_classes: int) -> None:
        """Take over a power."""
        super().restore(state, num_classes)
        power = state["power"][0]
        if power not in range(-1, LARGEST_POWER + 1):
            raise SteepslopeError(f"expected a whole number from -1 to {LARGEST_POWER}, found {power}", "power")
        self.power_ = None if power < 0 else int(power)

    def learn(self, outputs: ClassifierOutputs) -> None:
        """Choose p on outputs of rows new to the classifier."""

        def risk(power: int) -> float:
            found = over_logits(outputs, lambda logits: _max_logit_by_norm(logits, power))
            return aurc(found, outputs.is_correct)

        risks = [risk(power) for power in range(LARGEST_POWER + 1)]
        best = int(np.argmin(risks))
        fallback = aurc(MCP().confidence(outputs), outputs.is_correct) <= risks[best]
        self.power_ = None if fallback else best

    def formula(self, rows: Rows) -> Array:
        """Return the quotient of each prediction, or MCP's log-odds, float64 (m,)."""
        return MCP().formula(rows) if self.power_ is None else _max_logit_by_norm(rows["logits"], self.power_)


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


class RelU(Score):
    """The relative uncertainty u = pᵀ D p of the softmax p, as −ln u; D (K, K) says which confusions go with errors.

    Dadalto et al., "A Data-Driven Measure of Relative Uncertainty for Misclassification Detection", 2024, at
    temperature 1 and λ = ½.

    Of all symmetric D ≥ 0 with a diagonal of zeros and norm 1, D makes λ E[u | wrong] − (1 − λ) E[u | correct] largest
    on held-out rows. In closed form it is max(0, λ E[p pᵀ | wrong] − (1 − λ) E[p pᵀ | correct]) off the diagonal, over
    its Frobenius norm. Where no entry is above 0, all entries off the diagonal are equal, as in the paper's code, and u
    ranks as 1 − Σp² does, which is DOCTOR's order.

    D has K (K − 1) / 2 numbers and learns few rows by heart, so here there is one thing more, ``fallback``: where the
    D of four fifths of the rows does not rank the other fifth better, by AURC, than equal entries do, they are equal.

    Parameters
    ----------
    fallback
        Whether entries are equal where D does not help; without, it is the paper's score.
    """

    fits_on = "errors"
    learnt: ClassVar[Mapping[str, str]] = {"distances": "float64 K K"}

    def __init__(self, fallback: bool = True) -> None:
        self.fallback = fallback
        self.distances_: Floats | None = None

    def learn(self, outputs: ClassifierOutputs) -> None:
        """Learn D from outputs of rows new to the classifier, of which some must be wrong and some correct."""
        require_both_sides(outputs, "RelU")
        fold, equal = np.empty(len(outputs), dtype=np.int64), _equal_distances(outputs.num_classes)
        for side in (outputs.is_correct, ~outputs.is_correct):  # each dealt evenly to the folds
            fold[side] = np.arange(side.sum()) % FOLDS
        sums, counts = _confusion_products(outputs, fold)
        self.distances_ = _learnt_distances(sums, counts)
        if self.fallback:
            others = [np.arange(FOLDS) != number for number in range(FOLDS)]
            parts = [_learnt_distances(sums[some], counts[some]) for some in others]
            self.distances_ = self.distances_ if _distances_help(parts, equal, outputs, fold) else equal

    def formula(self, rows: Rows) -> Array:
        """Return −ln u of each prediction, float64 (m,)."""
        assert self.distances_ is not None
        return -_log_relative_uncertainty(rows["logits"], constant(self.distances_, rows["logits"]))

    def restore(self, state: State, num_classes: int) -> None:
        """Take over a D."""
        super().restore(state, num_classes)
        found = state["distances"]
        if (found < 0).any() or (found != found.T).any() or found.diagonal().any() or not found.any():
            expected = "a symmetric matrix >= 0 with a diagonal of zeros and an entry above 0"
            raise SteepslopeError(f"expected {expected}, found another", "distances")


def _equal_distances(num_classes: int) -> Floats:
    """Return the D of equal entries, (K, K)."""
    return np.asarray((1 - np.eye(num_classes)) / np.sqrt(num_classes * (num_classes - 1)))


def _confusion_products(outputs: ClassifierOutputs, fold: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the sum of p pᵀ over wrong and over correct rows of each fold, (5, 2, K, K), and their numbers, (5, 2)."""
    part = 2 * fold + outputs.is_correct
    sums = np.zeros((2 * FOLDS, outputs.num_classes, outputs.num_classes))
    for rows in logit_blocks(outputs):
        p = softmax(np.asarray(outputs.logits[rows], dtype=np.float64), axis=1)
        for place in range(2 * FOLDS):
            chosen = p[part[rows] == place]
            sums[place] += chosen.T @ chosen
    counts = np.bincount(part, minlength=2 * FOLDS).astype(np.float64)
    return sums.reshape(FOLDS, 2, *sums.shape[1:]), counts.reshape(FOLDS, 2)


def _learnt_distances(sums: Floats, counts: Floats) -> Floats:
    """Return D from the sums and numbers of some folds, (f, 2, K, K) and (f, 2)."""
    wrong, correct = sums.sum(axis=0) / np.maximum(counts.sum(axis=0), 1)[:, None, None]
    gain = WRONG_ROWS * wrong - (1 - WRONG_ROWS) * correct
    learnt = np.maximum((gain + gain.T) / 2, 0)
    np.fill_diagonal(learnt, 0)
    norm = np.linalg.norm(learnt)  # 0 too where all entries are so small that their squares are none
    return learnt / norm if norm > 0 else _equal_distances(len(learnt))


def _distances_help(parts: list[Floats], equal: Floats, outputs: ClassifierOutputs, fold: NDArray[np.int64]) -> bool:
    """Return whether rows seen by the D of the other folds are ranked better than by equal entries."""
    learnt = np.empty(len(outputs))
    for one, distances in enumerate(parts):
        inside = np.flatnonzero(fold == one)
        if len(inside):
            learnt[inside] = _confidence_by_distances(outputs.subset(inside), distances)
    return aurc(learnt, outputs.is_correct) < aurc(_confidence_by_distances(outputs, equal), outputs.is_correct)


def _confidence_by_distances(outputs: ClassifierOutputs, distances: Floats) -> Floats:
    return over_logits(outputs, lambda logits: -_log_relative_uncertainty(logits, distances))


def _log_relative_uncertainty(logits: Array, distances: Array) -> Array:
    """Return ln pᵀ D p, (m, K) -> (m,), from pairs with the largest p and pairs without.

    Both are sums of products by e to the runner-up's log-probability, once and twice, so that sure predictions do not
    underflow.
    """
    xp, log_p = namespace_of(logits), log_softmax(logits)
    top = is_class(log_p.argmax(1), log_p.shape[1])
    others = without(log_p, top)
    runner_up = xp.max(others, axis=1)
    relative = xp.exp(others - runner_up[:, None])
    with_top = clipped(2 * xp.sum((float64(top) @ distances) * relative, axis=1), TINY)
    pairs = clipped(xp.sum((relative @ distances) * relative, axis=1), TINY)
    return runner_up + xp.logaddexp(xp.max(log_p, axis=1) + xp.log(with_top), runner_up + xp.log(pairs))
