"""Probabilities in place of logits: their logarithms, with a floor for zeros, and how to tell one from the other."""

import warnings
from typing import Any

import numpy as np

from steepslope.errors import SteepslopeError, explained
from steepslope.numerics import Floats, Values, blocks
from steepslope.outputs._arrays import as_array, as_float_array, require_finite_array

TOLERANCE = 0.01  # of a row's sum: of rounded numbers, and of bfloat16
LARGEST = 2.0**-24  # the smallest probability that float16 holds
_ENOUGH_ROWS = 10  # that are probabilities in so many rows are not so by chance
_SAME = 1e-9  # probabilities that are alike
NAME = "probabilities"
_OF_ANSWERS = "give them by ClassifierOutputs.from_answers (columns prediction and confidence)"
_ALL_THE_SAME = "say as_logits=True (--as-logits) if they are logits all the same"
_WAY_OUT = "give them by ClassifierOutputs.from_probabilities (--probabilities)"


def probability_logits(probabilities: Any, floor: float | None = None) -> Floats:
    """Return the logarithms of probabilities (n, K), whose rows sum to 1 within 0.01; (n,) are those of class 1 of 2.

    A probability of 0, as forests and float16 give it, has no logarithm. It is taken for ``floor``, by default
    m / (2 K), where m is the smallest probability above 0 that is given, or 2⁻²⁴ ≈ 6e-8 if that is smaller. So it
    stays below all others, and the zeros of a row weigh less together than any other probability: they decide neither
    what is predicted nor what is trusted. A floor far below, such as float64's smallest number, would not do: one row
    whose label was given 0 would outweigh hundreds of others wherever likelihoods are summed, as where a temperature is
    fitted. Give a floor of your own where probabilities below 2⁻²⁴ next to zeros must mean the same in several files.

    Raises
    ------
    SteepslopeError
        If a probability is negative or not finite, a row does not sum to 1, or the floor is not below all others; the
        message names the first such row.

    >>> probability_logits([[0.75, 0.25, 0.0]]).round(2).tolist(), np.exp(probability_logits([0.75])).round(2).tolist()
    ([[-0.29, -1.39, -18.43]], [[0.25, 0.75]])
    """
    rows = checked_probabilities(probabilities)
    smallest = float(rows.min(where=rows > 0, initial=np.inf))
    if floor is None:
        log_floor = np.log(min(smallest, LARGEST)) - np.log(2 * rows.shape[1])
    elif 0 < floor < smallest:
        log_floor = np.log(floor)
    else:
        raise SteepslopeError(f"expected a number above 0 and below all other probabilities, found {floor}", "floor")
    _warn_of_spread_confidences(rows)
    return np.log(rows, out=np.full(rows.shape, log_floor), where=rows > 0)


def checked_probabilities(probabilities: Any) -> Floats:
    """Return probabilities as rows (n, K) of float64; raise as :func:`probability_logits` does."""
    with explained("expected an array of numbers", NAME, (TypeError, ValueError, RuntimeError)):
        values = as_array(probabilities, 2)
    array = as_float_array(NAME, values)
    if array.dtype.kind != "f" or array.ndim not in (1, 2) or array.size == 0:
        expected = "expected numbers of shape (n, K), or (n,) of class 1 of 2"
        raise SteepslopeError(f"{expected}, found {array.dtype} of shape {array.shape}", NAME)
    require_finite_array(NAME, array)
    rows = array.astype(np.float64).reshape(len(array), -1)
    _require_probabilities(rows.min(axis=1), 0, np.inf, "none below 0", "logits go to ClassifierOutputs(logits, …)")
    if rows.shape[1] == 1:
        _require_probabilities(rows[:, 0], 0, 1, "none above 1", "one number a row is the probability of class 1 of 2")
        return np.column_stack([1 - rows, rows])
    expected = f"rows that sum to 1 within {TOLERANCE}"
    remedy = "divide each row by its sum if that is what they mean"
    if ((rows > 0).sum(axis=1) == 1).all():
        remedy = f"one number above 0 in each row is a confidence: {_OF_ANSWERS}"
    _require_probabilities(rows.sum(axis=1), 1 - TOLERANCE, 1 + TOLERANCE, expected, remedy)
    return rows


def _warn_of_spread_confidences(rows: Floats) -> None:
    """Warn if in all rows (n, K) all classes but one are alike: so a label and a confidence are spread by hand."""
    if len(rows) < _ENOUGH_ROWS or rows.shape[1] < 3:
        return
    ranked = np.sort(rows, axis=1)
    but_highest = np.abs(ranked[:, 0] - ranked[:, -2]) < _SAME
    but_lowest = np.abs(ranked[:, 1] - ranked[:, -1]) < _SAME
    if not (but_highest | but_lowest).all():
        return
    message = f"{NAME}: found the same probability for all classes but one in each row: "
    flipped = int((but_lowest & ~but_highest).sum())
    if flipped:
        message += f"{flipped:,} rows predict another class so; "
    warnings.warn(f"{message}if these are labels with confidences, {_OF_ANSWERS}", stacklevel=4)


def _require_probabilities(values: Floats, low: float, high: float, expected: str, remedy: str) -> None:
    bad = np.flatnonzero((values < low) | (values > high))
    if len(bad):
        found = f"found {values[bad[0]]:.6g} in row {bad[0]} ({len(bad)} of {len(values)} rows)"
        raise SteepslopeError(f"expected {expected}, {found}: {remedy}", NAME)


def require_no_probabilities(logits: Values) -> None:
    """Raise if logits are probabilities by their looks: ten rows or more, none negative, each with a sum of 1."""
    looks_so = len(logits) >= _ENOUGH_ROWS and are_probabilities(logits[:_ENOUGH_ROWS])
    if looks_so and all(are_probabilities(logits[rows]) for rows in blocks(len(logits))):
        found = "found rows that are probabilities: none negative, each with a sum of 1"
        raise SteepslopeError(f"expected logits, {found}; {_WAY_OUT}, or {_ALL_THE_SAME}", "logits")


def are_probabilities(rows: Values) -> bool:
    """Return whether numbers (n, K) are probabilities by their looks; rows with NaN say nothing."""
    if rows.ndim != 2 or rows.dtype.kind not in "fiu":
        return False
    known = rows[~np.isnan(rows).any(axis=1)].astype(np.float64)
    return bool(len(known) and (known >= 0).all() and (np.abs(known.sum(axis=1) - 1) <= TOLERANCE).all())
