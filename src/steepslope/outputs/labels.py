"""Labels by the names of classes: text, or whatever the classes are called, becomes numbers 0…K−1.

Names of classes come from a text file, or from a folder that records them. A column of text, from which labels, truths
and groups are read, is codes and the distinct texts.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set as AbstractSet
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained, located, unknown_name
from steepslope.files.folders import field, read_json
from steepslope.outputs.arrays import as_array

SHOWN = 20  # names in a message
CLASSES_ADVICE = "expected numbers from 0, or text beside classes=, the names of the classes in the logits' order"


def listed(names: Sequence[str]) -> str:
    """Return names on one line, no more than so many; blanks at an end are made visible.

    >>> listed(["a", " b"]), listed(["c"] * 1000)[-16:]
    ("a, ' b'", '… (1,000 in all)')
    """
    shown = [name if name == name.strip() != "" else repr(name) for name in names[:SHOWN]]
    return ", ".join(shown) + (f", … ({len(names):,} in all)" if len(names) > SHOWN else "")


def class_values(classes: Iterable[Any] | None, columns: Sequence[Any] | None) -> list[Any] | None:
    """Return the classes as they were given, text with commas too, or else the names of a frame's columns.

    >>> class_values("ant, bee", None), class_values(np.array([3, 7]), None), class_values(None, ["ant", "bee"])
    (['ant', 'bee'], [3, 7], ['ant', 'bee'])
    """
    if classes is None:
        return None if columns is None else list(columns)
    if isinstance(classes, Mapping | AbstractSet) or not isinstance(classes, Iterable):
        raise SteepslopeError(f"expected a list in the logits' order, found a {type(classes).__name__}", "classes")
    if isinstance(classes, str):
        return [name.strip() for name in classes.split(",")]
    values: list[Any] = as_array(list(classes), 1).tolist()
    if columns is not None and columns != values and sorted(map(str, columns)) == sorted(map(str, values)):
        found = f"found {', '.join(map(str, values[:3]))}… for the columns {', '.join(map(str, columns[:3]))}…"
        raise SteepslopeError(f"expected the order of the frame's columns, {found}: leave classes out", "classes")
    return values


def coded(labels: Any, values: Sequence[Any] | None) -> Any:
    """Return labels as numbers of classes: text always goes by name, numbers only where the names are numbers.

    >>> coded(["bee", "ant"], ["ant", "bee"]), coded([7, 3], [3, 7]), coded([1, 0], ["ant", "bee"])
    (array([1, 0]), array([1, 0]), [1, 0])
    """
    if labels is None:
        return None
    array = as_array(labels, 1)
    if array.dtype.kind == "O" and any(isinstance(one, str) for one in array.flat):
        array = array.astype(np.str_)  # what is missing becomes a name that no class has
    is_text = array.dtype.kind in "UST"
    if array.ndim != 1 or (values is None and not is_text):
        return labels
    if values is None:
        raise SteepslopeError(f"{CLASSES_ADVICE}; found {str(array[0])!r} in row 0", "labels")
    only_names = all(isinstance(value, str) and not value.strip().lstrip("-").isdecimal() for value in values)
    return _looked_up(array, values) if is_text or not only_names else labels


def _looked_up(labels: NDArray[Any], values: Sequence[Any]) -> NDArray[np.int64]:
    places = {str(value): place for place, value in enumerate(values)}
    places_by_value = {value: place for place, value in enumerate(values)}  # in which 1, 1.0 and True are the same
    distinct, codes = np.unique(labels.astype(np.str_) if labels.dtype.kind == "S" else labels, return_inverse=True)
    found = np.array([places_by_value.get(one, places.get(_text(one), -1)) for one in distinct.tolist()])
    rows = np.flatnonzero(found[codes] < 0)
    if len(rows):
        with located(f"labels: row {rows[0]}"):
            raise unknown_name("class", str(labels[rows[0]]), map(str, values))
    return np.asarray(found[codes], dtype=np.int64)


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


RECORDS = ("manifest.json", "classifier.json")  # of folders whose classes have names: outputs and checkpoints


def read_classes(path: Path) -> dict[str, int]:
    """Read the names of classes in the order of the labels.

    They stand in a text file, one a line, or in what a folder of outputs or of a trained classifier records.
    """
    if path.is_dir():
        return {name: label for label, name in enumerate(_recorded(path))}
    with explained("expected a text file with one class a line", path, (OSError, UnicodeDecodeError)):
        names = [name.strip() for name in path.read_text(encoding="utf-8-sig").rstrip().split("\n")]
    for row, name in enumerate(names):
        if not name or name in names[:row]:
            raise SteepslopeError(f"expected one class a line, each once, found {name!r} in line {row + 1}", path)
    return {name: label for label, name in enumerate(names)}


def _recorded(folder: Path) -> list[str]:
    records = [folder / name for name in RECORDS if (folder / name).exists()]
    if not records:
        raise SteepslopeError("expected a text file, outputs or a classifier with names of classes, found none", folder)
    content = read_json(records[0], "names of classes")
    if not content.get("classes"):
        raise SteepslopeError("expected names of classes, found none: give a text file with one a line", records[0])
    return [str(name) for name in field(content, "classes", list, records[0])]


EMPTY = "(empty)"
NAMED = "that need --classes, or columns such as logit_cat"
IN_ORDER = "for whole numbers from 0 give --classes, with the names in that order"
TRUTHS: dict[str, int] = {"true": 1, "1": 1, "1.0": 1, "yes": 1, "false": 0, "0": 0, "0.0": 0, "no": 0}


class Texts(NamedTuple):
    """The text of each row: codes (n,) that index the distinct texts; an empty cell is the text ""."""

    codes: NDArray[np.int32]
    distinct: list[str]

    @classmethod
    def of(cls, chunks: Iterable[Any]) -> "Texts":
        """Return the texts of a column's chunks, each :meth:`encoded`."""
        column = pa.chunked_array(chunks, pa.dictionary(pa.int32(), pa.string())).unify_dictionaries()
        distinct = column.chunk(0).dictionary.to_pylist() if column.num_chunks else []
        codes = [chunk.indices.to_numpy() for chunk in column.chunks]
        return cls(np.concatenate(codes) if codes else np.zeros(0, dtype=np.int32), distinct)

    @staticmethod
    def encoded(chunk: Any) -> Any:
        """Return a chunk of text, numbers or booleans as codes and texts, which take less memory."""
        return pc.fill_null(chunk.cast(pa.string()), "").dictionary_encode()

    def groups(self, column: str, empty: str | None = None) -> tuple[NDArray[np.int32], list[str]]:
        """Return the codes (n,) and names of groups; empty cells have the name ``empty``, or are an error."""
        rows = np.flatnonzero(self.codes == self.distinct.index("")) if "" in self.distinct else np.zeros(0, np.int64)
        if not len(self.codes) or (empty is None and len(rows)):
            found = f"an empty cell in row {rows[0]}" if len(rows) else "none"
            raise SteepslopeError(f"column {column!r}: expected a value in each row, found {found}")
        return self.codes, [text or str(empty) for text in self.distinct]

    def numbers(self, meaning: Mapping[str, int], expected: str, column: str) -> NDArray[np.int64]:
        """Return the number that each row's text means, (n,); the first row whose text has no meaning is named."""
        unknown = np.array([text not in meaning for text in self.distinct])[self.codes]
        if unknown.any():
            row = int(unknown.argmax())
            shown = repr(self.distinct[self.codes[row]]) if self.distinct[self.codes[row]] else "an empty cell"
            more = f" ({int(unknown.sum()):,} such rows)"
            raise SteepslopeError(f"column {column!r}: expected {expected}, found {shown} in row {row}{more}")
        return np.array([meaning[text] for text in self.distinct], dtype=np.int64)[self.codes]


def truths(texts: Texts, column: str) -> NDArray[np.bool_]:
    """Return whether each prediction is correct, (n,)."""
    meaning = {text: TRUTHS[text.lower()] for text in texts.distinct if text.lower() in TRUTHS}
    return texts.numbers(meaning, "true and false, 1 and 0, or yes and no", column).astype(np.bool_)


def labels_of(texts: Texts, column: str, classes: Sequence[str] | None, counts: bool) -> NDArray[np.int64]:
    """Return the label of each row, (n,): the place of its class, by the class's name or by number.

    Where ``counts`` is false, whole numbers cannot be places: they are names or nothing.
    """
    places = {name: place for place, name in enumerate(classes or ())}
    whole = _whole(texts.distinct)
    known = {text: places[name] for text in texts.distinct if (name := _name(text, places, whole)) in places}
    if places and (known or not counts):
        remedy = "" if counts or all(map(str.isdecimal, places)) else f" ({IN_ORDER})"
        return texts.numbers(known, f"one of the classes {listed(list(places))}{remedy}", column)
    names = f"one of the classes {listed(list(places))}" if places else f"names of classes ({NAMED})"
    return texts.numbers(whole, f"whole numbers from 0, or {names}", column)


def _name(text: str, places: Collection[str], whole: Mapping[str, int]) -> str:
    """Return the name that a text is; 1.0 is also the name 1."""
    return text if text in places or text not in whole else str(whole[text])


def _whole(texts: Iterable[str]) -> dict[str, int]:
    """Return the numbers that texts are, of those that are whole; false and true are 0 and 1.

    >>> _whole(["3", "1.0", "True", "2.5", "cat", ""])
    {'3': 3, '1.0': 1, 'True': 1}
    """
    found = {text: {"false": 0.0, "true": 1.0}.get(text.lower(), _number(text)) for text in texts}
    return {text: int(value) for text, value in found.items() if value is not None and value.is_integer()}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
