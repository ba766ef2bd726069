"""What a kind of evidence is, and what it learns from outputs: named arrays, stored with the oracle."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from steepslope.numerics.formulas import Array
from steepslope.outputs import ClassifierOutputs
from steepslope.scores.score import Rows, State as State

NO_STATE: State = {}
MOST_REFERENCES = 150_000
LEAST_UNKNOWN = 10  # out-of-class rows, from which what they look like is learnt
FOLDS = 5


@dataclass(frozen=True)
class Learning:
    """How evidence learns: ``fit`` on outputs, those that are ``of``: the ``reference``, or the fit set's ``errors``.

    ``check`` raises for a state that was read from a file and that ``fit`` could not have left, for a number of
    classes. ``at_least`` is the number of outputs needed. What learns ``slow``ly, such as a net, has fewer folds where
    references are many, or learns from these alone, once. What learns from what is ``familiar`` alone sees no augmented
    copies. Of more references than ``most``, those are kept about which the classifier is least sure.
    """

    fit: Callable[[ClassifierOutputs], State]
    check: Callable[[State, int], object]
    of: Literal["reference", "errors"] = "reference"
    at_least: int = 1
    slow: bool = False
    familiar: bool = False
    most: int | None = None


@dataclass(frozen=True)
class Evidence:
    """A kind of evidence: of some rows, given what it learnt, ``columns`` (m, d).

    ``opinions`` are what it thinks of every class, as V log-probabilities each, float64 (m, V, K), where it thinks so.
    ``arrays`` are what the outputs must hold, ``least_classes`` how many classes they must have. Columns are kept in
    float32, but ``raw`` ones in the float64 that they may be given in, since they may lie far from 0. Both functions
    are formulas on the array API, and are traced for exported files, too; the rows always hold ``logits``. Where rows
    may ``lack`` the evidence, its opinions are NaN in those, and count for nothing.
    """

    columns: Callable[[Rows, State], Array]
    arrays: tuple[str, ...] = ("logits",)
    learning: Learning | None = None
    opinions: Callable[[Rows, State], Array] | None = None
    least_classes: int = 2
    raw: bool = False
    lacks: bool = False

    def lacking(self, outputs: ClassifierOutputs) -> str | None:
        """Return the first array that it needs and the outputs lack."""
        return next((name for name in self.arrays if name not in outputs.arrays), None)

    @property
    def needs_reference(self) -> bool:
        """Whether it learns from the classifier's training outputs."""
        return self.learning is not None and self.learning.of == "reference"


def references(outputs: ClassifierOutputs, most: int = MOST_REFERENCES) -> ClassifierOutputs:
    """Return the rows to learn from: all, or the most that are learnt from, evenly spread.

    Fewer out-of-class rows than :data:`LEAST_UNKNOWN` are left out.
    """
    if outputs.labels is not None and 0 < outputs.is_unknown.sum() < LEAST_UNKNOWN:
        outputs = outputs.of_known_classes()
    if len(outputs) <= most:
        return outputs
    return outputs.subset(np.linspace(0, len(outputs) - 1, most).round().astype(np.int64))


def numbered_labels(outputs: ClassifierOutputs) -> tuple[NDArray[np.int64], int]:
    """Return the labels of references (n,), and their number of classes: out-of-class is one more, the last."""
    labels, count = outputs.require_labels(), outputs.num_classes
    return np.where(outputs.is_unknown, count, labels), count + bool(outputs.is_unknown.any())


def classes_of_state(num_classes: int, found: int) -> int:
    """Return the classes that a state may have been learnt for, of ``num_classes`` or one more: ``found``, or these."""
    return found if found == num_classes + 1 else num_classes


def fold_of_rows(
    strata: NDArray[np.int64] | NDArray[np.bool_], seed: int, together: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Deal the rows of each stratum evenly to the folds, at random, (n,) -> (n,) in 0…4.

    Unlike scikit-learn's StratifiedKFold, strata may have fewer rows than there are folds, as rare classes do. Rows
    that share a number in ``together`` (n,) go to one fold; their stratum is that of the first of them.

    >>> fold_of_rows(np.array([0, 0, 0, 0, 1, 1]), 0, together=np.array([0, 0, 1, 1, 2, 2])).reshape(3, 2).std(axis=1)
    array([0., 0., 0.])
    """
    if together is not None:
        _, first, inverse = np.unique(together, return_index=True, return_inverse=True)
        return fold_of_rows(strata[first], seed)[inverse]
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(strata))
    fold = np.empty(len(strata), dtype=np.int64)
    fold[order[np.argsort(strata[order], kind="stable")]] = np.arange(len(strata)) % FOLDS
    return fold
