"""A gate as a module that is traced: from logits, features and what else its oracle takes to decisions.

All formulas are those that Python computes with: of scores, evidence, pools, hand-over and P(correct).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from steepslope.errors import SteepslopeError
from steepslope.gate import PREDICTED, ConfidenceSource, Gate, names_of_classes
from steepslope.nets.export._bins import Bins
from steepslope.nets.training import ImageOracle
from steepslope.numerics import highest_places, in_classes_of, neighbors_searched_by
from steepslope.oracle import FusedOracle, Oracle, Pool, mixed_by_handovers, on_answer_scales
from steepslope.oracle.evidence import CANDIDATES, NO_STATE, columns_of_input, opinions_of_input
from steepslope.outputs import UNKNOWN, are_made, are_off_scale, is_unanswered, rows_may_lack
from steepslope.scores import LOGITS, PREDICTIONS, Rows, Score

FEATURES = "features"
GROUP = "group"
TRUST = "trust_logit"
HANDED_OVER = "handed_over"
OWN_NET = "oracle_net"  # what the net of an oracle on images gives
_FIRST_OUTPUTS = ("label", "probability", "p_correct", TRUST, "accepted")
REFUSED: dict[str, str] = {
    "views": "it looks at the image again in other positions",
    "dropout": "it runs the classifier again with units dropped at random",
}  # arrays that a graph does not make


class _ExactNumbers(TorchFunctionMode):
    """While a formula on float64 is traced, its numbers stay float64: the exporter writes bare ones in float32."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function with tensors in place of the numbers that float32 does not hold."""
        if any(isinstance(value, Tensor) and value.dtype == torch.float64 for value in args):
            args = tuple(map(_exact_number, args))
        return function(*args, **(kwargs or {}))


def _exact_number(value: Any) -> Any:
    if isinstance(value, float) and float(np.float32(value)) != value:
        return torch.tensor(value, dtype=torch.float64)
    return value


class GateGraph(nn.Module):
    """Arrays by the names of ``shapes``, and groups, to what ``outputs`` names once it has run.

    ``shapes`` are those of a row of each array. Where an input is not finite, or a confidence is on another scale than
    all calibration rows, the trust logit is NaN, and nothing is accepted. Without a gate, the outputs are the
    trust logit and the hand-over alone. ``halved`` features pass through float16, in which the oracle's fit set had
    them. A row of NaN lacks an opinion, and goes to review where nearly all calibration rows had it. ``places`` are of
    the classes of opinions that come as other nets' logits, by the names of their arrays.
    """

    def __init__(
        self,
        source: ConfidenceSource,
        gate: Gate | None,
        halved: bool = False,
        places: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        super().__init__()
        self.source = source
        self.gate = gate
        self.halved = halved
        self.places = places or {}
        self.shapes = shapes_in_graph(source)
        for name, classes in self.places.items():
            self.shapes[name] = (len(classes),)
        self.inputs = list(self.shapes)
        if gate is not None and gate.has_groups and gate.by != PREDICTED:  # else the predicted classes tell
            self.inputs.append(GROUP)
        self.outputs: list[str] = []

    def forward(self, given: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """Return the outputs, (m,) each."""
        rows = dict(given)
        usable = self._usable_rows(given)
        rows[LOGITS] = rows[LOGITS].double()
        for name, places in self.places.items():
            rows[name] = in_classes_of(rows[LOGITS], rows[name].double(), places).float()
        rows[PREDICTIONS] = torch.where(is_unanswered(rows[LOGITS]), UNKNOWN, rows[LOGITS].argmax(dim=1))
        if self.halved and FEATURES in rows:
            rows[FEATURES] = rows[FEATURES].half().float()
        with _ExactNumbers(), neighbors_searched_by(Bins.of):
            outputs = _trust_in_graph(self.source, rows)
            trust = torch.where(torch.stack(usable, dim=1).all(dim=1), outputs[TRUST], torch.nan)
            outputs[TRUST] = torch.where(rows[PREDICTIONS] == UNKNOWN, -torch.inf, trust)
            if self.gate is not None:
                whole = ~self.source.lacking(rows)
                decisions = _decisions_in_graph(self.gate, rows, outputs[TRUST])
                for name in ("accepted", "rejected"):
                    if name in decisions:
                        decisions[name] = decisions[name] & whole
                outputs = decisions | outputs
        first = [name for name in _FIRST_OUTPUTS if name in outputs]
        self.outputs = list(dict.fromkeys([*first, *outputs]))
        return tuple(outputs[name] for name in self.outputs)

    def _usable_rows(self, given: Mapping[str, Tensor]) -> list[Tensor]:
        """Return which rows are finite where they have to be, and have answers on the scale of calibration rows."""
        usable = []
        for name, array in given.items():
            if array.is_floating_point() and not rows_may_lack(name):
                usable.append(array[:, None].flatten(1).isfinite().all(dim=1))
        for name in self.source.answers:
            usable.append(are_made(given[name]))
        for name, scale in self.source.answers.items():
            if scale:
                usable.append(~are_off_scale(given[name], scale))
        return usable


def shapes_in_graph(source: ConfidenceSource) -> dict[str, tuple[int, ...]]:
    """Return the shape of a row of each array that a graph takes; raise for arrays that no graph makes."""
    shapes: dict[str, tuple[int, ...]] = {LOGITS: (source.num_classes,)}
    if isinstance(source.model, ImageOracle):
        return {**shapes, OWN_NET: ()}
    for name in source.arrays:
        if name in REFUSED:
            remedy = "fit an oracle without it (fit --budget free, or other --inputs)"
            raise SteepslopeError(f"cannot be exported, since {REFUSED[name]}: {remedy}", name)
        if name not in (LOGITS, *source.shapes):
            raise SteepslopeError(f"expected to know how many numbers a row of {name} has, found none", "export")
        if name != LOGITS:
            shapes[name] = tuple(source.shapes[name])
    return shapes


def _trust_in_graph(source: ConfidenceSource, rows: Rows) -> dict[str, Tensor]:
    """Return the trust logits of an oracle or a score, float64 (m,), and how far rows are handed over."""
    model = source.model
    if isinstance(model, Score):
        return {TRUST: model.formula(rows)}
    if isinstance(model, FusedOracle):
        return _pooled_trust_in_graph(model, rows)
    if isinstance(model, Oracle):
        fitted = model.fitted_
        assert fitted is not None
        columns = []
        for name in model.settings.inputs:
            columns.append(columns_of_input(rows, name, fitted.states.get(name, NO_STATE)).double())
        return {TRUST: fitted.net(torch.cat(columns, dim=1))}
    return {TRUST: rows[OWN_NET].double()}


def _pooled_trust_in_graph(oracle: FusedOracle, rows: Rows) -> dict[str, Tensor]:
    fitted = oracle.fitted_
    assert fitted is not None
    rows = {**rows, **on_answer_scales(rows, fitted.scales)}
    classes = highest_places(rows[LOGITS], CANDIDATES)
    opinions = {}
    for name in fitted.inputs:
        opinions[name] = opinions_of_input(rows, name, fitted.states.get(name, NO_STATE), classes, fitted.unknown)
    weights = [handover.weight_of(rows) for handover in fitted.handovers]
    odds = mixed_by_handovers([_log_odds_in_graph(pool, opinions) for pool in fitted.pools], weights)
    trust = fitted.slope * odds + (fitted.offset - oracle.offset)
    if fitted.own_slope:
        trust = trust + fitted.own_slope * _log_odds_in_graph(fitted.own, opinions)
    outputs = {TRUST: trust}
    if weights:
        outputs[HANDED_OVER] = weights[0]
    return outputs


def _log_odds_in_graph(pool: Pool, opinions: Mapping[str, Tensor]) -> Tensor:
    """Return the calibrated log-odds of a pool, (m,)."""
    odds: Tensor = pool.pool.log_odds(torch.cat([opinions[name] for name in pool.inputs], dim=1))
    return pool.slope * odds + pool.offset


def groups_in_graph(gate: Gate) -> list[str]:
    """Return the names of the groups in the order of their numbers: of predicted classes, that of the classes."""
    if gate.by == PREDICTED:
        assert gate.source is not None
        return [str(name) for name in names_of_classes(np.arange(gate.source.num_classes), gate.classes)]
    return [str(name) for name in gate.thresholds]


def _decisions_in_graph(gate: Gate, rows: Mapping[str, Tensor], confidence: Tensor) -> dict[str, Tensor]:
    """Return what a gate decides of confidences, float64 (m,)."""
    labels = rows[PREDICTIONS]
    accepted = confidence >= _threshold_of_rows(gate, rows.get(GROUP, labels))
    decisions = {
        "label": labels,
        "probability": rows[LOGITS].softmax(dim=1).amax(dim=1),
        "p_correct": gate.probability(confidence),
        "accepted": accepted,
    }
    if gate.rejection is not None:
        is_low = confidence <= -_reachable_threshold(-gate.rejection.threshold)
        decisions["rejected"] = is_low & ~accepted
    return decisions


def _threshold_of_rows(gate: Gate, groups: Tensor) -> Tensor | float:
    """Return the threshold of each row; NaN, which nothing reaches, where nothing is promised."""
    if not gate.has_groups:
        return _reachable_threshold(gate.threshold)
    thresholds = [_reachable_threshold(gate.thresholds.get(name, np.inf)) for name in groups_in_graph(gate)]
    is_known = (groups >= 0) & (groups < len(thresholds))
    places = torch.where(is_known, groups, 0)
    return torch.where(is_known, torch.tensor(thresholds, dtype=torch.float64)[places], torch.nan)


def _reachable_threshold(threshold: float) -> float:
    if threshold < np.inf:
        return threshold
    return np.nan
