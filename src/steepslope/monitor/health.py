"""The health of a gate by one batch of predictions alone: a file, or a call, whatever its rows are sorted by."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from copy import deepcopy
from functools import lru_cache

import numpy as np

from steepslope.errors import ChangedWarning
from steepslope.gate import Gate
from steepslope.gate.decisions import Decisions
from steepslope.monitor.monitor import Monitor
from steepslope.monitor.predictions import Batch, Predicted, hashes_of_prediction_ids
from steepslope.monitor.sentences import OTHER_MIX, health_sentences


def watch_health_of_file(gate: Gate, batches: Iterable[Batch]) -> Monitor | None:
    """Return the monitor of a gate after the predictions of a file, shuffled by their ids.

    Ids and labels are dropped after each batch, since they take most of the memory. Return None if nothing can be said:
    the gate accepts nothing, or was shared without its calibration rows.
    """
    if not _can_tell_health(gate):
        return None
    hashes, parts = [], []
    for batch in filter(len, batches):
        hashes.append(hashes_of_prediction_ids(batch.ids))
        parts.append(Predicted(batch.p_correct, batch.accepted, batch.probability, batch.predicted, batch.chance))
    if not parts:
        return Monitor.of(gate)
    return _health_after_batch(gate, Predicted.joined(parts).subset(np.argsort(np.concatenate(hashes), kind="stable")))


def warn_of_changed_batch(gate: Gate, decisions: Decisions) -> None:
    """Give a :class:`ChangedWarning` if decided predictions are not drawn as the calibration rows were."""
    if not _can_tell_health(gate):
        return
    order = np.random.default_rng(0).permutation(len(decisions))  # they may be sorted
    rows = Predicted(decisions.p_correct, decisions.accepted, decisions.probability, decisions.labels)
    monitor = _health_after_batch(gate, rows.subset(order))
    mix = "" if gate.has_groups else f" {OTHER_MIX.format('`for_mix` with a target of such rows')}"
    for line in health_sentences(monitor, alone=True) if monitor.alarms else ():
        warnings.warn(f"{line}{mix}", ChangedWarning, stacklevel=4)


def _health_after_batch(gate: Gate, rows: Predicted) -> Monitor:
    monitor = deepcopy(_begun_monitor(gate))
    monitor.take(rows)
    return monitor


_begun_monitor = lru_cache(maxsize=4)(Monitor.of)  # of a gate before any prediction: not to be changed


def _can_tell_health(gate: Gate) -> bool:
    return gate.calibration_rows is not None and bool(gate.calibration_rows.accepted.any())
