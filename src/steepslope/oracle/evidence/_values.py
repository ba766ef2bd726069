"""The evidence for a slice of rows: the columns that an oracle sees, and opinions on the candidate classes."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located
from steepslope.numerics import (
    Array,
    ArrayDict,
    Values,
    clipped,
    float32,
    highest_places,
    logsumexp,
    namespace_of,
    quiet,
    replaced,
    taken,
)
from steepslope.oracle.evidence._registry import kind_of_evidence, learning_of_inputs
from steepslope.oracle.evidence._states import NO_STATE, State
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import Rows, require_finite_rows, rows_of


def fit_states(
    inputs: Sequence[str], outputs: ClassifierOutputs, reference: ClassifierOutputs | None
) -> dict[str, State]:
    """Return the states that the inputs learn from the fit set or the reference; inputs that learn nothing have none.

    Out-of-class rows are errors in a fit set, and left out of a reference.

    Raises
    ------
    SteepslopeError
        If an input learns from a reference and there is none, or it is too small or lacks an array.
    """
    states = {}
    for name, learning in learning_of_inputs(inputs).items():
        of_reference = learning.of == "reference"
        source = reference if of_reference else outputs
        if source is None:
            expected = "a reference, the classifier's training outputs (or errors='crossfit')"
            raise SteepslopeError(f"expected {expected}, found none", name)
        if of_reference:
            source = source.of_known_classes()
        if len(source) < learning.at_least:
            raise SteepslopeError(f"expected at least {learning.at_least} references, found {len(source)}", name)
        with located("reference") if of_reference else nullcontext(), located(name):
            states[name] = learning.fit(source)
    return states


def evidence_columns(
    outputs: ClassifierOutputs, inputs: Sequence[str], rows: slice, states: Mapping[str, State] | None = None
) -> NDArray[np.floating[Any]]:
    """Return the columns of all named inputs, side by side, for a slice of the rows, (m, d).

    They are float32, or float64 if raw ones are.

    Raises
    ------
    SteepslopeError
        If an input is unknown, the outputs lack it, or a value is not finite.
    """
    parts = columns_by_input(outputs, inputs, rows, states or {})
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts, axis=1)


@quiet
def columns_by_input(
    outputs: ClassifierOutputs, inputs: Sequence[str], rows: slice, states: Mapping[str, State]
) -> list[NDArray[np.floating[Any]]]:
    """Return the columns of each input, (m, d) each; see :func:`evidence_columns`."""
    arrays = _rows_for_inputs(outputs, inputs, rows)
    return _values_of_inputs(columns_of_input, arrays, inputs, rows, states)


def _values_of_inputs(
    formula: Callable[..., Array], arrays: Rows, inputs: Sequence[str], rows: slice, states: Mapping[str, State]
) -> list[Values]:
    """Return what a formula makes of each input; an error names the input and, for an infinite value, the row."""
    parts = []
    for name in inputs:
        with located(name):
            part = formula(arrays, name, states.get(name, NO_STATE))
        require_finite_rows(name, part, rows.start)
        parts.append(part)
    return parts


def columns_of_input(rows: Rows, name: str, state: State) -> Array:
    """Return an input's columns for some rows, (m, d): float32, or float64 if raw ones are."""
    kind = kind_of_evidence(name)
    columns = kind.columns(rows, state)
    if kind.raw:
        return columns
    return float32(columns)


def _rows_for_inputs(outputs: ClassifierOutputs, inputs: Sequence[str], rows: slice) -> ArrayDict:
    arrays = rows_of(outputs, ["logits"], rows)
    for name in inputs:
        lacking = [array for array in kind_of_evidence(name).arrays if array not in arrays]
        if lacking:
            with located(name):
                arrays |= rows_of(outputs, lacking, rows)
    return arrays


CANDIDATES = 10
FAR = -50.0  # log-probabilities below this are compressed, so that no opinion rules a class out


@quiet
def evidence_opinions(
    outputs: ClassifierOutputs, inputs: Sequence[str], rows: slice, states: Mapping[str, State], unknown: bool = False
) -> list[Values]:
    """Return each input's log-probabilities, float64 (m, V, C), and last the candidate classes, int64 (m, C).

    The candidates are the classifier's ten most probable classes, the prediction first. With more than ten classes, or
    if rows may be out-of-class (``unknown``), one more candidate, numbered K, stands for all others together.
    """
    arrays = _rows_for_inputs(outputs, inputs, rows)
    classes = highest_places(arrays["logits"], CANDIDATES)
    formula = partial(opinions_of_input, classes=classes, unknown=unknown)
    parts = _values_of_inputs(formula, arrays, inputs, rows, states)
    if outputs.num_classes > CANDIDATES or unknown:
        classes = np.pad(classes, ((0, 0), (0, 1)), constant_values=outputs.num_classes)
    return [*parts, classes]


def opinions_of_input(rows: Rows, name: str, state: State, classes: Array, unknown: bool = False) -> Array:
    """Return an input's opinions on the candidate ``classes`` of some rows, and on all others, float64 (m, V, C).

    They are 0, which has no weight, if a row lacks them. If the only others are ``unknown`` ones, evidence that has not
    learnt what out-of-class rows look like gives them the probability of a class that it knows nothing about.
    """
    kind = kind_of_evidence(name)
    if kind.opinions is None:
        raise SteepslopeError("expected evidence with opinions on classes, found none", name)
    of_all = kind.opinions(rows, state)
    xp = namespace_of(of_all)
    listed = classes[:, None]
    opinions = taken(of_all, listed)
    first = opinions[:, :, :1]
    if of_all.shape[2] > classes.shape[1]:
        others = logsumexp(replaced(of_all, listed, -np.inf), axis=2, keepdims=True)
        opinions = xp.concat([opinions, others], axis=2)
    elif unknown:
        uninformed = xp.full_like(first, -math.log(1 + classes.shape[1]))
        others = xp.where(xp.isnan(first), np.nan, uninformed)
        opinions = xp.concat([opinions, others], axis=2)
    if kind.lacks:
        opinions = xp.where(xp.isnan(opinions), 0.0, opinions)
    compressed = FAR - xp.log(1 + clipped(FAR - opinions, 0))
    return xp.where(opinions < FAR, compressed, opinions)
