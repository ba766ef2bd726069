"""What an oracle sees of a classifier's inputs: columns of numbers, made of what the last step of a pipeline gets.

The steps before the last are the fitted classifier's own, as far as they ignore the labels. A step that learns from
them, such as a ``TargetEncoder``, tells of each row that it was fitted on what its label is, and an oracle that sees
this takes itself to be better than it is. What such a step gets is seen in place of what it gives.

Numbers are standardised. Words of a table are hashed, texts by their words with TF-IDF; of many columns, or sparse
ones, the principal directions are seen (``TruncatedSVD``). So there is nothing to keep but arrays.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix, hstack, issparse
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler, normalize
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from steepslope.errors import SteepslopeError, explained
from steepslope.outputs.copies import mixed_columns

Floats = NDArray[np.float64]
NUMBERS = "biuf"  # kinds of arrays
TABLE = 2  # dimensions
NUMBER, DATE, WORD = "number", "date", "word"  # kinds of columns
TEXTS = ("text",)
DURATION = (timedelta, np.timedelta64)
TYPES = ((DURATION, NUMBER), ((Real, Decimal, np.bool_), NUMBER), ((date, np.datetime64), DATE))  # of a column's values
MISSING = ("None", "nan", "NaN", "<NA>", "NaT")
HASHED = 2**14  # columns
COMPONENTS = 100
MOST_COLUMNS = 1_000  # of numbers that are seen as they are
OFTEN = 0.5  # of the rows: a sparse column that has as many entries is one of numbers
COMPONENT_ROWS = 20_000  # from which directions are learnt
ROWS_TO_TRY, SHUFFLES = 300, 3
WORD_SUMS = 8  # numbers for the words of a row, each of an eighth of all words


def steps_before(estimator: Any) -> list[Any]:
    """Return the fitted steps before the last one of a pipeline, also of one in a pipeline, a search, a calibration.

    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> steps_before(make_pipeline(StandardScaler(), make_pipeline("passthrough", LogisticRegression())))
    [StandardScaler()]
    """
    if isinstance(estimator, Pipeline):
        before = [step for _, step in estimator.steps[:-1] if step is not None and step != "passthrough"]
        flat = [[*steps_before(step), _last_step(step)] for step in before]
        return [*(one for steps in flat for one in steps), *steps_before(estimator.steps[-1][1])]
    inside = _classifier_inside(estimator)
    return [] if inside is None else steps_before(inside)


def _last_step(step: Any) -> Any:
    return _last_step(step.steps[-1][1]) if isinstance(step, Pipeline) else step


def _classifier_inside(estimator: Any) -> Any:
    """Return the fitted classifier in one that searches, freezes, calibrates or sets a threshold; None in others."""
    if isinstance(estimator, CalibratedClassifierCV):  # of several, which were fitted on other folds, the first
        return estimator.calibrated_classifiers_[0].estimator
    if isinstance(estimator, FixedThresholdClassifier | TunedThresholdClassifierCV):
        return estimator.estimator_
    return estimator.estimator if is_frozen(estimator) else getattr(estimator, "best_estimator_", None)


def is_frozen(estimator: Any) -> bool:
    """Return whether an estimator is one of ``sklearn.frozen``, which scikit-learn has from 1.6 on."""
    return type(estimator).__name__ == "FrozenEstimator"


def steps_ignoring_labels(steps: Sequence[Any], X: Any, labels: NDArray[Any]) -> int:
    """Return how many of the first steps ignore the labels: fitted to labels in other orders, they give the same.

    Each is tried on a few of the rows (n, …), and counts as one that uses labels where it cannot be fitted to these, or
    says that it needs labels: chosen columns may be the same by luck.

    >>> from sklearn.feature_selection import SelectKBest
    >>> X, y = np.random.default_rng(0).normal(size=(50, 20)), np.arange(50) % 2
    >>> steps_ignoring_labels([StandardScaler(), SelectKBest(k=3)], X, y)
    1
    """
    rows = np.unique(np.linspace(0, len(labels) - 1, ROWS_TO_TRY).astype(np.int64))
    seen, rng = _safe_indexing(X, rows), np.random.default_rng(0)
    orders = [labels[rows], *(rng.permutation(labels[rows]) for _ in range(SHUFFLES))]
    for count, step in enumerate(steps):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                given, *others = (_seeded_step(step).fit(seen, order).transform(seen) for order in orders)
                needed = hasattr(step, "__sklearn_tags__") and step.__sklearn_tags__().target_tags.required
        except Exception:  # whatever a step raises that needs more rows, or other arguments
            return count
        if needed or not all(_same_features(given, other) for other in others):
            return count
        seen = given
    return len(steps)


def _seeded_step(step: Any) -> Any:
    """Return a clone that draws the same each time it is fitted."""
    found = clone(step)
    if hasattr(found, "get_params"):
        unset = [name for name, value in found.get_params().items() if name.endswith("random_state") and value is None]
        found.set_params(**dict.fromkeys(unset, 0))
    return found


def _same_features(one: Any, other: Any) -> bool:
    if issparse(one):
        return one.shape == other.shape and bool(abs(one - other).max() <= 1e-6 * abs(one).max())
    first, second = np.asarray(one), np.asarray(other)
    if first.dtype.kind in NUMBERS and second.dtype.kind in NUMBERS:
        return first.shape == second.shape and bool(np.allclose(first, second, rtol=1e-6, equal_nan=True))
    return first.shape == second.shape and bool((first.astype(np.str_) == second.astype(np.str_)).all())


class Blocks(NamedTuple):
    """Columns of numbers (n, d), NaN where one is missing, and sparse ones (n, s) that count what is in a row."""

    numbers: Floats
    counts: csr_matrix


@dataclass(frozen=True, eq=False)
class Features:
    """How inputs become the columns that an oracle sees.

    ``steps`` of the classifier's own come first, and give ``seen`` columns. ``kinds`` are those of a table's columns,
    or :data:`TEXTS`; None of a matrix. ``arrays`` are what was learnt: which columns of a sparse matrix are numbers,
    since they occur ``often`` (d,); ``mean`` and ``scale`` of numbers (d,), and the numbers of those in which some are
    ``missing``; which other columns are ``used`` (u,), their ``weights`` (u,) and, where they are many, the
    ``components`` (c, u). ``saw`` says it in words.
    """

    steps: int
    kinds: tuple[str, ...] | None
    seen: int
    arrays: Mapping[str, NDArray[Any]]
    saw: str = ""

    @classmethod
    def of(cls, estimator: Any, X: Any, labels: NDArray[Any], seed: int) -> Features | None:
        """Learn it from the rows (n, …) that a classifier was fitted on; None where inputs are nothing of the kind."""
        before = steps_before(estimator)
        steps = len(before) if is_frozen(estimator) else steps_ignoring_labels(before, X, labels)
        seen = _through_steps(before[:steps], X)
        kinds = column_kinds(seen)
        if kinds == ():
            return None
        arrays: dict[str, NDArray[Any]] = {}
        if issparse(seen):
            arrays["often"] = _frequent_columns(csc_matrix(seen))
        blocks = _feature_blocks(seen, kinds, arrays)
        arrays |= _learnt_standardisation(blocks.numbers)
        arrays |= _learnt_directions(_features_to_count(blocks, arrays), kinds == TEXTS, seed)
        found = cls(steps, kinds, 1 if kinds == TEXTS else _shape_of_features(seen)[1], arrays)
        return replace(found, saw=found._sentence(len(before))) if found.width else None

    @property
    def card(self) -> dict[str, Any]:
        """All but the arrays, as JSON holds it."""
        return {"steps": self.steps, "kinds": self.kinds, "seen": self.seen, "saw": self.saw}

    @property
    def width(self) -> int:
        """The number of columns that are seen."""
        numbers = 0 if self._is_wide else len(self.arrays["mean"]) + len(self.arrays["missing"])
        return numbers + len(self.arrays.get("components", self.arrays["used"]))

    @property
    def _is_wide(self) -> bool:
        return len(self.arrays["mean"]) > MOST_COLUMNS

    def columns(self, estimator: Any, X: Any) -> Floats:
        """Return the columns of some inputs, (n, width); what is missing or infinite is 0, the mean.

        Raises
        ------
        SteepslopeError
            If the inputs have other columns than those that it was learnt from.
        """
        seen = _through_steps(steps_before(estimator)[: self.steps], X)
        self._require_width(seen)
        with explained("expected the kinds of columns that it was fitted on", "X", (TypeError, ValueError)):
            blocks = _feature_blocks(seen, self.kinds, self.arrays)
        counted = _weighted_features(
            _features_to_count(blocks, self.arrays)[:, self.arrays["used"]], self.arrays, self.kinds == TEXTS
        )
        components = self.arrays.get("components")
        parts = [counted.toarray() if components is None else np.asarray(counted @ components.T)]
        if not self._is_wide:
            parts.insert(0, _standardised_features(blocks.numbers, self.arrays))
        return np.concatenate(parts, axis=1, dtype=np.float64)

    def _require_width(self, seen: Any) -> None:
        shape = _shape_of_features(seen)
        if self.kinds != TEXTS and shape[1:] != (self.seen,):
            raise SteepslopeError(f"expected {self.seen} columns, found shape {shape}", "X")

    def _sentence(self, before: int) -> str:
        """Say which columns are seen, after how many of the steps before."""
        what = "the words" if self.kinds == TEXTS else _counted_noun(self.seen, "column")
        where = f"after {_counted_noun(self.steps, 'step')} of the pipeline" if self.steps else "of X"
        where = "before the last step" if 0 < self.steps == before else where
        why = "" if self.steps == before else ", since a step after these may use labels"
        return f"The oracle saw {what} {where}{why}."


def _counted_noun(count: int, name: str) -> str:
    """Return a number with a noun.

    >>> _counted_noun(1, "step"), _counted_noun(5_012, "column")
    ('1 step', '5,012 columns')
    """
    return f"{count:,} {name}" if count == 1 else f"{count:,} {name}s"


def rows_to_compare(X: Any) -> Floats:
    """Return numbers (n, d) that are equal where rows of inputs (n, …) are; (n, 0) for inputs of other kinds."""
    if getattr(X, "ndim", 0) > TABLE:  # images, or windows of several series
        X = X.reshape(len(X), -1)
    kinds = column_kinds(X)
    if kinds == ():
        return np.zeros((_num_samples(X), 0))
    blocks = _feature_blocks(X, kinds, {"often": np.zeros(0, np.int64)})
    return np.concatenate([mixed_columns(blocks.numbers), mixed_columns(blocks.counts, WORD_SUMS)], axis=1)


def _shape_of_features(seen: Any) -> tuple[int, ...]:
    return tuple(seen.shape if hasattr(seen, "shape") else np.shape(seen))


def _through_steps(steps: Sequence[Any], X: Any) -> Any:
    for step in steps:
        X = step.transform(X)
    return X


def column_kinds(seen: Any) -> tuple[str, ...] | None:
    """Return the kind of each column of a table, :data:`TEXTS` of texts, None of a matrix, () of anything else.

    >>> column_kinds(np.array([[1, "red"], [2.5, None]], dtype=object)), column_kinds(["one", "two"])
    (('number', 'word'), ('text',))
    """
    if issparse(seen):
        return None
    if hasattr(seen, "columns"):
        return tuple(_kind_of_column(column) for column in _columns_of_table(seen))
    if np.ndim(seen[:1]) == 1 and len(seen) and all(isinstance(one, str) for one in seen):
        return TEXTS  # whose lengths differ too much for an array
    try:
        array = np.asarray(seen)
    except ValueError:  # rows of different lengths
        return ()
    if array.ndim != TABLE:
        return ()
    return None if array.dtype.kind in NUMBERS else tuple(_kind_of_column(column) for column in _columns_of_table(seen))


def _columns_of_table(table: Any) -> list[NDArray[Any]]:
    """Return the columns of a frame or a table, (n,) each: numbers, local times and durations in µs, or objects."""
    if not hasattr(table, "columns") and not isinstance(table, np.ndarray):
        table = np.asarray(table, dtype=object)
    return [_column_as_array(_safe_indexing(table, place, axis=1)) for place in range(table.shape[1])]


def _column_as_array(column: Any) -> NDArray[Any]:
    if not isinstance(column, np.ndarray):
        series = nw.from_native(column, series_only=True)
        if series.dtype == nw.Datetime:
            series = series.dt.replace_time_zone(None)
        is_plain = series.dtype != nw.Categorical and not series.dtype.is_nested()
        column = series.to_numpy() if is_plain else np.fromiter(series.to_list(), np.object_)
    kind = column.dtype.kind
    return np.asarray(column, f"{kind}8[us]" if kind in "mM" else None)


def _kind_of_column(column: NDArray[Any]) -> str:
    if column.dtype.kind in NUMBERS + "mM":
        return DATE if column.dtype.kind == "M" else NUMBER
    found = [value for value in _values_of_column(column) if value is not None]
    kinds = (kind for types, kind in TYPES if found and all(isinstance(value, types) for value in found))
    return next(kinds, WORD)


def _values_of_column(column: NDArray[Any]) -> list[Any]:
    """Return the values of a column, None where one is missing."""
    return [None if word_of(value) is None else value for value in column.tolist()]


def word_of(value: Any) -> str | None:
    """Return a value as text, a whole float as a whole number; None where it is missing.

    >>> word_of(2.0), word_of("nan"), word_of(float("nan")), word_of(None)
    ('2', 'nan', None, None)
    """
    if isinstance(value, str):
        return str(value)
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return None if text in MISSING else text


def _feature_blocks(seen: Any, kinds: tuple[str, ...] | None, arrays: Mapping[str, NDArray[Any]]) -> Blocks:
    """Return what was seen as numbers and counts."""
    if kinds == TEXTS:
        words = HashingVectorizer(n_features=HASHED, alternate_sign=False, norm=None).transform(seen)
        return Blocks(np.zeros((words.shape[0], 0)), words)
    if kinds is not None:
        return _feature_blocks_of_table(_columns_of_table(seen), kinds)
    if not issparse(seen):
        table = np.asarray(seen, dtype=np.float64)
        return Blocks(table, csr_matrix((len(table), 0)))
    columns, often = csc_matrix(seen, dtype=np.float64), np.zeros(seen.shape[1], np.bool_)
    often[arrays["often"]] = True
    return Blocks(columns[:, often].toarray(), csr_matrix(columns[:, ~often]))


def _frequent_columns(seen: csc_matrix) -> NDArray[np.int64]:
    """Return which columns of a sparse matrix (n, s) are numbers, since they occur often, (d,).

    There are none where all rows have length 1, as TF-IDF does it: each entry then depends on the others, and a new
    row, whose unknown words are left out, has larger ones than the rows that the words are from.
    """
    lengths = np.sqrt(np.asarray(seen.multiply(seen).sum(axis=1)).ravel())
    if np.allclose(lengths[lengths > 0], 1):
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.diff(seen.indptr) > OFTEN * seen.shape[0])


def _feature_blocks_of_table(columns: Sequence[NDArray[Any]], kinds: Sequence[str]) -> Blocks:
    """Return the numbers and dates of a table, and the hashed words of its other columns."""
    numbers, words = [np.zeros((len(columns[0]), 0))], list[list[str | None]]()
    for place, (column, kind) in enumerate(zip(columns, kinds, strict=True)):
        if kind == WORD:
            texts = map(word_of, column.tolist())
            words.append([None if text is None else f"{place}={text}" for text in texts])
        else:
            numbers.append(_features_of_dates(column) if kind == DATE else _features_of_numbers(column)[:, None])
    hasher = FeatureHasher(HASHED, input_type="string", alternate_sign=False)
    rows = ([one for one in row if one is not None] for row in zip(*words, strict=True))
    counts = hasher.transform(rows) if words and words[0] else csr_matrix((len(columns[0]), HASHED * bool(words)))
    return Blocks(np.concatenate(numbers, axis=1), counts)


def _features_of_numbers(column: NDArray[Any]) -> Floats:
    """Return a column as numbers, (n,), durations in seconds."""
    if column.dtype.kind in NUMBERS:
        return column.astype(np.float64)
    second, values = timedelta(seconds=1), _values_of_column(column)
    return np.array([value / second if isinstance(value, DURATION) else value for value in values], np.float64)


def _features_of_dates(column: NDArray[Any]) -> Floats:
    """Return days since 1970, month, day of the week from Monday, 0, and hour of dates, (n, 4)."""
    if column.dtype.kind != "M":
        values = _values_of_column(column)
        local = [value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in values]
        column = np.array(local, "M8[us]")
    months, days, hours = (column.astype(f"M8[{unit}]").astype(np.int64) for unit in "MDh")
    found = np.column_stack([column.astype(np.int64) / 86_400e6, months % 12 + 1, (days + 3) % 7, hours % 24])
    found[np.isnat(column)] = np.nan
    return found


def _learnt_standardisation(numbers: Floats) -> dict[str, NDArray[Any]]:
    """Learn the mean and deviation of each column (n, d), as far as its numbers are finite."""
    finite = np.isfinite(numbers)
    missing = np.flatnonzero(~finite.all(axis=0) & finite.any(axis=0))
    if not numbers.size:
        return {"mean": np.zeros(numbers.shape[1]), "scale": np.ones(numbers.shape[1]), "missing": missing}
    with np.errstate(invalid="ignore"):  # of a column without a number
        scaler = StandardScaler().fit(np.where(finite, numbers, np.nan))
    return {"mean": np.nan_to_num(scaler.mean_), "scale": np.nan_to_num(scaler.scale_, nan=1.0), "missing": missing}


def _standardised_features(numbers: Floats, arrays: Mapping[str, NDArray[Any]]) -> Floats:
    """Return numbers (n, d) standardised, 0 where one is missing, and next to them which are."""
    finite = np.isfinite(numbers)
    columns = np.where(finite, (np.where(finite, numbers, 0) - arrays["mean"]) / arrays["scale"], 0.0)
    return np.concatenate([columns, ~finite[:, arrays["missing"]]], axis=1)


def _features_to_count(blocks: Blocks, arrays: Mapping[str, NDArray[Any]]) -> csr_matrix:
    """Return the columns of which directions are seen: counts, and numbers too where these are very many."""
    if len(arrays["mean"]) <= MOST_COLUMNS:
        return blocks.counts
    return csr_matrix(hstack([csr_matrix(_standardised_features(blocks.numbers, arrays)), blocks.counts]))


def _learnt_directions(counts: csr_matrix, of_texts: bool, seed: int) -> dict[str, NDArray[Any]]:
    """Learn which columns (n, s) occur, how to weigh them, and the directions in which many of them vary most."""
    used = np.unique(counts.indices[counts.data != 0])
    some = csr_matrix(counts[:, used])
    weights = np.ones(len(used))
    if len(used) and of_texts:
        weights = TfidfTransformer().fit(some).idf_
    elif len(used):  # what is at most 1, such as TF-IDF, is weighed already
        weights = 1 / np.maximum(1, abs(some).max(axis=0).toarray().ravel())
    learnt = {"used": used.astype(np.int64), "weights": weights}
    if len(used) > COMPONENTS:
        rows = np.unique(np.linspace(0, counts.shape[0] - 1, COMPONENT_ROWS).astype(np.int64))
        weighted = _weighted_features(some[rows], learnt, of_texts)
        learnt["components"] = TruncatedSVD(COMPONENTS, random_state=seed).fit(weighted).components_
    return learnt


def _weighted_features(some: csr_matrix, arrays: Mapping[str, NDArray[Any]], of_texts: bool) -> csr_matrix:
    found = csr_matrix(some.multiply(arrays["weights"]))
    with suppress(ValueError):  # of no rows
        return normalize(found) if of_texts else found
    return found
