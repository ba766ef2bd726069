"""Functions of a softmax that stay exact where probabilities round to 0 or 1: float64 logits in, logarithms out."""

import torch
from torch import Tensor

from steepslope.numerics.tensors import in_order, log1p

TINY_LOG = -37.0  # below ln(2⁻⁵³), 1 + x rounds to 1


def is_class(classes: Tensor, count: int) -> Tensor:
    """Return where the columns are the rows' classes, (m,) -> bool (m, count)."""
    return classes[:, None] == torch.arange(count)


def without(values: Tensor, chosen: Tensor) -> Tensor:
    """Return values with −∞ where they are chosen."""
    return torch.where(chosen, -torch.inf, values)


def log_complements(logits: Tensor) -> Tensor:
    """Return ln(1 − p), (m, K) -> (m, K); of the largest p it is the log of the sum of all others."""
    top = is_class(logits.argmax(dim=1), logits.shape[1])
    of_top = without(logits, top).logsumexp(dim=1, keepdim=True) - logits.logsumexp(dim=1, keepdim=True)
    p = torch.where(top, 0.0, logits.log_softmax(dim=1).exp())
    return torch.where(top, of_top, log1p(-p))


def log_minus_log(log_p: Tensor, log_complement: Tensor) -> Tensor:
    """Return ln(−ln p) from ln p and ln(1 − p); a large p is known best by its complement."""
    of_large = torch.where(log_complement < TINY_LOG, log_complement, torch.log(-log1p(-log_complement.exp())))
    return torch.where(log_p > -0.5, of_large, torch.log(-log_p))


def log_entropy(logits: Tensor) -> Tensor:
    """Return the log of the entropy in nats, (m, K) -> (m,)."""
    log_p = logits.log_softmax(dim=1)
    return (log_p + log_minus_log(log_p, log_complements(logits))).logsumexp(dim=1)


def log_odds_of(logits: Tensor, classes: Tensor) -> Tensor:
    """Return ln(p / (1 − p)) of one class in each row, (m, K) and (m,) -> (m,); logits may be log-probabilities.

    It is the class's logit less the log-sum-exp of all others: no p, so nothing to saturate.
    """
    chosen = is_class(classes, logits.shape[1])
    return without(logits, ~chosen).amax(dim=1) - in_order(without(logits, chosen)).logsumexp(dim=1)


def top_log_odds(logits: Tensor) -> Tensor:
    """Return ln(p / (1 − p)) for the largest softmax probability p of each row, (m, K) -> (m,)."""
    return log_odds_of(logits, logits.argmax(dim=1))
