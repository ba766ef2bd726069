"""The hand-over of a fused oracle in a graph: how far each row lies from what the auxiliary backbone knows.

Oracles and scores in a graph: of each, the function from arrays to trust logits, and the arrays that it takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from steepslope.errors import SteepslopeError
from steepslope.evidence.states import State
from steepslope.export.evidence import JOINT, columns_of, opinions_of, require_exportable, width_of_columns, widths_of
from steepslope.export.neighbors import References, as_tensor, constant
from steepslope.export.scores import GRAPHS, Arrays
from steepslope.gate.confidence_source import ConfidenceSource
from steepslope.numerics.neighbors import Index
from steepslope.oracle import FusedOracle, Oracle
from steepslope.oracle.fusing import FusedFit, Pool
from steepslope.oracle.handover import AUXILIARY, NEIGHBOR, NOISE, OF_FEATURES, ROUNDING, SHARE, TINY, Handover


def handover_weight(handover: Handover) -> Callable[[Arrays], Tensor]:
    """Return the function to the weights of :meth:`steepslope.oracle.handover.Handover.weight`, float64 (m,)."""
    basis, centre, direction = (as_tensor(part) for part in (handover.basis, handover.centre, handover.direction))
    index = Index.build(handover.points, torch.zeros(len(handover.points), dtype=torch.int64).numpy(), 1)
    references, nearest = References.of(index, exact=True), min(NEIGHBOR, len(handover.points))
    low, high = (as_tensor(limit) for limit in handover.limits)
    half_width = torch.where(high > low, (high - low) / 2, torch.inf)
    above_only = torch.arange(len(low)) > 0  # looking less like a copy than usual does not count
    scale = basis.square().sum(dim=0)

    def weight(arrays: Arrays) -> Tensor:
        features = arrays[AUXILIARY]
        centred = (features - centre).float()
        inside = centred @ basis
        length, explained = centred.square().sum(dim=1), (inside.square() / scale).sum(dim=1)
        distance = references.kth_distance(inside, nearest)
        unexplained = torch.maximum(length - explained, ROUNDING * length)
        logs = [torch.log(one.clamp_min(TINY)).double() for one in (distance, inside.square().sum(dim=1), unexplained)]
        looks = (centred @ direction[:, None])[:, 0].double()
        statistics = torch.stack([looks, *logs, features.double().mean(dim=1)], dim=1)
        if NOISE in handover.arrays:
            statistics = torch.cat([statistics, arrays[NOISE].double()], dim=1)
        below = torch.where(above_only, (low - statistics) / half_width, 0.0)
        return torch.maximum(below, (statistics - high) / half_width).amax(dim=1).clamp(0, 1)

    return weight


LOGITS, FEATURES = "logits", "features"
TRUST, HANDED_OVER = "trust_logit", "handed_over"
OWN_NET = "oracle_net"  # what the net of an oracle on images gives
Values = Callable[[Arrays], dict[str, Tensor]]


@dataclass(frozen=True, eq=False)
class JudgeGraph:
    """A judge as a function from arrays to ``trust_logit``, and ``handed_over`` where its oracle hands over.

    ``widths`` are the arrays that it takes, and how many numbers a row has of each. An oracle on images takes one,
    its own net's output.
    """

    values: Values
    widths: Mapping[str, int]

    @classmethod
    def of(cls, judge: ConfidenceSource) -> JudgeGraph:
        """Return the graph of an oracle or a score; raise for what it cannot hold."""
        model, classes = judge.model, {LOGITS: judge.num_classes}
        if judge.oracle is not None and judge.oracle.is_image_oracle:
            return cls(lambda arrays: {TRUST: arrays[OWN_NET][:, 0].double()}, {**classes, OWN_NET: 1})
        if isinstance(model, FusedOracle):
            return _fused(model, classes)
        if isinstance(model, Oracle):
            return _on_columns(model, classes)
        require_exportable(judge.name)
        confidence = GRAPHS[type(model)](model)  # type: ignore[index]
        widths = {} if model.arrays == (LOGITS,) else widths_of(judge.name, model.state())  # type: ignore[union-attr]
        return cls(lambda arrays: {TRUST: confidence(arrays)}, {**classes, **widths})


def _on_columns(oracle: Oracle, classes: Mapping[str, int]) -> JudgeGraph:
    fitted, names = oracle.fitted_, oracle.settings.inputs
    assert fitted is not None
    states: dict[str, State] = {name: fitted.states.get(name, {}) for name in names}
    parts = [columns_of(name, state, fitted.num_classes) for name, state in states.items()]
    others = sum(width_of_columns(name, fitted.num_classes) for name in names)
    widths = _widths(states, **({FEATURES: fitted.width - others} if FEATURES in names else {}))

    def values(arrays: Arrays) -> dict[str, Tensor]:
        return {TRUST: fitted.net(torch.cat([part(arrays) for part in parts], dim=1))}

    return JudgeGraph(values, {**classes, **widths})


def _widths(states: Mapping[str, State], **known: int) -> dict[str, int]:
    """Return the widths of the arrays that evidence takes; those of both nets together leave one to the other."""
    widths = dict(known)
    for name, state in states.items():
        widths |= widths_of(name, state)
    for state in (states[name] for name in JOINT if name in states):
        total = len(state["weights"])
        for one, other in ((FEATURES, AUXILIARY), (AUXILIARY, FEATURES)):
            if one in widths:
                widths[other] = total - widths[one]
    if any(name in states for name in JOINT) and FEATURES not in widths:
        expected = "expected evidence that tells the widths of the two nets' features, such as neighbors or features"
        raise SteepslopeError(f"{expected}, found none beside {' and '.join(states)}: fit with it (--inputs)", "export")
    return widths


def _fused(oracle: FusedOracle, classes: Mapping[str, int]) -> JudgeGraph:
    fitted = oracle.fitted_
    assert fitted is not None
    states: dict[str, State] = {name: fitted.states.get(name, {}) for name in fitted.inputs}
    opinions = {name: opinions_of(name, state, fitted.num_classes) for name, state in states.items()}
    odds = _mixed(fitted)
    slope, offset = constant(fitted.slope), constant(fitted.offset - math.log(oracle.cut / (1 - oracle.cut)))
    known = {}
    if fitted.handover is not None:
        known[AUXILIARY] = len(fitted.handover.basis)
        if NOISE in fitted.handover.arrays:
            known[NOISE] = fitted.handover.limits.shape[1] - OF_FEATURES

    def values(arrays: Arrays) -> dict[str, Tensor]:
        found = odds({name: opinion(arrays) for name, opinion in opinions.items()}, arrays)
        return {**found, TRUST: slope * found[TRUST] + offset}

    return JudgeGraph(values, {**classes, **_widths(states, **known)})


def _mixed(fitted: FusedFit) -> Callable[[Mapping[str, Tensor], Arrays], dict[str, Tensor]]:
    """Return the function from opinions to log-odds of the pool, or of the fallback where rows are handed over."""
    pool = _pool(fitted.pool)
    if fitted.handover is None or fitted.fallback is None:
        return lambda opinions, _: {TRUST: pool(opinions)}
    fallback, weight = _pool(fitted.fallback), handover_weight(fitted.handover)

    def values(opinions: Mapping[str, Tensor], arrays: Arrays) -> dict[str, Tensor]:
        odds, far = pool(opinions), weight(arrays)
        return {TRUST: odds + SHARE * far * (fallback(opinions) - odds), HANDED_OVER: far}

    return values


def _pool(pool: Pool) -> Callable[[Mapping[str, Tensor]], Tensor]:
    weights, others = as_tensor(pool.pool.weights), constant(pool.pool.others[0])

    def log_odds(opinions: Mapping[str, Tensor]) -> Tensor:
        together = torch.cat([opinions[name] for name in pool.inputs], dim=1)
        utilities = (together * weights[:, None]).sum(dim=1)
        last = torch.arange(utilities.shape[1]) == utilities.shape[1] - 1
        utilities = utilities + others * last
        return utilities[:, 0] - utilities[:, 1:].logsumexp(dim=1)

    return log_odds
