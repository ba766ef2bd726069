"""Evidence of a fit set: what its references are, so that no row sees its own label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, unknown_name
from steepslope.evidence import EVIDENCE, fit_states, parts_of
from steepslope.evidence.states import State
from steepslope.outputs import ClassifierOutputs, blocks

Errors = Literal["holdout", "crossfit", "train"]
ERRORS = ("holdout", "crossfit", "train")
FOLDS = 5
BLOCK_ROWS = 4_096
BLOCK_ENTRIES = 500_000  # rows times classes
Read = Callable[[ClassifierOutputs, Sequence[str], slice, Mapping[str, State]], list[NDArray[Any]]]


def evidence_of(
    outputs: ClassifierOutputs,
    inputs: Sequence[str],
    reference: ClassifierOutputs | None,
    errors: Errors,
    seed: int,
    read: Read = parts_of,
) -> tuple[list[NDArray[Any]], dict[str, State]]:
    """Return what ``read`` gives of a fit set, by default each input's columns (n, d), and states for other outputs.

    ``holdout``: the references are other rows than the fit set. ``crossfit``: the fit set is its own reference, in
    five parts, each seen from the four others. ``train``: every row is among the references, as in the paper.
    """
    if errors not in ERRORS:
        raise unknown_name("errors", errors, ERRORS)
    if all(EVIDENCE[name].fit is None for name in inputs):
        return all_parts(outputs, inputs, {}, read), {}
    if errors == "holdout":
        if reference is None:
            learning = ", ".join(name for name in inputs if EVIDENCE[name].fit is not None)
            raise SteepslopeError(
                f"{learning}: expected a reference, the classifier's training outputs (or errors='crossfit')"
            )
        _require_other_rows(outputs, reference)
        states = fit_states(inputs, reference)
        return all_parts(outputs, inputs, states, read), states
    states = fit_states(inputs, outputs if reference is None else reference)
    if errors == "train":
        return all_parts(outputs, inputs, states, read), states
    return _crossfitted(outputs, inputs, seed, read), states


def all_parts(
    outputs: ClassifierOutputs, inputs: Sequence[str], states: Mapping[str, State], read: Read = parts_of
) -> list[NDArray[Any]]:
    """Return what ``read`` gives of all rows, block by block."""
    size = max(64, min(BLOCK_ROWS, BLOCK_ENTRIES // outputs.num_classes))
    parts = [read(outputs, inputs, rows, states) for rows in blocks(len(outputs), size)]
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def _crossfitted(outputs: ClassifierOutputs, inputs: Sequence[str], seed: int, read: Read) -> list[NDArray[Any]]:
    fold = fold_of(outputs.labels, seed)
    whole: list[NDArray[Any]] = []
    for number in range(FOLDS):
        inside = np.flatnonzero(fold == number)
        states = fit_states(inputs, outputs.subset(np.flatnonzero(fold != number)))
        parts = all_parts(outputs.subset(inside), inputs, states, read)
        whole = whole or [np.empty((len(outputs), *part.shape[1:]), dtype=part.dtype) for part in parts]
        for array, part in zip(whole, parts, strict=True):
            array[inside] = part
    return whole


def fold_of(strata: NDArray[np.int64] | NDArray[np.bool_], seed: int) -> NDArray[np.int64]:
    """Deal the rows of each stratum evenly to the folds, at random, (n,)."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(strata))
    fold = np.empty(len(strata), dtype=np.int64)
    fold[order[np.argsort(strata[order], kind="stable")]] = np.arange(len(strata)) % FOLDS
    return fold


def _require_other_rows(outputs: ClassifierOutputs, reference: ClassifierOutputs) -> None:
    if outputs.ids is None or reference.ids is None:
        return
    shared = np.intersect1d(outputs.ids, reference.ids)
    if len(shared):
        raise SteepslopeError(
            f"reference: expected other rows than the fit set's, found {len(shared)} in both, such as {shared[0]!r}: "
            "errors='crossfit' keeps a row from seeing its own label"
        )
