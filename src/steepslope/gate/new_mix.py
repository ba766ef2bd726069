"""The mix of the classes among predictions that have no labels, as a gate estimates it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import NoMixError, SteepslopeError
from steepslope.gate.decisions import class_names
from steepslope.gate.promises import Promises
from steepslope.gate.target_rows import Importance, TargetRows

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class NewMix:
    """The estimated shares of the classes among some predictions, by name.

    ``usual`` are the shares among the calibration rows. Where no mix of the classes explains the predictions, ``why``
    says so, and ``shares`` is empty.
    """

    shares: Mapping[str, float]
    usual: Mapping[str, float]
    why: str = ""


def new_mix_of(gate: Promises, p_correct: Floats, predicted: Counts | None) -> NewMix | None:
    """Return the mix of predictions with these P(correct) and predicted classes, (m,) each.

    None where that cannot be told: the gate's calibration rows have no true classes, or too few of one, the
    predictions are fewer than 200, or the gate promises more than a risk of all, such as one of each group.
    """
    rows = gate.calibration_rows
    if rows is None or rows.true is None or rows.predicted is None or predicted is None:
        return None
    truths = class_names(rows.true, gate.classes)
    names, counts = np.unique(truths, return_counts=True)
    usual = dict(zip(names.tolist(), (counts / len(truths)).tolist(), strict=True))
    ours, theirs = (class_names(one, gate.classes) for one in (rows.predicted, predicted))
    target = TargetRows(ours, theirs, p_correct)
    try:
        groups = np.array([*gate.thresholds]) if gate.has_groups else None
        importance = Importance.of(gate.aims, groups, target=target)
        weights = importance.weights(truths, rows.p_correct, np.arange(len(rows)))
    except NoMixError as error:
        return NewMix({}, usual, why=str(error).removeprefix("target: "))
    except SteepslopeError:
        return None
    assert weights is not None
    return NewMix(weights.mix, usual)
