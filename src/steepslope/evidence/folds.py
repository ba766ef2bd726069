"""How the rows of a fit set are dealt to folds, and where references come from; free of torch."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Errors = Literal["holdout", "crossfit", "train"]
ERRORS: tuple[Errors, ...] = ("holdout", "crossfit", "train")
FOLDS = 5


def fold_of(strata: NDArray[np.int64] | NDArray[np.bool_], seed: int) -> NDArray[np.int64]:
    """Deal the rows of each stratum evenly to the folds, at random, (n,) -> (n,) in 0…4.

    Unlike scikit-learn's StratifiedKFold, strata may have fewer rows than there are folds, as rare classes do.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(strata))
    fold = np.empty(len(strata), dtype=np.int64)
    fold[order[np.argsort(strata[order], kind="stable")]] = np.arange(len(strata)) % FOLDS
    return fold
