"""A gate in a graph: from logits, features and what else its oracle takes to decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from steepslope.export.neighbors import constant
from steepslope.export.oracles import FEATURES, LOGITS, TRUST, JudgeGraph
from steepslope.gate import Gate
from steepslope.gate.calibration import TINY, ProbabilityMap
from steepslope.gate.decisions import PREDICTED, class_names

GROUP = "group"
OUTPUTS = ("label", "probability", "p_correct", "trust_logit", "accepted")


class GateGraph(nn.Module):
    """Arrays by the names of ``inputs`` to what ``outputs`` names once it has run.

    Where an input is not finite, the trust logit is NaN, and nothing is accepted. Without a gate, the outputs are the
    trust logit and the hand-over alone. ``halved`` features pass through float16, in which the oracle's fit set had
    them.
    """

    def __init__(self, judge: JudgeGraph, gate: Gate | None, halved: bool = False) -> None:
        super().__init__()
        self.judge, self.gate, self.halved = judge, gate, halved
        self.inputs = [*judge.widths, *([GROUP] if takes_groups(gate) else [])]
        self.outputs: list[str] = []

    def forward(self, given: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """Return the outputs, (m,) each."""
        arrays = dict(given)
        known = [array.isfinite().all(dim=1) for array in given.values() if array.is_floating_point()]
        arrays[LOGITS] = arrays[LOGITS].double()
        arrays["predictions"] = arrays[LOGITS].argmax(dim=1)
        if self.halved and FEATURES in arrays:
            arrays[FEATURES] = arrays[FEATURES].half().float()
        found = self.judge.values(arrays)
        found[TRUST] = torch.where(torch.stack(known, dim=1).all(dim=1), found[TRUST], torch.nan)
        if self.gate is not None:
            found = {**decided(self.gate, arrays, found[TRUST]), **found}
        names = [*OUTPUTS, *(name for name in found if name not in OUTPUTS)]
        self.outputs = [name for name in names if name in found]
        return tuple(found[name] for name in self.outputs)


def takes_groups(gate: Gate | None) -> bool:
    """Return whether thresholds are by groups that are not the predicted classes, and have to be given."""
    return gate is not None and gate.has_groups and gate.by != PREDICTED


def groups_of(gate: Gate) -> list[str]:
    """Return the names of the groups in the order of their numbers: of predicted classes, that of the classes."""
    if gate.by == PREDICTED:
        assert gate.source is not None
        return [str(name) for name in class_names(np.arange(gate.source.num_classes), gate.classes)]
    return [str(name) for name in gate.thresholds]


def decided(gate: Gate, arrays: Mapping[str, Tensor], confidence: Tensor) -> dict[str, Tensor]:
    """Return what a gate decides of confidences, float64 (m,)."""
    labels = arrays["predictions"]
    return {
        "label": labels,
        "probability": arrays[LOGITS].softmax(dim=1).amax(dim=1),
        "p_correct": p_correct(gate.probability, confidence),
        "accepted": confidence >= _threshold(gate, arrays.get(GROUP, labels)),
        **({} if gate.rejection is None else {"rejected": _rejected(gate, confidence, arrays)}),
    }


def _threshold(gate: Gate, groups: Tensor) -> Tensor:
    """Return the threshold of each row; NaN, which nothing reaches, where nothing is promised."""
    if not gate.has_groups:
        return constant(_reachable(gate.threshold))
    known = [_reachable(gate.thresholds.get(name, np.inf)) for name in groups_of(gate)]
    inside = (groups >= 0) & (groups < len(known))
    return torch.where(inside, torch.tensor(known, dtype=torch.float64)[torch.where(inside, groups, 0)], torch.nan)


def _reachable(threshold: float) -> float:
    return threshold if threshold < np.inf else np.nan


def _rejected(gate: Gate, confidence: Tensor, arrays: Mapping[str, Tensor]) -> Tensor:
    assert gate.rejection is not None
    lowest = constant(-_reachable(-gate.rejection.threshold))
    accepted = confidence >= _threshold(gate, arrays.get(GROUP, arrays["predictions"]))
    return (confidence <= lowest) & ~accepted


def p_correct(probability: ProbabilityMap, confidence: Tensor) -> Tensor:
    """Return the probability that each prediction is correct, float64 (m,)."""
    limits: Any = np.finfo(np.float32)
    inputs = confidence.clamp(float(limits.min), float(limits.max))
    if probability.is_unit:
        inside = torch.minimum(torch.maximum(confidence, constant(TINY)), constant(1 - TINY))
        inputs = torch.log(inside) - torch.log(1 - inside)
    scaled = (inputs - constant(probability.centre)) / constant(probability.scale)
    return (constant(probability.slope) * scaled + constant(probability.offset)).sigmoid()
