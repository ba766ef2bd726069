"""What a model behind the server is: arrays of requests in, rows of decisions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from steepslope.deploy.exported import IMAGES, Arrays, ArraySpec, GateCard
from steepslope.errors import SteepslopeError

if TYPE_CHECKING:
    from steepslope.gate import Gate

DECIDING = ("label", "probability", "p_correct", "trust_logit", "accepted")  # what a decision on an image needs
HANDED_OVER, REJECTED = "handed_over", "rejected"


@dataclass(frozen=True, eq=False)
class Rows:
    """What a model gives of n rows: its outputs by name, (n, …) each, and, where it decides, what to do.

    ``decision`` (n,) is accept, review or reject; ``top_labels`` and ``top_probability`` (n, k) are the most probable
    classes. All three are None where only an oracle is served.
    """

    outputs: dict[str, NDArray[Any]]
    decision: NDArray[np.str_] | None = None
    top_labels: NDArray[np.int64] | None = None
    top_probability: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.outputs.values())))

    def at(self, rows: slice | NDArray[np.int64]) -> Rows:
        """Return some of the rows."""
        beside = {name: getattr(self, name) for name in ("decision", "top_labels", "top_probability")}
        outputs = {name: array[rows] for name, array in self.outputs.items()}
        return Rows(outputs, **{name: None if one is None else one[rows] for name, one in beside.items()})


class Served(Protocol):
    """A model behind the server: a gate with its nets, or an exported file."""

    @property
    def platform(self) -> str:
        """What runs it, as the protocol names it."""

    @property
    def gate(self) -> Gate | None:
        """The gate itself; None of a file."""

    @property
    def card(self) -> GateCard:
        """What the gate tells of itself."""

    @property
    def inputs(self) -> tuple[ArraySpec, ...]:
        """The arrays that it takes."""

    @property
    def outputs(self) -> tuple[ArraySpec, ...]:
        """The arrays that it gives."""

    @property
    def most_classes(self) -> int:
        """How many of the most probable classes it can give."""

    def run(self, parts: Sequence[Arrays], top: int) -> list[Rows]:
        """Return the rows of each request; an error tells what is wrong with one of them."""


def takes_images(served: Served) -> bool:
    """Return whether a model takes images, and nothing else, and decides on them."""
    given = {one.name for one in served.outputs}
    return [one.name for one in served.inputs] == [IMAGES] and given.issuperset(DECIDING)


def channels_of(served: Served) -> int:
    """Return the channels of the images that a model takes."""
    channels = served.inputs[0].shape[-1]
    assert channels is not None
    return channels


def require_usable(arrays: Arrays) -> None:
    """Raise for numbers that no model can judge: NaN and infinite ones, and images of floats outside [0, 1]."""
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            continue
        if not np.isfinite(array).all():
            raise SteepslopeError("expected finite numbers, found NaN or infinite ones", name)
        if name == IMAGES and (array.min() < 0 or array.max() > 1):
            raise SteepslopeError("expected floats in [0, 1], found others", name)


def finite(rows: Rows) -> Rows:
    """Return the rows with infinite numbers, which JSON has not, as the largest; raise for NaN.

    >>> finite(Rows({"trust_logit": np.array([np.inf, 1.0])})).outputs["trust_logit"].tolist()
    [1.7976931348623157e+308, 1.0]
    """
    numbers = {name: array for name, array in rows.outputs.items() if array.dtype.kind == "f"}
    for name, array in numbers.items():
        if np.isnan(array).any():
            raise SteepslopeError("the model gives no number for this input, but NaN", name)
    return replace(rows, outputs={**rows.outputs, **{name: np.nan_to_num(array) for name, array in numbers.items()}})
