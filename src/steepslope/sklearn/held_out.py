"""Which rows are held out to calibrate on, and what the classifier says of the others without having seen them.

Each fold of the others is predicted by a clone that is fitted to the remaining folds. Copies of a row,
and rows of a group, are on one side of each split. If they are held out, one of them counts.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, TimeSeriesSplit, check_cv
from sklearn.utils import _safe_indexing, assert_all_finite, column_or_1d, indexable
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params

from steepslope.errors import SteepslopeError
from steepslope.outputs.copies import copies_of, equal_row_codes, one_of_each_copy, rows_that_agree, warn_of_copies
from steepslope.sklearn.features import is_frozen, rows_to_compare
from steepslope.sklearn.responses import Responses

Rows = NDArray[np.int64]
LEAST_ROWS = 2
LEAST_CLASSES = 2  # to which classifiers can be fitted
LEAST_OF_A_CLASS = 2  # so that it is among the others of every fold
WHO = "id|user|customer|client|patient|person|account"
IDENTITY = re.compile(rf"(?i:(^|[^a-z])({WHO}))$|[a-z]I[dD]$")  # names of columns
LEAST_IDENTITIES = 0.05  # of the rows: fewer different values are categories


def _is_missing(label: Any) -> bool:
    """Return whether a label is None, NaN or NaT, which differ from themselves, or pandas' NA, which does not tell."""
    same = label == label
    return label is None or not (isinstance(same, bool | np.bool_) and same)


def checked_rows_and_labels(X: Any, y: Any) -> tuple[Any, NDArray[Any]]:
    """Return inputs of which rows can be taken, and as many labels (n,)."""
    labels = column_or_1d(y, warn=True)
    if missing := sum(map(_is_missing, labels.tolist())):
        raise SteepslopeError(f"expected a label for each row, found {missing:,} missing", "y")
    kinds = sorted({type(label).__name__ for label in labels.tolist()}) if labels.dtype == object else []
    if len(kinds) > 1 and ("str" in kinds or "NoneType" in kinds):
        raise SteepslopeError(f"expected labels of one type, found {' and '.join(kinds)}", "y")
    assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    rows, _ = indexable(X, labels)
    if len(labels) < LEAST_ROWS:
        raise SteepslopeError(f"expected {LEAST_ROWS} rows or more, found n_samples={len(labels)}", "X")
    return rows, labels


def caution_on_identities(X: Any) -> list[str]:
    """Return a caution about a frame's column that looks as if several rows came from one person or thing."""
    names = [name for name in getattr(X, "columns", ()) if IDENTITY.search(str(name))]
    values = {name: nw.from_native(X[name], series_only=True) for name in names if names.count(name) == 1}
    counts = {name: column.n_unique() for name, column in values.items()}
    return [
        f"column {name} has {count:,} different values in {len(X):,} rows: if those of one value belong together, the "
        "promise needs them as fit(X, y, groups=…)"
        for name, count in counts.items()
        if LEAST_IDENTITIES * len(X) <= count < len(X)
    ]


def copies_in_inputs(X: Any) -> Rows:
    """Return a number for each row of inputs (n, …), the same one for copies, (n,).

    Equal rows are copies if chance does not make so many, or if the index of a frame gives them the same name.
    """
    columns = rows_to_compare(X)
    index: Any = getattr(X, "index", None)
    codes = [copies_of(columns)]
    if hasattr(index, "factorize") and index.has_duplicates:
        codes.append(equal_row_codes(np.column_stack([columns, index.factorize()[0]])))
    found = rows_that_agree(*codes)
    warn_of_copies(found)
    return found


def held_out_of_classes(labels: NDArray[Any], fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Return the rows to learn from and those held out, a fraction of each class, both in ascending order.

    Each row is held out with the same probability, even the only one of a class. The classifier then does not know
    that class, as it does not know those of some target rows, and the row counts as an error. Only where fewer than
    two classes would be left to learn, the last row of each is not held out.

    >>> learnt, calibration = held_out_of_classes(np.repeat(["cat", "dog", "yak"], [12, 8, 1]), 0.25, seed=0)
    >>> len(learnt), len(calibration), calibration[:3] < 12
    (16, 5, array([ True,  True,  True]))
    """
    _, codes = np.unique(labels, return_inverse=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    held = np.zeros(len(codes), np.bool_)
    held[order] = np.diff(np.floor(fraction * np.arange(len(codes) + 1) + rng.random())) > 0
    last = np.unique(codes[order], return_index=True)[1]
    unknown = np.bincount(codes) == np.bincount(codes[held], minlength=len(last))
    if len(last) - unknown.sum() < LEAST_CLASSES:
        held[order[last[unknown]]] = False
    return np.flatnonzero(~held), np.flatnonzero(held)


def held_out_rows(
    labels: NDArray[Any], unknown_label: Any, fraction: float, seed: int, codes: Rows, cv: Any = None
) -> tuple[Rows, Rows, Rows]:
    """Return the rows to learn from, out-of-class ones to know as errors, and those held out of both kinds.

    Rows of one of the ``codes`` (n,) belong together: either none is held out, or all are, and one of them counts. If
    ``cv`` is a ``TimeSeriesSplit``, rows are in order of time, and the last are held out.

    >>> [len(rows) for rows in held_out_rows(np.repeat([0, 1, -1], 8), -1, 0.25, 0, np.arange(24))]
    [12, 6, 6]
    """
    is_unknown = unknown_label_rows(labels, unknown_label)
    if is_unknown.all():
        raise SteepslopeError(f"expected rows of classes, found {len(labels):,} of none of them alone", "y")
    each = one_of_each_copy(codes, seed)
    if isinstance(cv, TimeSeriesSplit):
        held = each[len(each) - int(fraction * len(each)) :]
        before = np.arange(len(labels)) < held.min(initial=len(labels)) - cv.gap
    else:
        sides = (each[is_unknown[each] == side] for side in (False, True))
        held = np.concatenate(
            [side[held_out_of_classes(labels[side], fraction, seed)[1]] for side in sides if len(side)]
        )
        before = np.ones(len(labels), np.bool_)
    learnt = before & ~np.isin(codes, codes[held])
    return np.flatnonzero(learnt & ~is_unknown), np.flatnonzero(learnt & is_unknown), np.sort(held)


def unknown_label_rows(labels: NDArray[Any], unknown_label: Any) -> NDArray[np.bool_]:
    """Return which labels say that a row is out-of-class, (n,); none do for None.

    >>> unknown_label_rows(np.array(["cat", "other"]), "other"), unknown_label_rows(np.array([0, -1]), None)
    (array([False,  True]), array([False, False]))
    """
    return np.array([unknown_label is not None and label == unknown_label for label in labels.tolist()], np.bool_)


def folds_without_leaks(X: Any, labels: NDArray[Any], cv: Any, seed: int, codes: Rows) -> list[tuple[Rows, Rows]]:
    """Return the folds, (others, rows) each; of a number of folds, stratified ones; none where a class is too rare.

    A class is too rare if all classes but one have a single row: classifiers refuse to be fitted to one class. Rows of
    one of the ``codes`` (n,) are in one fold. If rows are in order of time, the first are in no fold, nor are rows
    before which all are of one class.

    Raises
    ------
    SteepslopeError
        If a splitter does not put each row into one fold.
    """
    each = one_of_each_copy(codes, seed)  # the first of all could be of one class
    X, y = _safe_indexing(X, each), labels[each]
    counts = np.sort(np.unique(y, return_counts=True)[1])
    if len(counts) < LEAST_OF_A_CLASS or counts[-2] < LEAST_OF_A_CLASS:
        return []
    if isinstance(cv, int | np.integer):
        splitter = StratifiedKFold(min(int(cv), int(counts[-1])), shuffle=True, random_state=seed)
    else:
        splitter = check_cv(cv, y, classifier=True)
    with warnings.catch_warnings():  # a class may have fewer rows than there are folds, and groups may not matter
        warnings.filterwarnings("ignore", "The (least populated class|groups parameter is ignored)", UserWarning)
        found = list(splitter.split(X, y, codes[each]))
    rows = np.sort(np.concatenate([rows for _, rows in found]))
    if not np.array_equal(rows, np.arange(len(y))[-len(rows) if isinstance(cv, TimeSeriesSplit) else None :]):
        raise SteepslopeError("expected folds that hold each row once, found others", "cv")
    folds = [(rows_of_same_codes(codes, each[others]), rows_of_same_codes(codes, each[rows])) for others, rows in found]
    return [fold for fold in folds if len(np.unique(labels[fold[0]])) >= LEAST_CLASSES]


def rows_of_same_codes(codes: Rows, some: Rows) -> Rows:
    """Return all rows that belong together with any of some rows by their codes (n,), in ascending order."""
    return np.flatnonzero(np.isin(codes, codes[some]))


def out_of_fold(
    estimator: Any,
    X: Any,
    y: NDArray[Any],
    folds: Sequence[tuple[Rows, Rows]],
    classes: NDArray[Any],
    params: Mapping[str, Any],
    n_jobs: int | None = None,
) -> Responses:
    """Return the responses to all rows in folds, each of a clone that has not seen it; ``params`` are those of ``fit``.

    A frozen classifier has seen none of them, and needs no clones. Others are fitted by ``n_jobs`` processes.
    """
    if is_frozen(estimator):
        return Responses.of(estimator, _safe_indexing(X, rows_in_folds(folds)), classes)
    tasks = (delayed(_response_to_unseen_fold)(estimator, X, y, *fold, classes, params) for fold in folds)
    return Responses.joined(Parallel(n_jobs)(tasks), [rows for _, rows in folds])


def rows_in_folds(folds: Sequence[tuple[Rows, Rows]]) -> Rows:
    """Return the rows that are in a fold, in ascending order."""
    return np.sort(np.concatenate([rows for _, rows in folds]))


def _response_to_unseen_fold(
    estimator: Any, X: Any, y: NDArray[Any], others: Rows, rows: Rows, classes: NDArray[Any], params: Mapping[str, Any]
) -> Responses:
    """Return the responses to the rows of a fold of a clone that is fitted to the others."""
    fitted = clone(estimator).fit(_safe_indexing(X, others), y[others], **_check_method_params(X, params, others))
    return Responses.of(fitted, _safe_indexing(X, rows), classes)
