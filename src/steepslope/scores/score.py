"""What every post-hoc score is: its needs and its scale as data, and two methods."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.outputs import ClassifierOutputs

State = Mapping[str, NDArray[Any]]
CLASSES = "num_classes_"
T = TypeVar("T")


class Score(ABC):
    """A confidence read off a classifier's outputs.

    A new score is one class and its entry in ``SCORES``. Oracles then take it as evidence, and store what it learnt.

    ``scale`` is a name in ``steepslope.metrics.selective.SCALES``, which has what a probability of ½ is. ``fits_on`` is
    what the score learns from: ``nothing``, ``errors`` (outputs of rows that the classifier had not seen) or
    ``reference`` (its training outputs, at least ``at_least`` of them). ``arrays`` are what outputs must hold,
    ``least_classes`` how many classes they must have.

    What a score learns are numbers, in attributes that end in ``_`` and that ``__init__`` sets to None; one that learns
    arrays has a :meth:`state` and :meth:`restored` of its own, which checks them. ``num_classes_`` is the number of
    classes that it was fitted for.
    """

    scale: str = "rank"
    fits_on: ClassVar[Literal["nothing", "errors", "reference"]] = "nothing"
    arrays: ClassVar[tuple[str, ...]] = ("logits",)
    at_least: ClassVar[int] = 1
    least_classes: ClassVar[int] = 2

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Learn what the score needs from outputs, and return the score itself."""
        return self

    @abstractmethod
    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return the confidence of each prediction, float64 (n,), higher for what is more trustworthy."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Return what was learnt as named arrays, to be stored."""
        learnt = {name[:-1]: value for name, value in vars(self).items() if name.endswith("_") and name != CLASSES}
        return {name: np.array([value], dtype=np.float64) for name, value in learnt.items() if value is not None}

    @classmethod
    def restored(cls, state: State, num_classes: int) -> Self:
        """Return the score that has learnt this state for a number of classes.

        Raises
        ------
        SteepslopeError
            If the score cannot have learnt it.
        """
        score = cls()
        expected = {name[:-1] for name in vars(score) if name.endswith("_") and name != CLASSES}
        if state.keys() != expected:
            raise SteepslopeError(f"expected {', '.join(sorted(expected))}, found {', '.join(sorted(state))}")
        for name, array in state.items():
            if array.shape != (1,) or array.dtype != np.float64 or not np.isfinite(array[0]):
                raise SteepslopeError(f"expected one finite float64, found {array.dtype} of shape {array.shape}", name)
            setattr(score, f"{name}_", array[0])
        if hasattr(score, CLASSES):
            setattr(score, CLASSES, num_classes)
        return score


def require_fitted(name: str, learnt: T | None, source: str) -> T:
    """Return what a score has learnt; raise if it has learnt nothing yet from its ``source``."""
    if learnt is None:
        raise SteepslopeError(f"{name} is not fitted: call fit({source}) first")
    return learnt


def require_both_sides(name: str, outputs: ClassifierOutputs) -> None:
    """Raise unless some of the predictions are wrong and some are correct."""
    wrong = int(np.sum(~outputs.is_correct))
    if wrong in (0, len(outputs)):
        found = f"{wrong} wrong of {len(outputs)}"
        raise SteepslopeError(f"expected held-out rows with wrong and with correct predictions, found {found}", name)


def require_array(state: State, name: str, shape: tuple[int | None, ...], dtype: str = "float64") -> NDArray[Any]:
    """Return an array of a state; raise unless it has this shape (None: any length) and type, and is finite."""
    array = state.get(name)
    if array is None:
        raise SteepslopeError(f"expected {name}, found {', '.join(sorted(state)) or 'nothing'}")
    same = len(shape) == array.ndim and all(
        size in (None, found) for size, found in zip(shape, array.shape, strict=True)
    )
    if not same or array.dtype != dtype or not np.isfinite(array).all():
        sizes = " x ".join("any" if size is None else str(size) for size in shape)
        found = f"{array.dtype} of shape {array.shape}"
        raise SteepslopeError(f"expected finite {dtype} of shape {sizes}, found {found}", name)
    return array
