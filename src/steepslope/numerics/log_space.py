"""Functions of a softmax that stay exact where probabilities round to 0 or 1: float64 logits in, logarithms out."""

from collections.abc import Sequence

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


def softplus(x: Tensor) -> Tensor:
    """Return ln(1 + eˣ), exact for large and small x; of log-odds ln(p / (1 − p)) it is −ln(1 − p)."""
    return x.clamp_min(0) + log1p((-x.abs()).exp())


def in_classes_of(own: Tensor, other: Tensor, places: Sequence[int]) -> Tensor:
    """Return another classifier's log-probabilities of the own classes, (m, K) and (m, K') -> (m, K).

    ``places`` (K',) are those of the other's classes among the own ones; −1 of one that these lack. A class that the
    other does not know has the probability that the classifier gives it, and the known ones share the rest as the other
    has it (Jeffrey's rule); probabilities of classes that share a place are added.

    >>> own, other = torch.tensor([[[0.2, 0.3, 0.5]], [[0.1, 0.3, 0.6]]], dtype=torch.float64).log()
    >>> in_classes_of(own, other, [2, 0, 0]).exp().round(decimals=2).tolist()
    [[0.63, 0.3, 0.07]]
    """
    count = own.shape[1]
    if tuple(places) == tuple(range(count)):
        return other.log_softmax(dim=1)
    members: dict[int, list[int]] = {place: [] for place in sorted({*places} - {-1})}
    for column, place in enumerate(places):
        members.get(place, []).append(column)
    most = max(map(len, members.values()))
    columns = torch.tensor([[*some, *[len(places)] * (most - len(some))] for some in members.values()])
    padded = torch.cat([other, torch.full_like(other[:, :1], -torch.inf)], dim=1)  # of probability 0
    shares = padded.index_select(1, columns.flatten()).reshape(-1, len(members), most).logsumexp(dim=2)
    beliefs, known = own.log_softmax(dim=1), torch.tensor([*members])
    rest = beliefs.index_select(1, known).logsumexp(dim=1, keepdim=True)
    number = {place: number for number, place in enumerate(members)}
    filled = (rest + shares.log_softmax(dim=1)).index_select(1, torch.tensor([number.get(k, 0) for k in range(count)]))
    return torch.where(torch.tensor([k in members for k in range(count)]), filled, beliefs)
