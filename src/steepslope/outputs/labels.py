"""Labels by the names of classes: text, or whatever the classes are called, becomes numbers 0…K−1.

A text file with the names of classes, or a folder that records them.
"""

from collections.abc import Iterable, Mapping, Sequence, Set as AbstractSet
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained, located, unknown_name
from steepslope.files.folders import field, read_json
from steepslope.outputs.arrays import as_array

CLASSES_ADVICE = "expected numbers from 0, or text beside classes=, the names of the classes in the logits' order"


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
    return _looked_up(array, values) if is_text or not _only_names(values) else labels


def _only_names(values: Sequence[Any]) -> bool:
    """Return whether no value could be a label that is a number."""
    return all(isinstance(value, str) and not value.strip().lstrip("-").isdecimal() for value in values)


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
