"""A gate with its nets behind the server. It needs torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.gate.decisions import PREDICTED, REJECT
from steepslope.gate.storage import digest_of_gate
from steepslope.nets.export.file import COLOUR, GREY, IMAGES, Arrays, ArraySpec, GateCard
from steepslope.nets.predict.image_gate import ImageGate
from steepslope.nets.training.loading import load_oracle
from steepslope.nets.training.on_images import ImageOracle
from steepslope.serve.served import (
    DECISION,
    HANDED_OVER,
    REJECTED,
    TOP_LABELS,
    TOP_PROBABILITY,
    Served,
    split_served_rows,
)

PROBE = 32  # pixels a side, where a net takes any
OUTPUTS: dict[str, type[np.generic]] = {
    "label": np.int64, "probability": np.float64, "p_correct": np.float64, "trust_logit": np.float64,
    "accepted": np.bool_, REJECTED: np.bool_, HANDED_OVER: np.float64,
}  # fmt: skip


def served_gate_folder(
    folder: Path,
    classifier: Any = None,
    auxiliary: Any = None,
    backbones: Collection[str] = (),
    opinions: Mapping[str, Any] | None = None,
) -> Served:
    """Load a gate and its nets, run them once, and return them as a server has them.

    It takes images (n, H, W, C), uint8 of one or three channels, floats in [0, 1] of others, of any sizes together.

    Raises
    ------
    SteepslopeError
        If the gate has no oracle or score, has groups that no image tells, or its nets cannot be had.
    """
    gate = Gate.load(folder, partial(load_oracle, backbones=backbones))
    if gate.source is None:
        expected = "expected a gate with an oracle or a score, which can image_gate an image"
        raise SteepslopeError(f"{expected}, found one of confidences alone", folder)
    if gate.has_groups and gate.by != PREDICTED:
        expected = "expected a gate without groups, or by predicted class"
        raise SteepslopeError(f"{expected}, found one by {gate.by}, which no image tells", folder)
    image_gate = ImageGate.of(gate, classifier, auxiliary, opinions)
    channels = _gate_folder_channels(image_gate)
    dtype = np.uint8 if channels in (GREY, COLOUR) else np.float32
    sides = (one or PROBE for one in image_gate.classifier.transform.size)
    probe = image_gate.predict([np.zeros((*sides, channels), dtype)])
    has = {REJECTED: gate.rejection is not None, HANDED_OVER: probe.handed_over is not None}
    outputs = tuple(ArraySpec(name, kind, (None,)) for name, kind in OUTPUTS.items() if has.get(name, True))
    return Served(
        GateCard.of(gate, digest_of_gate(folder)),
        (ArraySpec(IMAGES, dtype, (None, None, None, channels)),),
        outputs,
        "steepslope_gate",
        partial(_run_gate_folder, image_gate, [one.name for one in outputs]),
        gate,
    )


def _run_gate_folder(image_gate: ImageGate, names: Sequence[str], parts: Sequence[Arrays], top: int) -> list[Arrays]:
    """Return the rows of each request; images of all sizes are run together."""
    decisions = image_gate.predict([image for part in parts for image in part[IMAGES]], top=top)
    others = {"label": decisions.labels, REJECTED: decisions.decision == REJECT}
    names = (*names, DECISION, TOP_LABELS, TOP_PROBABILITY)
    rows = {name: others[name] if name in others else getattr(decisions, name) for name in names}
    return split_served_rows(rows, parts)


def _gate_folder_channels(image_gate: ImageGate) -> int:
    """Return the channels of an image that every net of a gate can see: colour, if one of them sees it."""
    model = image_gate.gate.require_source().model
    seen = [image_gate.classifier.transform.channels]
    seen += [other.net.transform.channels for other in image_gate.others.values()]
    seen += [model.transform.channels] if isinstance(model, ImageOracle) else []
    return COLOUR if COLOUR in seen and {*seen} <= {GREY, COLOUR} else seen[0]
