"""Columns of text in a table, as codes and the distinct texts: what labels, truths and groups are read from."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.outputs.columns import listed

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
        """Return the texts of a column's chunks, of text, numbers or booleans, whose rows need not fit in memory."""
        encoded = [pc.fill_null(chunk.cast(pa.string()), "").dictionary_encode() for chunk in chunks]
        column = pa.chunked_array(encoded, pa.dictionary(pa.int32(), pa.string())).unify_dictionaries()
        distinct = column.chunk(0).dictionary.to_pylist() if column.num_chunks else []
        codes = [chunk.indices.to_numpy() for chunk in column.chunks]
        return cls(np.concatenate(codes) if codes else np.zeros(0, dtype=np.int32), distinct)

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


def labels(texts: Texts, column: str, classes: Sequence[str] | None, counts: bool) -> NDArray[np.int64]:
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
