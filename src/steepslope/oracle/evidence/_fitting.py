"""The evidence of a fit set, with references such that no row sees its own label.

The states of the evidence become a file next to an oracle's weights.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained
from steepslope.files import load_arrays
from steepslope.numerics import ArrayDict, Arrays, Values, blocks
from steepslope.oracle.evidence._registry import kind_of_evidence, learning_of_inputs
from steepslope.oracle.evidence._states import FOLDS, NO_STATE, State, fold_of_rows
from steepslope.oracle.evidence._values import columns_by_input, fit_states
from steepslope.outputs import (
    BY_VALUES,
    ClassifierOutputs,
    have_ids_to_hash,
    require_same_class_names,
    rows_together,
    shared_rows,
)

BLOCK_ROWS = 4_096
_CROSSFIT = "what has seen a row's label tells nothing about it (errors='crossfit' shows each to other rows only)"
_BLOCK_ENTRIES = 500_000  # rows times classes
_Read = Callable[[ClassifierOutputs, Sequence[str], slice, Mapping[str, State]], list[NDArray[Any]]]


def columns_of_fit_set(
    outputs: ClassifierOutputs, inputs: Sequence[str], reference: ClassifierOutputs | None, errors: str, seed: int
) -> tuple[list[Values], dict[str, State]]:
    """Return each input's columns for a fit set, (n, d), and the states for other outputs.

    ``holdout``: the references are rows outside the fit set. ``crossfit``: the fit set is its own reference, in five
    parts, each seen from the four others, so no row sees its own label. ``train``: the same, for a fit set that the
    classifier was trained on.
    """
    if errors != "holdout":
        if reference is not None:
            expected = f"expected none with errors={errors!r}: the fit set is its own reference"
            raise SteepslopeError(expected, "reference")
        return _crossfitted_columns(outputs, inputs, seed)
    if reference is not None:
        require_reference(outputs, reference)
    states = fit_states(inputs, outputs, reference)
    return evidence_of_all_rows(outputs, inputs, states), states


def evidence_of_all_rows(
    outputs: ClassifierOutputs, inputs: Sequence[str], states: Mapping[str, State], read: _Read = columns_by_input
) -> list[Values]:
    """Return what ``read`` returns for all rows, read block by block."""
    size = max(64, min(BLOCK_ROWS, _BLOCK_ENTRIES // outputs.num_classes))
    parts = [read(outputs, inputs, rows, states) for rows in blocks(len(outputs), size)]
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def _crossfitted_columns(
    outputs: ClassifierOutputs, inputs: Sequence[str], seed: int
) -> tuple[list[Values], dict[str, State]]:
    """Return each fifth's columns as seen from the others, and the states from all rows."""
    final = fit_states(inputs, outputs, outputs)
    looked_up = [name for name in inputs if kind_of_evidence(name).needs_reference]
    if not looked_up:
        return evidence_of_all_rows(outputs, inputs, final), final
    fold = fold_of_rows(outputs.require_labels(), seed, rows_together(outputs))
    parts = []
    for number in range(FOLDS):
        others = outputs.subset(np.flatnonzero(fold != number))
        states = final | fit_states(looked_up, outputs, others)
        inside = outputs.subset(np.flatnonzero(fold == number))
        parts.append(evidence_of_all_rows(inside, inputs, states))
    places = np.argsort(np.argsort(fold, kind="stable"))  # of the rows, among those of one fold after another
    return [np.concatenate(of_input)[places] for of_input in zip(*parts, strict=True)], final


def require_reference(outputs: ClassifierOutputs, reference: ClassifierOutputs) -> None:
    """Raise unless a reference has other rows than the fit set, and the same classes."""
    require_other_rows("reference", outputs, reference)
    if reference.num_classes != outputs.num_classes:
        found = f"expected the fit set's {outputs.num_classes} classes, found {reference.num_classes}"
        raise SteepslopeError(found, "reference")
    require_same_class_names("reference", outputs.classes, reference.classes)


def require_other_rows(name: str, outputs: ClassifierOutputs, others: ClassifierOutputs, why: str = _CROSSFIT) -> None:
    """Raise if a row is in both sets, by its id or its values; see :mod:`steepslope.outputs._row_hashes`."""
    shared = shared_rows(outputs, others)
    if not shared:
        return
    found = f"{shared:,} in both"
    remedy = f" ({BY_VALUES})"
    if have_ids_to_hash(outputs, others):
        ids = np.intersect1d(outputs.require("ids"), others.require("ids"))
        found += f", such as {str(ids[0])!r}"
        remedy = ""
    elif shared == len(outputs) == len(others):
        found = "the same rows"
    raise SteepslopeError(f"expected other rows, found {found}: {why}{remedy}", name)


def flattened_states(states: Mapping[str, State]) -> ArrayDict:
    """Return all arrays in one mapping, named by their evidence, such as ``neighbors/points``."""
    return {f"{name}/{key}": array for name, state in states.items() for key, array in state.items()}


def load_states(path: Path, inputs: Sequence[str], num_classes: int) -> dict[str, State]:
    """Read the states of the inputs; the error for impossible ones names the file."""
    states = grouped_states(load_arrays(path))
    learning = learning_of_inputs(inputs)
    for name in learning:
        with explained(f"expected what {name} learnt, found nothing or something else", path, SteepslopeError):
            learning[name].check(states.get(name, NO_STATE), num_classes)
    return {name: states[name] for name in learning}


def grouped_states(arrays: Arrays) -> dict[str, State]:
    """Undo :func:`flattened_states`; arrays with other names are left out."""
    states: dict[str, ArrayDict] = {}
    for name, array in arrays.items():
        evidence, _, key = name.partition("/")
        if key:
            states.setdefault(evidence, {})[key] = array
    return dict(states)
