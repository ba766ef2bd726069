"""The opinion of another classifier, or of people, on the same inputs: brought to the rows and classes of some outputs.

It is kept as an array of its own, ``opinion_NAME``, log-probabilities of the classes, or ``vote_NAME``, bare classes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, logsumexp

from steepslope.errors import SteepslopeError, located, unknown_name
from steepslope.numerics.blocks import blocks
from steepslope.outputs.arrays import (
    OF_COPIES,
    OPINION,
    VOTE,
    Arrays,
    as_array,
    column_names,
    floats,
    is_opinion,
    whole_numbers,
)
from steepslope.outputs.labels import class_values
from steepslope.outputs.probabilities import TOLERANCE, logits_of

if TYPE_CHECKING:
    from steepslope.outputs.classifier_outputs import ClassifierOutputs

Classes = Sequence[Any] | Mapping[Any, Any] | None  # the other's, or each by its name, with this one's
LACKING = -1  # the vote of a row that has none, and the place of a class that this classifier lacks
NAMES = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
Integers = NDArray[np.int64]


def require_name(name: str) -> str:
    """Return the name of an opinion; raise unless it has letters, digits, ``_`` and ``-`` alone."""
    if not NAMES.fullmatch(name):
        raise SteepslopeError(f"expected letters, digits, '_' and '-', found {name!r}", "opinion")
    return name


def of_opinion(array: str, name: str) -> bool:
    """Return whether an array holds the opinion of that name, also on copies.

    >>> of_opinion("augmented_vote_people", "people"), of_opinion("opinion_people2", "people")
    (True, False)
    """
    plain = array.removeprefix(OF_COPIES)
    return is_opinion(plain) and plain.partition("_")[2] == name


def no_opinion(array: str, logits: NDArray[Any]) -> NDArray[Any]:
    """Return the array of an opinion that all rows lack, by its name."""
    if array.startswith(VOTE):
        return np.full(len(logits), LACKING)
    return np.full(logits.shape, np.nan, dtype=np.float32)


def opinion_arrays(outputs: ClassifierOutputs, name: str, opinion: Any, classes: Classes = None) -> Arrays:
    """Return the array, by its name, that an opinion is kept as; of outputs also that of their augmented copies.

    See :meth:`steepslope.outputs.ClassifierOutputs.with_opinion`, which raises the same errors.
    """
    require_name(name)
    with located(f"opinion {name}"):
        if not hasattr(opinion, "logits"):
            return _of_array(outputs, name, opinion, classes)
        rows = _rows(outputs.ids, opinion.ids, len(outputs), len(opinion))
        places = _places(outputs, _names(classes, opinion.classes), opinion.num_classes)
        found = {f"{OPINION}{name}": _aligned(outputs.logits, opinion.logits, rows, places)}
        copies, others = (one.arrays.get(f"{OF_COPIES}logits") for one in (outputs, opinion))
        if copies is not None and others is not None and copies.shape[1] == others.shape[1]:
            parts = [_aligned(copies[:, k], others[:, k], rows, places) for k in range(copies.shape[1])]
            found[f"{OF_COPIES}{OPINION}{name}"] = np.stack(parts, axis=1)
        return found


def _of_array(outputs: ClassifierOutputs, name: str, opinion: ArrayLike, classes: Classes) -> Arrays:
    array = _readable(as_array(opinion, 2))
    if len(array) != len(outputs):
        raise SteepslopeError(f"expected {len(outputs)} rows like the logits, found {len(array)}")
    if array.ndim == 1 and _is_probability(array, outputs.num_classes):
        array = np.column_stack([1 - array, array])
    if array.ndim == 1:
        return {f"{VOTE}{name}": _votes(outputs, array, classes)}
    if array.ndim != 2 or array.shape[1] < 2:
        raise SteepslopeError(f"expected shape (n, K) or (n,), found {array.shape}")
    places = _places(outputs, _names(classes, column_names(opinion)), array.shape[1])
    return {f"{OPINION}{name}": _aligned(outputs.logits, _log_scale(array), np.arange(len(array)), places)}


def _readable(array: NDArray[Any]) -> NDArray[Any]:
    """Return numbers as floats; text and mixed columns of votes as they are."""
    if array.dtype.kind in "OUST" and array.ndim == 1:
        return array
    return array.astype(np.int64) if array.dtype.kind == "b" else floats("opinion", array)


def _is_probability(array: NDArray[Any], num_classes: int) -> bool:
    """Return whether numbers (n,) are probabilities of class 1 of two, and no votes: some are no whole numbers."""
    if num_classes != 2 or array.dtype.kind != "f":
        return False
    some = array[~np.isnan(array)]
    return bool(len(some) and ((some >= 0) & (some <= 1)).all() and (some != np.floor(some)).any())


def _log_scale(array: NDArray[Any]) -> NDArray[Any]:
    """Return probabilities, as they look, as logarithms, and logits as they are; rows with NaN lack the opinion."""
    known = np.flatnonzero(~np.isnan(array).any(axis=1))
    sums, least = array[known].sum(axis=1), array[known].min(initial=0)
    if not len(known) or least < 0 or (np.abs(sums - 1) > TOLERANCE).any():
        return array
    logs = np.full(array.shape, np.nan)
    logs[known] = logits_of(array[known])
    return logs


def _rows(own: Any, others: Any, n: int, count: int) -> Integers:
    """Return the other's row for each row, (n,), by the ids where both have ids; -1 for a row that it lacks."""
    if own is None or others is None or (n == count and np.array_equal(own, others)):
        if n != count:
            raise SteepslopeError(f"expected {n} rows like the logits, or ids on both sides, found {count}")
        return np.arange(n)
    places = {one: place for place, one in enumerate(others.tolist())}
    if len(places) < count:
        raise SteepslopeError("expected each id once, found some twice")
    found = np.array([places.get(one, LACKING) for one in own.tolist()])
    if (found == LACKING).all():
        raise SteepslopeError(f"expected ids such as {own[0]!r}, found none of them, but {others[0]!r}")
    return found


def _names(classes: Classes, own: Sequence[Any] | None) -> Classes:
    """Return the classes that are given, or else the other's own names."""
    if isinstance(classes, Mapping):
        return classes if own is None else {name: classes.get(name, classes.get(str(name))) for name in own}
    return class_values(classes, None) if classes is not None else own


def _places(outputs: ClassifierOutputs, classes: Classes, count: int) -> Integers:
    """Return the place of each of the other's classes among the outputs' own, (count,); -1 for one that these lack."""
    if classes is None or (outputs.classes is None and not isinstance(classes, Mapping)):
        if count != outputs.num_classes:
            expected = f"expected {outputs.num_classes} classes, or the names of classes on both sides"
            raise SteepslopeError(f"{expected}, found {count} classes", "classes")
        return np.arange(count)
    targets = list(classes.values()) if isinstance(classes, Mapping) else list(classes)
    if len(targets) != count:
        raise SteepslopeError(f"expected {count} classes, one a column, found {len(targets)}", "classes")
    known = {name: place for place, name in enumerate(outputs.class_names)}
    strict = isinstance(classes, Mapping)
    places = [_place(known, target, strict) for target in targets]
    if max(places) == LACKING:
        raise unknown_name("class", str(targets[0]), known).within("classes")
    return np.array(places)


def _place(known: Mapping[str, int], target: Any, strict: bool) -> int:
    """Return the place of a class; -1 for none of these, which a mapping has to say by None."""
    if strict and target is not None and str(target) not in known:
        raise unknown_name("class", str(target), known).within("classes")
    return LACKING if target is None else known.get(str(target), LACKING)


def _aligned(own: NDArray[Any], logits: NDArray[Any], rows: Integers, places: Integers) -> NDArray[np.float32]:
    """Return the other's log-probabilities of the own classes, float32 (n, K); NaN in rows that lack the opinion.

    A class that the other does not know has the probability that the classifier gives it, and the known ones share the
    rest as the other has it (Jeffrey's rule); probabilities of classes that share a place are added.
    """
    found = np.full(own.shape, np.nan, dtype=np.float32)
    combine = _combined(places, own.shape[1])
    for part in blocks(len(rows)):
        there = np.flatnonzero(rows[part] != LACKING)
        other = np.asarray(logits[rows[part][there]], dtype=np.float64)
        found[part.start + there] = combine(np.asarray(own[part], dtype=np.float64)[there], other)
    if np.isnan(found).any(axis=1).all():
        raise SteepslopeError("expected an opinion in some row, found none")
    return found


def _combined(places: Integers, count: int) -> Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]:
    """Return the function of own logits (m, K) and the other's (m, K') that brings these to the own classes."""
    if np.array_equal(places, np.arange(count)):
        return lambda _, other: np.asarray(log_softmax(other, axis=1))
    unknown = np.setdiff1d(np.arange(count), places)

    def combine(own: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
        columns = [logsumexp(other[:, places == place], axis=1) for place in range(count) if place not in unknown]
        shares, beliefs = log_softmax(np.column_stack(columns), axis=1), log_softmax(own, axis=1)
        known = np.setdiff1d(np.arange(count), unknown)
        rest = logsumexp(beliefs[:, known], axis=1, keepdims=True)
        beliefs[:, known] = rest + shares
        return np.asarray(beliefs)

    return combine


def _votes(outputs: ClassifierOutputs, array: NDArray[Any], classes: Classes) -> Integers:
    """Return votes as numbers of the own classes, (n,); K for a class that these lack, -1 where there is none."""
    count = outputs.num_classes
    if array.dtype.kind in "OUST":
        votes = _named_votes(outputs, array, classes)
    else:
        lacking = np.isnan(array) if array.dtype.kind == "f" else array == LACKING
        numbers = whole_numbers("votes", np.where(lacking, LACKING, array))
        places = np.arange(count) if classes is None else _places(outputs, _names(classes, None), len(classes))
        bad = np.flatnonzero((numbers < LACKING) | (numbers >= len(places)))
        if len(bad):
            found = f"found {numbers[bad[0]]} in row {bad[0]} ({len(bad)} such rows)"
            raise SteepslopeError(f"expected numbers of classes in 0…{len(places) - 1}, or -1 for none, {found}")
        places = np.where(places == LACKING, count, places)
        votes = np.where(numbers == LACKING, LACKING, places[numbers])
    if (votes == LACKING).all():
        raise SteepslopeError("expected an opinion in some row, found none")
    return votes


def _named_votes(outputs: ClassifierOutputs, array: NDArray[Any], classes: Classes) -> Integers:
    """Return votes by the names of classes as numbers; names that no class has are another class, if not all are."""
    mapping = classes if isinstance(classes, Mapping) else {}
    known = {name: place for place, name in enumerate(outputs.class_names)}
    distinct, codes = np.unique([_text(value) for value in array.tolist()], return_inverse=True)
    names = [str(mapping.get(name, name)) for name in distinct.tolist()]
    places = [LACKING if not name else known.get(name, len(known)) for name in names]
    if not set(places) & set(range(len(known))):
        raise unknown_name("class", next((name for name in names if name), ""), known)
    return np.array(places)[codes]


def _text(value: Any) -> str:
    """Return a vote as text, "" where there is none."""
    missing = value is None or (isinstance(value, float) and np.isnan(value)) or value in (LACKING, str(LACKING))
    whole = isinstance(value, float) and not missing and value.is_integer()
    return "" if missing else str(int(value)) if whole else str(value).strip()
