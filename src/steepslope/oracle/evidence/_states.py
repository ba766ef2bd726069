"""What a kind of evidence is, and what it learns from outputs: named arrays, stored with the oracle."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from steepslope.numerics import Array, Bools, Counts
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import Rows, State as State

NO_STATE: State = {}
MOST_REFERENCES = 150_000
_LEAST_UNKNOWN = 10  # out-of-class rows, from which what they look like is learnt
FOLDS = 5


@dataclass(frozen=True)
class Learning:
    """How a kind of evidence learns.

    - ``fit``: learns from outputs; ``of`` says which: the ``reference``, or the fit set's ``errors``.
    - ``check``: raises for a state, read from a file, that ``fit`` cannot have made for a number of classes.
    - ``at_least``: the number of rows needed.
    - ``slow``: learning is slow, as for a net. With many references there are then fewer folds, or it learns from the
      references alone, once.
    - ``familiar``: it learns without augmented copies.
    - ``most``: with more references, those about which the classifier is least sure are kept.
    - ``shared``: learns from outputs without labels, once for all folds. ``fit`` then takes it as ``shared``, too.
    """

    fit: Callable[..., State]
    check: Callable[[State, int], object]
    of: Literal["reference", "errors"] = "reference"
    at_least: int = 1
    slow: bool = False
    familiar: bool = False
    most: int | None = None
    shared: Callable[[ClassifierOutputs], State] | None = None


@dataclass(frozen=True)
class Evidence:
    """A kind of evidence: functions of some rows and of a learnt state.

    - ``columns``: returns its columns (m, d). They are kept in float32; ``raw`` ones may be float64, because they may
      lie far from 0.
    - ``opinions``: returns V log-probabilities for every class, float64 (m, V, K); None if it has none.
    - ``arrays``: what the outputs must hold. ``least_classes``: how many classes they must have.
    - ``lacks``: whether rows may lack the evidence. Its opinions are NaN there, and have no weight.

    Both functions are formulas on the array API, and are traced for exported files. The rows always hold ``logits``.
    """

    columns: Callable[[Rows, State], Array]
    arrays: tuple[str, ...] = ("logits",)
    learning: Learning | None = None
    opinions: Callable[[Rows, State], Array] | None = None
    least_classes: int = 2
    raw: bool = False
    lacks: bool = False

    def lacking(self, outputs: ClassifierOutputs) -> str | None:
        """Return the first array that it needs and the outputs lack, or None."""
        return next((name for name in self.arrays if name not in outputs.arrays), None)

    @property
    def needs_reference(self) -> bool:
        """Whether it learns from the classifier's training outputs."""
        return self.learning is not None and self.learning.of == "reference"


def references(outputs: ClassifierOutputs, most: int = MOST_REFERENCES) -> ClassifierOutputs:
    """Return the rows to learn from: all of them, or ``most`` of them, evenly spread.

    If there are fewer out-of-class rows than :data:`_LEAST_UNKNOWN`, they are left out.
    """
    if outputs.labels is not None and 0 < outputs.is_unknown.sum() < _LEAST_UNKNOWN:
        outputs = outputs.of_known_classes()
    if len(outputs) <= most:
        return outputs
    return outputs.subset(np.linspace(0, len(outputs) - 1, most).round().astype(np.int64))


def numbered_labels(outputs: ClassifierOutputs) -> tuple[Counts, int]:
    """Return the labels of references (n,), and their number of classes; out-of-class is an additional, last class."""
    labels = outputs.require_labels()
    is_unknown = outputs.is_unknown
    count = outputs.num_classes
    return np.where(is_unknown, count, labels), count + bool(is_unknown.any())


def classes_of_state(num_classes: int, count: int) -> int:
    """Return the number of classes that a state may have: its ``count`` if that is one more, for out-of-class rows."""
    if count == num_classes + 1:
        return count
    return num_classes


def fold_of_rows(strata: Counts | Bools, seed: int, together: Counts | None = None) -> Counts:
    """Deal the rows of each stratum evenly and at random to the folds 0…4, (n,) -> int64 (n,).

    Unlike in scikit-learn's StratifiedKFold, strata may have fewer rows than there are folds, as rare classes do. Rows
    with the same number in ``together`` (n,) go to one fold; their stratum is that of the first of them.

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
