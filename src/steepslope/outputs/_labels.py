"""Labels by the names of classes: text, or whatever the classes are called, becomes numbers 0…K−1.

A label may also be out-of-class: then its number is −1. That is meant by −1 itself, by the text ``unknown``, and by a
name that is not among the classes. A warning lists such names, since they may be misspelt. They are an error if no
label at all is a class. A number that is no class is always an error, unless it is −1.

Names of classes come from a text file, or from a folder that records them. A column of text is kept as codes and the
distinct texts; labels, truths and groups are read from it.
"""

import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set as AbstractSet
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, UnknownLabelsWarning, explained
from steepslope.files import field, read_json
from steepslope.outputs._arrays import as_array

UNKNOWN = -1  # the label of an input that is out-of-class
UNKNOWN_NAME = "unknown"  # the same as text; a class of this name goes before
TRUTH_OF_TEXT = {"true": 1, "1": 1, "yes": 1, "right": 1, "false": 0, "0": 0, "no": 0, "wrong": 0}
NOTHING_THERE = {"", "none", "null", "na", "n/a", "<na>", "nan", "nat"}  # what stands where a label is missing
_SHOWN = 20  # names in a message
_SHOWN_UNKNOWN = 3  # names that are no class, in a warning


def listed_names(names: Sequence[str]) -> str:
    """Return names on one line, no more than so many; blanks at an end are made visible.

    >>> listed_names(["a", " b"]), listed_names(["c"] * 1000)[-16:]
    ("a, ' b'", '… (1,000 in all)')
    """
    shown = list(map(_visible_name, names[:_SHOWN]))
    if len(names) > _SHOWN:
        shown.append(f"… ({len(names):,} in all)")
    return ", ".join(shown)


def _visible_name(name: str) -> str:
    if name == name.strip() != "":
        return name
    return repr(name)


def class_values(classes: Iterable[Any] | None, columns: Sequence[Any] | None) -> list[Any] | None:
    """Return the classes as they were given, text with commas too, or else the names of a frame's columns.

    >>> class_values("ant, bee", None), class_values(np.array([3, 7]), None), class_values(None, ["ant", "bee"])
    (['ant', 'bee'], [3, 7], ['ant', 'bee'])
    """
    if classes is None:
        if columns is None:
            return None
        return list(columns)
    if isinstance(classes, Mapping | AbstractSet) or not isinstance(classes, Iterable):
        raise SteepslopeError(f"expected a list in the logits' order, found a {type(classes).__name__}", "classes")
    if isinstance(classes, str):
        return list(map(str.strip, classes.split(",")))
    values: list[Any] = as_array(list(classes), 1).tolist()
    if columns is not None and columns != values and sorted(map(str, columns)) == sorted(map(str, values)):
        raise SteepslopeError(
            "expected the order of the frame's columns, "
            f"found {', '.join(map(str, values[:3]))}… for the columns {', '.join(map(str, columns[:3]))}…: "
            "leave classes out",
            "classes",
        )
    return values


def coded_labels(labels: Any, values: Sequence[Any] | None) -> Any:
    """Return labels as numbers of classes: text always goes by name, numbers only where the names are numbers.

    >>> coded_labels(["bee", "ant"], ["ant", "bee"]), coded_labels([7, 3], [3, 7]), coded_labels([1, 0], ["ant", "bee"])
    (array([1, 0]), array([1, 0]), [1, 0])
    >>> coded_labels(["bee", "unknown"], ["ant", "bee"]), coded_labels([7, -1], [3, 7])
    (array([ 1, -1]), array([ 1, -1]))
    """
    if labels is None:
        return None
    array = as_array(labels, 1)
    is_mixed = array.dtype.kind == "O" and any(isinstance(label, str) for label in array.flat)
    if is_mixed or array.dtype.kind == "S":
        array = array.astype(np.str_)  # what is missing becomes a name that no class has
    is_text = array.dtype.kind in "UT"
    if array.ndim != 1 or not (is_text or any(map(_is_number_as_class, values or ()))):
        return labels
    distinct, codes = np.unique(array, return_inverse=True)
    texts = Texts(codes.astype(np.int32), list(map(label_as_text, distinct.tolist())))
    names = None
    if values is not None:
        names = list(map(label_as_text, values))
    return labels_of_texts(texts, "labels", names, counts=names is None, in_memory=True)


def _is_number_as_class(value: Any) -> bool:
    return not isinstance(value, str) or value.strip().lstrip("-").isdecimal()


def out_of_class_texts(texts: "Texts", known: Mapping[str, int]) -> dict[str, int]:
    """Return the texts that are out-of-class; names that are not known are, if some other text is known."""
    meaning = {}
    for text in texts.distinct:
        if text not in known and (means_unknown_label(text) or (known and may_be_class_name(text))):
            meaning[text] = UNKNOWN
    return meaning


def require_known_labels(labels: NDArray[np.int64] | None, num_classes: int) -> None:
    """Raise unless all labels, if there are any, are numbers of classes, or −1 for none of them."""
    if labels is None:
        return
    outside = np.flatnonzero((labels < UNKNOWN) | (labels >= num_classes))
    if len(outside):
        least = labels.min(where=labels != UNKNOWN, initial=num_classes)
        from_one = ""
        if (least, labels.max()) == (1, num_classes):
            from_one = "; if they count from 1, subtract 1"
        raise SteepslopeError(
            f"expected values in 0…{num_classes - 1}, the classes of the logits, or {UNKNOWN} for none of them, "
            f"found {labels[outside[0]]} in row {outside[0]} ({len(outside)} such rows)"
            f"{from_one}",
            "labels",
        )


def means_unknown_label(text: str) -> bool:
    """Return whether a text that is no class says that an input belongs to none of them.

    >>> [means_unknown_label(text) for text in ("unknown", "-1", "-1.0", "zebra")]
    [True, True, True, False]
    """
    return text == UNKNOWN_NAME or number_in_text(text) == UNKNOWN


def may_be_class_name(text: str) -> bool:
    """Return whether a text can be the name of a class that is not known: neither a number, nor nothing.

    >>> [may_be_class_name(text) for text in ("zebra", "7", "2.5", "nan", " ", "<NA>")]
    [True, False, False, False, False, False]
    """
    is_number = number_in_text(text) is not None or text.lower() in ("true", "false")
    return text.strip().lower() not in NOTHING_THERE and not is_number


def warn_of_unknown_labels(
    place: str,
    texts: "Texts",
    known: Mapping[str, int],
    classes: Sequence[str],
    count_as: str = f"{UNKNOWN_NAME}, never right",
) -> None:
    """Warn of the names that are not known, and say what they count as."""
    rows = texts.rows_beside({*known, *filter(means_unknown_label, texts.distinct)})
    if not len(rows):
        return
    often = Counter(texts.codes[rows].tolist())
    named = []
    for code, count in often.most_common(_SHOWN_UNKNOWN):
        text = texts.distinct[code]
        named.append(f"{text!r} ({count:,}{_closest_class(text, classes)})")
    if len(often) > len(named):
        named.append(f"… ({len(often):,} names in all)")
    where = f"row {rows[0]}"
    if len(rows) > 1:
        where = f"{len(rows):,} rows, the first of them {where}"
    found = f"found names that are none of the classes in {where}"
    message = f"{place}: {found}; they count as {count_as}: {', '.join(named)}"
    warnings.warn(message, UnknownLabelsWarning, stacklevel=5)


def _closest_class(text: str, classes: Sequence[str]) -> str:
    for close in get_close_matches(text, classes, n=1):
        return f"; did you mean {close!r}?"
    return ""


def label_as_text(value: Any) -> str:
    """Return a label, or a class, as text: 1, 1.0 and True are the same."""
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    return str(value)


_RECORDS = ("manifest.json", "classifier.json")  # of folders whose classes have names: outputs and checkpoints


def read_classes(path: Path) -> dict[str, int]:
    """Read the names of classes in the order of the labels.

    They stand in a text file, one a line, or in what a folder of outputs or of a trained classifier records.
    """
    if path.is_dir():
        return {name: label for label, name in enumerate(_recorded_classes(path))}
    with explained("expected a text file with one class a line", path, (OSError, UnicodeDecodeError)):
        lines = path.read_text(encoding="utf-8-sig").rstrip().split("\n")
    labels: dict[str, int] = {}
    for label, line in enumerate(lines):
        name = line.strip()
        if not name or name in labels:
            raise SteepslopeError(f"expected one class a line, each once, found {name!r} in line {label + 1}", path)
        labels[name] = label
    return labels


def _recorded_classes(folder: Path) -> list[str]:
    records = [folder / name for name in _RECORDS if (folder / name).exists()]
    if not records:
        raise SteepslopeError("expected a text file, outputs or a classifier with names of classes, found none", folder)
    content = read_json(records[0], "names of classes")
    if not content.get("classes"):
        raise SteepslopeError("expected names of classes, found none: give a text file with one a line", records[0])
    return list(map(str, field(content, "classes", list, records[0])))


EMPTY = "(empty)"
_IN_FILES = "names of classes (that need --classes, or columns such as logit_cat)"
_IN_MEMORY = "text with classes=, the names of the classes in the logits' order"
_IN_ORDER = "for whole numbers from 0 give --classes, with the names in that order"


class Texts(NamedTuple):
    """The text of each row: codes (n,) that index the distinct texts; an empty cell is the text ""."""

    codes: NDArray[np.int32]
    distinct: list[str]

    @classmethod
    def of_rows(cls, rows: Iterable[str]) -> "Texts":
        """Return the texts of rows."""
        places: dict[str, int] = {}
        return cls(text_codes(rows, places), list(places))

    def rows_beside(self, known: Collection[str]) -> NDArray[np.int64]:
        """Return the numbers of the rows whose text is not known, in ascending order."""
        return np.flatnonzero(np.array([text not in known for text in self.distinct], dtype=np.bool_)[self.codes])

    def known(self, meaning: Mapping[str, int]) -> dict[str, int]:
        """Return what each distinct text means by its name, as far as it is known; 1.0 is also the name 1."""
        whole = whole_numbers_among(set(self.distinct).difference(meaning))
        known = {}
        for text in self.distinct:
            name = str(whole.get(text, text))
            if name in meaning:
                known[text] = meaning[name]
        return known

    def groups(self, column: str, empty: str | None = None) -> tuple[NDArray[np.int32], list[str]]:
        """Return the codes (n,) and names of groups; empty cells have the name ``empty``, or are an error."""
        empty_rows = self.rows_beside({*self.distinct} - {""})
        expected = f"column {column!r}: expected a value in each row"
        if not len(self.codes):
            raise SteepslopeError(f"{expected}, found none")
        if empty is None and len(empty_rows):
            raise SteepslopeError(f"{expected}, found an empty cell in row {empty_rows[0]}")
        return self.codes, [text or str(empty) for text in self.distinct]

    def numbers(
        self, meaning: Mapping[str, int], expected: str, place: str, names: Sequence[str] = ()
    ) -> NDArray[np.int64]:
        """Return the number that each row's text means, (n,); the first row whose text has no meaning is named.

        So is the closest of some names.
        """
        rows = self.rows_beside(meaning)
        if len(rows):
            text = self.distinct[self.codes[rows[0]]]
            cell = repr(text) if text else "an empty cell"
            raise SteepslopeError(
                f"{place}: expected {expected}, "
                f"found {cell} in row {rows[0]} ({len(rows):,} such rows)"
                f"{_closest_class(text, names)}"
            )
        return np.array([meaning[text] for text in self.distinct], dtype=np.int64)[self.codes]


def text_codes(texts: Iterable[str], places: dict[str, int]) -> NDArray[np.int32]:
    """Return the code of each text, (n,), by its place; a text that has none is added to the places.

    >>> text_codes(["cat", "dog", "cat"], places := {"ant": 0}), places
    (array([1, 2, 1], dtype=int32), {'ant': 0, 'cat': 1, 'dog': 2})
    """
    return np.fromiter((places.setdefault(text, len(places)) for text in texts), np.int32)


def labels_of_texts(
    texts: Texts, place: str, classes: Sequence[str] | None, counts: bool, in_memory: bool = False
) -> NDArray[np.int64]:
    """Return the label of each row, (n,): the place of its class, by the class's name or by number, or −1 for none.

    Where ``counts`` is false, whole numbers cannot be places: they are names or nothing. Errors name the ``place``,
    and ask for names of the classes by an option, or by an argument if labels are ``in_memory``.
    """
    places = {name: number for number, name in enumerate(classes or ())}
    known = texts.known(places)
    meaning = known | out_of_class_texts(texts, known)
    if places and (known or not counts):
        expected = f"one of the classes {listed_names(list(places))}"
        have_names = not all(map(str.isdecimal, places))
        if have_names and not counts and not in_memory:
            expected += f" ({_IN_ORDER})"
        labels = texts.numbers(meaning, expected, place, list(places))
        warn_of_unknown_labels(place, texts, known, list(places))
        return labels
    advice = _IN_MEMORY if in_memory else _IN_FILES
    if places:
        advice = f"one of the classes {listed_names(list(places))}"
    meaning = whole_numbers_among(texts.distinct) | meaning
    return texts.numbers(meaning, f"whole numbers from 0, or {advice}", place)


def whole_numbers_among(texts: Iterable[str]) -> dict[str, int]:
    """Return the numbers that texts are, of those that are whole; false and true are 0 and 1.

    >>> whole_numbers_among(["3", "1.0", "True", "2.5", "cat", ""])
    {'3': 3, '1.0': 1, 'True': 1}
    """
    whole = {}
    for text in texts:
        number = {"false": 0.0, "true": 1.0}.get(text.lower(), number_in_text(text))
        if number is not None and number.is_integer():
            whole[text] = int(number)
    return whole


def number_in_text(text: str) -> float | None:
    """Return the number that a text is, or None."""
    try:
        return float(text)
    except ValueError:
        return None
