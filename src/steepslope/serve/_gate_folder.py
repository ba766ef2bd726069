"""A gate behind the server, with its nets or on arrays. It needs torch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from steepslope.errors import SteepslopeError
from steepslope.gate import DISTANCE, PREDICTED, REJECT, Decisions, Gate, digest_of_gate
from steepslope.nets.export import COLOUR, GREY, IMAGES, Arrays, ArraySpec, GateCard
from steepslope.nets.predict import ImageGate
from steepslope.nets.training import ImageOracle, load_oracle
from steepslope.outputs import UNSAID, VOTE, ClassifierOutputs
from steepslope.scores import LOGITS
from steepslope.serve import _served as served
from steepslope.serve._answer_inputs import taking_answers
from steepslope.serve._served import Served

PROBE = 32  # pixels a side, where a net takes any
OUTPUTS: dict[str, type[np.generic]] = {
    "label": np.int64, "probability": np.float64, "p_correct": np.float64, "trust_logit": np.float64,
    "accepted": np.bool_, served.REJECTED: np.bool_, DISTANCE: np.float64, served.HANDED_OVER: np.float64,
}  # fmt: skip


def served_gate_folder(
    folder: Path,
    classifier: Any = None,
    auxiliary: Any = None,
    backbones: Collection[str] = (),
    opinions: Mapping[str, Any] | None = None,
) -> Served:
    """Load a gate and its nets, run them once, and return them as a server has them.

    It takes images (n, H, W, C), uint8 of one or three channels, floats in [0, 1] of others, of any sizes together. A
    gate that knows no net, and is given none, takes the arrays that outputs hold, or answers.

    Raises
    ------
    SteepslopeError
        If the gate has no oracle or score, has groups that no row tells, or its nets cannot be had.
    """
    gate = Gate.load(folder, partial(load_oracle, backbones=backbones))
    if gate.source is None:
        expected = "expected a gate with an oracle or a score, which can judge a row"
        raise SteepslopeError(f"{expected}, found one of confidences alone", folder)
    if gate.has_groups and gate.by != PREDICTED:
        expected = "expected a gate without groups, or by predicted class"
        raise SteepslopeError(f"{expected}, found one by {gate.by}, which no row tells", folder)
    if gate.origin.classifier is None and classifier is None:
        return _served_arrays(gate, digest_of_gate(folder))
    image_gate = ImageGate.of(gate, classifier, auxiliary, opinions)
    channels = _gate_folder_channels(image_gate)
    dtype = np.uint8 if channels in (GREY, COLOUR) else np.float32
    sides = (one or PROBE for one in image_gate.classifier.transform.size)
    images = ArraySpec(IMAGES, dtype, (None, None, None, channels))
    probe = image_gate.predict_rows([np.zeros((*sides, channels), dtype)])
    return _served(
        GateCard.of(gate, digest_of_gate(folder)), (images,), probe, gate,
        lambda parts, top: image_gate.predict_rows([image for part in parts for image in part[IMAGES]], top=top),
    )  # fmt: skip


def _served_arrays(gate: Gate, digest: str) -> Served:
    """Return a gate that is given arrays of outputs by name, (n, …), or the answers that these are made of."""
    source = gate.require_source()
    kinds = {LOGITS: np.float64, **{name: np.int64 for name in source.arrays if name.startswith(VOTE)}}
    inputs = [ArraySpec(name, kinds.get(name, np.float32), (None, *source.shapes[name])) for name in source.arrays]
    rows = {
        spec.name: np.full((1, *source.shapes[spec.name]), UNSAID if spec.name in source.answers else 0, spec.dtype)
        for spec in inputs
    }  # a probe

    def decide(parts: Sequence[Arrays], top: int) -> Decisions:
        joined = {name: np.concatenate([part[name] for part in parts]) for name in rows}
        return gate.decide_rows(ClassifierOutputs.of(joined), top=top)

    return taking_answers(_served(GateCard.of(gate, digest, "gate"), inputs, decide([rows], 1), gate, decide))


def _served(
    card: GateCard,
    inputs: Sequence[ArraySpec],
    probe: Decisions,
    gate: Gate,
    decide: Callable[[Sequence[Arrays], int], Decisions],
) -> Served:
    """Return what decides on the arrays of several requests together; the probe's decisions tell what it gives."""
    has = {served.REJECTED: gate.rejection is not None, served.HANDED_OVER: probe.handed_over is not None}
    has[DISTANCE] = probe.distance is not None
    outputs = tuple(ArraySpec(name, kind, (None,)) for name, kind in OUTPUTS.items() if has.get(name, True))
    names = (*(spec.name for spec in outputs), served.DECISION, served.TOP_LABELS, served.TOP_PROBABILITY)

    def run(parts: Sequence[Arrays], top: int) -> list[Arrays]:
        decisions = decide(parts, top)
        others = {"label": decisions.labels, served.REJECTED: decisions.decision == REJECT}
        rows = {name: others[name] if name in others else getattr(decisions, name) for name in names}
        return served.split_served_rows(rows, parts)

    return Served(card, tuple(inputs), outputs, "steepslope_gate", run, gate)


def _gate_folder_channels(image_gate: ImageGate) -> int:
    """Return the channels of an image that every net of a gate can see: colour, if one of them sees it."""
    model = image_gate.gate.require_source().model
    seen = [image_gate.classifier.transform.channels]
    seen += [other.net.transform.channels for other in image_gate.others.values()]
    seen += [model.transform.channels] if isinstance(model, ImageOracle) else []
    if COLOUR in seen and {*seen} <= {GREY, COLOUR}:
        return COLOUR
    return seen[0]
