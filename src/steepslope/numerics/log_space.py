"""Functions of a softmax that stay exact where probabilities round to 0 or 1: float64 logits in, logarithms out."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

Floats = NDArray[np.float64]
TINY_LOG = -37.0  # below ln(2⁻⁵³), 1 + x rounds to 1


def log_probabilities(logits: Floats) -> Floats:
    """Return ln p, (m, K) -> (m, K)."""
    return np.asarray(logits - logsumexp(logits, axis=1, keepdims=True))


def log_complements(logits: Floats) -> Floats:
    """Return ln(1 − p), (m, K) -> (m, K); of the largest p it is the log of the sum of all others."""
    log_p = log_probabilities(logits)
    rows, top = np.arange(len(logits)), logits.argmax(axis=1)
    with np.errstate(divide="ignore"):
        result = np.log1p(-np.exp(log_p))
    others = logits.copy()
    others[rows, top] = -np.inf
    result[rows, top] = logsumexp(others, axis=1) - logsumexp(logits, axis=1)
    return np.asarray(result)


def log_minus_log(log_p: Floats, log_complement: Floats) -> Floats:
    """Return ln(−ln p) from ln p and ln(1 − p); a large p is known best by its complement."""
    with np.errstate(divide="ignore"):
        of_large = np.where(log_complement < TINY_LOG, log_complement, np.log(-np.log1p(-np.exp(log_complement))))
        return np.where(log_p > -0.5, of_large, np.log(-log_p))


def log_entropy(logits: Floats) -> Floats:
    """Return the log of the entropy in nats, (m, K) -> (m,)."""
    log_p = log_probabilities(logits)
    return np.asarray(logsumexp(log_p + log_minus_log(log_p, log_complements(logits)), axis=1))


def log_odds_of(logits: Floats, classes: NDArray[np.int64]) -> Floats:
    """Return ln(p / (1 − p)) of one class in each row, (m, K) and (m,) -> (m,); logits may be log-probabilities."""
    rows = np.arange(len(logits))
    others = logits.copy()
    others[rows, classes] = -np.inf
    return np.asarray(logits[rows, classes] - logsumexp(others, axis=1))


def top_log_odds(logits: ArrayLike) -> Floats:
    """Return ln(p / (1 − p)) for the largest softmax probability p of each row, (n, K) -> (n,).

    It is the top logit less the log-sum-exp of all others: no p, so nothing to saturate.
    """
    values: Floats = np.array(logits, dtype=np.float64)
    rows, top = np.arange(len(values)), values.argmax(axis=1)
    highest = values[rows, top]
    values[rows, top] = -np.inf
    runner_up = values.max(axis=1)
    # Sorted, so that the sum, and with it the ranking, does not depend on how the classes are numbered.
    rest = np.sort(np.exp(values - runner_up[:, None]), axis=1).sum(axis=1)
    return np.asarray(highest - runner_up - np.log(rest))
