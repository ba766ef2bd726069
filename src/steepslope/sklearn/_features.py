"""The columns of numbers that an oracle sees of a classifier's inputs.

They are made from the input of a pipeline's last step. The earlier steps are the fitted classifier's own, up to the
first step that uses labels. A step that uses labels, such as a ``TargetEncoder``, leaks the labels of the rows it was
fitted on, and an oracle that sees its output overestimates itself. The oracle then sees the input of that step.

Numbers are standardised. Words in a table are hashed, and texts become hashed word counts with TF-IDF. Many columns, or
sparse ones, are reduced to their principal directions (``TruncatedSVD``). All that is learnt is arrays, so it can be
stored without executing anything.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import chain
from numbers import Real
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
from scipy.sparse import csc_matrix, csr_matrix, hstack, issparse
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble._base import _set_random_states
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler, normalize
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from steepslope.errors import SteepslopeError, explained
from steepslope.numerics import ArrayDict, Arrays, Counts, Floats, Values
from steepslope.outputs import mixed_columns

NUMBERS = "biuf"  # kinds of arrays
_TABLE = 2  # dimensions
_NUMBER = "number"  # kinds of columns
_DATE = "date"
_WORD = "word"
TEXTS = ("text",)
_DURATION = (timedelta, np.timedelta64)
_TYPES = (  # of a column's values
    (_DURATION, _NUMBER),
    ((Real, Decimal, np.bool_), _NUMBER),
    ((date, np.datetime64), _DATE),
)
_MISSING = ("None", "nan", "NaN", "<NA>", "NaT")
_HASHED = 2**14  # columns
COMPONENTS = 100
_MOST_COLUMNS = 1_000  # with more columns of numbers, the oracle sees their principal directions
_OFTEN = 0.5  # a sparse column with entries in more than this share of the rows counts as numbers
COMPONENT_ROWS = 20_000  # from which the directions are learnt
_ROWS_TO_TRY = 300
_SHUFFLES = 3
_WORD_SUMS = 8  # numbers that stand for the words of a row; each mixes an eighth of all words


def _steps_before(estimator: Any) -> list[Any]:
    """Return the fitted steps before a pipeline's last step.

    The pipeline may be inside another pipeline, a search or a calibration.

    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> _steps_before(make_pipeline(StandardScaler(), make_pipeline("passthrough", LogisticRegression())))
    [StandardScaler()]
    """
    if isinstance(estimator, Pipeline):
        *before, (_, last) = estimator.steps
        singles = [_single_steps(step) for _, step in before]
        return [*chain.from_iterable(singles), *_steps_before(last)]
    inside = _classifier_inside(estimator)
    if inside is None:
        return []
    return _steps_before(inside)


def _single_steps(step: Any) -> list[Any]:
    """Return the steps of a pipeline that is itself a step, and any other step alone; none for a passthrough."""
    if isinstance(step, Pipeline):
        return list(chain.from_iterable(_single_steps(inner) for _, inner in step.steps))
    if step is None or step == "passthrough":
        return []
    return [step]


def _classifier_inside(estimator: Any) -> Any:
    """Return the fitted classifier inside a search, a calibration, a threshold or a frozen estimator, else None."""
    if isinstance(estimator, CalibratedClassifierCV):  # it may hold several, one for each fold: take the first
        return estimator.calibrated_classifiers_[0].estimator
    if isinstance(estimator, FixedThresholdClassifier | TunedThresholdClassifierCV):
        return estimator.estimator_
    if is_frozen(estimator):
        return estimator.estimator
    return getattr(estimator, "best_estimator_", None)


def is_frozen(estimator: Any) -> bool:
    """Return whether an estimator is a ``FrozenEstimator``, which scikit-learn has since 1.6."""
    return type(estimator).__name__ == "FrozenEstimator"


def _steps_ignoring_labels(steps: Sequence[Any], X: Any, labels: Values) -> int:
    """Return how many steps, from the first on, ignore the labels.

    A step ignores them if it gives the same after a fit to shuffled labels. It is tried on a few of the rows (n, …). A
    step that cannot be fitted to these rows counts as one that uses labels. So does a step whose tags require labels,
    because shuffled labels may give the same by chance.

    >>> from sklearn.feature_selection import SelectKBest
    >>> X, y = np.random.default_rng(0).normal(size=(50, 20)), np.arange(50) % 2
    >>> _steps_ignoring_labels([StandardScaler(), SelectKBest(k=3)], X, y)
    1
    """
    rows = np.unique(np.linspace(0, len(labels) - 1, _ROWS_TO_TRY).astype(np.int64))
    seen = _safe_indexing(X, rows)
    rng = np.random.default_rng(0)
    orders = [labels[rows], *(rng.permutation(labels[rows]) for _ in range(_SHUFFLES))]
    for count, step in enumerate(steps):
        try:
            fresh = clone(step)
            _set_random_states(fresh, 0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                after, *others = (clone(fresh).fit(seen, order).transform(seen) for order in orders)
                needed = hasattr(step, "__sklearn_tags__") and step.__sklearn_tags__().target_tags.required
        except Exception:  # a step may raise anything if it needs more rows, or other arguments
            return count
        if needed or not all(_same_features(after, other) for other in others):
            return count
        seen = after
    return len(steps)


def _same_features(features: Any, other: Any) -> bool:
    if np.shape(features) != np.shape(other):
        return False
    if issparse(features):
        return bool(abs(features - other).max() <= 1e-6 * abs(features).max())
    first = np.asarray(features)
    second = np.asarray(other)
    if first.dtype.kind in NUMBERS and second.dtype.kind in NUMBERS:
        return bool(np.allclose(first, second, rtol=1e-6, equal_nan=True))
    return bool((first.astype(np.str_) == second.astype(np.str_)).all())


class _Blocks(NamedTuple):
    """Columns of numbers (n, d), NaN where one is missing, and a sparse matrix (n, s) of counts, as of words."""

    numbers: Floats
    counts: csr_matrix


@dataclass(frozen=True, eq=False)
class Features:
    """How inputs become the columns that an oracle sees.

    The first ``steps`` of the classifier's pipeline come first, and give ``seen`` columns. ``kinds`` has the kind of
    each column of a table, is :data:`TEXTS` for texts, and None for a matrix. ``saw`` describes this in a sentence.

    ``arrays`` holds what was learnt: ``often``, the columns of a sparse matrix that count as numbers (d,); ``mean`` and
    ``scale`` of the numbers (d,); ``missing``, the columns of numbers that lack some; ``used``, the columns of counts
    that occur (u,), with their ``weights`` (u,) and, if they are many, their principal ``components`` (c, u).
    """

    steps: int
    kinds: tuple[str, ...] | None
    seen: int
    arrays: Arrays
    saw: str = ""

    @classmethod
    def of(cls, estimator: Any, X: Any, labels: Values, seed: int) -> Features | None:
        """Learn the columns from the rows (n, …) that a classifier was fitted on; None if an oracle can see nothing."""
        before = _steps_before(estimator)
        steps = len(before)
        if not is_frozen(estimator):
            steps = _steps_ignoring_labels(before, X, labels)
        seen = _through_steps(before[:steps], X)
        kinds = column_kinds(seen)
        if kinds == ():
            return None
        arrays: ArrayDict = {}
        if issparse(seen):
            arrays["often"] = _frequent_columns(csc_matrix(seen))
        blocks = _feature_blocks(seen, kinds, arrays)
        arrays |= _learnt_standardisation(blocks.numbers)
        arrays |= _learnt_directions(_features_to_count(blocks, arrays), kinds == TEXTS, seed)
        columns = 1 if kinds == TEXTS else np.shape(seen)[1]
        learnt = cls(steps, kinds, columns, arrays, _sentence_of_columns(kinds, columns, steps, len(before)))
        if not learnt.width:
            return None
        return learnt

    @property
    def card(self) -> dict[str, Any]:
        """All but the arrays, as JSON holds it."""
        return {"steps": self.steps, "kinds": self.kinds, "seen": self.seen, "saw": self.saw}

    @property
    def width(self) -> int:
        """The number of columns that the oracle sees."""
        width = len(self.arrays.get("components", self.arrays["used"]))
        if not self._is_wide:
            width += len(self.arrays["mean"]) + len(self.arrays["missing"])
        return width

    @property
    def _is_wide(self) -> bool:
        return len(self.arrays["mean"]) > _MOST_COLUMNS

    def columns(self, estimator: Any, X: Any) -> Floats:
        """Return the columns of some inputs, float64 (n, width).

        Missing and infinite numbers become 0, which is the mean.

        Raises
        ------
        SteepslopeError
            If the inputs have other columns than those it was learnt from.
        """
        seen = _through_steps(_steps_before(estimator)[: self.steps], X)
        if self.kinds != TEXTS and np.shape(seen)[1:] != (self.seen,):
            raise SteepslopeError(f"expected {self.seen} columns, found shape {np.shape(seen)}", "X")
        with explained("expected the kinds of columns that it was fitted on", "X", (TypeError, ValueError)):
            blocks = _feature_blocks(seen, self.kinds, self.arrays)
        if not self._is_wide and not len(self.arrays["used"]):
            return _standardised_features(blocks.numbers, self.arrays)
        counts = _features_to_count(blocks, self.arrays)[:, self.arrays["used"]]
        weighted = _weighted_features(counts, self.arrays, self.kinds == TEXTS)
        components = self.arrays.get("components")
        of_counts = weighted.toarray() if components is None else np.asarray(weighted @ components.T)
        if self._is_wide:
            return of_counts.astype(np.float64)
        return np.concatenate([_standardised_features(blocks.numbers, self.arrays), of_counts], axis=1)


def _sentence_of_columns(kinds: tuple[str, ...] | None, columns: int, steps: int, before: int) -> str:
    """Return a sentence on which columns the oracle sees: those after some of the steps ``before`` the last.

    >>> _sentence_of_columns(None, 5_012, 1, 2)
    'The oracle saw 5,012 columns after 1 step of the pipeline, since a step after these may use labels.'
    """
    what = "the words" if kinds == TEXTS else _counted_things(columns, "column")
    where = "of X"
    if steps:
        where = f"after {_counted_things(steps, 'step')} of the pipeline"
    if steps < before:
        return f"The oracle saw {what} {where}, since a step after these may use labels."
    if steps:
        where = "before the last step"
    return f"The oracle saw {what} {where}."


def _counted_things(count: int, thing: str) -> str:
    if count == 1:
        return f"{count:,} {thing}"
    return f"{count:,} {thing}s"


def rows_to_compare(X: Any) -> Floats:
    """Return numbers (n, d) that are equal for equal rows of inputs (n, …); (n, 0) if rows cannot be compared."""
    if getattr(X, "ndim", 0) > _TABLE:  # images, or windows of several series
        X = X.reshape(len(X), -1)
    kinds = column_kinds(X)
    if kinds == ():
        return np.zeros((_num_samples(X), 0))
    blocks = _feature_blocks(X, kinds, {"often": np.zeros(0, np.int64)})
    columns = mixed_columns(blocks.numbers), mixed_columns(blocks.counts, _WORD_SUMS)
    return np.concatenate(columns, axis=1)


def _through_steps(steps: Sequence[Any], X: Any) -> Any:
    for step in steps:
        X = step.transform(X)
    return X


def column_kinds(seen: Any) -> tuple[str, ...] | None:
    """Return the kind of each column of a table, :data:`TEXTS` for texts, None for a matrix, () for anything else.

    >>> column_kinds(np.array([[1, "red"], [2.5, None]], dtype=object)), column_kinds(["one", "two"])
    (('number', 'word'), ('text',))
    """
    if issparse(seen):
        return None
    if hasattr(seen, "columns"):
        return tuple(map(_kind_of_column, columns_of_table(seen)))
    if np.ndim(seen[:1]) == 1 and len(seen) and all(isinstance(text, str) for text in seen):
        return TEXTS  # their lengths differ too much for an array
    try:
        array = np.asarray(seen)
    except ValueError:  # rows of different lengths
        return ()
    if array.ndim != _TABLE:
        return ()
    if array.dtype.kind in NUMBERS:
        return None
    return tuple(map(_kind_of_column, columns_of_table(seen)))


def columns_of_table(table: Any) -> list[Values]:
    """Return the columns of a frame or a table, (n,) each: numbers, local times or durations in µs, or objects."""
    if not hasattr(table, "columns") and not isinstance(table, np.ndarray):
        table = np.asarray(table, dtype=object)
    return [_column_as_array(_safe_indexing(table, place, axis=1)) for place in range(table.shape[1])]


def _column_as_array(column: Any) -> Values:
    if not isinstance(column, np.ndarray):
        series = nw.from_native(column, series_only=True)
        if series.dtype == nw.Datetime:
            series = series.dt.replace_time_zone(None)
        if series.dtype == nw.Categorical or series.dtype.is_nested():
            column = np.fromiter(series.to_list(), np.object_)
        else:
            column = series.to_numpy()
    kind = column.dtype.kind
    if kind in "mM":
        return np.asarray(column, f"{kind}8[us]")
    return np.asarray(column)


def _kind_of_column(column: Values) -> str:
    if column.dtype.kind in NUMBERS + "mM":
        if column.dtype.kind == "M":
            return _DATE
        return _NUMBER
    values = [value for value in _values_of_column(column) if value is not None]
    for types, kind in _TYPES:
        if values and all(isinstance(value, types) for value in values):
            return kind
    return _WORD


def _values_of_column(column: Values) -> list[Any]:
    """Return the values of a column, None where one is missing."""
    return [None if word_of(value) is None else value for value in column.tolist()]


def word_of(value: Any) -> str | None:
    """Return a value as text, a whole float without its decimals; None if it is missing.

    >>> word_of(2.0), word_of("nan"), word_of(float("nan")), word_of(None)
    ('2', 'nan', None, None)
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value)
    return None if text in _MISSING else text


def _feature_blocks(seen: Any, kinds: tuple[str, ...] | None, arrays: Arrays) -> _Blocks:
    """Return inputs of these kinds as numbers and counts."""
    if kinds == TEXTS:
        words = HashingVectorizer(n_features=_HASHED, alternate_sign=False, norm=None).transform(seen)
        return _Blocks(np.zeros((words.shape[0], 0)), words)
    if kinds is not None:
        return _feature_blocks_of_table(columns_of_table(seen), kinds)
    if not issparse(seen):
        table = np.asarray(seen, dtype=np.float64)
        return _Blocks(table, csr_matrix((len(table), 0)))
    columns = csc_matrix(seen, dtype=np.float64)
    often = np.zeros(seen.shape[1], np.bool_)
    often[arrays["often"]] = True
    return _Blocks(columns[:, often].toarray(), csr_matrix(columns[:, ~often]))


def _frequent_columns(seen: csc_matrix) -> Counts:
    """Return the columns of a sparse matrix (n, s) that count as numbers, (d,): those with entries in most rows.

    If all rows have length 1, as TF-IDF makes them, there are none. Each entry then depends on the others: a new row
    lacks its unknown words, so its other entries are larger than those of the rows learnt from.
    """
    lengths = np.sqrt(np.asarray(seen.multiply(seen).sum(axis=1)).ravel())
    if np.allclose(lengths[lengths > 0], 1):
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.diff(seen.indptr) > _OFTEN * seen.shape[0])


def _feature_blocks_of_table(columns: Sequence[Values], kinds: Sequence[str]) -> _Blocks:
    """Return the numbers and dates of a table, and the hashed words of its other columns."""
    n = len(columns[0])
    numbers = [np.zeros((n, 0))]
    words: list[dict[str, str]] = [{} for _ in range(n)]
    for place, (column, kind) in enumerate(zip(columns, kinds, strict=True)):
        if kind == _NUMBER:
            numbers.append(_features_of_numbers(column))
        elif kind == _DATE:
            numbers.append(_features_of_dates(column))
        else:
            for row, word in zip(words, map(word_of, column.tolist()), strict=True):
                if word is not None:
                    row[str(place)] = word
    counts = csr_matrix((n, _HASHED if _WORD in kinds else 0))
    if _WORD in kinds and n:
        counts = FeatureHasher(_HASHED, alternate_sign=False).transform(words)
    return _Blocks(np.concatenate(numbers, axis=1), counts)


def _features_of_numbers(column: Values) -> Floats:
    """Return a column as numbers, (n, 1), durations in seconds."""
    if column.dtype.kind in NUMBERS:
        return column.astype(np.float64)[:, None]
    values = _values_of_column(column)
    for row, value in enumerate(values):
        if isinstance(value, _DURATION):
            values[row] = value / timedelta(seconds=1)
    return np.array(values, np.float64)[:, None]


def _features_of_dates(column: Values) -> Floats:
    """Return days since 1970, month, day of the week (Monday is 0) and hour of dates, (n, 4)."""
    if column.dtype.kind != "M":
        values = _values_of_column(column)
        for row, value in enumerate(values):
            if isinstance(value, datetime):
                values[row] = value.replace(tzinfo=None)
        column = np.array(values, "M8[us]")
    months, days, hours = (column.astype(f"M8[{unit}]").astype(np.int64) for unit in "MDh")
    days_since_1970 = column.astype(np.int64) / 86_400e6
    features = np.column_stack([days_since_1970, months % 12 + 1, (days + 3) % 7, hours % 24])
    features[np.isnat(column)] = np.nan
    return features


def _learnt_standardisation(numbers: Floats) -> ArrayDict:
    """Learn the mean and the standard deviation of the finite numbers in each column (n, d)."""
    finite = np.isfinite(numbers)
    missing = np.flatnonzero(~finite.all(axis=0) & finite.any(axis=0))
    if not numbers.size:
        width = numbers.shape[1]
        return {"mean": np.zeros(width), "scale": np.ones(width), "missing": missing}
    with np.errstate(invalid="ignore"):  # a column may have no number
        scaler = StandardScaler().fit(np.where(finite, numbers, np.nan))
    mean = np.nan_to_num(scaler.mean_)
    scale = np.nan_to_num(scaler.scale_, nan=1.0)
    return {"mean": mean, "scale": scale, "missing": missing}


def _standardised_features(numbers: Floats, arrays: Arrays) -> Floats:
    """Return numbers (n, d) standardised, 0 where one is missing, and then columns that mark the missing ones."""
    finite = np.isfinite(numbers)
    centred = np.where(finite, numbers, 0) - arrays["mean"]
    columns = np.where(finite, centred / arrays["scale"], 0.0)
    return np.concatenate([columns, ~finite[:, arrays["missing"]]], axis=1)


def _features_to_count(blocks: _Blocks, arrays: Arrays) -> csr_matrix:
    """Return the columns that are reduced to directions: the counts, and very many numbers too."""
    if len(arrays["mean"]) <= _MOST_COLUMNS:
        return blocks.counts
    numbers = _standardised_features(blocks.numbers, arrays)
    return csr_matrix(hstack([csr_matrix(numbers), blocks.counts]))


def _learnt_directions(counts: csr_matrix, of_texts: bool, seed: int) -> ArrayDict:
    """Learn which columns (n, s) occur, how to weigh them, and the principal directions if they are many."""
    used = np.unique(counts.indices[counts.data != 0])
    used_counts = csr_matrix(counts[:, used])
    weights = np.ones(len(used))
    if len(used) and of_texts:
        weights = TfidfTransformer().fit(used_counts).idf_
    elif len(used):  # entries of at most 1, such as TF-IDF, are weighed already
        weights = 1 / np.maximum(1, abs(used_counts).max(axis=0).toarray().ravel())
    learnt = {"used": used.astype(np.int64), "weights": weights}
    if len(used) > COMPONENTS:
        rows = np.unique(np.linspace(0, counts.shape[0] - 1, COMPONENT_ROWS).astype(np.int64))
        weighted = _weighted_features(used_counts[rows], learnt, of_texts)
        learnt["components"] = TruncatedSVD(COMPONENTS, random_state=seed).fit(weighted).components_
    return learnt


def _weighted_features(counts: csr_matrix, arrays: Arrays, of_texts: bool) -> csr_matrix:
    weighted = csr_matrix(counts.multiply(arrays["weights"]))
    if of_texts and weighted.shape[0]:
        return normalize(weighted)
    return weighted
