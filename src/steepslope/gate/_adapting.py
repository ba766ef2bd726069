"""Going on after a change: a gate for a new source, from a few labelled rows of it.

A part of the rows adapts the ranking, and the others calibrate. Few rows rarely support the earlier promise, so risks
are tried from a high one down, each only if the one before could be promised. Such a fixed sequence of tests costs no
part of delta (Bauer, 1991): with probability 1 − delta, all risks that it promises hold.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.gate._confidence_source import ConfidenceSource
from steepslope.numerics import Counts
from steepslope.oracle import BaseOracle, FusedOracle
from steepslope.outputs import ClassifierOutputs, one_of_each_copy, rows_together
from steepslope.scores import Score

if TYPE_CHECKING:
    from steepslope.gate._gate import Gate

_AnyGate = TypeVar("_AnyGate", bound="Gate")
LEAST_LABELS = 20
_ADAPTING = 0.25  # share of the labelled rows that adapt the ranking
_MOST_ADAPTING = 100  # of them: more labels do more for the promise
FURTHER = 2.0  # the ratio of the risks that are tried
HIGHEST = 0.5  # no risk above is worth a promise


def split_to_adapt(outputs: ClassifierOutputs, groups: NDArray[np.generic] | None, seed: int) -> tuple[Counts, Counts]:
    """Return the rows that adapt the ranking, and those that calibrate: one of those that belong together.

    Raises
    ------
    SteepslopeError
        If there are too few rows, or one has no label.
    """
    outputs.require_labels()
    codes = rows_together(outputs, groups)
    count = int(codes.max(initial=-1)) + 1
    if count < LEAST_LABELS:
        expected = f"expected at least {LEAST_LABELS} labelled rows of the new source, each counted once"
        raise SteepslopeError(f"{expected}, found {count}", "outputs")
    order = np.random.default_rng(seed).permutation(count)
    adapts = np.isin(codes, order[: min(_MOST_ADAPTING, round(_ADAPTING * count))])
    calibrating = np.flatnonzero(~adapts)
    return np.flatnonzero(adapts), calibrating[one_of_each_copy(codes[calibrating], seed)]


def gate_for_new_source(
    gate: _AnyGate, adapting: ClassifierOutputs, calibrating: ClassifierOutputs, max_risk: float | None, seed: int
) -> _AnyGate:
    """Return a gate for the source of some labelled rows, which promises as low a risk as the latter part supports.

    Its further certificate says what the next lower risk would take.
    """
    if gate.has_groups:
        raise SteepslopeError("expected one promise for all rows, found one for each group", "groups")
    source = ConfidenceSource.from_model(_adapted_model(gate, adapting), calibrating.num_classes)
    percentiles = np.percentile(source.confidence(adapting), np.arange(101))
    source = replace(source, reference=tuple(percentiles.tolist()), counts=None)
    made: _AnyGate | None = None
    for risk in _risks_to_try(gate.promised_risk if max_risk is None else max_risk, max_risk is not None):
        tried = type(gate).of(source, calibrating, risk, gate.objectives.delta, origin=gate.origin, seed=seed)
        if made is not None and not tried.promises[0].is_given:
            risks = made.objectives.max_risk + tried.objectives.max_risk
            certificates = made.certificates + tried.certificates
            return replace(made, certificates=certificates, objectives=replace(made.objectives, max_risk=risks))
        made = tried
        if not tried.promises[0].is_given:
            break
    assert made is not None
    return made


def _risks_to_try(lowest: float, alone: bool = False) -> list[float]:
    """Return risks from a high one down to the lowest, each half of the one before, or the lowest ``alone``.

    >>> _risks_to_try(0.05)
    [0.4, 0.2, 0.1, 0.05]
    """
    risks = [lowest]
    while not alone and risks[0] * FURTHER <= HIGHEST:
        risks.insert(0, risks[0] * FURTHER)
    return risks


def _adapted_model(gate: Gate, adapting: ClassifierOutputs) -> BaseOracle | Score:
    model = gate.require_source().model
    both = 0 < int(adapting.is_correct.sum()) < len(adapting)
    if isinstance(model, FusedOracle) and both:
        return model.adapted(adapting)
    return model
