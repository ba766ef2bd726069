"""The health of a gate by one batch of predictions alone: a file, or a call, whatever its rows are sorted by."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from steepslope.errors import ChangedWarning
from steepslope.gate import Gate
from steepslope.gate.decisions import Decisions
from steepslope.monitor.monitor import Monitor
from steepslope.monitor.predictions import Batch, Predicted, hashes_of, joined_rows
from steepslope.monitor.sentences import OTHER_MIX, health


def watched(gate: Gate, batches: Iterable[Batch]) -> tuple[Monitor, Predicted | None] | None:
    """Return the monitor of a gate after the predictions of a file, shuffled by their ids, and these, if there are any.

    Ids and labels are dropped batch by batch, since these are most of the memory. None where there is nothing to
    tell: the gate accepts nothing, or was shared without its calibration rows.
    """
    if not _can_be_watched(gate):
        return None
    kept = [(hashes_of(one.ids), one.rows) for one in batches if len(one.ids)]
    if not kept:
        return Monitor.of(gate), None
    order = np.argsort(np.concatenate([hashes for hashes, _ in kept]), kind="stable")
    rows = joined_rows([rows for _, rows in kept]).subset(order)
    return _after(gate, rows), rows


def warn_of_change(gate: Gate, decisions: Decisions) -> None:
    """Give a :class:`ChangedWarning` where predictions that are decided are not drawn as calibration rows were."""
    if not _can_be_watched(gate):
        return
    order = np.random.default_rng(0).permutation(len(decisions))  # they may be sorted
    rows = Predicted(decisions.p_correct, decisions.accepted, decisions.probability, decisions.labels)
    monitor = _after(gate, rows.subset(order))
    mix = "" if gate.has_groups else f" {OTHER_MIX.format('`for_mix` with a target of such rows')}"
    for line in health(monitor, alone=True) if monitor.alarms else ():
        warnings.warn(f"{line}{mix}", ChangedWarning, stacklevel=4)


def _after(gate: Gate, rows: Predicted) -> Monitor:
    begun = _begun(gate)
    monitor = replace(begun, means=dict(begun.means), totals=dict(begun.totals))
    monitor.take(rows)
    return monitor


@lru_cache(maxsize=4)
def _begun(gate: Gate) -> Monitor:
    """Return the monitor of a gate before any prediction, which is not to be changed."""
    return Monitor.of(gate)


def _can_be_watched(gate: Gate) -> bool:
    return gate.calibration_rows is not None and bool(gate.calibration_rows.accepted.any())
