"""Which columns of a table hold what: from their names, reading options and, where these do not tell, the numbers.

The columns of the logits, one a class: which they are, their order, and what the classes are called. A :class:`Layout`
says which columns hold what; all commands that read outputs use it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
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
    Floats,
    answer_logits,
    coded_answers,
    labels_of_grades,
    names_of_answers,
)
from steepslope.outputs._arrays import ARRAYS, SIGNAL, STRINGS, Arrays, array_of, is_signal_array, require_signal_name
from steepslope.outputs._labels import Texts, labels_of_texts, listed_names, text_codes
from steepslope.outputs._options import AS_WRITTEN, OF_NUMBERS, ReadingOptions
from steepslope.outputs._probabilities import TOLERANCE, are_probabilities
from steepslope.outputs._table_files import NUMBER, TEXT, Frame, TableFile, require_filled, table_rows_at_once

_OPTION = "logit-columns"
_USUAL = "logit"
_SEPARATING = tuple("_-.:/ ")  # what may stand between the word for a score and the name of a class
PREDICTION = "prediction"  # what a table without logits holds, or else CORRECT
CORRECT = "is_correct"
_PREDICTIONS = "a column prediction (or --prediction-column), or is_correct, with each confidence"
_WANTED = (
    "logits in columns logit_0, logit_1, … (or --logit-columns), probabilities in columns called as the classes, "
    "prediction and confidence (or --prediction-column, --confidence-column), or signals (--signals)"
)
_MOST_RIGHT = 0.9  # the part of the first rows whose probabilities are right in most files


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
        kinds = {}
        for columns in self.numbers.values():
            kinds.update(dict.fromkeys(columns, NUMBER))
        kinds.update(dict.fromkeys([*self.texts.values(), *self.further], TEXT))
        return kinds

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
        if not kinds:
            return iter(())
        return file.batches(kinds, table_rows_at_once(len(kinds)))

    def read(self, file: TableFile, gaps: bool = False) -> Columns:
        """Return the columns of a file; with ``gaps``, a cell without a number is NaN, else an error."""
        file.require_room(self.kinds)
        return self.joined(self.batches(file), gaps)

    def joined(self, batches: Iterable[Frame], gaps: bool = False) -> Columns:
        """Return the columns of some batches: each array of numbers grows in place, and text is kept as codes."""
        numbers = {name: np.empty((0, len(columns))) for name, columns in self.numbers.items()}
        columns_of_text = [column for name, column in self.texts.items() if name != "ids"]
        columns_of_text += self.further
        codes = {column: [np.zeros(0, np.int32)] for column in columns_of_text}
        places: defaultdict[str, dict[str, int]] = defaultdict(dict)
        ids = [np.zeros(0, np.object_)]
        used = 0
        for batch in batches:
            stop = used + len(next(iter(batch.values())))
            for name in numbers:
                block = self._block_of_numbers(name, batch, gaps)
                numbers[name] = _column_buffer_with_room(numbers[name], used, block)
                numbers[name][used:stop] = block
            for column in codes:
                codes[column].append(text_codes(batch[column], places[column]))
            if "ids" in self.texts:
                ids.append(batch[self.texts["ids"]])
            used = stop
        for buffer in numbers.values():
            buffer.resize((used, buffer.shape[1]), refcheck=False)
        texts = {}
        for column, parts in codes.items():
            texts[column] = Texts(np.concatenate(parts), list(places[column]))
        return Columns(numbers, texts, np.concatenate(ids) if "ids" in self.texts else None)

    def _block_of_numbers(self, name: str, batch: Frame, gaps: bool) -> Floats:
        """Return the columns of an array in a batch; a cell without a number is NaN where it may be, else an error."""
        blocks = [batch[column] for column in self.numbers[name]]
        is_of_confidences = name == CONFIDENCE and self.is_of_answers
        if not (gaps or is_of_confidences or is_signal_array(name)):
            for column, block in zip(self.numbers[name], blocks, strict=True):
                require_filled(block, column)
        return np.column_stack(blocks)

    def arrays(self, columns: Columns) -> Arrays:
        """Return the arrays of the columns that were read, those of one column as vectors."""
        arrays = dict(columns.numbers)
        if "logits" in arrays and arrays["logits"].shape[1] == 1 and not self.probabilities:
            raise SteepslopeError(
                "expected a column for each class; one alone can be the probability of class 1 (--probabilities), "
                f"found {self.numbers['logits'][0]!r} alone",
                "logits",
            )
        arrays.pop(CONFIDENCE, None)
        for name, array in arrays.items():
            if len(array_of(name).axes) == 1:
                arrays[name] = array[:, 0]
        if self.is_of_answers:
            arrays = {"logits": self._answers(columns), **arrays}
        column = self.texts.get("labels")
        if column is None:
            return arrays
        place = f"column {column!r}"
        if self.is_graded:
            arrays["labels"] = labels_of_grades(columns.texts[column], place)
        else:
            classes = None if self.by_number else self.classes
            arrays["labels"] = labels_of_texts(columns.texts[column], place, classes, self.counts)
        return arrays

    def _answers(self, columns: Columns) -> Floats:
        """Return the made logits of the answers in the columns that were read."""
        names = self.classes or ()
        confidence = columns.numbers.get(CONFIDENCE)
        if self.is_graded:
            count = len(next(iter(columns.numbers.values())))
            codes = np.ones(count, dtype=np.int64)
        else:
            column = self.texts[PREDICTED]
            is_new = "labels" not in self.texts
            codes = coded_answers(columns.texts[column], names, f"column {column!r}", is_new)
        return answer_logits(codes, confidence, len(names))


def _column_buffer_with_room(buffer: NDArray[Any], used: int, block: NDArray[Any]) -> NDArray[Any]:
    """Return the buffer with room for a block: it grows in place, so that a second copy of all rows is never held."""
    if used == 0:
        return np.empty(block.shape, block.dtype)
    needed = used + len(block)
    if needed > len(buffer):
        rows = max(len(buffer) * 5 // 4, needed)
        buffer.resize((rows, buffer.shape[1]), refcheck=False)
    return buffer


def layout_of_file(
    file: TableFile,
    options: ReadingOptions,
    further: Iterable[str | None] = (),
    labels: bool = True,
    known: Sequence[str] | None = None,
) -> Layout:
    """Return what the columns of a file of outputs hold, with ``further`` columns of text where they are there.

    Where neither options nor names tell the columns of the classes, these are :func:`_probability_columns`. The classes
    of answers are those of the options' file, else those that are ``known``, else their names and the labels'.
    """
    names = file.names
    options = _with_guessed_columns(file, options, further)
    layout = _layout_of(names, options)
    has_labels = "labels" in layout.texts
    wanted = columns_that_are_there(further, names)
    saved = None
    if not options.logit_columns:
        saved = file.saved_classes
    if saved is not None and layout.classes is not None and saved != layout.classes:
        raise SteepslopeError(
            f"expected the classes {listed_names(saved)}, as the file names them, found {listed_names(layout.classes)}",
            options.classes,
        )
    if not labels:
        layout.texts.pop("labels", None)
    layout = replace(layout, further=wanted)
    if layout.is_graded:
        if tuple(known or ()) != GRADES and (known or not has_labels):
            raise SteepslopeError(f"expected {_PREDICTIONS}, {found_columns(names)}")
        return layout
    if PREDICTED in layout.texts:
        classes = layout.classes or known or _classes_of_answers(file, layout.texts)
        return replace(layout, classes=tuple(classes))
    return replace(
        layout,
        classes=layout.classes or saved,
        probabilities=options.probabilities,
        by_number=saved is not None and options.label_column is None,
    )


def _with_guessed_columns(file: TableFile, options: ReadingOptions, further: Iterable[str | None]) -> ReadingOptions:
    """Return the options with the columns of probabilities, where neither names nor options tell the classes."""
    if _columns_tell_classes(file.names, options):
        return options
    taken = _taken_columns(options, further)
    guessed = _probability_columns(file, [name for name in file.names if name not in taken])
    if not guessed:
        return options
    return replace(options, logit_columns=guessed, probabilities=True)


def _classes_of_answers(file: TableFile, texts: Mapping[str, str]) -> list[str]:
    """Return the classes that the answers in a file, and their labels, name."""
    columns = [texts[name] for name in (PREDICTED, "labels") if name in texts]
    answers, *labels = Layout({}, further=tuple(columns)).read(file).texts.values()
    with located(f"column {columns[0]!r}"):
        return names_of_answers(answers, *labels)


def _probability_columns(file: TableFile, names: Iterable[str]) -> tuple[str, ...]:
    """Return those of some columns that hold numbers from 0 to 1, if two or more of them sum to 1; else none.

    Nine of ten of the first rows have to be such, so that one wrong number is reported and does not hide the columns.
    """
    once = [name for name in names if file.names.count(name) == 1]
    columns = {}
    for name, values in file.first_numbers(once).items():
        if values.ndim == 1 and np.mean((values >= 0) & (values <= 1)) > _MOST_RIGHT:
            columns[name] = values
    if len(columns) < 2:
        return ()
    rows = np.column_stack([*columns.values()])
    is_right = np.abs(rows.sum(axis=1) - 1) <= TOLERANCE
    if np.mean(is_right) > _MOST_RIGHT and are_probabilities(rows[is_right]):
        return tuple(columns)
    return ()


def _natural_column_order(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts names with their numbers as numbers.

    >>> sorted(["p10", "p9", "p"], key=_natural_column_order)
    ['p', 'p9', 'p10']
    """
    key = []
    for piece in re.findall(r"[0-9]+|[^0-9]+", name):
        key.append((1, int(piece), "") if piece.isdecimal() else (0, 0, piece))
    return key


def _numbered_columns(names: Collection[str], prefix: str) -> list[str]:
    """Return the columns prefix_0, prefix_1, … in that order; a gap is an error."""
    matches = map(re.compile(rf"{prefix}_([0-9]+)").fullmatch, names)
    numbers = sorted({int(match[1]) for match in filter(None, matches)})
    missing = set(range(len(numbers))) - set(numbers)
    if missing:
        raise SteepslopeError(f"columns {prefix}_0, {prefix}_1, …: {prefix}_{min(missing)} is missing")
    return [f"{prefix}_{k}" for k in numbers]


def found_columns(names: Sequence[str]) -> str:
    """Return the end of a message: which columns were found.

    >>> found_columns(["a", "b"])
    'found the columns a, b'
    """
    if len(names) > 1:
        return f"found the columns {listed_names(names)}"
    return f"found one column, {''.join(names)!r}"


def class_columns(names: Sequence[str], options: ReadingOptions, taken: Collection[str | None]) -> Layout | None:
    """Return the columns of the logits, None where there are none of the usual names; patterns leave out ``taken``."""
    patterns = options.logit_columns or _numbered_columns(names, _USUAL) or (f"{_USUAL}_*",)
    pieces: dict[str, str] = {}  # by column, what * stands for in its name, or all of that
    in_order = True
    for pattern in patterns:
        matches = _columns_like(names, pattern, taken)
        if not matches and options.logit_columns is not None:
            raise SteepslopeError(f"expected columns like {pattern!r}, {found_columns(names)}", _OPTION)
        twice = matches.keys() & pieces.keys()
        if twice:
            raise SteepslopeError(f"expected every column once, found {min(twice)!r} twice", _OPTION)
        ordered = sorted(matches, key=_natural_column_order)
        in_order = in_order and ordered == list(matches)
        pieces |= {column: matches[column] for column in ordered}
    if not pieces:
        return None
    layout = _layout_by_column_names(pieces, all("*" in pattern for pattern in patterns), in_order)
    if options.classes is None:
        return layout
    return _layout_with_classes_of(layout, options)


def _columns_like(names: Sequence[str], pattern: str, taken: Collection[str | None]) -> dict[str, str]:
    """Return the columns that a name or a pattern means, in the table's order, with what ``*`` stands for in each."""
    if "*" not in pattern:
        if pattern in names:
            return {pattern: pattern}
        return {}
    shape = re.compile("(.*)".join(map(re.escape, pattern.split("*"))), re.DOTALL)
    columns = {}
    for name in names:
        match = shape.fullmatch(name)
        if match is not None and name not in taken:
            columns[name] = match[1] if shape.groups == 1 else name
    return columns


def _layout_by_column_names(pieces: dict[str, str], by_pattern: bool, in_order: bool) -> Layout:
    columns = list(pieces)
    numbers = {"logits": columns}
    if len(columns) == 1:
        return Layout(numbers)
    names = _without_separator([*pieces.values()]) if by_pattern else _without_common_words(columns)
    if "" in names:
        column = columns[names.index("")]
        raise SteepslopeError(f"expected a class in the name of each column, found none in {column!r}", _OPTION)
    classes = tuple(names)
    if not _are_numbered_classes(classes):
        return Layout(numbers, classes=classes, counts=in_order)
    if list(map(int, classes)) == list(range(len(classes))):
        return Layout(numbers)
    return Layout(numbers, classes=classes, counts=False)


def _without_separator(pieces: list[str]) -> list[str]:
    """Drop the separator with which all begin, or end.

    >>> _without_separator(["_cat", "_dog"]), _without_separator(["-1", "1"])
    (['cat', 'dog'], ['-1', '1'])
    """
    for mark in _SEPARATING:
        if all(piece.startswith(mark) for piece in pieces):
            pieces = [piece[1:] for piece in pieces]
        if all(piece.endswith(mark) for piece in pieces):
            pieces = [piece[:-1] for piece in pieces]
    return pieces


def _without_common_words(columns: list[str]) -> list[str]:
    """Drop the words with which all begin.

    >>> _without_common_words(["p_of_cat", "p_of_cow"]), _without_common_words(["cat", "cow"])
    (['cat', 'cow'], ['cat', 'cow'])
    """
    split = [re.split("(?<=[-_.:/ ])", column) for column in columns]
    common = 0
    for at_place in zip(*split, strict=False):
        if len(set(at_place)) > 1:
            break
        common += 1
    return ["".join(name[common:]) for name in split]


def _layout_with_classes_of(layout: Layout, options: ReadingOptions) -> Layout:
    """Return the layout with the classes of a file: by their names where it has some, else by their places."""
    classes = options.class_names or ()
    columns = layout.numbers["logits"]
    named = layout.classes or ()
    are_numbers = _are_numbered_classes(named)
    if set(named) == set(classes):
        ordered = [columns[named.index(name)] for name in classes]
        return Layout({"logits": ordered}, classes=classes, counts=not are_numbers)
    if not are_numbers:
        raise SteepslopeError(
            f"expected the classes that the columns name, {listed_names(named)}, found {listed_names(classes)}",
            options.classes,
        )
    if len(columns) not in (1, len(classes)):
        raise SteepslopeError(f"expected {len(columns)} classes, one a column, found {len(classes)}", options.classes)
    return replace(layout, classes=classes)


def _are_numbered_classes(names: Sequence[str]) -> bool:
    return all(map(str.isdecimal, names))


def _taken_columns(options: ReadingOptions, further: Iterable[str | None] = ()) -> set[str | None]:
    """Return the columns of labels and ids, and further ones, which hold no numbers of classes."""
    return {options.label_column or "label", options.ids, *further}


def _columns_tell_classes(names: Sequence[str], options: ReadingOptions) -> bool:
    """Return whether a name or an option tells which columns hold logits, or a confidence."""
    told = options.logit_columns or options.confidence_column or options.prediction_column or options.as_logits
    if told or CONFIDENCE in names or _signal_columns(names, options):
        return True
    return class_columns(names, options, _taken_columns(options)) is not None


def _layout_of(names: Sequence[str], options: ReadingOptions = AS_WRITTEN) -> Layout:
    """Return what the columns of these names hold; raise if they hold neither logits nor answers.

    >>> layout = _layout_of(["score_cat", "id", "score_dog", "label"], ReadingOptions(logit_columns=("score*",)))
    >>> layout.numbers, layout.texts, layout.classes
    ({'logits': ['score_cat', 'score_dog']}, {'ids': 'id', 'labels': 'label'}, ('cat', 'dog'))
    """
    layout = None
    if options.confidence_column is None and options.prediction_column is None:
        layout = class_columns(names, options, _taken_columns(options))
    if layout is not None:
        logits = layout.numbers["logits"]
        texts = _text_columns(names, options, ids=options.id_column, labels=options.label_column)
        both = [column for column in texts.values() if column in logits]
        if both:
            raise SteepslopeError(f"column {both[0]!r}: cannot be a logit and the label or id at once")
        numbers = {"logits": logits} | _further_columns(names, logits) | _signal_columns(names, options)
        layout = replace(layout, numbers=numbers, texts=texts)
    elif _has_answers(names, options):
        layout = _layout_of_answers(names, options)
    else:
        raise SteepslopeError(f"expected {_WANTED}, {found_columns(names)}")
    _require_columns_once([*layout.texts.values(), *chain.from_iterable(layout.numbers.values())], names)
    return layout


def _has_answers(names: Sequence[str], options: ReadingOptions) -> bool:
    told = options.prediction_column or options.confidence_column or _signal_columns(names, options)
    return bool(told) or not {PREDICTION, CONFIDENCE}.isdisjoint(names)


def _signal_columns(names: Sequence[str], options: ReadingOptions) -> dict[str, list[str]]:
    """Return the columns of signals by the names of their arrays: those that an option names, or else signal_….

    The column of a signal x may be called x or signal_x.

    >>> _signal_columns(["id", "signal_judge", "nll"], ReadingOptions())
    {'signal_judge': ['signal_judge']}
    >>> _signal_columns(["id", "nll"], ReadingOptions(signals=("nll",)))
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
        if graded in names:
            texts["labels"] = graded
        numbers = _signal_columns(names, options)
        if confidence in names or not numbers:
            numbers = {CONFIDENCE: [confidence], **numbers}
        return Layout(numbers, texts, GRADES)
    prediction = _named_column(names, PREDICTION, options.prediction_column)
    texts = _text_columns(names, options, ids=options.id_column, labels=options.label_column, predicted=prediction)
    numbers = {CONFIDENCE: [confidence]} if confidence in names else {}
    numbers |= _further_columns(names, [confidence]) | _signal_columns(names, options)
    return Layout(numbers, texts, options.class_names)


def _text_columns(names: Collection[str], options: ReadingOptions, **named: str | None) -> dict[str, str]:
    """Return the column of each array, as an option names it, or the usual one; not those that are not there.

    The model's name is a column unless the options tell it.
    """
    usual = {"ids": "id", "labels": "label", PREDICTED: PREDICTION, ANSWERED_BY: ANSWERED_BY}
    if options.answered_by is None:
        named[ANSWERED_BY] = None
    columns = {}
    for name, column in named.items():
        column = _named_column(names, usual[name], column)
        if column in names:
            columns[name] = column
    return columns


def _named_column(names: Collection[str], usual: str, named: str | None) -> str:
    if named is not None and named not in names:
        raise unknown_name("column", named, names)
    return named or usual


def _further_columns(names: Collection[str], taken: Collection[str]) -> dict[str, list[str]]:
    """Return the columns of all other arrays of numbers that tables may hold, such as feature_0, feature_1, …."""
    columns = {}
    for name, array in ARRAYS.items():
        if array.column is None or array.kind == STRINGS or name in ("logits", "labels"):
            continue
        if len(array.axes) > 1:
            of_array = _numbered_columns(names, array.column)
        else:
            of_array = [column for column in (array.column,) if column in names]
        if of_array and set(of_array).isdisjoint(taken):
            columns[name] = of_array
    return columns


def columns_that_are_there(columns: Iterable[str | None], names: Sequence[str]) -> tuple[str, ...]:
    """Return those of some columns that a table has, by the names of its columns; raise if it has one twice."""
    there = tuple(name for name in dict.fromkeys(columns) if name is not None and name in names)
    _require_columns_once(there, names)
    return there


def _require_columns_once(columns: Sequence[str], names: Sequence[str]) -> None:
    """Raise if one of some columns stands twice among the names of a table's columns."""
    twice = [name for name in dict.fromkeys(columns) if names.count(name) > 1]
    if twice:
        found = ", ".join(f"{name!r} {names.count(name)} times" for name in twice)
        raise SteepslopeError(f"expected every column that is read once, found {found}")
