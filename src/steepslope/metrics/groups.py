"""The same gate, group by group: whether a group is served worse than all others, by Fisher's exact test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import fisher_exact

from steepslope.errors import SteepslopeError
from steepslope.metrics.curves import checked


class Groups(NamedTuple):
    """The group of each prediction, (n,), as strings or integers; with ``names``, the integers index them.

    ``by`` is what they are grouped by, such as a column: label, or predicted, where the classes are the groups.
    """

    codes: NDArray[Any]
    names: Sequence[str] | None = None
    by: str = "group"


@dataclass(frozen=True)
class GroupRisk:
    """One group of n predictions at a threshold.

    ``coverage`` is the fraction that is trusted, ``risk`` the fraction of errors among those (NaN where none is
    trusted). ``p`` is that of Fisher's one-sided test that the risk is no higher than in all other groups together,
    after Holm's correction for the number of groups; ``worse`` means p < 0.05.
    """

    group: str
    n: int
    accuracy: float
    coverage: float
    risk: float
    p: float
    worse: bool


def group_risks(
    confidence: ArrayLike,
    is_correct: ArrayLike,
    groups: ArrayLike,
    threshold: float = 0.5,
    *,
    names: Sequence[str] | None = None,
) -> list[GroupRisk]:
    """Return a row for each group that occurs, in the order of the groups.

    ``groups`` (n,) are strings or integers; with ``names``, integers that index them.
    """
    values, correct = checked(confidence, is_correct)
    labels = np.asarray(groups)
    if labels.shape != values.shape:
        raise SteepslopeError(f"groups: expected {len(values)} rows like the confidence, found {labels.shape}")
    distinct, index = np.unique(labels, return_inverse=True)
    trusted = values > threshold
    count = partial(np.bincount, minlength=len(distinct))
    n, right = count(index), count(index[correct])
    accepted, wrong = count(index[trusted]), count(index[trusted & ~correct])
    tests = [_fisher(*counts, wrong.sum(), accepted.sum()) for counts in zip(wrong, accepted, strict=True)]
    risk = np.divide(wrong, accepted, out=np.full(len(distinct), math.nan), where=accepted > 0)
    titles = distinct.tolist() if names is None else [names[code] for code in distinct]
    p = holm(np.array(tests))
    columns = (column.tolist() for column in (n, right / n, accepted / n, risk, p, p < 0.05))
    return [GroupRisk(*line) for line in zip(map(str, titles), *columns, strict=True)]


def _fisher(wrong: int, accepted: int, all_wrong: int, all_accepted: int) -> float:
    others_wrong, others = all_wrong - wrong, all_accepted - accepted
    table = [[wrong, accepted - wrong], [others_wrong, others - others_wrong]]
    return float(fisher_exact(table, alternative="greater").pvalue) if accepted and others else 1.0


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values corrected for their number by Holm's step-down method, in their order.

    >>> holm(np.array([0.01, 0.04, 0.03]))
    array([0.03, 0.06, 0.06])
    """
    order = np.argsort(p)
    scaled = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(scaled, 1)[np.argsort(order)]
