"""Which rows belong together: copies of one another, and groups such as the images of one patient.

Oversampling, bootstrap samples and joins repeat rows. A copy on the other side of a split makes what is fitted look
better than it is, and a copy among calibration rows counts one draw several times. So rows that belong together stay on
one side of each split, and count once.

Independent rows may be equal, too: coarse tables have few different rows. Equal rows are taken for copies if they are
more frequent than chance allows. Rows that are equal by chance are also equal in any quarter of their columns, so
chance makes no more equal rows than there are rows that are equal in a quarter. Equal rows are copies as well if every
row occurs twice, or three times, or a multiple of that: chance would have to do so for each of them.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.stats import rankdata

from steepslope.errors import RepeatedRowsWarning, SteepslopeError
from steepslope.numerics import Bools, Counts, Values, blocks
from steepslope.outputs._arrays import is_signal_array
from steepslope.outputs._classifier_outputs import ClassifierOutputs
from steepslope.outputs._row_hashes import hashed_rows, have_ids_to_hash

_Codes = NDArray[np.int64]
_Floats = NDArray[np.float64]
_NEAR = 1e-2  # standard deviations: rows that differ less in each column may be copies with noise
_FLAT = 0.1  # of the median deviation of all columns: a column that varies less may be noise itself
_NEAREST = 8  # each row is compared with so many
_LUCK = 3  # times the share of rows that are equal in a quarter of the columns: so many may be equal by chance
_PARTS = 4  # that columns are dealt into; halves may tell as much as all of them
_DEALS = 8
_LEAST_DISTINCT = 20  # different rows: that all are repeated has by chance a probability below 2⁻¹⁹
_MOST_COLUMNS = 64  # more columns are mixed into so many
_MOST_EQUAL = 0.05  # of the rows: a larger group of equal rows means coarse values, no copies
_FEW_EQUAL = 20  # rows: a group of so few is never too large
_BLOCK_ROWS = 4_096
_ASKED = 2_000  # rows, for a share
_SAME_ORDER = 0.99  # correlation of ranks: one column tells the other
_TOLD = 0.01  # of the rows: fewer copies give no warning


def mixed_columns(columns: NDArray[np.generic] | csr_matrix, most: int = _MOST_COLUMNS) -> _Floats:
    """Return rows (n, d) in at most ``most`` columns: sums of disjoint columns with random weights, if d is larger."""
    n, width = columns.shape
    if width <= most:
        return np.asarray(columns.toarray() if hasattr(columns, "toarray") else columns, dtype=np.float64)
    rng = np.random.default_rng(0)
    sums = rng.integers(most, size=width)  # the sum that each column is part of
    weights = csr_matrix((rng.normal(size=width), (np.arange(width), sums)), (width, most))
    if hasattr(columns, "toarray"):
        return np.asarray((columns @ weights).toarray())
    mixed = np.zeros((n, most))
    for rows in blocks(n, _BLOCK_ROWS):
        mixed[rows] = np.asarray(columns[rows], dtype=np.float64) @ weights
    return mixed


def copies_of(columns: _Floats) -> _Codes:
    """Return a number for each row (n, d), the same one for copies, (n,).

    Copies are equal, or differ by very little in each column.

    >>> rows = np.random.default_rng(0).normal(size=(50, 3))
    >>> copies_of(np.repeat(rows, 2, axis=0))[:6]
    array([0, 0, 1, 1, 2, 2])
    >>> len(np.unique(copies_of(np.round(rows)))), len(np.unique(np.round(rows), axis=0))
    (50, 30)
    """
    table = _scaled_columns(columns)
    codes = _rows_alike(table, 0.0)
    if _are_copies_by_count(codes, table, 0.0):
        return codes
    if table.size and _share_with_another(table, _NEAR) > 0:
        codes = _rows_alike(table, _NEAR)
        if _are_copies_by_count(codes, table, _NEAR):
            return codes
    return np.arange(len(table))


def equal_row_codes(columns: _Floats) -> _Codes:
    """Return a number for each row (n, d), the same one for equal rows, even if they are equal by chance, (n,)."""
    return _rows_alike(_scaled_columns(columns), 0.0)


def _scaled_columns(columns: _Floats) -> _Floats:
    """Return columns (n, d) in units of their deviations; what is missing equals only what is missing."""
    finite = np.isfinite(columns)
    values = np.where(finite, columns, 0.0)
    scale = np.zeros(values.shape[1])
    if len(values):
        scale = np.where(np.ptp(values, axis=0) > 0, values.std(axis=0), 0.0)  # not the 1e-17 of equal values
    usual = 1.0
    if (scale > 0).any():
        usual = float(np.median(scale[scale > 0]))
    values /= np.maximum(scale, _FLAT * usual)
    values[~finite] = 1 / _NEAR
    return values


def _rows_alike(table: _Floats, tolerance: float) -> _Codes:
    """Return a number for each row that those share which differ by less than a tolerance in each column, in a chain.

    Each row is compared with its nearest eight. With a tolerance of 0, rows are equal.
    """
    if not table.size:
        return np.zeros(len(table), np.int64)
    hashes = [hashed_rows(table[rows] + 0.0) for rows in blocks(len(table), _BLOCK_ROWS)]  # of -0.0 that of 0.0
    codes = rows_that_agree(np.concatenate(hashes))
    if tolerance == 0:
        return codes
    distinct = table[np.unique(codes, return_index=True)[1]]
    _, near = cKDTree(distinct).query(distinct, _NEAREST + 1, p=np.inf, distance_upper_bound=tolerance)
    row, place = np.nonzero(near < len(distinct))
    return _connected_rows(len(distinct), np.stack([row, near[row, place]]))[codes]


def _connected_rows(n: int, pairs: Counts) -> _Codes:
    """Return a number for each of n rows, the same one for rows that pairs (2, p) connect, by order of first rows."""
    graph = csr_matrix((np.ones(pairs.shape[1]), tuple(pairs)), (n, n))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _are_copies_by_count(codes: _Codes, table: _Floats, tolerance: float) -> bool:
    """Return whether rows of the same number are copies, not equal by chance."""
    sizes = np.bincount(codes)
    if sizes.max(initial=0) <= 1:
        return False
    if _all_rows_repeated(sizes):
        return True
    if sizes.max() > max(_FEW_EQUAL, _MOST_EQUAL * len(codes)):
        return False
    distinct = table[np.unique(codes, return_index=True)[1]]
    repeated = float((sizes[codes] > 1).mean())
    return repeated > _LUCK * _equal_in_a_part(distinct, tolerance, repeated / _LUCK)


def _all_rows_repeated(sizes: _Codes) -> bool:
    """Return whether all rows occur a multiple of k times, k >= 2, and are too many for that to be chance."""
    return len(sizes) >= _LEAST_DISTINCT and int(np.gcd.reduce(sizes)) > 1


def _equal_in_a_part(distinct: _Floats, tolerance: float, enough: float) -> float:
    """Return the share of different rows (n, d) that have an equal one in a quarter of the columns: the least found.

    The search ends with the first share below ``enough``.
    """
    width = distinct.shape[1]
    least = 1.0
    if width < 2:
        return least
    rng = np.random.default_rng(0)
    for _ in range(_DEALS):
        for part in np.array_split(rng.permutation(width), min(width, _PARTS)):
            least = min(least, _share_with_another(distinct[:, part], tolerance))
            if least < enough:
                return least
    return least


def _share_with_another(columns: _Floats, tolerance: float) -> float:
    """Return the share of rows (n, d) that differ from another by less than a tolerance in each column.

    Of many rows, some are asked.
    """
    if tolerance == 0:
        codes = _rows_alike(columns, tolerance)
        return float((np.bincount(codes)[codes] > 1).mean())
    asked = _some_rows(columns)
    distance, _ = cKDTree(columns).query(asked, 2, p=np.inf, distance_upper_bound=tolerance)
    return float(np.isfinite(distance[:, 1]).mean())


def _some_rows(columns: _Floats) -> _Floats:
    """Return rows that are spread evenly over all rows."""
    n = len(columns)
    return columns[np.linspace(0, n - 1, min(n, _ASKED)).astype(np.int64)]


def rows_that_agree(*codes: NDArray[np.generic]) -> _Codes:
    """Return a number for each row, (n,), the same one for rows that agree in any of some numbers or names, (n,) each.

    >>> rows_that_agree(np.array([0, 0, 1, 2]), np.array(["a", "b", "b", "c"]))
    array([0, 0, 0, 1])
    """
    pairs = [np.zeros((2, 0), np.int64)]
    for values in codes:
        _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
        pairs.append(np.stack([np.arange(len(values)), first[inverse]]))
    return _connected_rows(len(codes[0]), np.concatenate(pairs, axis=1))


def rows_of_pairs(codes: NDArray[np.generic], names: NDArray[np.generic]) -> _Codes:
    """Return a number for each row, (n,), the same one for rows that agree in both a number and a name, (n,) each.

    >>> rows_of_pairs(np.array([0, 0, 1, 1]), np.array(["a", "b", "b", "b"]))
    array([0, 1, 2, 2])
    """
    distinct = [np.unique(values, return_inverse=True)[1] for values in (codes, names)]
    pairs = np.unique(np.stack(distinct, axis=1), axis=0, return_inverse=True)[1]
    return pairs.reshape(-1).astype(np.int64)


def rows_together(outputs: ClassifierOutputs, groups: NDArray[np.generic] | None = None) -> _Codes:
    """Return a number for each row of outputs, (n,), the same one for copies and for rows of one of ``groups`` (n,).

    Copies have the same id. Copies of images may have several names. So for images, and where no ids tell rows apart,
    rows with equal features are compared, or, without features, rows with equal signals, or with equal logits of three
    classes or more.

    Raises
    ------
    SteepslopeError
        If there is not one group a row.
    """
    if groups is not None and np.shape(groups) != (len(outputs),):
        raise SteepslopeError(f"expected one group a row, ({len(outputs)},), found shape {np.shape(groups)}", "groups")
    codes: list[Values] = []
    if have_ids_to_hash(outputs):
        codes.append(outputs.require("ids"))
    if not codes or outputs.is_extracted:
        codes.append(copies_of(_columns_to_compare(outputs)))
    if groups is not None:
        codes.append(groups)
    return rows_that_agree(*codes)


def caution_on_equal_rows(outputs: ClassifierOutputs) -> list[str]:
    """Return a caution if more rows with ids of their own are equal than chance makes equal: a join makes such rows."""
    if not have_ids_to_hash(outputs):
        return []
    count = len(outputs) - len(np.unique(copies_of(_columns_to_compare(outputs))))
    if count <= _TOLD * len(outputs):
        return []
    compared = "logits" if outputs.features is None else "features"
    found = f"{count:,} of {len(outputs):,} calibration rows have the {compared} of others under ids of their own"
    return [f"{found}: if a join or resampling made them, calibrate on one of each"]


def _columns_to_compare(outputs: ClassifierOutputs) -> _Floats:
    if outputs.features is not None:
        return mixed_columns(outputs.features)
    signals = [array for name, array in outputs.arrays.items() if is_signal_array(name)]
    if signals:
        return mixed_columns(_columns_of_own_order(np.stack(signals, axis=1)))
    if outputs.num_classes == 2:  # then logits are one number
        return np.zeros((len(outputs), 0))
    return mixed_columns(outputs.logits)


def _columns_of_own_order(columns: _Floats) -> _Floats:
    """Return the columns (n, c) that do not rank rows as an earlier one does, such as a margin next to a probability.

    Where one tells all others, rows are as often equal in all of them as in one.
    """
    some = np.nan_to_num(_some_rows(columns))
    varies = np.ptp(some, axis=0) > 0
    varying = columns[:, varies]
    if varying.shape[1] < 2:
        return varying
    ranks = rankdata(some[:, varies], axis=0)
    alike = np.abs(np.corrcoef(ranks, rowvar=False)) > _SAME_ORDER
    return varying[:, ~np.triu(alike, k=1).any(axis=0)]


def one_of_each_copy(codes: Values, seed: int = 0) -> _Codes:
    """Draw one row of each number or name by the seed; return these rows, (m,), in ascending order.

    >>> one_of_each_copy(np.arange(3)), len(one_of_each_copy(np.array([0, 1, 1, 1])))
    (array([0, 1, 2]), 2)
    """
    order = np.random.default_rng(seed).permutation(len(codes))
    return np.sort(order[np.unique(codes[order], return_index=True)[1]])


def predictions_without_copies(confidence: _Floats, is_correct: Bools, seed: int) -> _Codes:
    """Return the rows that count, (m,), where only confidences (n,) are known: all, unless all are repeated.

    >>> len(predictions_without_copies(np.repeat([0.5, 0.9], 30), np.ones(60, dtype=np.bool_), seed=0))
    60
    """
    _, codes, sizes = np.unique(confidence + 1j * is_correct, return_inverse=True, return_counts=True)
    if not _all_rows_repeated(sizes):
        return np.arange(len(codes))
    warn_of_copies(codes)
    return one_of_each_copy(codes, seed)


def warn_of_copies(codes: _Codes) -> None:
    """Warn if more than a few rows have the number (n,) of another row, and so do not count."""
    n = len(codes)
    copies = n - len(np.unique(codes))
    if copies > _TOLD * n:
        message = f"{copies:,} of {n:,} rows are copies of others: each row counts once"
        warnings.warn(message, RepeatedRowsWarning, stacklevel=4)
