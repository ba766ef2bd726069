"""Predictions as a monitor sees them: columns of what ``predict`` writes.

Predictions and labels from files, batch by batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.errors import SteepslopeError, located
from steepslope.gate import DISTANCE, GROUP, LACKING, NO_CLASS, STOPPED
from steepslope.numerics import Arrays, Bools, Counts, Floats
from steepslope.outputs import (
    NUMBER,
    TABLES,
    TEXT,
    TRUTH,
    UNKNOWN,
    Frame,
    means_unknown_label,
    require_filled,
    table_file,
)
from steepslope.predict import AUDIT, CHANCE
from steepslope.promise import JudgedRows, checked_numbers

Texts = NDArray[np.object_]
MOST_DIGITS = 9  # of the number of a class
TRUST = "trust_logit"
DECISION = "decision"
_NEEDED = {"id": TEXT, "label": TEXT, "p_correct": NUMBER, "accepted": TRUTH}
_FURTHER = {TRUST: NUMBER, DECISION: TEXT, GROUP: TEXT, AUDIT: TRUTH}  # columns that may be there
_FIELDS = {"probability": NUMBER, CHANCE: NUMBER, DISTANCE: NUMBER, STOPPED: TRUTH, LACKING: TRUTH}  # likewise
PREDICTED = {**_NEEDED, **_FIELDS, **_FURTHER}  # all columns that may be read, by their kinds
TRUTHS = "truths"  # whatever their column is called


@dataclass(frozen=True, eq=False, repr=False)
class Predicted(JudgedRows):
    """Predictions, (m,) each, in the order in which they were made.

    ``chance`` is the probability with which an audit draws each to be labelled, above 0 where the gate alone
    accepts it; None without an audit. ``stopped`` tells which the gate alone accepts, but not after a change; None if
    no change stops it. ``lacking`` tells which lack an opinion that the gate needs; None if that is not known.
    """

    chance: Floats | None = None
    stopped: Bools | None = None
    lacking: Bools | None = None

    @property
    def compared(self) -> Bools:
        """Which rows tell of a change, booleans (m,): those that do not lack a needed opinion."""
        if self.lacking is None:
            return np.ones(len(self), np.bool_)
        return ~self.lacking

    @property
    def by_gate(self) -> Bools:
        """Which the gate alone accepts, booleans (m,), even if its audit's limit or a change sends it to review."""
        if self.chance is not None:
            return self.chance > 0
        if self.stopped is not None:
            return self.accepted | self.stopped
        return self.accepted

    @classmethod
    def of(
        cls,
        p_correct: ArrayLike,
        accepted: ArrayLike,
        probability: ArrayLike | None = None,
        predicted: ArrayLike | None = None,
        **columns: Any,
    ) -> Self:
        """Return predictions of arrays (m,), or of one value each; raise unless they are as many, and in range."""
        known: dict[str, Any] = {"accepted": checked_booleans(accepted, "accepted")}
        if predicted is not None:
            known["predicted"] = _checked_classes(predicted)
        in_range = {
            "probability": ("probability", probability),
            "chance": (CHANCE, columns.pop("chance", None)),
            DISTANCE: (DISTANCE, columns.pop(DISTANCE, None)),
        }
        for name, (place, values) in in_range.items():
            if values is not None:
                known[name] = _checked_prediction_probabilities(values, place)
        rows = cls(_checked_prediction_probabilities(p_correct, "p_correct"), **known, **columns)
        for name, array in known.items():
            if len(array) != len(rows):
                raise SteepslopeError(f"expected as many as of p_correct, {len(rows)}, found {len(array)}", name)
        if rows.chance is not None and (rows.chance[rows.accepted] == 0).any():
            raise SteepslopeError("expected a probability above 0 for each accepted prediction, found 0", CHANCE)
        return rows

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return all predictions of one or several parts; a column that is missing in one part is left out."""
        columns = {each.name: [getattr(part, each.name) for part in parts] for each in fields(cls)}
        return cls(**{name: _joined_columns(values) for name, values in columns.items()})


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Batch(Predicted):
    """Some predictions of a file: also their ids and predicted labels as text, (m,) each.

    ``columns`` are those of ``_FURTHER`` that the file has, (m,) each, and the true labels as ``TRUTHS``, "" where a
    row has none. The column ``AUDIT`` is true for rows that an audit drew.
    """

    ids: Texts
    labels: Texts
    columns: Arrays = field(default_factory=dict)


def _joined_columns(values: Sequence[Any]) -> Any:
    if isinstance(values[0], Mapping):
        return {name: np.concatenate([part[name] for part in values]) for name in values[0]}
    if any(part is None for part in values):
        return None
    return np.concatenate(values)


def _checked_prediction_probabilities(values: ArrayLike, place: str) -> Floats:
    """Return numbers (m,); raise at a place unless each is from 0 to 1."""
    probabilities = checked_numbers(values, place)
    outside = np.flatnonzero((probabilities < 0) | (probabilities > 1))
    if len(outside):
        raise SteepslopeError(f"expected probabilities, found {probabilities[outside[0]]:g} in row {outside[0]}", place)
    return probabilities


def _checked_classes(values: ArrayLike) -> Counts:
    """Return numbers of predicted classes (m,); raise unless each is a whole number from 0 on, or −1 for none."""
    numbers = np.atleast_1d(np.asarray(values))
    if numbers.ndim != 1 or (len(numbers) and (numbers.dtype.kind not in "iu" or numbers.min() < UNKNOWN)):
        expected = "expected numbers of classes (m,)"
        raise SteepslopeError(f"{expected}, found {numbers.dtype} of shape {numbers.shape}", "predicted")
    return numbers.astype(np.int64)


def checked_booleans(values: ArrayLike, place: str) -> Bools:
    """Return booleans (m,); raise at a place unless they are such."""
    booleans = np.atleast_1d(np.asarray(values))
    if booleans.ndim != 1 or (booleans.dtype != np.bool_ and len(booleans)):
        raise SteepslopeError(f"expected booleans (m,), found {booleans.dtype} of shape {booleans.shape}", place)
    return booleans.astype(np.bool_)


def prediction_columns(path: Path, truth: str | None = None) -> dict[str, str]:
    """Return the kinds of the columns that are read of a file of predictions; raise if one is missing."""
    names = table_file(path).names
    needed = dict(_NEEDED)
    if truth:
        needed[truth] = TEXT
    missing = [name for name in needed if name not in names]
    if missing:
        found = f"found no {', '.join(missing)} among {', '.join(names)}"
        raise SteepslopeError(f"expected predictions with {', '.join(needed)}, {found}", path)
    if (AUDIT in names) != (CHANCE in names):
        raise SteepslopeError(f"expected both columns of an audit, {AUDIT} and {CHANCE}, or none, found one", path)
    return needed | {name: kind for name, kind in PREDICTED.items() if name in names}


def read_predictions(path: Path, truth: str | None = None, classes: Sequence[str] | None = None) -> Iterator[Batch]:
    """Yield the predictions of a .csv or .parquet file as ``predict`` writes it, without those that could not be made.

    ``truth`` is the column of true labels, if there is one; ``classes`` are the names of the classes, if they have any.

    Raises
    ------
    SteepslopeError
        If a column is missing, or holds something else.
    """
    columns = prediction_columns(path, truth)
    with located(path):
        for batch in table_file(path).batches(columns):
            yield _predictions_in_table(batch, truth, classes)


def _predictions_in_table(table: Frame, truth: str | None = None, classes: Sequence[str] | None = None) -> Batch:
    """Return the predictions among columns that were read, as :func:`read_predictions` does."""
    is_missing = np.isnan(table["p_correct"])
    if table["accepted"][is_missing].any():
        raise SteepslopeError("column 'p_correct': expected a number in each accepted row, found an empty cell")
    rows = {name: column[~is_missing] for name, column in table.items()}  # images that could not be read are unknown
    for name in rows:
        if name not in (DECISION, GROUP, DISTANCE, truth):  # cells of these may be empty
            rows[name] = require_filled(rows[name], name, PREDICTED[name])
    distance = rows.get(DISTANCE)
    if distance is not None and np.isnan(distance).any():
        distance = None
    columns = {name: rows[name] for name in _FURTHER if name in rows}
    if truth is not None:
        columns[TRUTHS] = rows[truth]
    return Batch.of(
        rows["p_correct"],
        rows["accepted"],
        rows.get("probability"),
        _predicted_class_numbers(rows["label"], classes),
        chance=rows.get(CHANCE),
        distance=distance,
        stopped=rows.get(STOPPED),
        lacking=rows.get(LACKING),
        ids=rows["id"],
        labels=rows["label"],
        columns=columns,
    )


def read_labels_of_predictions(path: Path) -> tuple[Texts, Texts]:
    """Return ids and true labels as text, (m,) each, of a .csv or .parquet file with the columns id and label."""
    names = table_file(path).names
    if not {"id", "label"} <= set(names):
        raise SteepslopeError(f"expected the columns id and label, found {', '.join(names)}", path)
    if "p_correct" in names:
        raise SteepslopeError("expected true labels, found predictions, whose label is what was predicted", path)
    with located(path):
        batches = [*table_file(path).batches({"id": TEXT, "label": TEXT})]
        ids = [require_filled(batch["id"], "id", TEXT) for batch in batches]
        labels = [batch["label"] for batch in batches]
    nothing = np.zeros(0, dtype=np.object_)
    return np.concatenate([nothing, *ids]), np.concatenate([nothing, *labels])


def labels_to_count(labels: str | None, has_predictions: bool) -> tuple[str | None, Path | None]:
    """Return the column of true labels in predictions, and the file of true labels, of which one or both are None."""
    if labels is None:
        return None, None
    if labels == "label":
        found = f"found {labels!r}, which is what was predicted"
        raise SteepslopeError(f"expected a column of true labels, {found}", "labels")
    if Path(labels).suffix.lower() in TABLES:
        return None, Path(labels)
    if not has_predictions:
        expected = f"expected a file that ends in {' or '.join(TABLES)}, or a column of predictions that are given too"
        raise SteepslopeError(f"{expected}, found {labels!r}", "labels")
    return labels, None


def labels_of_no_class(truths: Iterable[str], classes: tuple[str, ...] | None, place: Path) -> Counter[str]:
    """Return how often each true label came that is no class, of those of a file; raise if none is a class.

    Labels are names where classes have names, else numbers. A few that are no class may be inputs that the classifier
    does not know; they count as errors. All labels may be −1 or ``unknown``. Empty cells are no labels.
    """
    counts = Counter(filter(None, truths))
    is_class = classes.__contains__ if classes else str.isdigit
    strange = Counter({label: times for label, times in counts.items() if not is_class(label)})
    misspelt = [label for label in strange if not means_unknown_label(label)]
    if misspelt and strange == counts:
        expected = f"one of the classes, such as {classes[0]!r}" if classes else "a whole number"
        raise SteepslopeError(f"expected labels as they are predicted, {expected}, found {misspelt[0]!r}", place)
    return strange


def _predicted_class_numbers(labels: Texts, classes: Sequence[str] | None) -> Counts | None:
    """Return the numbers of classes by their names (m,), −1 for none of the classes.

    None where classes have no names, and these are no numbers.
    """
    if classes is None:
        for label in labels:
            if len(label) > MOST_DIGITS or not label.removeprefix("-").isdecimal():
                return None
        return np.array([*map(int, labels)], np.int64)
    numbers = {NO_CLASS: UNKNOWN}
    numbers |= {name: number for number, name in enumerate(classes)}
    try:
        return np.array([numbers[label] for label in labels], np.int64)
    except KeyError as error:
        expected = f"expected one of the classes, such as {classes[0]!r}"
        raise SteepslopeError(f"column 'label': {expected}, found {error.args[0]!r}") from None
