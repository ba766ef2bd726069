"""The rows held out for calibration, and out-of-fold predictions of all others.

Each fold of the others is predicted by a clone that is fitted to the remaining folds. Copies of a row, and rows of a
group, stay on one side of each split. If they are held out, one of them counts.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, TimeSeriesSplit, check_cv
from sklearn.utils import _safe_indexing, assert_all_finite, column_or_1d, indexable
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params

from steepslope.errors import SteepslopeError
from steepslope.numerics import Counts, Values
from steepslope.oracle import RowCounts
from steepslope.outputs import one_of_each_copy, require_arrays_in_one_order
from steepslope.promise import as_percent
from steepslope.sklearn._features import NUMBERS, TEXTS, column_kinds, columns_of_table, is_frozen
from steepslope.sklearn._responses import Responses

_LEAST_ROWS = 2
_LEAST_CLASSES = 2  # to which classifiers can be fitted
_LEAST_OF_A_CLASS = 2  # rows of a class, so that every fold leaves some to fit to
_FEW_VALUES = 0.05  # of the rows: a column with fewer different values may mean a class by each
_MOST_COMPARED = 2_000  # rows in which a column may tell the label
_ALL_BUT = 0.005  # of the rows: a column tells the label if it does not of at most so many
_ALL_BUT_RARE = 0.05  # and of at most this share of the rows that are not of the most frequent class
_LEAST_RARE = 10  # rows of other classes: of fewer, a column may tell the label by luck
_LEAST_COMPARED = 100  # rows: of fewer, a column that rightly decides may have no exception


def _is_missing(label: Any) -> bool:
    """Return whether a label is None, NaN, NaT or pandas' NA."""
    same = label == label  # NaN and NaT differ from themselves; NA equals itself neither yes nor no
    return label is None or not (isinstance(same, bool | np.bool_) and same)


def checked_rows_and_labels(X: Any, y: Any, groups: Any) -> tuple[Any, Values]:
    """Return inputs whose rows can be indexed, and their labels (n,); raise for invalid or missing labels.

    Frames may not have the same index in another order, nor may that of ``groups``.
    """
    require_arrays_in_one_order({"X": X, "y": y, "groups": groups})
    labels = column_or_1d(y, warn=True)
    missing = sum(map(_is_missing, labels.tolist()))
    if missing:
        raise SteepslopeError(f"expected a label for each row, found {missing:,} missing", "y")
    kinds = sorted({type(label).__name__ for label in labels.tolist()})
    if labels.dtype == object and len(kinds) > 1 and "str" in kinds:
        raise SteepslopeError(f"expected labels of one type, found {' and '.join(kinds)}", "y")
    assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    rows, _ = indexable(X, labels)
    if len(labels) < _LEAST_ROWS:
        raise SteepslopeError(f"expected {_LEAST_ROWS} rows or more, found n_samples={len(labels)}", "X")
    return rows, labels


def cautions_on_telling_columns(X: Any, labels: Values, codes: Counts, seed: int) -> list[str]:
    """Return a caution for each column of a table (n, d) that alone tells the label of nearly all rows.

    One row of each number in ``codes`` (n,) is compared, at most 2,000 in all. Fewer than 100 tell too little.

    >>> numbers = np.arange(200) % 7
    >>> cautions_on_telling_columns(np.column_stack([numbers, numbers > 3]), numbers > 3, np.arange(200), 0)[1]
    'column 1 alone tells the label in 100 % of 200 rows: is it known before the label is?'
    """
    rng = np.random.default_rng(seed)
    rows = rng.permutation(one_of_each_copy(codes, seed))[:_MOST_COMPARED]  # at random, also within equal values
    table = _safe_indexing(X, rows)
    n = len(rows)
    classes = np.unique(labels[rows], return_inverse=True)[1]
    rare = n - int(np.bincount(classes).max())
    if n < _LEAST_COMPARED or rare < _LEAST_RARE or issparse(table) or column_kinds(table) in ((), TEXTS):
        return []
    columns = columns_of_table(table)
    most = min(_ALL_BUT * n, _ALL_BUT_RARE * rare)
    question = f"of {n:,} rows: is it known before the label is?"
    cautions = []
    for name, column in zip(getattr(X, "columns", range(len(columns))), columns, strict=True):
        missed = _rows_untold(column, classes)
        if missed <= most:
            cautions.append(f"column {name} alone tells the label in {as_percent(1 - missed / n)} {question}")
    return cautions


def counts_to_compare(counts: RowCounts | None, estimator: Any, cv: Any, has_folds: bool = True) -> RowCounts | None:
    """Return what was counted in a fit set, as far as new rows can be compared with it.

    Without folds, nothing can be. Early rows say nothing about later ones: their clones learn from few rows, and the
    source may change.
    """
    if not has_folds or isinstance(cv, TimeSeriesSplit):
        return RowCounts()
    if counts is None or is_frozen(estimator):
        return counts
    return RowCounts(counts.errors, of_clones=True)


def _rows_untold(column: Values, classes: Counts) -> float:
    """Return of about how many rows, in random order, a column (n,) does not tell the class, (n,).

    If it has few values, each may mean a class. A column of numbers may also be cut into one interval for each class.
    Each row among others of another class changes the class twice.
    """
    is_number = column.dtype.kind in NUMBERS + "mM"
    if not is_number:
        column = np.array([*map(str, column.tolist())])
    values, places = np.unique(column, return_inverse=True)
    order = np.argsort(places, kind="stable")
    changes = np.diff(classes[order]) != 0
    if len(values) <= _FEW_VALUES * len(column):
        return float(changes[np.diff(places[order]) == 0].sum()) / 2
    if is_number:
        return max(0.0, float(changes.sum() - classes.max())) / 2
    return float(len(column))


def _held_out_of_classes(labels: Values, fraction: float, seed: int) -> tuple[Counts, Counts]:
    """Return the rows to learn from and a held-out fraction of each class, both in ascending order.

    Each row is held out with the same probability, even a class's only row. The classifier then does not know that
    class, and the row counts as an error, as target rows of unknown classes will. If fewer than two classes would be
    left to learn, each class that would be lost keeps its last row.

    >>> learnt, calibration = _held_out_of_classes(np.repeat(["cat", "dog", "yak"], [12, 8, 1]), 0.25, seed=0)
    >>> len(learnt), len(calibration), calibration[:3] < 12
    (16, 5, array([ True,  True,  True]))
    """
    _, codes = np.unique(labels, return_inverse=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    held = np.zeros(len(codes), np.bool_)
    taken = np.floor(fraction * np.arange(len(codes) + 1) + rng.random())  # up to each row, in that order
    held[order] = np.diff(taken) > 0
    last = np.unique(codes[order], return_index=True)[1]
    unknown = np.bincount(codes) == np.bincount(codes[held], minlength=len(last))
    if len(last) - unknown.sum() < _LEAST_CLASSES:
        held[order[last[unknown]]] = False
    return np.flatnonzero(~held), np.flatnonzero(held)


def held_out_rows(
    labels: Values, unknown_label: Any, fraction: float, seed: int, codes: Counts, cv: Any = None
) -> tuple[Counts, Counts, Counts]:
    """Return the rows to learn from, the out-of-class rows that serve as errors, and the rows held out of both.

    Rows with the same number in ``codes`` (n,) belong together: all of them are held out or none is, and one of them
    counts. If ``cv`` is a ``TimeSeriesSplit``, rows are in order of time, and the last are held out.

    >>> [len(rows) for rows in held_out_rows(np.repeat([0, 1, -1], 8), -1, 0.25, 0, np.arange(24))]
    [12, 6, 6]
    """
    is_unknown = np.zeros(len(labels), np.bool_)
    if unknown_label is not None:
        is_unknown = np.array([label == unknown_label for label in labels.tolist()], np.bool_)
    if is_unknown.all():
        raise SteepslopeError(f"expected rows of some class, found {len(labels):,} out-of-class rows alone", "y")
    each = one_of_each_copy(codes, seed)
    if isinstance(cv, TimeSeriesSplit):
        held = each[len(each) - int(fraction * len(each)) :]
        before = np.arange(len(labels)) < held.min(initial=len(labels)) - cv.gap
    else:
        parts = []
        for side in (each[~is_unknown[each]], each[is_unknown[each]]):
            if len(side):
                parts.append(side[_held_out_of_classes(labels[side], fraction, seed)[1]])
        held = np.concatenate(parts)
        before = np.ones(len(labels), np.bool_)
    learnt = before & ~np.isin(codes, codes[held])
    return np.flatnonzero(learnt & ~is_unknown), np.flatnonzero(learnt & is_unknown), np.sort(held)


def folds_without_leaks(X: Any, labels: Values, cv: Any, seed: int, codes: Counts) -> list[tuple[Counts, Counts]]:
    """Return the folds as pairs of row numbers: those to fit to, and those of the fold.

    If ``cv`` is a number, folds are stratified. Rows with the same number in ``codes`` (n,) are in one fold. If rows
    are in order of time, the first are in no fold, nor are rows before which all are of one class. There are no folds
    if all classes but one have a single row, because classifiers refuse to be fitted to one class.

    Raises
    ------
    SteepslopeError
        If a splitter does not put each row into one fold.
    """
    each = one_of_each_copy(codes, seed)  # at random, because the first copies could all be of one class
    X = _safe_indexing(X, each)
    y = labels[each]
    counts = np.sort(np.unique(y, return_counts=True)[1])
    if len(counts) < _LEAST_OF_A_CLASS or counts[-2] < _LEAST_OF_A_CLASS:
        return []
    if isinstance(cv, int | np.integer):
        splitter = StratifiedKFold(min(int(cv), int(counts[-1])), shuffle=True, random_state=seed)
    else:
        splitter = check_cv(cv, y, classifier=True)
    with warnings.catch_warnings():  # a class may have fewer rows than there are folds, and groups may not matter
        warnings.filterwarnings("ignore", "The (least populated class|groups parameter is ignored)", UserWarning)
        splits = list(splitter.split(X, y, codes[each]))
    rows = rows_in_folds(splits)
    first = len(y) - len(rows) if isinstance(cv, TimeSeriesSplit) else 0
    if not np.array_equal(rows, np.arange(first, len(y))):
        raise SteepslopeError("expected folds that hold each row once, found others", "cv")
    folds = []
    for split in splits:
        others, rows = (np.flatnonzero(np.isin(codes, codes[each[side]])) for side in split)
        if len(np.unique(labels[others])) >= _LEAST_CLASSES:
            folds.append((others, rows))
    return folds


def out_of_fold(
    estimator: Any,
    X: Any,
    y: Values,
    folds: Sequence[tuple[Counts, Counts]],
    classes: Values,
    params: Mapping[str, Any],
    n_jobs: int | None = None,
) -> Responses:
    """Return the responses to all rows in folds, each by a clone that has not seen the row.

    ``params`` are parameters of ``fit``. The clones are fitted by ``n_jobs`` processes. A frozen classifier has seen
    none of the rows, so it needs no clones.
    """
    if is_frozen(estimator):
        return Responses.of(estimator, _safe_indexing(X, rows_in_folds(folds)), classes)
    ask = delayed(_response_to_unseen_fold)
    tasks = [ask(estimator, X, y, others, rows, classes, params) for others, rows in folds]
    return Responses.joined(Parallel(n_jobs)(tasks), [rows for _, rows in folds])


def rows_in_folds(folds: Sequence[tuple[Counts, Counts]]) -> Counts:
    """Return the rows that are in a fold, in ascending order."""
    return np.sort(np.concatenate([rows for _, rows in folds]))


def _response_to_unseen_fold(
    estimator: Any, X: Any, y: Values, others: Counts, rows: Counts, classes: Values, params: Mapping[str, Any]
) -> Responses:
    """Return the responses to the rows of a fold, by a clone that is fitted to the others."""
    fitted = clone(estimator).fit(_safe_indexing(X, others), y[others], **_check_method_params(X, params, others))
    return Responses.of(fitted, _safe_indexing(X, rows), classes)
