"""The health of a gate by one batch of predictions alone: a file, or a call, whatever its rows are sorted by."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import ChangedWarning
from steepslope.gate import Gate
from steepslope.gate.decisions import likeliest
from steepslope.monitor.monitor import Monitor
from steepslope.monitor.predictions import Batch, joined
from steepslope.monitor.sentences import health
from steepslope.outputs import ClassifierOutputs


def watched(gate: Gate, batches: Iterable[Batch]) -> Monitor | None:
    """Return the monitor of a gate after the predictions of a file, shuffled by their ids.

    None where there is nothing to tell: the gate accepts nothing, or was shared without its calibration rows.
    """
    if not _can_be_watched(gate):
        return None
    monitor, batch = Monitor.of(gate), joined(batches)
    if batch is not None:
        monitor.update(batch.rows.p_correct, batch.rows.accepted, batch.rows.probability, batch.rows.predicted)
    return monitor


def warn_of_change(gate: Gate, confidence: NDArray[np.float64], outputs: ClassifierOutputs) -> None:
    """Give a :class:`ChangedWarning` where outputs with a confidence (m,) are not drawn as calibration rows were."""
    if not _can_be_watched(gate):
        return
    monitor, order = Monitor.of(gate), np.random.default_rng(0).permutation(len(confidence))
    drawn = {name: array[order] for name, array in likeliest(outputs).items()}
    monitor.update(gate.p_correct(confidence[order]), gate.accepts(confidence[order]), **drawn)
    for line in health(monitor) if monitor.alarms else ():
        warnings.warn(line, ChangedWarning, stacklevel=3)


def _can_be_watched(gate: Gate) -> bool:
    return gate.calibration_rows is not None and bool(gate.calibration_rows.accepted.any())
