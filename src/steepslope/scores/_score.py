"""The base class of post-hoc scores: needs and scale as data, what is learnt, and one formula."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.numerics import (
    BLOCK_ROWS,
    Array,
    ArrayDict,
    Floats,
    Values,
    blocks,
    float64,
    quiet,
    read_rows,
    require_arrays,
)
from steepslope.outputs import ClassifierOutputs, require_classes

State = Mapping[str, NDArray[Any]]
Rows = Mapping[str, Array]  # arrays of some rows by name, (m, …); logits are float64, predictions int64 (m,)
LOGITS, PREDICTIONS = "logits", "predictions"
_BLOCK_ENTRIES = 2**22
SOURCES = {"errors": "held-out outputs", "reference": "the classifier's training outputs"}


def rows_of(outputs: ClassifierOutputs, names: Iterable[str], rows: slice) -> ArrayDict:
    """Return the named arrays of some rows, and their predictions, for formulas; float16 becomes float32."""
    found = {name: np.asarray(read_rows(outputs.require(name), rows)) for name in names}
    found = {name: array.astype(np.float32) if array.dtype == np.float16 else array for name, array in found.items()}
    if LOGITS in found:
        found[LOGITS] = float64(found[LOGITS])
    return {**found, PREDICTIONS: outputs.predictions[rows]}


class Score(ABC):
    """A confidence computed from a classifier's outputs.

    A new score is one class and its entry in ``SCORES``. Oracles then take it as evidence, store what it learnt, and
    are exported with it.

    - ``scale``: a name in ``steepslope.metrics._selective.SCALES``, which maps a probability of ½ to a confidence.
    - ``fits_on``: what the score learns from: ``nothing``, ``errors`` (outputs of rows that the classifier has not
      seen) or ``reference`` (at least ``at_least`` of its training outputs).
    - ``arrays``: what the outputs must hold. ``least_classes``: how many classes they must have.
    - ``learnt``: the types and sizes of learnt arrays; K is the number of classes.
    - ``num_classes_``: the number of classes that the score was fitted for.

    :meth:`learn` sets attributes that end in ``_``, which ``__init__`` sets to None. They are numbers, or the arrays in
    ``learnt``, and are stored and checked as such.
    """

    scale: str = "rank"
    fits_on: ClassVar[Literal["nothing", "errors", "reference"]] = "nothing"
    arrays: ClassVar[tuple[str, ...]] = (LOGITS,)
    at_least: ClassVar[int] = 1
    least_classes: ClassVar[int] = 2
    learnt: ClassVar[Mapping[str, str]] = {}
    num_classes_: int | None = None

    @abstractmethod
    def formula(self, rows: Rows) -> Array:
        """Return the confidence of some rows, float64 (m,), from the ``arrays`` and ``predictions``.

        It takes NumPy arrays, and tensors while it is traced for an exported file. So it is written on the array API
        and :mod:`steepslope.numerics._formulas`, and no step may depend on values.
        """

    def learn(self, outputs: ClassifierOutputs) -> None:  # noqa: B027 (most learn nothing)
        """Learn what the score needs from outputs."""

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Learn what the score needs from outputs, and return the score itself.

        Out-of-class rows are errors among ``errors``, and left out of a ``reference``.
        """
        if outputs.num_classes < self.least_classes:
            found = f"expected at least {self.least_classes} classes, found {outputs.num_classes}"
            raise SteepslopeError(found, type(self).__name__)
        self.learn(outputs.of_known_classes() if self.fits_on == "reference" else outputs)
        if self.fits_on != "nothing":
            self.num_classes_ = outputs.num_classes
        return self

    @quiet
    def confidence(self, outputs: ClassifierOutputs) -> Floats:
        """Return the confidence in each prediction, float64 (n,); higher is more trustworthy.

        Raises
        ------
        SteepslopeError
            If the score is not fitted, the outputs lack an array, or have other columns or classes than the fit set, or
            a value is not finite.
        """
        if self.fits_on != "nothing":
            if self.num_classes_ is None:
                raise SteepslopeError(f"{type(self).__name__} is not fitted: call fit({SOURCES[self.fits_on]}) first")
            require_classes(type(self).__name__, outputs, self.num_classes_)
        return np.concatenate([self.formula(rows) for rows in self._blocks(outputs)])

    def _blocks(self, outputs: ClassifierOutputs) -> Iterator[Rows]:
        """Yield the rows in blocks that need little memory; raise for a value that is not finite."""
        entries = sum(prod(outputs.require(name).shape[1:]) for name in self.arrays)
        for block in blocks(len(outputs), max(1, min(BLOCK_ROWS, _BLOCK_ENTRIES // entries))):
            rows = rows_of(outputs, self.arrays, block)
            for name in self.arrays:
                require_finite_rows(name, rows[name], block.start)
            yield rows

    def state(self) -> ArrayDict:
        """Return what was learnt as arrays by name, to be stored."""
        values = {name: vars(self)[f"{name}_"] for name in self._learnt()}
        return {name: np.atleast_1d(value) for name, value in values.items() if value is not None}

    def restore(self, state: State, num_classes: int) -> None:
        """Restore what such a score has learnt; raise a SteepslopeError if it cannot have learnt it."""
        expected = {name: self.learnt.get(name, "float64 1") for name in self._learnt()}
        require_arrays(state, {name: text.replace("K", str(num_classes)) for name, text in expected.items()})
        for name, array in state.items():
            setattr(self, f"{name}_", array if name in self.learnt else float(array[0]))

    def _learnt(self) -> list[str]:
        return [name[:-1] for name in vars(self) if name.endswith("_") and name != "num_classes_"]

    @classmethod
    def restored(cls, state: State, num_classes: int) -> Self:
        """Return the score with a learnt state for a number of classes; raise if it cannot have learnt it."""
        score = cls()
        score.restore(state, num_classes)
        score.num_classes_ = num_classes
        return score


def require_finite_rows(name: str, values: Values, start: int) -> None:
    """Raise for the first row of some values (m, …) with NaN or infinity; the rows' numbers begin at ``start``."""
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(values.sum()):  # the quickest sign that all may be finite
            return
    is_finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not is_finite.all():
        row = start + int(is_finite.argmin())
        raise SteepslopeError(f"expected finite values, found others in row {row}", name)
