"""What a model behind the server is: arrays of requests in, rows of decisions out.

An exported gate behind the server, run by ONNX Runtime; nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.export.file import IMAGES, Arrays, ArraySpec, ExportedGate, GateCard
from steepslope.gate.decisions import ACCEPT, REJECT, REVIEW
from steepslope.numerics.blocks import blocks

if TYPE_CHECKING:
    from steepslope.gate import Gate


DECIDING = ("label", "probability", "p_correct", "trust_logit", "accepted")  # what a decision on an image needs
HANDED_OVER, REJECTED = "handed_over", "rejected"
PIXELS = 1 << 22  # of all images that a file is run on together, unless one has more


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


@dataclass(frozen=True, eq=False)
class ServedFile:
    """An exported gate; requests whose arrays have the same sizes are run together, ``max_batch`` rows at a time."""

    exported: ExportedGate
    max_batch: int

    gate = None
    platform = "onnxruntime_onnx"
    most_classes = 1

    def __post_init__(self) -> None:
        for one in self.inputs:
            if one.name == IMAGES and (len(one.shape) != 4 or one.shape[-1] is None):
                expected = "expected images (N, H, W, C) of a known number of channels"
                raise SteepslopeError(f"{expected}, found {one}", self.exported.source)

    @property
    def card(self) -> GateCard:
        """What the file tells of itself."""
        return self.exported.card

    @property
    def inputs(self) -> tuple[ArraySpec, ...]:
        """The arrays that the file takes."""
        return self.exported.inputs

    @property
    def outputs(self) -> tuple[ArraySpec, ...]:
        """The arrays that the file gives."""
        return self.exported.outputs

    def run(self, parts: Sequence[Arrays], top: int) -> list[Rows]:
        """Return the rows of each request."""
        sizes = [tuple(array.shape[1:] for array in part.values()) for part in parts]
        found: dict[int, Rows] = {}
        for size in dict.fromkeys(sizes):
            alike = [number for number, one in enumerate(sizes) if one == size]
            together = self._run({name: np.concatenate([parts[one][name] for one in alike]) for name in parts[0]})
            start = 0
            for number in alike:
                stop = start + len(next(iter(parts[number].values())))
                found[number] = together.at(slice(start, stop))
                start = stop
        return [found[number] for number in range(len(parts))]

    def _run(self, arrays: Arrays) -> Rows:
        rows = len(next(iter(arrays.values())))
        pixels = math.prod(arrays[IMAGES].shape[1:3]) if IMAGES in arrays else 0
        most = max(1, min(self.max_batch, PIXELS // max(1, pixels)))  # a model takes many times its images' memory
        runs = [
            self.exported.run({name: array[block] for name, array in arrays.items()}, release=pixels > PIXELS)
            for block in blocks(rows, most)
        ]
        outputs = {name: np.concatenate([one[name] for one in runs]) for name in runs[0]}
        if not outputs.keys() >= set(DECIDING):
            return Rows(outputs)
        rejected = outputs.get(REJECTED, np.zeros(rows, np.bool_))
        decision = np.where(outputs["accepted"], ACCEPT, np.where(rejected, REJECT, REVIEW))
        return Rows(outputs, decision, outputs["label"][:, None], outputs["probability"][:, None])
