"""The columns of the logits in a table, one a class: which they are, their order, and what the classes are called."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from steepslope.errors import SteepslopeError
from steepslope.outputs.column_names import found_columns, listed, natural, numbered
from steepslope.outputs.reading import ReadingOptions
from steepslope.utilities.class_file import read_classes

OPTION = "logit-columns"
USUAL = "logit"
SEPARATING = tuple("_-.:/ ")  # what may stand between the word for a score and the name of a class


@dataclass(frozen=True)
class ClassColumns:
    """Columns in the order of the classes, and the names of these, None where they are but numbers from 0.

    ``counts`` is whether a whole number in the labels can be the place of a class in that order: not where the names
    are numbers themselves, nor where a pattern found the columns in another order than that of their names.
    """

    columns: list[str]
    classes: tuple[str, ...] | None = None
    counts: bool = True


class Match(NamedTuple):
    """A column, and what ``*`` stands for in its name, or all of that."""

    column: str
    piece: str


def class_columns(names: Sequence[str], options: ReadingOptions, own: Collection[str]) -> ClassColumns | None:
    """Return the logits' columns, None where there are none of the usual names; patterns leave out those in ``own``."""
    patterns = options.logit_columns or numbered(names, USUAL) or (f"{USUAL}_*",)
    found = [_matches(names, pattern, own) for pattern in patterns]
    for pattern, matches in zip(patterns, found, strict=True):
        if not matches and options.logit_columns is not None:
            raise SteepslopeError(f"expected columns like {pattern!r}, {found_columns(names)}", OPTION)
    sorted_ = [sorted(matches, key=lambda one: natural(one.column)) for matches in found]
    ordered = [one for matches in sorted_ for one in matches]
    _require_distinct([one.column for one in ordered])
    if not ordered:
        return None
    columns = _columns(ordered, all("*" in pattern for pattern in patterns), found == sorted_)
    return columns if options.classes is None else _renamed(columns, options.classes)


def _matches(names: Sequence[str], pattern: str, own: Collection[str]) -> list[Match]:
    """Return the columns that a name or a pattern means, in the table's order."""
    if "*" not in pattern:
        return [Match(pattern, pattern)] if pattern in names else []
    shape = re.compile("(.*)".join(map(re.escape, pattern.split("*"))), re.DOTALL)
    found = {name: match for name in names if name not in own and (match := shape.fullmatch(name))}
    return [Match(name, match[1] if shape.groups == 1 else name) for name, match in found.items()]


def _require_distinct(columns: Sequence[str]) -> None:
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice is not None:
        raise SteepslopeError(f"expected every column once, found {twice!r} twice", OPTION)


def _columns(ordered: Sequence[Match], by_pattern: bool, in_order: bool) -> ClassColumns:
    columns = [one.column for one in ordered]
    if len(columns) == 1:
        return ClassColumns(columns)
    classes = tuple(_without_separator([one.piece for one in ordered]) if by_pattern else _last_words(columns))
    if "" in classes:
        column = columns[classes.index("")]
        raise SteepslopeError(f"expected a class in the name of each column, found none in {column!r}", OPTION)
    if not _are_numbers(classes):
        return ClassColumns(columns, classes, in_order)
    from_zero = [int(name) for name in classes] == list(range(len(classes)))
    return ClassColumns(columns) if from_zero else ClassColumns(columns, classes, counts=False)


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


def _renamed(columns: ClassColumns, path: str) -> ClassColumns:
    """Return the columns with the classes of a file: by their names where they have some, else by their places."""
    classes = tuple(read_classes(Path(path)))
    own, numbers = columns.classes or (), _are_numbers(columns.classes or ())
    if set(own) == set(classes):
        return ClassColumns([columns.columns[own.index(name)] for name in classes], classes, not numbers)
    if not numbers:
        expected = f"expected the classes that the columns name, {listed(own)}"
        raise SteepslopeError(f"{expected}, found {listed(classes)}", path)
    if len(columns.columns) not in (1, len(classes)):
        raise SteepslopeError(f"expected {len(columns.columns)} classes, one a column, found {len(classes)}", path)
    return ClassColumns(columns.columns, classes, columns.counts)


def _are_numbers(names: Sequence[str]) -> bool:
    return all(name.isdecimal() for name in names)
