"""How the rows of a fit set are dealt to folds, and where references come from; free of torch."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Errors = Literal["holdout", "crossfit", "train"]
ERRORS: tuple[Errors, ...] = ("holdout", "crossfit", "train")
FOLDS = 5


def fold_of(
    strata: NDArray[np.int64] | NDArray[np.bool_], seed: int, together: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Deal the rows of each stratum evenly to the folds, at random, (n,) -> (n,) in 0…4.

    Unlike scikit-learn's StratifiedKFold, strata may have fewer rows than there are folds, as rare classes do. Rows
    that share a number in ``together`` (n,) go to one fold; their stratum is that of the first of them.

    >>> fold_of(np.array([0, 0, 0, 0, 1, 1]), 0, together=np.array([0, 0, 1, 1, 2, 2])).reshape(3, 2).std(axis=1)
    array([0., 0., 0.])
    """
    if together is not None:
        _, first, inverse = np.unique(together, return_index=True, return_inverse=True)
        return fold_of(strata[first], seed)[inverse]
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(strata))
    fold = np.empty(len(strata), dtype=np.int64)
    fold[order[np.argsort(strata[order], kind="stable")]] = np.arange(len(strata)) % FOLDS
    return fold
