"""Functions of a softmax on tensors: the twins of :mod:`steepslope.numerics.log_space`, for graphs."""

import torch
from torch import Tensor

TINY_LOG = -37.0  # below ln(2⁻⁵³), 1 + x rounds to 1
SMALL = 1e-4


def is_class(classes: Tensor, count: int) -> Tensor:
    """Return where the columns are the rows' classes, (m,) -> bool (m, count)."""
    return classes[:, None] == torch.arange(count)


def without(values: Tensor, chosen: Tensor) -> Tensor:
    """Return values with −∞ where they are chosen."""
    return torch.where(chosen, -torch.inf, values)


def log_odds_of(logits: Tensor, chosen: Tensor) -> Tensor:
    """Return ln(p / (1 − p)) of the chosen class of each row, (m, K) and bool (m, K) -> (m,)."""
    return without(logits, ~chosen).amax(dim=1) - without(logits, chosen).logsumexp(dim=1)


def top_log_odds(logits: Tensor) -> Tensor:
    """Return ln(p / (1 − p)) of the largest softmax probability of each row, (m, K) -> (m,)."""
    return log_odds_of(logits, is_class(logits.argmax(dim=1), logits.shape[1]))


def log1p(x: Tensor) -> Tensor:
    """Return ln(1 + x) for x > −1; ONNX has the logarithm alone, which knows nothing of a small x beside 1."""
    series = x * (1 - x * (1 / 2 - x * (1 / 3 - x / 4)))
    return torch.where(x.abs() < SMALL, series, torch.log(1 + x))


def log_complements(logits: Tensor) -> Tensor:
    """Return ln(1 − p), (m, K) -> (m, K); of the largest p it is the log of the sum of all others."""
    top = is_class(logits.argmax(dim=1), logits.shape[1])
    of_top = without(logits, top).logsumexp(dim=1, keepdim=True) - logits.logsumexp(dim=1, keepdim=True)
    p = torch.where(top, 0.0, logits.log_softmax(dim=1).exp())
    return torch.where(top, of_top, log1p(-p))


def log_minus_log(log_p: Tensor, log_complement: Tensor) -> Tensor:
    """Return ln(−ln p) from ln p and ln(1 − p); a large p is known best by its complement."""
    near_one = torch.where(log_complement < TINY_LOG, log_complement, torch.log(-log1p(-log_complement.exp())))
    return torch.where(log_p > -0.5, near_one, torch.log(-log_p))


def log_entropy(logits: Tensor) -> Tensor:
    """Return the log of the entropy in nats, (m, K) -> (m,)."""
    log_p = logits.log_softmax(dim=1)
    return (log_p + log_minus_log(log_p, log_complements(logits))).logsumexp(dim=1)
