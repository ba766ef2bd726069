"""Functions of a softmax that stay exact where probabilities round to 0 or 1: float64 logits in, logarithms out."""

from collections.abc import Sequence

import numpy as np

from steepslope.numerics._formulas import Array, clipped, in_order, log1p, log_softmax, logsumexp, namespace_of

TINY_LOG = -37.0  # below ln(2⁻⁵³), 1 + x rounds to 1


def is_class(classes: Array, count: int) -> Array:
    """Return which column is each row's class, (m,) -> booleans (m, count)."""
    return classes[:, None] == namespace_of(classes).arange(count)


def without(values: Array, chosen: Array) -> Array:
    """Return values with −∞ in the chosen places."""
    return namespace_of(values).where(chosen, -np.inf, values)


def log_complements(logits: Array) -> Array:
    """Return ln(1 − p), (m, K) -> (m, K); for the largest p it is the log of the sum of all others."""
    xp = namespace_of(logits)
    top = is_class(logits.argmax(1), logits.shape[1])
    of_top = logsumexp(without(logits, top), keepdims=True) - logsumexp(logits, keepdims=True)
    p = xp.where(top, 0.0, xp.exp(log_softmax(logits)))
    return xp.where(top, of_top, log1p(-p))


def log_minus_log(log_p: Array, log_complement: Array) -> Array:
    """Return ln(−ln p) from ln p and ln(1 − p); for a large p, the complement is more exact."""
    xp = namespace_of(log_p)
    of_large = xp.where(log_complement < TINY_LOG, log_complement, xp.log(-log1p(-xp.exp(log_complement))))
    return xp.where(log_p > -0.5, of_large, xp.log(-log_p))


def log_entropy(logits: Array) -> Array:
    """Return the log of the entropy in nats, (m, K) -> (m,)."""
    log_p = log_softmax(logits)
    return logsumexp(log_p + log_minus_log(log_p, log_complements(logits)))


def log_odds_of(logits: Array, classes: Array) -> Array:
    """Return ln(p / (1 − p)) of one class in each row, (m, K) and (m,) -> (m,); logits may be log-probabilities.

    It is the class's logit minus the log-sum-exp of all others, so it does not saturate as p would.
    """
    xp = namespace_of(logits)
    chosen = is_class(classes, logits.shape[1])
    return xp.max(without(logits, ~chosen), axis=1) - logsumexp(in_order(without(logits, chosen)))


def top_log_odds(logits: Array) -> Array:
    """Return ln(p / (1 − p)) for the largest softmax probability p of each row, (m, K) -> (m,)."""
    return log_odds_of(logits, logits.argmax(1))


def softplus(x: Array) -> Array:
    """Return ln(1 + eˣ), exact for large and small x; for log-odds ln(p / (1 − p)) it is −ln(1 − p)."""
    xp = namespace_of(x)
    return clipped(x, 0) + log1p(xp.exp(-xp.abs(x)))


def in_classes_of(own: Array, other: Array, places: Sequence[int]) -> Array:
    """Return another classifier's log-probabilities for the classifier's classes, (m, K) and (m, K') -> (m, K).

    ``places`` (K',) has the place of each of the other's classes among the classifier's, −1 for a missing one. A class
    that the other does not know keeps the classifier's own probability, and the known classes share the rest as the
    other has them (Jeffrey's rule). Probabilities of classes with the same place are added.

    >>> own, other = np.log([[0.2, 0.3, 0.5]]), np.log([[0.1, 0.3, 0.6]])
    >>> np.exp(in_classes_of(own, other, [2, 0, 0])).round(2).tolist()
    [[0.63, 0.3, 0.07]]
    """
    xp = namespace_of(own)
    count = own.shape[1]
    if tuple(places) == tuple(range(count)):
        return log_softmax(other)
    known = sorted({*places} - {-1})
    members = [np.flatnonzero(np.equal(places, place)) for place in known]
    most = max(map(len, members))
    columns = np.full((len(known), most), len(places))  # of the last one, with probability 0
    for row, some in zip(columns, members, strict=True):
        row[: len(some)] = some
    order = np.zeros(count, np.int64)
    order[known] = np.arange(len(known))
    is_known = np.isin(np.arange(count), known)
    chosen = xp.asarray(columns.tolist())
    padded = xp.concat([other, xp.full_like(other[:, :1], -np.inf)], axis=1)
    shares = xp.take(padded, xp.reshape(chosen, (-1,)), axis=1)
    shares = logsumexp(xp.reshape(shares, (-1, len(known), most)), axis=2)
    beliefs = log_softmax(own)
    rest = logsumexp(xp.take(beliefs, xp.asarray(known), axis=1), keepdims=True)
    places_of_known = xp.asarray(order.tolist())
    filled = xp.take(rest + log_softmax(shares), places_of_known, axis=1)
    return xp.where(xp.asarray(is_known.tolist()), filled, beliefs)
