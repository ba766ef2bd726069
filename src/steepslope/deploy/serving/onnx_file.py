"""An exported gate behind the server, run by ONNX Runtime; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from steepslope.deploy.exported import IMAGES, Arrays, ArraySpec, ExportedGate, GateCard
from steepslope.deploy.serving.served import DECIDING, REJECTED, Rows
from steepslope.errors import SteepslopeError
from steepslope.gate.decisions import ACCEPT, REJECT, REVIEW
from steepslope.utilities.blocks import blocks


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
        runs = [
            self.exported.run({name: array[block] for name, array in arrays.items()})
            for block in blocks(rows, self.max_batch)
        ]
        outputs = {name: np.concatenate([one[name] for one in runs]) for name in runs[0]}
        if not outputs.keys() >= set(DECIDING):
            return Rows(outputs)
        rejected = outputs.get(REJECTED, np.zeros(rows, np.bool_))
        decision = np.where(outputs["accepted"], ACCEPT, np.where(rejected, REJECT, REVIEW))
        return Rows(outputs, decision, outputs["label"][:, None], outputs["probability"][:, None])
