"""Predictions as a monitor sees them: columns of what ``predict`` writes.

Predictions and labels from files, batch by batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
from numpy.typing import ArrayLike, NDArray

from steepslope.errors import SteepslopeError, located
from steepslope.gate.decisions import GROUP, LACKING
from steepslope.monitor.state import hash_of
from steepslope.outputs.labels import means_unknown_label
from steepslope.outputs.table_files import NUMBER, TEXT, TableFile, column_numbers
from steepslope.predict.audit import AUDIT, CHANCE
from steepslope.promise.calibration import CalibrationRows
from steepslope.promise.rows import numbers

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Predicted:
    """Predictions, (m,) each, in the order in which they were made.

    ``p_correct`` is P(correct). ``predicted`` are the numbers of the predicted classes, and ``probability`` is the
    classifier's own of each; None where they are not known. ``chance`` is the probability with which an audit draws
    each to be labelled, above 0 where it is accepted; None without an audit.
    """

    p_correct: Floats
    accepted: Bools
    probability: Floats | None = None
    predicted: NDArray[np.int64] | None = None
    chance: Floats | None = None

    @classmethod
    def of(
        cls,
        p_correct: ArrayLike,
        accepted: ArrayLike,
        probability: ArrayLike | None = None,
        predicted: ArrayLike | None = None,
        chance: ArrayLike | None = None,
    ) -> Predicted:
        """Return predictions of arrays (m,), or of one value each; raise unless they are as many, and in range."""
        found = probabilities(p_correct, "p_correct")
        own = None if probability is None else probabilities(probability, "probability")
        classes = None if predicted is None else whole_numbers(predicted)
        chances = None if chance is None else probabilities(chance, CHANCE)
        rows = cls(found, booleans(accepted, "accepted"), own, classes, chances)
        for name in ("accepted", "probability", "predicted", "chance"):
            array = getattr(rows, name)
            if array is not None and len(array) != len(rows):
                raise SteepslopeError(f"expected as many as of p_correct, {len(rows)}, found {len(array)}", name)
        if chances is not None and (chances[rows.accepted] == 0).any():
            raise SteepslopeError("expected a probability above 0 for each accepted prediction, found 0", CHANCE)
        return rows

    def __len__(self) -> int:
        return len(self.p_correct)

    def subset(self, rows: NDArray[Any] | slice) -> Predicted:
        """Return some rows, by numbers, as a slice or as a mask."""
        chosen: dict[str, Any] = {name: None if array is None else array[rows] for name, array in vars(self).items()}
        return Predicted(**chosen)


Judged = CalibrationRows | Predicted  # what a gate has decided on: calibration rows, or predictions


def probabilities(values: ArrayLike, place: str) -> Floats:
    """Return numbers (m,); raise at a place unless each is from 0 to 1."""
    found = numbers(values, place)
    outside = np.flatnonzero((found < 0) | (found > 1))
    if len(outside):
        raise SteepslopeError(f"expected probabilities, found {found[outside[0]]:g} in row {outside[0]}", place)
    return found


def whole_numbers(values: ArrayLike) -> NDArray[np.int64]:
    """Return numbers of predicted classes (m,); raise unless each is a whole number from 0 on."""
    found = np.atleast_1d(np.asarray(values))
    if found.ndim != 1 or (len(found) and (found.dtype.kind not in "iu" or found.min() < 0)):
        raise SteepslopeError(
            f"expected numbers of classes (m,), found {found.dtype} of shape {found.shape}", "predicted"
        )
    return found.astype(np.int64)


def booleans(values: ArrayLike, place: str) -> Bools:
    """Return booleans (m,); raise at a place unless they are such."""
    found = np.atleast_1d(np.asarray(values))
    if found.ndim != 1 or (found.dtype != np.bool_ and len(found)):
        raise SteepslopeError(f"expected booleans (m,), found {found.dtype} of shape {found.shape}", place)
    return found.astype(np.bool_)


TRUTH = pa.bool_()
MOST_DIGITS = 9  # of the number of a class
NEEDED = {"id": TEXT, "label": TEXT, "p_correct": NUMBER, "accepted": TRUTH}
TRUST, DECISION = "trust_logit", "decision"
TRUTHS = "truths"  # whatever their column is called
FURTHER = {TRUST: NUMBER, DECISION: TEXT, GROUP: TEXT, LACKING: TRUTH, AUDIT: TRUTH}  # columns that may be there
Texts = NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Batch:
    """Some predictions: their ids and predicted labels as text (m,), and what the gate thinks of them.

    ``columns`` are those of ``FURTHER`` that the file has, (m,) each, and the true labels as ``TRUTHS``, "" where a row
    has none. The column ``AUDIT`` is true for rows that an audit drew.
    """

    ids: Texts
    labels: Texts
    rows: Predicted
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def subset(self, rows: NDArray[np.int64] | slice) -> Batch:
        """Return some rows, by numbers or as a slice."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return Batch(self.ids[rows], self.labels[rows], self.rows.subset(rows), columns)


def columns_of(path: Path, truth: str | None = None) -> dict[str, Any]:
    """Return the types of the columns that are read of a file of predictions; raise if one is missing."""
    names = TableFile(path).names
    needed = {**NEEDED, **({truth: TEXT} if truth else {})}
    missing = [name for name in needed if name not in names]
    if missing:
        found = f"found no {', '.join(missing)} among {', '.join(names)}"
        raise SteepslopeError(f"expected predictions with {', '.join(needed)}, {found}", path)
    if (AUDIT in names) != (CHANCE in names):
        raise SteepslopeError(f"expected both columns of an audit, {AUDIT} and {CHANCE}, or none, found one", path)
    optional = {"probability": NUMBER, CHANCE: NUMBER, **FURTHER}
    return needed | {name: kind for name, kind in optional.items() if name in names}


def read_predictions(path: Path, truth: str | None = None, classes: Sequence[str] | None = None) -> Iterator[Batch]:
    """Yield the predictions of a .csv or .parquet file as ``predict`` writes it, without those that could not be made.

    ``truth`` is the column of true labels, if there is one; ``classes`` are the names of the classes, if they have any.

    Raises
    ------
    SteepslopeError
        If a column is missing, or holds something else.
    """
    columns = columns_of(path, truth)
    for batch in TableFile(path).batches(columns):
        with located(path):
            yield batch_of(batch, truth, classes)


def batch_of(table: Any, truth: str | None = None, classes: Sequence[str] | None = None) -> Batch:
    """Return the predictions in a table of pyarrow, or a part of one, as :func:`read_predictions` does."""
    is_missing = compute.is_null(table.column("p_correct"))
    if _truths(table.filter(is_missing), "accepted").any():
        raise SteepslopeError("column 'p_correct': expected a number in each accepted row, found an empty cell")
    judged = table.filter(compute.invert(is_missing))  # nothing is known of images that could not be read
    probability = column_numbers(judged, "probability") if "probability" in judged.schema.names else None
    chance = column_numbers(judged, CHANCE) if CHANCE in judged.schema.names else None
    labels = _texts(judged, "label")
    rows = Predicted.of(
        column_numbers(judged, "p_correct"), _truths(judged, "accepted"), probability, _class_numbers(labels, classes),
        chance,
    )  # fmt: skip
    columns = {name: _READERS[kind](judged, name) for name, kind in FURTHER.items() if name in judged.schema.names}
    columns |= {} if truth is None else {TRUTHS: _texts(judged, truth, empty=True)}
    return Batch(_texts(judged, "id"), labels, rows, columns)


def hashes_of(ids: Texts) -> NDArray[np.int64]:
    """Return a hash of each id, (m,)."""
    return np.array([hash_of(id_) for id_ in ids], np.int64)


def shuffled(ids: Texts) -> NDArray[np.int64]:
    """Return an order of rows that a hash of their ids draws, (m,)."""
    return np.argsort(hashes_of(ids), kind="stable")


def joined(parts: Iterable[Batch]) -> Batch | None:
    """Return all predictions as one batch, shuffled by a hash of their ids; None if there are none.

    So it does not matter what they were sorted by.
    """
    found = [part for part in parts if len(part.ids)]
    if not found:
        return None
    ids, labels = (np.concatenate([getattr(part, name) for part in found]) for name in ("ids", "labels"))
    columns = {name: np.concatenate([part.columns[name] for part in found]) for name in found[0].columns}
    rows = joined_rows([part.rows for part in found])
    return Batch(ids, labels, rows, columns).subset(shuffled(ids))


def joined_rows(parts: Sequence[Predicted]) -> Predicted:
    """Return all predictions of one or several parts in one; what one of them does not know, all do not."""
    columns = {name: [getattr(part, name) for part in parts] for name in vars(parts[0])}
    arrays: dict[str, Any] = {
        name: None if any(one is None for one in each) else np.concatenate(each) for name, each in columns.items()
    }
    return Predicted(**arrays)


def read_labels(path: Path) -> Iterator[tuple[Texts, Texts]]:
    """Yield ids and true labels as text, (m,) each, of a .csv or .parquet file with the columns id and label."""
    names = TableFile(path).names
    if not {"id", "label"} <= set(names):
        raise SteepslopeError(f"expected the columns id and label, found {', '.join(names)}", path)
    if "p_correct" in names:
        raise SteepslopeError("expected true labels, found predictions, whose label is what was predicted", path)
    for batch in TableFile(path).batches({"id": TEXT, "label": TEXT}):
        with located(path):
            yield _texts(batch, "id"), _texts(batch, "label", empty=True)


def strange_labels(truths: Counter[str], classes: tuple[str, ...] | None, place: Path) -> Counter[str]:
    """Return how often each true label came that is no class, of those of a file; raise if none is a class.

    Labels are names where classes have names, else numbers. Some that are no class may be of what the classifier does
    not know; they count as errors. All may be, where they are −1 or ``unknown``.
    """
    strange = Counter[str]()
    for label, times in truths.items():
        if not (label in classes if classes else label.isdigit()):
            strange[label] = times
    found = next((label for label in strange if not means_unknown_label(label)), None)
    if found is not None and strange == truths:
        expected = f"one of the classes, such as {classes[0]!r}" if classes else "a whole number"
        raise SteepslopeError(f"expected labels as they are predicted, {expected}, found {found!r}", place)
    return strange


def _truths(batch: Any, name: str) -> NDArray[np.bool_]:
    column = batch.column(name)
    if column.null_count or column.type != TRUTH:
        found = f"{column.null_count} empty" if column.null_count else str(column.type)
        raise SteepslopeError(f"column {name!r}: expected true or false in each row, found {found}")
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _class_numbers(labels: Texts, classes: Sequence[str] | None) -> NDArray[np.int64] | None:
    """Return the numbers of classes by their names (m,); None where classes have none, and these are no numbers."""
    if classes is None:
        are_numbers = all(label.isdecimal() and len(label) <= MOST_DIGITS for label in labels)
        return np.array([*map(int, labels)], np.int64) if are_numbers else None
    numbers = {name: number for number, name in enumerate(classes)}
    found = [numbers.get(label, -1) for label in labels]
    if -1 in found:
        expected = f"expected one of the classes, such as {classes[0]!r}"
        raise SteepslopeError(f"column 'label': {expected}, found {labels[found.index(-1)]!r}")
    return np.array(found, np.int64)


def _texts(batch: Any, name: str, empty: bool = False) -> Texts:
    filled = compute.fill_null(batch.column(name).cast(TEXT), "")
    texts = np.array(filled.to_pylist(), dtype=np.object_)
    if not empty and (texts == "").any():
        raise SteepslopeError(f"column {name!r}: expected a value in each row, found an empty cell")
    return texts


_READERS: dict[Any, Callable[[Any, str], NDArray[Any]]] = {
    NUMBER: column_numbers,
    TEXT: partial(_texts, empty=True),
    TRUTH: _truths,
}
