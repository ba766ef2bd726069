"""Whether rows depend on one another, as several rows of a person do: from their columns, labels and order.

A promise needs rows that are drawn independently. Three things show that they are not:

- *Nearest rows agree too often.* If labels change smoothly with the columns, the agreement with the k-th nearest row
  falls at most evenly in log k. It falls steeply behind the nearest few if these are rows of the same person or order.
  Columns that only the row itself has can hide that, so it is also measured in random halves of the columns.
- *Rows lie exactly on a line between two others.* Interpolation, as in SMOTE, makes such rows.
- *Neighbours from elsewhere in the file agree less.* Each class is cut into fifths, by order and at random. If order
  tells nothing, neighbours from the other fifths agree equally often. A file that is sorted by a column is passed over.

Persons with many rows, far from one another and in random order, look like independent rows and are not found.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from steepslope.errors import CautionWarning
from steepslope.outputs._classifier_outputs import ClassifierOutputs
from steepslope.outputs._copies import mixed_columns, one_of_each_copy, rows_together

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
LEAST_ROWS = 300  # in large classes: of fewer, too little can be told
MOST_QUERIES, MOST_ROWS = 2_000, 20_000  # whose neighbours are sought, and among how many rows
NEAR, FAR = slice(5, 11), slice(40, 72)  # neighbours, evenly apart from the nearest in log k
_LOOKS = 4  # at random halves of the columns
_LEAST_COLUMNS = 4  # for halves
_CLASS_ROWS = 4 * FAR.stop  # a smaller class may end before its farthest neighbours
_JITTER = 1e-3  # deviations; it breaks ties between equal rows at random
CLEAR, CLEAR_IN_HALVES = 4.5, 5.5  # standard errors; honest sets reached 3.9 in the best of four halves (LOG.md)
_CLEAR_BY_ORDER = 5.0  # honest sets reached 2.6
_LEAST_EXCESS = 0.02  # of agreement: what is clear, but less, is harmless
FIFTHS, VOTERS = 5, 7
SORTED = 0.1  # a column is sorted if fewer of its changes go back, and if it follows the order:
SORTED_PARTS, FOLLOWS = 20, 0.5  # the means of parts of the file differ half as much as single values, or more
BETWEEN = 24  # neighbours, among which two may have a row between them
_LEAST_LENGTH = 1e-12  # of a direction, or of a deviation
_OPPOSITE = 1e-9  # by so little may the cosine of two directions exceed −1
_SEARCHED_ROWS = 1_000  # for rows between others
_INTERPOLATED = 0.05  # of the rows
PLACES, DIRECTIONS = 0.8, 0.2  # shares of different places on the line and directions: grids and curves have few
ADVICE = (
    "If they belong to persons or things, name these (--together COLUMN) or keep one row of each; if they are in order "
    "of time, the promise holds only if later rows are like them"
)
DIGITS = 4  # by which places and directions differ


def signs_of_dependence(
    columns: NDArray[np.generic], labels: NDArray[np.generic], copies: Codes, order: Codes | None = None
) -> list[str]:
    """Return what shows that rows are not independent, a clause each.

    Parameters
    ----------
    columns
        Numbers (n, d); more than 64 columns are mixed.
    labels
        Labels (n,).
    copies
        A number for each row, (n,), the same one for copies, of which one is examined.
    order
        The rows (n,) as they stood in their file, or None if their order should not be examined.

    >>> draw = np.random.default_rng(0)
    >>> people, labels = draw.normal(size=(400, 6)), draw.integers(2, size=400)
    >>> rows = np.repeat(people, 5, axis=0) + draw.normal(0, 0.1, (2_000, 6))
    >>> signs_of_dependence(rows, np.repeat(labels, 5), np.arange(2_000))[0][:40]
    'nearest rows agree too often: 100 % of t'
    >>> signs_of_dependence(draw.normal(size=(2_000, 6)), draw.integers(2, size=2_000), np.arange(2_000))
    []
    """
    rng = np.random.default_rng(0)
    once = one_of_each_copy(copies)
    values = np.nan_to_num(mixed_columns(columns)[once], posinf=0.0, neginf=0.0)
    if len(once) < LEAST_ROWS or not np.ptp(values, axis=0).any():
        return []
    values = values[:, np.ptp(values, axis=0) > 0]
    standard = (values - values.mean(axis=0)) / values.std(axis=0)
    along = np.argsort(standard @ rng.normal(size=standard.shape[1]))  # a slice keeps most neighbours together
    start = rng.integers(max(0, len(along) - MOST_ROWS) + 1)
    some = rng.permutation(along[start : start + MOST_ROWS])
    places = None if order is None else np.argsort(order)[once[some]]
    return _signs_of_neighbours(standard[some], np.unique(labels[once[some]], return_inverse=True)[1], places, rng)


def warn_of_dependent_outputs(outputs: ClassifierOutputs) -> None:
    """Warn if labelled outputs with features seem to depend on one another."""
    if outputs.features is None:
        return
    labels = outputs.require_labels()
    if signs := signs_of_dependence(outputs.features, labels, rows_together(outputs), np.arange(len(labels))):
        warnings.warn(f"rows may depend on one another: {'; '.join(signs)}. {ADVICE}", CautionWarning, stacklevel=2)


def _signs_of_neighbours(columns: Floats, labels: Codes, places: Codes | None, rng: np.random.Generator) -> list[str]:
    """Return what neighbours tell, of rows (n, d) in random order, with labels (n,), at some places (n,) of a file."""
    queries = np.flatnonzero(np.bincount(labels)[labels] >= _CLASS_ROWS)[:MOST_QUERIES]
    if len(queries) < LEAST_ROWS:
        return []
    blurred = (columns + rng.normal(0, _JITTER, columns.shape)).astype(np.float32)
    neighbours = _nearest_others(blurred, queries, FAR.stop)
    agree = labels[neighbours] == labels[queries, None]
    signs = _sign_of_agreement(agree, CLEAR) + _sign_of_interpolation(columns, queries, neighbours)
    if places is not None and not _is_sorted_by_a_column(columns[np.argsort(places)]):
        signs += _sign_of_order(labels, queries, neighbours, places)
    width = columns.shape[1]
    for _ in range(_LOOKS if width >= _LEAST_COLUMNS and not signs else 0):
        half = rng.permutation(width)[: width // 2]
        agree = labels[_nearest_others(blurred[:, half], queries, FAR.stop)] == labels[queries, None]
        signs = signs or _sign_of_agreement(agree, CLEAR_IN_HALVES)
    return signs


def _nearest_others(columns: Singles, queries: Codes, count: int) -> Codes:
    """Return the nearest rows to some of the rows (n, d), nearest first, (q, count); each row is nearest to itself."""
    search = NearestNeighbors(n_neighbors=count + 1, algorithm="brute").fit(columns)
    return np.asarray(search.kneighbors(columns[queries], return_distance=False)[:, 1:])


def _standard_errors(values: Floats) -> float:
    """Return the mean of values (n,) in its standard errors, 0 if all are 0."""
    return float(values.mean() / max(values.std(), _LEAST_LENGTH) * np.sqrt(len(values)))


def _sign_of_agreement(agree: NDArray[np.bool_], clear: float) -> list[str]:
    """Return a clause if agreement (q, k) with the nearest row falls too steeply with k."""
    first, near, far = agree[:, 0].astype(np.float64), agree[:, NEAR].mean(axis=1), agree[:, FAR].mean(axis=1)
    excess = first - 2 * near + far
    if _standard_errors(excess) < clear or excess.mean() < _LEAST_EXCESS:
        return []
    said = f"nearest rows agree too often: {100 * first.mean():.0f} % of the rows have the label of the nearest"
    return [
        f"{said}, {100 * near.mean():.0f} % that of the 6th to 11th, {100 * far.mean():.0f} % that of the 41st to 72nd"
    ]


def _sign_of_order(labels: Codes, queries: Codes, neighbours: Codes, places: Codes) -> list[str]:
    """Return a clause if neighbours (q, k) in other fifths of the file agree less than those in random fifths."""
    agree = labels[neighbours] == labels[queries, None]
    shares = []
    for order in (places, np.arange(len(labels))):  # rows are in random order
        fifths = _fifths_of_classes(labels, order)
        elsewhere = fifths[neighbours] != fifths[queries, None]
        voters = elsewhere & (np.cumsum(elsewhere, axis=1) <= VOTERS)
        shares.append((agree & voters).sum(axis=1) / VOTERS)
    by_order, at_random = shares
    if _standard_errors(at_random - by_order) < _CLEAR_BY_ORDER:
        return []
    said = "the order of the rows matters: of a row's nearest rows in other fifths of the file"
    return [
        f"{said} {100 * by_order.mean():.1f} % have its label, in other random fifths {100 * at_random.mean():.1f} %"
    ]


def _fifths_of_classes(labels: Codes, order: Codes) -> Codes:
    """Return which fifth of its class each row (n,) is in, by an order (n,)."""
    fifths = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        fifths[members[np.argsort(order[members])]] = np.arange(len(members)) * FIFTHS // len(members)
    return fifths


def _is_sorted_by_a_column(columns: Floats) -> bool:
    """Return whether some column (n, d) rises or falls nearly everywhere, and through large parts of the file."""
    steps = np.diff(columns, axis=0)
    rises, falls = (steps > 0).sum(axis=0), (steps < 0).sum(axis=0)
    means = np.array([part.mean(axis=0) for part in np.array_split(columns, SORTED_PARTS)])
    follows = means.std(axis=0) > FOLLOWS * columns.std(axis=0)
    return bool((follows & (np.minimum(rises, falls) <= SORTED * (rises + falls))).any())


def _sign_of_interpolation(columns: Floats, queries: Codes, neighbours: Codes) -> list[str]:
    """Return a clause if many rows lie on a line between two neighbours (q, k), not on a grid or a curve."""
    rows, near = queries[:_SEARCHED_ROWS], neighbours[:_SEARCHED_ROWS, :BETWEEN]
    ways = columns[near] - columns[rows, None]
    lengths = np.maximum(np.linalg.norm(ways, axis=2), _LEAST_LENGTH)
    units = ways / lengths[:, :, None]
    cosines = (units @ units.transpose(0, 2, 1)).reshape(len(rows), -1)
    between = np.flatnonzero(cosines.min(axis=1) < _OPPOSITE - 1)
    one, other = np.divmod(cosines[between].argmin(axis=1), BETWEEN)
    places = np.unique(np.round(lengths[between, one] / lengths[between, other], DIGITS))
    directions = np.unique(np.round(np.abs(units[between, one]), DIGITS), axis=0)
    share = len(between) / len(rows)
    if share < _INTERPOLATED or min(len(places) / PLACES, len(directions) / DIRECTIONS) < len(between):
        return []
    said = f"{100 * share:.0f} % of the rows lie exactly between two others, as SMOTE makes them"
    return [f"{said} (balance the classes inside a pipeline instead)"]
