"""Which columns of a table hold what: from their names, reading options and, where these do not tell, the numbers.

The columns of the logits, one a class: which they are, their order, and what the classes are called. A :class:`Layout`
says which columns hold what; all commands that read outputs use it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located, unknown_name
from steepslope.outputs._answers import (
    ANSWERED_BY,
    CONFIDENCE,
    GRADES,
    LOGITS,
    PREDICTED,
    answer_logits,
    coded_answers,
    labels_of_grades,
    names_of_answers,
)
from steepslope.outputs._arrays import ARRAYS, SIGNAL, STRINGS, Arrays, array_of, is_signal_array, require_signal_name
from steepslope.outputs._labels import Texts, labels_of_texts, listed_names, read_classes, text_codes
from steepslope.outputs._options import AS_WRITTEN, OF_NUMBERS, ReadingOptions
from steepslope.outputs._probabilities import TOLERANCE, are_probabilities
from steepslope.outputs._table_files import NUMBER, TEXT, Frame, TableFile, require_filled, table_rows_at_once

OPTION = "logit-columns"
USUAL = "logit"
SEPARATING = tuple("_-.:/ ")  # what may stand between the word for a score and the name of a class
PREDICTION, CORRECT = "prediction", "is_correct"  # what a table without logits holds
PREDICTIONS = "a column prediction (or --prediction-column), or is_correct, with each confidence"
WANTED = (
    "logits in columns logit_0, logit_1, … (or --logit-columns), probabilities in columns called as the classes, "
    "prediction and confidence (or --prediction-column, --confidence-column), or signals (--signals)"
)
MOST_RIGHT = 0.9  # the part of the first rows whose probabilities are right in most files


class Columns(NamedTuple):
    """Columns that were read: numbers (n, …) by name, text by its column, and the ids, (n,) as objects, or None."""

    numbers: Arrays
    texts: Mapping[str, Texts]
    ids: Any


@dataclass(frozen=True)
class Layout:
    """Which columns of a table hold what, by the names of the arrays that they make.

    ``numbers`` has one column or more an array, in order, those of the logits in the order of the classes; ``texts``
    has one column each for ``ids``, ``labels``, ``predicted`` and ``answered_by``, where they are there;
    ``further`` are columns of text that were asked for. ``classes`` are the names of the classes, None where they are
    but numbers from 0; of answers they are always known.

    ``counts`` is whether a whole number in the labels can be the place of a class in that order: not where the names
    are numbers themselves, nor where a pattern found the columns in another order than that of their names.
    ``by_number`` is whether labels are numbers though the classes have names: so they were saved. ``probabilities`` is
    whether the numbers of the classes are such.
    """

    numbers: dict[str, list[str]]
    texts: dict[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    counts: bool = True
    further: tuple[str, ...] = ()
    by_number: bool = False
    probabilities: bool = False

    @property
    def kinds(self) -> dict[str, str]:
        """The columns that are read, with the kind that each is read as."""
        kinds = {column: NUMBER for columns in self.numbers.values() for column in columns}
        return kinds | dict.fromkeys([*self.texts.values(), *self.further], TEXT)

    @property
    def is_graded(self) -> bool:
        """Whether only numbers are known of each answer, and perhaps whether the answer is right."""
        return self.classes == GRADES and LOGITS not in self.numbers and PREDICTED not in self.texts

    @property
    def is_of_answers(self) -> bool:
        """Whether each row has an answer in place of numbers for all classes."""
        return PREDICTED in self.texts or self.is_graded

    def batches(self, file: TableFile) -> Iterator[Frame]:
        """Yield the columns of a file, batch by batch."""
        kinds = self.kinds
        return file.batches(kinds, table_rows_at_once(len(kinds))) if kinds else iter(())

    def read(self, file: TableFile, gaps: bool = False) -> Columns:
        """Return the columns of a file; with ``gaps``, a cell without a number is NaN, else an error."""
        file.require_room(self.kinds)
        return self.joined(self.batches(file), gaps)

    def joined(self, batches: Iterable[Frame], gaps: bool = False) -> Columns:
        """Return the columns of some batches: each array of numbers grows in place, and text is kept as codes."""
        buffers = {name: np.empty((0, len(columns))) for name, columns in self.numbers.items()}
        texts = [*(column for name, column in self.texts.items() if name != "ids"), *self.further]
        places: dict[str, dict[str, int]] = {column: {} for column in texts}
        codes: dict[str, list[NDArray[np.int32]]] = {column: [np.zeros(0, np.int32)] for column in texts}
        ids: list[NDArray[Any]] = [np.zeros(0, dtype=np.object_)]
        used = 0
        for batch in batches:
            for name, columns in self.numbers.items():
                may_lack = gaps or (name == CONFIDENCE and self.is_of_answers) or is_signal_array(name)
                filled = [batch[column] if may_lack else require_filled(batch[column], column) for column in columns]
                block = np.column_stack(filled)
                buffers[name] = _column_buffer_with_room(buffers[name], used, block)
                buffers[name][used : used + len(block)] = block
            for column, coded in codes.items():
                coded.append(text_codes(batch[column], places[column]))
            if "ids" in self.texts:
                ids.append(batch[self.texts["ids"]])
            used += len(next(iter(batch.values())))
        for buffer in buffers.values():
            buffer.resize((used, buffer.shape[1]), refcheck=False)
        text_columns = {column: Texts(np.concatenate(coded), list(places[column])) for column, coded in codes.items()}
        return Columns(buffers, text_columns, np.concatenate(ids) if "ids" in self.texts else None)

    def arrays(self, columns: Columns) -> Arrays:
        """Return the arrays of the columns that were read, those of one column as vectors."""
        numbers = columns.numbers
        if "logits" in numbers and numbers["logits"].shape[1] == 1 and not self.probabilities:
            expected = "expected a column for each class; one alone can be the probability of class 1 (--probabilities)"
            raise SteepslopeError(f"{expected}, found {self.numbers['logits'][0]!r} alone", "logits")
        vectors = {name for name in numbers if name == CONFIDENCE or len(array_of(name).axes) == 1}
        arrays = {name: array[:, 0] if name in vectors else array for name, array in numbers.items()}
        labels = self.texts.get("labels")
        if self.is_of_answers:
            arrays = {"logits": self.answers(columns), **arrays}
            arrays.pop(CONFIDENCE, None)
        if labels is not None and self.is_graded:
            arrays["labels"] = labels_of_grades(columns.texts[labels], f"column {labels!r}")
        elif labels is not None:
            names = None if self.by_number else self.classes
            arrays["labels"] = labels_of_texts(columns.texts[labels], f"column {labels!r}", names, self.counts)
        return arrays

    def answers(self, columns: Columns) -> NDArray[np.float64]:
        """Return the made logits of the answers in the columns that were read."""
        names, confidence = self.classes or (), columns.numbers.get(CONFIDENCE)
        if self.is_graded:
            count = len(next(iter(columns.numbers.values())))
            return answer_logits(np.ones(count, dtype=np.int64), confidence, len(names))
        column = self.texts[PREDICTED]
        codes = coded_answers(columns.texts[column], names, f"column {column!r}", is_new="labels" not in self.texts)
        return answer_logits(codes, confidence, len(names))


def _column_buffer_with_room(buffer: NDArray[Any], used: int, block: NDArray[Any]) -> NDArray[Any]:
    """Return the buffer with room for a block: it grows in place, so that a second copy of all rows is never held."""
    if used == 0:
        return np.empty(block.shape, block.dtype)
    if used + len(block) > len(buffer):
        buffer.resize((max(len(buffer) * 5 // 4, used + len(block)), buffer.shape[1]), refcheck=False)
    return buffer


def layout_of_file(
    file: TableFile,
    options: ReadingOptions,
    further: Iterable[str | None] = (),
    labels: bool = True,
    known: Sequence[str] | None = None,
) -> Layout:
    """Return what the columns of a file of outputs hold, with ``further`` columns of text where they are there.

    Where neither options nor names tell the columns of the classes, these are :func:`probability_columns`. The classes
    of answers are those of the options' file, else those that are ``known``, else their names and the labels'.
    """
    names, taken = file.names, own_columns(options, further)
    if not _columns_tell_classes(names, options):
        guessed = probability_columns(file, [name for name in names if name not in taken])
        options = replace(options, logit_columns=guessed, probabilities=True) if guessed else options
    layout = layout_of(names, options)
    wanted = tuple(name for name in dict.fromkeys(further) if name is not None and name in names)
    require_columns_once(wanted, names)
    saved = None if options.logit_columns else file.saved_classes
    if None not in (saved, layout.classes) and saved != layout.classes:
        expected = f"expected the classes {listed_names(saved or ())}, as the file names them"
        raise SteepslopeError(f"{expected}, found {listed_names(layout.classes or ())}", options.classes)
    texts = {name: column for name, column in layout.texts.items() if labels or name != "labels"}
    if layout.is_graded:
        if tuple(known or ()) != GRADES and (known or "labels" not in layout.texts):
            raise SteepslopeError(f"expected {PREDICTIONS}, {found_columns(names)}")
        return replace(layout, texts=texts, further=wanted)
    if PREDICTED in texts:
        classes = layout.classes or known or _classes_of_answers(file, texts)
        return replace(layout, texts=texts, classes=tuple(classes), further=wanted)
    return replace(
        layout, texts=texts, classes=layout.classes or saved, further=wanted, probabilities=options.probabilities,
        by_number=saved is not None and options.label_column is None,
    )  # fmt: skip


def _classes_of_answers(file: TableFile, texts: Mapping[str, str]) -> list[str]:
    """Return the classes that the answers in a file, and their labels, name."""
    columns = [texts[name] for name in (PREDICTED, "labels") if name in texts]
    texts_of_columns = Layout({}, further=tuple(columns)).read(file).texts
    with located(f"column {columns[0]!r}"):
        return names_of_answers(texts_of_columns[columns[0]], texts_of_columns.get(texts.get("labels", "")))


def probability_columns(file: TableFile, names: Iterable[str]) -> tuple[str, ...]:
    """Return those of some columns that hold numbers from 0 to 1, if two or more of them sum to 1; else none.

    Nine of ten of the first rows have to be such, so that one wrong number is reported and does not hide the columns.
    """
    numeric = file.first_numbers([name for name in names if file.names.count(name) == 1])
    columns = {
        name: values
        for name, values in numeric.items()
        if values.ndim == 1 and np.mean((values >= 0) & (values <= 1)) > MOST_RIGHT
    }
    if len(columns) < 2:
        return ()
    rows = np.column_stack([*columns.values()])
    is_right = np.abs(rows.sum(axis=1) - 1) <= TOLERANCE
    return tuple(columns) if np.mean(is_right) > MOST_RIGHT and are_probabilities(rows[is_right]) else ()


def natural_column_order(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts names with their numbers as numbers.

    >>> sorted(["p10", "p9", "p"], key=natural_column_order)
    ['p', 'p9', 'p10']
    """
    parts = re.split(r"([0-9]+)", name)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts if part]


def numbered_columns(names: Collection[str], prefix: str) -> list[str]:
    """Return the columns prefix_0, prefix_1, … in that order; a gap is an error."""
    numbers = sorted({int(match[1]) for name in names if (match := re.fullmatch(rf"{prefix}_([0-9]+)", name))})
    if numbers != list(range(len(numbers))):
        missing = min(set(range(len(numbers))) - set(numbers))
        raise SteepslopeError(f"columns {prefix}_0, {prefix}_1, …: {prefix}_{missing} is missing")
    return [f"{prefix}_{k}" for k in numbers]


def found_columns(names: Sequence[str]) -> str:
    """Return the end of a message: which columns were found.

    >>> found_columns(["a", "b"])
    'found the columns a, b'
    """
    return f"found the columns {listed_names(names)}" if len(names) > 1 else f"found one column, {''.join(names)!r}"


def class_columns(names: Sequence[str], options: ReadingOptions, own: Collection[str]) -> Layout | None:
    """Return the logits' columns, None where there are none of the usual names; patterns leave out those in ``own``."""
    patterns = options.logit_columns or numbered_columns(names, USUAL) or (f"{USUAL}_*",)
    pieces: dict[str, str] = {}  # by column, what * stands for in its name, or all of that
    in_order = True
    for pattern in patterns:
        matches = _columns_like(names, pattern, own)
        if not matches and options.logit_columns is not None:
            raise SteepslopeError(f"expected columns like {pattern!r}, {found_columns(names)}", OPTION)
        twice = matches.keys() & pieces.keys()
        if twice:
            raise SteepslopeError(f"expected every column once, found {min(twice)!r} twice", OPTION)
        ordered = sorted(matches, key=natural_column_order)
        in_order = in_order and ordered == list(matches)
        pieces |= {column: matches[column] for column in ordered}
    if not pieces:
        return None
    layout = _layout_by_column_names(pieces, all("*" in pattern for pattern in patterns), in_order)
    return layout if options.classes is None else _layout_with_classes_of(layout, options.classes)


def _columns_like(names: Sequence[str], pattern: str, own: Collection[str]) -> dict[str, str]:
    """Return the columns that a name or a pattern means, in the table's order, with what ``*`` stands for in each."""
    if "*" not in pattern:
        return {pattern: pattern} if pattern in names else {}
    shape = re.compile("(.*)".join(map(re.escape, pattern.split("*"))), re.DOTALL)
    matches = {name: match for name in names if name not in own and (match := shape.fullmatch(name))}
    return {name: match[1] if shape.groups == 1 else name for name, match in matches.items()}


def _layout_by_column_names(pieces: dict[str, str], by_pattern: bool, in_order: bool) -> Layout:
    columns = list(pieces)
    numbers = {"logits": columns}
    if len(columns) == 1:
        return Layout(numbers)
    classes = tuple(_pieces_without_separator(list(pieces.values())) if by_pattern else _last_words_of_columns(columns))
    if "" in classes:
        column = columns[classes.index("")]
        raise SteepslopeError(f"expected a class in the name of each column, found none in {column!r}", OPTION)
    if not _are_numbered_classes(classes):
        return Layout(numbers, classes=classes, counts=in_order)
    from_zero = [int(name) for name in classes] == list(range(len(classes)))
    return Layout(numbers) if from_zero else Layout(numbers, classes=classes, counts=False)


def _pieces_without_separator(pieces: list[str]) -> list[str]:
    """Drop the separator with which all begin, or end.

    >>> _pieces_without_separator(["_cat", "_dog"]), _pieces_without_separator(["-1", "1"])
    (['cat', 'dog'], ['-1', '1'])
    """
    for mark in SEPARATING:
        if all(piece.startswith(mark) for piece in pieces):
            pieces = [piece[1:] for piece in pieces]
        if all(piece.endswith(mark) for piece in pieces):
            pieces = [piece[:-1] for piece in pieces]
    return pieces


def _last_words_of_columns(columns: list[str]) -> list[str]:
    """Drop the words with which all begin.

    >>> _last_words_of_columns(["p_of_cat", "p_of_cow"]), _last_words_of_columns(["cat", "cow"])
    (['cat', 'cow'], ['cat', 'cow'])
    """
    words = [re.split("(?<=[-_.:/ ])", column) for column in columns]
    common = sum(1 for _ in takewhile(lambda some: len(set(some)) == 1, zip(*words, strict=False)))
    return ["".join(some[common:]) for some in words]


def _layout_with_classes_of(layout: Layout, path: str) -> Layout:
    """Return the layout with the classes of a file: by their names where it has some, else by their places."""
    classes, columns = tuple(read_classes(Path(path))), layout.numbers["logits"]
    named = layout.classes or ()
    are_numbers = _are_numbered_classes(named)
    if set(named) == set(classes):
        return Layout(
            {"logits": [columns[named.index(name)] for name in classes]}, classes=classes, counts=not are_numbers
        )
    if not are_numbers:
        expected = f"expected the classes that the columns name, {listed_names(named)}"
        raise SteepslopeError(f"{expected}, found {listed_names(classes)}", path)
    if len(columns) not in (1, len(classes)):
        raise SteepslopeError(f"expected {len(columns)} classes, one a column, found {len(classes)}", path)
    return replace(layout, classes=classes)


def _are_numbered_classes(names: Sequence[str]) -> bool:
    return all(name.isdecimal() for name in names)


def own_columns(options: ReadingOptions, further: Iterable[str | None] = ()) -> set[str]:
    """Return the columns of labels and ids, and further ones, which hold no numbers of classes."""
    return {options.label_column or "label", options.id_column or "id", *(name for name in further if name is not None)}


def _columns_tell_classes(names: Sequence[str], options: ReadingOptions) -> bool:
    """Return whether a name or an option tells which columns hold logits, or a confidence."""
    told = options.logit_columns or options.confidence_column or options.prediction_column or options.as_logits
    if told or CONFIDENCE in names or signal_columns(names, options):
        return True
    return class_columns(names, options, own_columns(options)) is not None


def layout_of(names: Sequence[str], options: ReadingOptions = AS_WRITTEN) -> Layout:
    """Return what the columns of these names hold; raise if they hold neither logits nor answers.

    >>> layout = layout_of(["score_cat", "id", "score_dog", "label"], ReadingOptions(logit_columns=("score*",)))
    >>> layout.numbers, layout.texts, layout.classes
    ({'logits': ['score_cat', 'score_dog']}, {'ids': 'id', 'labels': 'label'}, ('cat', 'dog'))
    """
    layout = None
    if options.confidence_column is None and options.prediction_column is None:
        layout = class_columns(names, options, own_columns(options))
    if layout is not None:
        logits = layout.numbers["logits"]
        texts = _text_columns(names, options, ids=options.id_column, labels=options.label_column)
        both = [column for column in texts.values() if column in logits]
        if both:
            raise SteepslopeError(f"column {both[0]!r}: cannot be a logit and the label or id at once")
        further = {**_further_columns(names, logits), **signal_columns(names, options)}
        layout = replace(layout, numbers={"logits": logits, **further}, texts=texts)
    elif _has_answers(names, options):
        layout = _layout_of_answers(names, options)
    else:
        raise SteepslopeError(f"expected {WANTED}, {found_columns(names)}")
    require_columns_once([*layout.texts.values(), *(name for some in layout.numbers.values() for name in some)], names)
    return layout


def _has_answers(names: Sequence[str], options: ReadingOptions) -> bool:
    told = options.prediction_column or options.confidence_column or signal_columns(names, options)
    return bool(told) or not {PREDICTION, CONFIDENCE}.isdisjoint(names)


def signal_columns(names: Sequence[str], options: ReadingOptions) -> dict[str, list[str]]:
    """Return the columns of signals by the names of their arrays: those that an option names, or else signal_….

    The column of a signal x may be called x or signal_x.

    >>> signal_columns(["id", "signal_judge", "nll"], ReadingOptions())
    {'signal_judge': ['signal_judge']}
    >>> signal_columns(["id", "nll"], ReadingOptions(signals=("nll",)))
    {'signal_nll': ['nll']}
    """
    if options.signals is None:
        return {name: [name] for name in names if is_signal_array(name)}
    columns = {}
    for name in options.signals:
        array = f"{SIGNAL}{require_signal_name(name)}"
        column = name if name in names else array
        if column not in names:
            raise unknown_name("column", name, names)
        columns[array] = [column]
    return columns


def _layout_of_answers(names: Sequence[str], options: ReadingOptions) -> Layout:
    useless = options.changed(OF_NUMBERS)
    if useless:
        raise SteepslopeError("expected columns of numbers to go with it, found answers", useless[0])
    confidence = _named_column(names, CONFIDENCE, options.confidence_column)
    if PREDICTION not in names and options.prediction_column is None:
        graded = _named_column(names, CORRECT, options.label_column)
        texts = _text_columns(names, options, ids=options.id_column)
        texts |= {"labels": graded} if graded in names else {}
        signals = signal_columns(names, options)
        numbers = {} if signals and confidence not in names else {CONFIDENCE: [confidence]}
        return Layout({**numbers, **signals}, texts, GRADES)
    columns = {
        "ids": options.id_column,
        "labels": options.label_column,
        PREDICTED: _named_column(names, PREDICTION, options.prediction_column),
    }
    texts = _text_columns(names, options, **columns)
    numbers = {CONFIDENCE: [confidence]} if confidence in names else {}
    classes = None if options.classes is None else tuple(read_classes(Path(options.classes)))
    further = {**_further_columns(names, [confidence]), **signal_columns(names, options)}
    return Layout({**numbers, **further}, texts, classes)


def _text_columns(names: Collection[str], options: ReadingOptions, **named: str | None) -> dict[str, str]:
    """Return the column of each array, as an option names it, or the usual one; not those that are not there.

    The model's name is a column unless the options tell it.
    """
    usual = {"ids": "id", "labels": "label", PREDICTED: PREDICTION, ANSWERED_BY: ANSWERED_BY}
    named |= {ANSWERED_BY: None} if options.answered_by is None else {}
    columns = {name: _named_column(names, usual[name], column) for name, column in named.items()}
    return {name: column for name, column in columns.items() if column in names}


def _named_column(names: Collection[str], usual: str, named: str | None) -> str:
    if named is not None and named not in names:
        raise unknown_name("column", named, names)
    return named or usual


def _further_columns(names: Collection[str], taken: Collection[str]) -> dict[str, list[str]]:
    """Return the columns of all other arrays of numbers that tables may hold, such as feature_0, feature_1, …."""
    columns = {
        name: numbered_columns(names, array.column) if len(array.axes) > 1 else [array.column] * (array.column in names)
        for name, array in ARRAYS.items()
        if array.column is not None and array.kind != STRINGS and name not in ("logits", "labels")
    }
    return {name: some for name, some in columns.items() if some and not set(some) & set(taken)}


def require_columns_once(columns: Sequence[str], names: Sequence[str]) -> None:
    """Raise if one of some columns stands twice among the names of a table's columns."""
    twice = [name for name in dict.fromkeys(columns) if names.count(name) > 1]
    if twice:
        found = ", ".join(f"{name!r} {names.count(name)} times" for name in twice)
        raise SteepslopeError(f"expected every column that is read once, found {found}")
