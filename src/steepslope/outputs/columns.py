"""Names of columns: in natural order, numbered, and as messages show them.

The columns of the logits in a table, one a class: which they are, their order, and what the classes are called.

Which columns of a table hold what: from the names of its columns, and reading options, to a layout.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path

from steepslope.errors import SteepslopeError, unknown_name
from steepslope.outputs.arrays import ARRAYS, STRINGS
from steepslope.outputs.labels import listed, read_classes
from steepslope.outputs.options import AS_WRITTEN, OF_CLASSES, ReadingOptions

SEPARATORS: dict[str, str] = {";": "';'", "\t": "tab", "|": "'|'"}  # by how they are written as an option


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts names with their numbers as numbers.

    >>> sorted(["p10", "p9", "p"], key=natural)
    ['p', 'p9', 'p10']
    """
    parts = re.split(r"([0-9]+)", name)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts if part]


def numbered(names: Collection[str], prefix: str) -> list[str]:
    """Return the columns prefix_0, prefix_1, … in that order; a gap is an error."""
    numbers = sorted({int(match[1]) for name in names if (match := re.fullmatch(rf"{prefix}_([0-9]+)", name))})
    if numbers != list(range(len(numbers))):
        missing = min(set(range(len(numbers))) - set(numbers))
        raise SteepslopeError(f"columns {prefix}_0, {prefix}_1, …: {prefix}_{missing} is missing")
    return [f"{prefix}_{k}" for k in numbers]


def found_columns(names: Sequence[str]) -> str:
    """Return the end of a message: which columns were found, with a word on the separator if they are but one.

    >>> print(found_columns(["a", "b"]), found_columns(["a;b"]), sep=" | ")
    found the columns a, b | found one column, 'a;b': give --separator ';'
    """
    if len(names) > 1:
        return f"found the columns {listed(names)}"
    other = [f": give --separator {option}" for mark, option in SEPARATORS.items() if mark in "".join(names)]
    return f"found one column, {''.join(names)!r}{''.join(other[:1])}"


OPTION = "logit-columns"
USUAL = "logit"
SEPARATING = tuple("_-.:/ ")  # what may stand between the word for a score and the name of a class


@dataclass(frozen=True)
class Layout:
    """The columns of a table, by the names of the arrays that they make.

    ``numbers`` has one column or more an array, in order, those of the logits in the order of the classes; ``texts``
    has one column each for ``ids``, ``labels`` and ``is_correct``, where they are there. ``classes`` are the names of
    the classes, None where they are but numbers from 0. ``counts`` is whether a whole number in the labels can be the
    place of a class in that order: not where the names are numbers themselves, nor where a pattern found the columns in
    another order than that of their names.
    """

    numbers: dict[str, list[str]]
    texts: dict[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    counts: bool = True


def class_columns(names: Sequence[str], options: ReadingOptions, own: Collection[str]) -> Layout | None:
    """Return the logits' columns, None where there are none of the usual names; patterns leave out those in ``own``."""
    patterns = options.logit_columns or numbered(names, USUAL) or (f"{USUAL}_*",)
    pieces: dict[str, str] = {}  # by column, what * stands for in its name, or all of that
    in_order = True
    for pattern in patterns:
        matches = _matches(names, pattern, own)
        if not matches and options.logit_columns is not None:
            raise SteepslopeError(f"expected columns like {pattern!r}, {found_columns(names)}", OPTION)
        twice = matches.keys() & pieces.keys()
        if twice:
            raise SteepslopeError(f"expected every column once, found {min(twice)!r} twice", OPTION)
        ordered = sorted(matches, key=natural)
        in_order = in_order and ordered == list(matches)
        pieces |= {column: matches[column] for column in ordered}
    if not pieces:
        return None
    layout = _named_by(pieces, all("*" in pattern for pattern in patterns), in_order)
    return layout if options.classes is None else _renamed(layout, options.classes)


def _matches(names: Sequence[str], pattern: str, own: Collection[str]) -> dict[str, str]:
    """Return the columns that a name or a pattern means, in the table's order, with what ``*`` stands for in each."""
    if "*" not in pattern:
        return {pattern: pattern} if pattern in names else {}
    shape = re.compile("(.*)".join(map(re.escape, pattern.split("*"))), re.DOTALL)
    found = {name: match for name in names if name not in own and (match := shape.fullmatch(name))}
    return {name: match[1] if shape.groups == 1 else name for name, match in found.items()}


def _named_by(pieces: dict[str, str], by_pattern: bool, in_order: bool) -> Layout:
    columns = list(pieces)
    numbers = {"logits": columns}
    if len(columns) == 1:
        return Layout(numbers)
    classes = tuple(_without_separator(list(pieces.values())) if by_pattern else _last_words(columns))
    if "" in classes:
        column = columns[classes.index("")]
        raise SteepslopeError(f"expected a class in the name of each column, found none in {column!r}", OPTION)
    if not _are_numbers(classes):
        return Layout(numbers, classes=classes, counts=in_order)
    from_zero = [int(name) for name in classes] == list(range(len(classes)))
    return Layout(numbers) if from_zero else Layout(numbers, classes=classes, counts=False)


def _without_separator(pieces: list[str]) -> list[str]:
    """Drop the separator with which all begin, or end.

    >>> _without_separator(["_cat", "_dog"]), _without_separator(["-1", "1"])
    (['cat', 'dog'], ['-1', '1'])
    """
    for mark in SEPARATING:
        if all(piece.startswith(mark) for piece in pieces):
            pieces = [piece[1:] for piece in pieces]
        if all(piece.endswith(mark) for piece in pieces):
            pieces = [piece[:-1] for piece in pieces]
    return pieces


def _last_words(columns: list[str]) -> list[str]:
    """Drop the words with which all begin.

    >>> _last_words(["p_of_cat", "p_of_cow"]), _last_words(["cat", "cow"])
    (['cat', 'cow'], ['cat', 'cow'])
    """
    words = [re.split("(?<=[-_.:/ ])", column) for column in columns]
    common = sum(1 for _ in takewhile(lambda some: len(set(some)) == 1, zip(*words, strict=False)))
    return ["".join(some[common:]) for some in words]


def _renamed(layout: Layout, path: str) -> Layout:
    """Return the layout with the classes of a file: by their names where it has some, else by their places."""
    classes, columns = tuple(read_classes(Path(path))), layout.numbers["logits"]
    own = layout.classes or ()
    are_numbers = _are_numbers(own)
    if set(own) == set(classes):
        return Layout(
            {"logits": [columns[own.index(name)] for name in classes]}, classes=classes, counts=not are_numbers
        )
    if not are_numbers:
        expected = f"expected the classes that the columns name, {listed(own)}"
        raise SteepslopeError(f"{expected}, found {listed(classes)}", path)
    if len(columns) not in (1, len(classes)):
        raise SteepslopeError(f"expected {len(columns)} classes, one a column, found {len(classes)}", path)
    return replace(layout, classes=classes)


def _are_numbers(names: Sequence[str]) -> bool:
    return all(name.isdecimal() for name in names)


CONFIDENCE, CORRECT = "confidence", "is_correct"  # what a table without logits holds
WANTED = "logits in columns logit_0, logit_1, … (or --logit-columns), probabilities in columns called as the classes, "
WANTED += "or confidence and is_correct (or --confidence-column, --correct-column)"


def own_columns(options: ReadingOptions, further: Iterable[str | None] = ()) -> set[str]:
    """Return the columns of labels and ids, and further ones, which hold no numbers of classes."""
    return {options.label_column or "label", options.id_column or "id", *(name for name in further if name is not None)}


def has_no_usual(names: Sequence[str], options: ReadingOptions) -> bool:
    """Return whether neither a name nor an option tells which columns hold logits, or a confidence."""
    told = options.logit_columns or options.confidence_column or options.as_logits or CONFIDENCE in names
    return not told and class_columns(names, options, own_columns(options)) is None


def layout_of(names: Sequence[str], options: ReadingOptions = AS_WRITTEN) -> Layout:
    """Return what the columns of these names hold; raise if they hold neither logits nor confidences.

    >>> layout = layout_of(["score_cat", "id", "score_dog", "label"], ReadingOptions(logit_columns=("score*",)))
    >>> layout.numbers, layout.texts, layout.classes
    ({'logits': ['score_cat', 'score_dog']}, {'ids': 'id', 'labels': 'label'}, ('cat', 'dog'))
    """
    layout = None
    if options.confidence_column is None:
        layout = class_columns(names, options, own_columns(options))
    if layout is not None:
        logits, texts = layout.numbers["logits"], _texts(names, ids=options.id_column, labels=options.label_column)
        both = [column for column in texts.values() if column in logits]
        if both:
            raise SteepslopeError(f"column {both[0]!r}: cannot be a logit and the label or id at once")
        layout = replace(layout, numbers={"logits": logits, **_further(names, logits)}, texts=texts)
    elif CONFIDENCE in names or options.confidence_column is not None:
        layout = _of_confidences(names, options)
    else:
        raise SteepslopeError(f"expected {WANTED}, {found_columns(names)}")
    require_once([*layout.texts.values(), *(name for some in layout.numbers.values() for name in some)], names)
    return layout


def _of_confidences(names: Sequence[str], options: ReadingOptions) -> Layout:
    useless = options.changed(OF_CLASSES)
    if useless:
        raise SteepslopeError("expected columns of logits to go with it, found a confidence alone", useless[0])
    confidence = _column(names, CONFIDENCE, options.confidence_column)
    texts = _texts(names, ids=options.id_column, is_correct=options.correct_column)
    if CORRECT not in texts:
        wanted = f"expected a column {CORRECT} (or --correct-column) beside {confidence}"
        raise SteepslopeError(f"{wanted}, {found_columns(names)}")
    return Layout({CONFIDENCE: [confidence]}, texts)


def _texts(names: Collection[str], **named: str | None) -> dict[str, str]:
    """Return the column of each array, as an option names it, or the usual one; not those that are not there."""
    usual = {"ids": "id", "labels": "label", CORRECT: CORRECT}
    columns = {name: _column(names, usual[name], column) for name, column in named.items()}
    return {name: column for name, column in columns.items() if column in names}


def _column(names: Collection[str], usual: str, named: str | None) -> str:
    if named is not None and named not in names:
        raise unknown_name("column", named, names)
    return named or usual


def _further(names: Collection[str], taken: Collection[str]) -> dict[str, list[str]]:
    """Return the columns of all other arrays of numbers that tables may hold, such as feature_0, feature_1, …."""
    columns = {
        name: numbered(names, array.column) if len(array.axes) > 1 else [array.column] * (array.column in names)
        for name, array in ARRAYS.items()
        if array.column is not None and array.kind != STRINGS and name not in ("logits", "labels")
    }
    return {name: some for name, some in columns.items() if some and not set(some) & set(taken)}


def require_once(columns: Sequence[str], names: Sequence[str]) -> None:
    """Raise if one of some columns stands twice among the names of a table's columns."""
    twice = [name for name in dict.fromkeys(columns) if names.count(name) > 1]
    if twice:
        found = ", ".join(f"{name!r} {names.count(name)} times" for name in twice)
        raise SteepslopeError(f"expected every column that is read once, found {found}")
