"""A gate with its nets behind the server. It imports torch plainly."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from steepslope.errors import SteepslopeError
from steepslope.export.file import COLOUR, GREY, IMAGES, Arrays, ArraySpec, GateCard
from steepslope.gate import Decisions, Gate
from steepslope.gate.decisions import PREDICTED, REJECT
from steepslope.gate.nets import GateNets
from steepslope.gate.storage import digest_of_gate
from steepslope.serve.served import HANDED_OVER, REJECTED, Rows

MOST_CLASSES, PROBE = 10, 32  # PROBE: pixels a side, where a net takes any
OUTPUTS: dict[str, type[np.generic]] = {
    "label": np.int64, "probability": np.float64, "p_correct": np.float64, "trust_logit": np.float64,
    "accepted": np.bool_, REJECTED: np.bool_, HANDED_OVER: np.float64,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class ServedGate:
    """A gate that runs its nets; ``channels`` are those of the images that it takes, ``names`` those of its outputs."""

    gate: Gate
    card: GateCard
    channels: int
    names: tuple[str, ...]

    platform = "steepslope_gate"

    @classmethod
    def open(cls, folder: Path, classifier: Any = None, auxiliary: Any = None, backbones: Collection[str] = ()) -> Self:
        """Load a gate and its nets, and run them once.

        Raises
        ------
        SteepslopeError
            If the gate has no oracle or score, has groups that no image tells, or its nets cannot be had.
        """
        gate = Gate.load(folder, backbones=backbones)
        if gate.source is None:
            expected = "expected a gate with an oracle or a score, which can judge an image"
            raise SteepslopeError(f"{expected}, found one of confidences alone", folder)
        if gate.has_groups and gate.by != PREDICTED:
            expected = "expected a gate without groups, or by predicted class"
            raise SteepslopeError(f"{expected}, found one by {gate.by}, which no image tells", folder)
        gate = gate.on(classifier, auxiliary)
        assert gate.nets is not None
        channels = _channels(gate, gate.nets)
        probe = gate.predict([_blank(gate.nets.classifier.transform.size, channels)])
        has = {REJECTED: gate.rejection is not None, HANDED_OVER: probe.handed_over is not None}
        names = tuple(name for name in OUTPUTS if has.get(name, True))
        return cls(gate, GateCard.of(gate, digest_of_gate(folder)), channels, names)

    @property
    def inputs(self) -> tuple[ArraySpec, ...]:
        """Images (n, H, W, C): uint8 of one or three channels, floats in [0, 1] of others."""
        dtype = np.uint8 if self.channels in (GREY, COLOUR) else np.float32
        return (ArraySpec(IMAGES, dtype, (None, None, None, self.channels)),)

    @property
    def outputs(self) -> tuple[ArraySpec, ...]:
        """The decisions, (n,) each."""
        return tuple(ArraySpec(name, OUTPUTS[name], (None,)) for name in self.names)

    @property
    def most_classes(self) -> int:
        """How many of the most probable classes it can give."""
        assert self.gate.source is not None
        return min(MOST_CLASSES, self.gate.source.num_classes)

    def run(self, parts: Sequence[Arrays], top: int) -> list[Rows]:
        """Return the rows of each request; images of all sizes are run together."""
        images = [image for part in parts for image in part[IMAGES]]
        rows = self._rows(self.gate.predict(images, top=top))
        stops = np.cumsum([len(part[IMAGES]) for part in parts])
        return [rows.at(slice(stop - len(part[IMAGES]), stop)) for stop, part in zip(stops, parts, strict=True)]

    def _rows(self, found: Decisions) -> Rows:
        others = {"label": found.labels, REJECTED: found.decision == REJECT}
        given = {name: others[name] if name in others else getattr(found, name) for name in self.names}
        return Rows(given, found.decision, found.top_labels, found.top_probability)


def _channels(gate: Gate, live: GateNets) -> int:
    """Return the channels of an image that every net of a gate can see: colour, if one of them sees it."""
    oracle = None if gate.source is None else gate.source.oracle
    seen = [live.classifier.transform.channels]
    seen += [] if live.auxiliary is None else [live.auxiliary.transform.channels]
    seen += [oracle.transform.channels] if oracle is not None and oracle.is_image_oracle else []  # type: ignore[attr-defined]
    return COLOUR if COLOUR in seen and {*seen} <= {GREY, COLOUR} else seen[0]


def _blank(size: tuple[int, int], channels: int) -> Any:
    height, width = (one or PROBE for one in size)
    return np.zeros((height, width, channels), np.uint8 if channels in (GREY, COLOUR) else np.float32)
