"""The metrics once more, straight from their definitions: slow, and sharing no code with the package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def accuracy(confidence: Floats, is_correct: Bools) -> float:
    return sum(is_correct) / len(is_correct)


def tpr(confidence: Floats, is_correct: Bools) -> float:
    return float(np.mean([c > 0 for c in confidence[is_correct]]))


def tnr(confidence: Floats, is_correct: Bools) -> float:
    return float(np.mean([c <= 0 for c in confidence[~is_correct]]))


def auroc(confidence: Floats, is_correct: Bools) -> float:
    correct, wrong = confidence[is_correct], confidence[~is_correct]
    return float(np.mean([(c > w) + 0.5 * (c == w) for c in correct for w in wrong]))


def average_precision(score: Floats, positive: Bools) -> float:
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(score), reverse=True):
        accepted = score >= threshold
        recall = (accepted & positive).sum() / positive.sum()
        total += (recall - recall_before) * (accepted & positive).sum() / accepted.sum()
        recall_before = recall
    return float(total)


def aupr_success(confidence: Floats, is_correct: Bools) -> float:
    return average_precision(confidence, is_correct)


def aupr_error(confidence: Floats, is_correct: Bools) -> float:
    return average_precision(-confidence, ~is_correct)


def fpr_at_95tpr(confidence: Floats, is_correct: Bools) -> float:
    for threshold in sorted(set(confidence), reverse=True):
        accepted = confidence >= threshold
        if (accepted & is_correct).sum() / is_correct.sum() >= 0.95:
            return float((accepted & ~is_correct).sum() / (~is_correct).sum())
    raise AssertionError("the lowest threshold accepts everything")


def tie_orders(confidence: Floats, is_correct: Bools) -> Iterator[Bools]:
    """Yield the correctness, most confident first, in every order that the confidence allows."""
    ties = [is_correct[confidence == value] for value in sorted(set(confidence), reverse=True)]
    for orders in product(*(permutations(tie) for tie in ties)):
        yield np.concatenate(orders)


def over_tie_orders(confidence: Floats, is_correct: Bools, area: Callable[[Bools], float]) -> float:
    """Return the mean of an area of the sorted correctness over all orders that the confidence allows."""
    return float(np.mean([area(order) for order in tie_orders(confidence, is_correct)]))


def aurc(confidence: Floats, is_correct: Bools) -> float:
    return over_tie_orders(confidence, is_correct, _aurc_of_order)


def augrc(confidence: Floats, is_correct: Bools) -> float:
    return over_tie_orders(confidence, is_correct, lambda order: float(np.cumsum(~order).mean() / len(order)))


def e_aurc(confidence: Floats, is_correct: Bools) -> float:
    return aurc(confidence, is_correct) - _aurc_of_order(np.sort(is_correct)[::-1])


def naurc(confidence: Floats, is_correct: Bools) -> float:
    """Return the place of the AURC between the best order's, which is 0, and the mean over all orders, which is 1."""
    orders = [_aurc_of_order(np.array(order)) for order in set(permutations(is_correct.tolist()))]
    return float((aurc(confidence, is_correct) - min(orders)) / (np.mean(orders) - min(orders)))


def _aurc_of_order(order: Bools) -> float:
    return float((np.cumsum(~order) / np.arange(1, len(order) + 1)).mean())
