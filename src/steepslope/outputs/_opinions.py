"""The opinion of another classifier, or of people, on the same inputs: brought to the rows and classes of some outputs.

It is kept as an array of its own, ``opinion_NAME``, log-probabilities of the classes, or ``vote_NAME``, bare classes.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located, require_known, unknown_name
from steepslope.numerics import Bools, Singles, Values, blocks, in_classes_of
from steepslope.outputs._answers import answers_in_classes, are_answers, is_no_answer
from steepslope.outputs._arrays import (
    NOT_FINITE,
    OF_COPIES,
    OPINION,
    SIGNAL,
    VOTE,
    Arrays,
    as_array,
    as_float_array,
    as_whole_array,
    column_names,
    is_opinion_array,
    is_signal_array,
    opinion_of_array,
    require_opinion_name,
)
from steepslope.outputs._labels import (
    Texts,
    class_values,
    listed_names,
    may_be_class_name,
    number_in_text,
    warn_of_unknown_labels,
    whole_numbers_among,
)
from steepslope.outputs._probabilities import TOLERANCE, are_probabilities, probability_logits

Classes = Sequence[Any] | Mapping[Any, Any] | None  # the other's, or each by its name, with this one's
PLACES = "places"  # so an extraction records the places of another's classes
_PERCENT = 100  # no logits are known by their looks up to here, unless some are negative
_FEW = 0.5  # of the rows of the smaller side: so few ids in common may be a mistake
_BLOCK_ENTRIES = 2**20  # rows times classes, in float64
LACKING = -1  # the vote of a row that has none, and the place of a class that this classifier lacks
_Integers = NDArray[np.int64]


def is_array_of_opinion(array: str, name: str) -> bool:
    """Return whether an array holds the opinion of that name, also on copies, or a signal beside it.

    >>> is_array_of_opinion("augmented_vote_people", "people"), is_array_of_opinion("opinion_people2", "people")
    (True, False)
    """
    plain = array.removeprefix(OF_COPIES)
    if is_signal_array(plain):
        return plain.startswith(_signal_of_opinion(name, ""))
    return is_opinion_array(plain) and opinion_of_array(plain) == name


def _signal_of_opinion(name: str, signal: str) -> str:
    """Return the name of the array of a signal beside the opinion of a name.

    >>> _signal_of_opinion("gpt", "logprob")
    'signal_gpt: logprob'
    """
    return f"{SIGNAL}{name}: {signal}"


def has_opinion(array: str, values: Values) -> Bools:
    """Return which rows have the opinion that an array of this name holds, (n,)."""
    if array.startswith(VOTE):
        return values >= 0
    return np.asarray(~np.isnan(values).any(axis=1))


def lacks_opinion(array: str, values: Any, num_classes: int) -> Any:
    """Return which rows say nothing, (n,): they lack the opinion or the signal, or vote for another class.

    ``values`` are an array, or a tensor.
    """
    if array.startswith(VOTE):
        return (values < 0) | (values >= num_classes)
    is_nan = values != values
    if is_signal_array(array):
        return is_nan
    return is_nan.any(1)


def opinion_all_lack(array: str, logits: Values) -> Values:
    """Return the array of an opinion that all rows lack, by its name."""
    if array.startswith(VOTE):
        return np.full(len(logits), LACKING)
    return np.full(logits.shape, np.nan, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Opinion:
    """What somebody thinks of some rows: ``values`` are logits or probabilities (m, K'), or votes (m,).

    ``ids`` (m,) name the rows and ``classes`` the classes, None where they have no names. ``copies`` (m, A, K') are
    logits of augmented copies of the rows, made by ``recipe``, as far as that is known. ``as_logits``: the values are
    logits, whatever they look like. ``of_columns``: the classes are the names of a table's columns, which may hold
    something else. ``signals`` (m,) are further numbers beside each opinion, by name.
    """

    values: Any
    ids: Values | None = None
    classes: Sequence[Any] | None = None
    copies: Values | None = None
    as_logits: bool = False
    recipe: Mapping[str, Any] | None = None
    of_columns: bool = False
    signals: Mapping[str, Values] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Any) -> Opinion:
        """Return the opinion that outputs are, or an array."""
        if hasattr(given, "logits"):
            copies = given.arrays.get(f"{OF_COPIES}logits")
            signals = {name: given.arrays[f"{SIGNAL}{name}"] for name in given.signals}
            return cls(given.logits, given.ids, given.classes, copies, as_logits=True, signals=signals)
        values = as_array(given, 2)
        if values.dtype.kind == "b":
            values = values.astype(np.int64)
        elif values.dtype.kind not in "OUST" or values.ndim != 1:  # votes may be text, or text and numbers
            values = as_float_array("opinion", values)
        return cls(values, classes=column_names(given), of_columns=True)


def opinion_arrays(own: Opinion, name: str, other: Opinion, classes: Classes = None) -> Arrays:
    """Return the array, by its name, that an opinion is kept as; of outputs also that of their augmented copies.

    See :meth:`steepslope.outputs.ClassifierOutputs.with_opinion`, which raises the same errors.
    """
    require_opinion_name(name)
    place = f"opinion {name}"
    with located(place):
        if np.ndim(other.values) == 0:
            raise SteepslopeError(f"expected outputs, or an array (n, K) or (n,), found {other.values!s:.40}")
        if len(other.values) == 0:  # nobody has said anything yet
            array = f"{VOTE if other.values.ndim == 1 else OPINION}{name}"
            warnings.warn(f"{place}: found no rows: each of {len(own.values):,} lacks it", UserWarning, stacklevel=4)
            return {array: opinion_all_lack(array, own.values)}
        rows = _rows_with_opinions(place, own.ids, other.ids, len(own.values), len(other.values))
        other = replace(other, values=_opinion_of_two_classes(other.values, own.values.shape[1]))
        if other.values.ndim == 1:
            return {f"{VOTE}{name}": _votes_of_opinion(place, own, other.values, rows, classes)}
        if other.of_columns and other.classes is not None:
            require_columns_of_classes(own, other.classes, classes)
        _require_whole_opinions(other.values)
        places = opinion_class_places(own, other, classes)
        logits = other.values if other.as_logits else _opinion_on_log_scale(other.values)
        arrays: Arrays = {f"{OPINION}{name}": aligned_opinion(own.values, logits, rows, places)}
        for signal, values in other.signals.items():
            arrays[_signal_of_opinion(name, signal)] = np.where(rows == LACKING, np.nan, values[rows])
        if own.copies is not None and other.copies is not None:
            _require_copies_made_alike(own, other, own.copies.shape[1], other.copies.shape[1])
            copies = zip(own.copies.swapaxes(0, 1), other.copies.swapaxes(0, 1), strict=True)
            aligned = [aligned_opinion(logits, others, rows, places) for logits, others in copies]
            arrays[f"{OF_COPIES}{OPINION}{name}"] = np.stack(aligned, axis=1)
        return arrays


def _require_copies_made_alike(own: Opinion, other: Opinion, count: int, other_count: int) -> None:
    """Raise unless both have augmented copies by one recipe; where a recipe is not known, as many."""
    own_recipe = own.recipe
    other_recipe = other.recipe
    if own_recipe is None or other_recipe is None:
        own_recipe = {"copies": count}
        other_recipe = {"copies": other_count}
    if own_recipe != other_recipe:
        found = f"({_recipe_in_words(own_recipe)}), found others ({_recipe_in_words(other_recipe)})"
        raise SteepslopeError(f"expected augmented copies made alike {found}")


def _recipe_in_words(recipe: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in recipe.items())


def _opinion_of_two_classes(array: Values, count: int) -> Values:
    """Return probabilities (n,) of class 1 of two as those of both; others as they are, if they can be an opinion."""
    if array.ndim == 1:
        if count != 2 or array.dtype.kind != "f":
            return array
        known = array[~np.isnan(array)]
        if (known == np.floor(known)).all() or (known < 0).any() or (known > 1).any():
            return array  # votes
        return np.column_stack([1 - array, array])
    if array.ndim != 2 or array.shape[1] < 2:
        raise SteepslopeError(f"expected shape (n, K) or (n,), found {array.shape}")
    return array


def require_columns_of_classes(own: Opinion, columns: Sequence[Any], classes: Classes = None) -> None:
    """Raise at columns of a table that are no class: any other number next to them would make them logits."""
    if classes is not None and not isinstance(classes, Mapping):
        return
    names = list(map(str, columns))
    count = own.values.shape[1]
    if own.classes is None and classes is None:
        others = [] if len(names) == count else names
        expected = f"expected a column for each of {count} classes"
    else:
        known = dict.fromkeys([*_numbers_of_classes(own), *map(str, classes or ())])
        others = [name for name in names if name not in known]
        expected = f"expected columns called as the classes ({listed_names(list(known))})"
    if others:
        remedy = "leave out what is no class, and map other names (--opinion-classes, classes=)"
        raise SteepslopeError(f"{expected}, found {listed_names(others)}: {remedy}", "columns")


def _require_whole_opinions(array: Values) -> None:
    """Raise unless each row has all of its numbers, which are finite, or none."""
    for rows in blocks(len(array)):
        part = np.asarray(array[rows])
        lacking = np.isnan(part)
        is_infinite = np.isinf(part)
        bad = is_infinite.any(axis=1) | (lacking.any(axis=1) & ~lacking.all(axis=1))
        if not bad.any():
            continue
        row = int(bad.argmax())
        found = "NaN next to numbers"
        remedy = "leave all cells of a row empty, or none"
        if is_infinite[row].any():
            found = str(part[row][is_infinite[row].argmax()])
            remedy = NOT_FINITE[found]
        raise SteepslopeError(f"expected finite values, found {found} in row {rows.start + row}: {remedy}")


def _opinion_on_log_scale(array: Values) -> Values:
    """Return probabilities, as they look, as logarithms, and logits as they are; rows with NaN lack the opinion.

    Numbers up to 100 of which none is negative may be either, or shares and percentages, and are refused.
    """
    known = np.flatnonzero(~np.isnan(array).any(axis=1))
    values = array[known]
    if not len(known) or values.min() < 0 or values.max() > _PERCENT:
        return array
    if not are_probabilities(array):
        sums = values.sum(axis=1)
        bad = int(np.argmax(np.abs(sums - 1) > TOLERANCE))
        found = f"found none negative, and a sum of {sums[bad]:.6g} in row {known[bad]}"
        remedy = "divide shares by the sum of their row"
        if (np.abs(sums - _PERCENT) <= _PERCENT * TOLERANCE).all():
            remedy = "divide percentages by 100"
        logits = "give logits as ClassifierOutputs, or in columns logit_…"
        raise SteepslopeError(f"expected logits, or probabilities that sum to 1, {found}: {remedy}, {logits}")
    logs = np.full(array.shape, np.nan)
    logs[known] = probability_logits(values)
    return logs


def _rows_with_opinions(place: str, own: Any, others: Any, n: int, count: int) -> _Integers:
    """Return the other's row for each row, (n,), by the ids where both have ids; -1 for a row that it lacks."""
    if own is not None and others is not None:
        rows = opinion_rows_by_id(own.tolist(), others.tolist())
        shared = (rows != LACKING).sum()
        fewer = min(n, count)
        if shared / fewer < _FEW:
            found = f"{shared:,} ids are on both sides, {shared / fewer:.0%} of the {fewer:,} on one"
            warnings.warn(f"{place}: only {found}: are they of the same rows?", UserWarning, stacklevel=5)
        return rows
    if n != count:
        raise SteepslopeError(f"expected {n} rows like the logits, or ids on both sides, found {count}")
    return np.arange(n)


def require_names_once(names: Sequence[Any], expected: str) -> None:
    """Raise if some of the names stand more than once, such as ids."""
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise SteepslopeError(f"expected {expected} once, found {name!r} in {times:,} rows")


def opinion_rows_by_id(own: Sequence[Any], others: Sequence[Any]) -> _Integers:
    """Return the place of each id among others, (n,); -1 for one that is not there."""
    if not np.array_equal(own, others):  # else they go by their places as well
        require_names_once(others, "each id")
        require_names_once(own, "each id of the outputs")
    places = dict(zip(others, range(len(others)), strict=True))
    rows = np.array([places.get(name, LACKING) for name in own])
    if (rows == LACKING).all():
        raise SteepslopeError(f"expected ids such as {own[0]!r}, found none of them, but {others[0]!r}")
    if len(places) < len(others):
        return np.arange(len(rows))
    return rows


def opinion_class_places(own: Opinion, other: Opinion, classes: Classes = None) -> tuple[int, ...]:
    """Return the place of each of the other's classes among the own ones, (K',); -1 for one that these lack.

    Classes go by the names that are given, or else the other's own, where these outputs have names, too. The names in a
    mapping are those of the other's classes: where these have none, numbers, or names in their order.
    """
    count = other.values.shape[1]
    own_count = own.values.shape[1]
    is_mapping = isinstance(classes, Mapping)
    meaning = other.classes if classes is None else classes
    if meaning is None or (own.classes is None and not is_mapping):
        if count > own_count or (count < own_count and not are_answers(other.values)):
            expected = f"expected {own_count} classes, or the names of classes on both sides"
            raise SteepslopeError(f"{expected}, found {count} classes", "classes")
        return tuple(range(count))
    known = _numbers_of_classes(own)
    places = _places_of_classes(known, meaning)
    if is_mapping and (other.classes is not None or all(map(str.isdecimal, places))):
        names = list(_numbers_of_classes(other))
        for name in places:
            require_known("class of the other", name, names)
        places = {name: places.get(name, LACKING) for name in names}
    if len(places) != count:
        raise SteepslopeError(f"expected {count} classes, one a column, found {len(places)}", "classes")
    if max(places.values()) == LACKING:
        raise unknown_name("class", next(iter(places)), known).within("classes")
    return tuple(places.values())


def _places_of_classes(known: Mapping[str, int], classes: Classes) -> dict[str, int]:
    """Return the place of each of the other's classes, by name in a mapping, else by number; -1 for one lacking.

    A mapping has to say by None that a class is lacking; a list has to name one class that is known.
    """
    is_mapping = isinstance(classes, Mapping)
    targets = dict(classes) if isinstance(classes, Mapping) else dict(enumerate(class_values(classes, None) or ()))
    places = {}
    lacking = []
    for name, target in targets.items():
        place = LACKING if target is None else known.get(str(target), LACKING)
        if target is not None and place == LACKING:
            lacking.append(str(target))
        places[str(name)] = place
    if lacking and (is_mapping or len(lacking) == len(targets)):
        raise unknown_name("class", lacking[0], known).within("classes")
    return places


def _numbers_of_classes(opinion: Opinion) -> dict[str, int]:
    """Return the number of each class of an opinion by its name; classes without names are called by their numbers."""
    names = opinion.classes or range(opinion.values.shape[1])
    return {str(name): number for number, name in enumerate(names)}


def aligned_opinion(own: Values, logits: Values, rows: _Integers, places: Sequence[int]) -> Singles:
    """Return the other's log-probabilities of the own classes, float32 (n, K); NaN in rows that lack the opinion.

    Answers stay made logits, which hold nothing on the other classes.

    ``rows`` (n,) are the other's rows, -1 where it has none; ``places`` are as in :func:`opinion_class_places`.
    """
    count = own.shape[1]
    aligned = np.full(own.shape, np.nan, dtype=np.float32)
    are_made = are_answers(logits)
    for part in blocks(len(rows), max(1, _BLOCK_ENTRIES // count)):
        there = np.flatnonzero(rows[part] != LACKING)
        other_logits = np.asarray(logits[rows[part][there]], dtype=np.float64)
        if are_made:
            in_own_classes = answers_in_classes(other_logits, places, count)
        else:
            own_logits = np.asarray(own[part][there], dtype=np.float64)
            in_own_classes = in_classes_of(own_logits, other_logits, places)
        aligned[part.start + there] = in_own_classes
    if np.isnan(aligned).any(axis=1).all():
        raise SteepslopeError("expected an opinion in some row, found none")
    return aligned


def _votes_of_opinion(place: str, own: Opinion, array: Values, rows: _Integers, classes: Classes) -> _Integers:
    """Return votes as numbers of the own classes, (n,); K for a class that these lack, -1 where there is none."""
    if array.dtype.kind == "f":  # so pandas and spreadsheets write numbers
        array = as_whole_array("votes", np.where(np.isnan(array), LACKING, array))
    elif array.dtype.kind == "S":
        array = array.astype(np.str_)
    texts = Texts.of_rows([str(value).strip() for value in array.tolist()])
    votes = np.where(rows == LACKING, LACKING, _numbered_votes(place, own, texts, classes)[rows])
    if (votes == LACKING).all():
        raise SteepslopeError("expected an opinion in some row, found none")
    return votes


def _numbered_votes(place: str, own: Opinion, texts: Texts, classes: Classes) -> _Integers:
    """Return votes by the names of classes as numbers, (m,); names that no class has are another class, if not all are.

    A mapping says what names, or numbers, are.
    """
    known = _numbers_of_classes(own)
    count = len(known)
    named = {}
    for name, number in _places_of_classes(known, classes).items():
        named[name] = count if number == LACKING else number
    of_classes = texts.known(_numbers_by_name(known, named))
    no_votes = [text for text in texts.distinct if is_no_answer(text) or number_in_text(text) == LACKING]
    numbers = dict.fromkeys(no_votes, LACKING) | of_classes
    others = {text: count for text in texts.distinct if text not in numbers}
    is_mapping = isinstance(classes, Mapping)
    if is_mapping and (of_classes or others) and not texts.known(named):
        expected = f"expected votes such as {listed_names(list(named))}"
        raise SteepslopeError(f"{expected}, found {listed_names(texts.distinct)}", "classes")
    if not is_mapping:
        _require_votes_for_classes(texts, others, len(named) or count, known)
    elif not any(map(str.isdecimal, named)):  # a mapping of numbers need not list all of them
        _require_votes_for_classes(texts, others, count, known)
    if others and not of_classes:
        raise unknown_name("class", next(iter(others)), known)
    warn_of_unknown_labels(place, texts, numbers, list(known), "another class")
    return texts.numbers(others | numbers, "votes", "votes")


def _numbers_by_name(known: Mapping[str, int], named: Mapping[str, int]) -> dict[str, int]:
    """Return what names mean; numbers are places unless some class is called by a number."""
    meaning = {**known, **named}
    if not any(map(str.isdecimal, meaning)):
        meaning |= {str(number): number for number in range(len(known))}
    return meaning


def _require_votes_for_classes(texts: Texts, others: Mapping[str, int], count: int, known: Mapping[str, int]) -> None:
    """Raise at votes that are numbers, and of no class."""
    bad = texts.rows_beside([text for text in texts.distinct if text not in others or may_be_class_name(text)])
    if not len(bad):
        return
    names = list(known)
    expected = f"numbers of classes in 0…{count - 1}"
    if any(map(str.isdecimal, names)) and names != list(map(str, range(len(names)))):
        expected = f"names of classes ({listed_names(names)})"
    found = f"found {texts.distinct[texts.codes[bad[0]]]} in row {bad[0]} ({len(bad)} such rows)"
    numbers = {*whole_numbers_among(texts.distinct).values()} - {LACKING}
    if numbers and (min(numbers), max(numbers)) == (1, count):
        found += "; if they count from 1, subtract 1"
    raise SteepslopeError(f"expected {expected}, or -1 for none, {found}")
