"""The one exception that users see, and the checks of settings that raise it.

Its one line says where, what was expected, what was found, and what to do. What settings allow is data.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")

MANY = 50  # names are too many to list
USER = re.compile(r"(?<=://)[^\s/?#'\"]*@")  # key:secret@ in a URL
_QUERY = re.compile(r"((?i:https?)://[^\s?'\"]*)\?[^\s'\"]*")  # may be a signature
_NO_MEMORY = re.compile(  # of libraries; a thread starts only where its stack has room
    r"(?i)out of memory|bad_alloc|(can't|cannot|failed to|unable to) allocate|can't start new thread|"
    r"could not create a primitive|failed to map segment"
)
Kinds = type[Exception] | tuple[type[Exception], ...]


def without_secrets(text: str) -> str:
    """Return a text without the users and passwords in its URLs, and without their queries, such as signatures.

    >>> without_secrets("images:s3://key:secret@lake/a"), without_secrets("https://host/a.png?sig=1 is gone")
    ('images:s3://lake/a', 'https://host/a.png is gone')
    >>> without_secrets("HTTPS://host/a.png?sig=1")
    'HTTPS://host/a.png'
    """
    return _QUERY.sub(r"\1", USER.sub("", text))


class SteepslopeError(ValueError):
    """Bad input or an undefined result. Its one line says where, what was expected and what was found.

    ``place`` is the file, folder, option or argument with which the message begins, or None. Parts of a URL that could
    be secret are left out (:func:`without_secrets`).

    >>> error = SteepslopeError("expected an image, found text", "photos/cat.png")
    >>> str(error), error.place
    ('photos/cat.png: expected an image, found text', 'photos/cat.png')
    >>> print(error.within("photos"), error.within("step 3"), sep=" | ")
    photos/cat.png: expected an image, found text | step 3: photos/cat.png: expected an image, found text
    """

    def __init__(self, message: str, place: str | Path | None = None) -> None:
        self.place = None if place is None else without_secrets(str(place))
        super().__init__(without_secrets(message if place is None else f"{place}: {message}"))

    def within(self, place: str | Path) -> SteepslopeError:
        """Return the same error with a place around it, or itself if it already names that place or a file inside."""
        outer = without_secrets(str(place))
        inside = self.place is not None and (self.place == outer or self.place.startswith(f"{outer}{os.sep}"))
        if inside:
            return self
        return type(self)(str(self), place)


class UndefinedMetricError(SteepslopeError):
    """A metric that has no value on this input, such as an AUC without a single error."""


class RowsWarning(UserWarning):
    """The rows make results less reliable; commands print why."""


class FewErrorsWarning(RowsWarning):
    """An oracle is fitted on so few errors that its result depends on luck."""


class UnknownLabelsWarning(RowsWarning):
    """Some labels are none of the classifier's classes: their rows are out-of-class, or the labels are misspelt."""


class NoMixError(SteepslopeError):
    """No class mix explains the predictions: something else has changed."""


class ChangedWarning(UserWarning):
    """Inputs are not drawn as the calibration rows were, so a gate's promise cannot be relied on."""


class RepeatedRowsWarning(RowsWarning):
    """Some rows are copies of others, from oversampling, a bootstrap sample or a join. Each row counts once."""


class CautionWarning(RowsWarning):
    """Labels, opinions or columns look too good or too bad, or rows depend on one another."""


class NothingPromisedWarning(UserWarning):
    """A gate accepts nothing, because its calibration rows support no promise."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> SteepslopeError:
    """Return the error for an unknown name, with the closest match first.

    >>> print(unknown_name("loss", "steepslope", ["focal", "steep_slope"]))
    unknown loss 'steepslope': did you mean 'steep_slope'? Known: focal, steep_slope
    """
    names = sorted(known)
    are_few = len(names) <= MANY
    close = [repr(match) for match in get_close_matches(name, names, n=1 if are_few else 3)]
    hints = []
    if close:
        hints.append(f"did you mean {' or '.join(close)}?")
    if are_few:
        hints.append(f"Known: {', '.join(names)}")
    elif not close:
        hints.append(f"{len(names):,} others are known")
    return SteepslopeError(f"unknown {kind} {name!r}: {' '.join(hints)}")


def require_known(kind: str, name: object, known: Collection[str]) -> None:
    """Raise unless the name is known; see :func:`unknown_name`."""
    if name not in known:
        raise unknown_name(kind, str(name), known)


@contextmanager
def located(place: str | Path) -> Iterator[None]:
    """Put a place around the errors that leave the block.

    >>> with located("photos"):
    ...     raise SteepslopeError("expected images, found none")
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: photos: expected images, found none
    """
    try:
        yield
    except SteepslopeError as error:
        raise error.within(place) from error


def reason_of(error: BaseException, longest: int | None = None) -> str:
    """Return an exception's message on one line, cut to ``longest`` characters, or the exception's name without one."""
    if isinstance(error, RecursionError):  # raised by parsers of JSON and YAML
        return "it is nested too deeply"
    return " ".join(without_secrets(str(error)).split())[:longest] or type(error).__name__


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, Python's own or one of a library.

    >>> is_out_of_memory(RuntimeError("Failed to allocate memory for requested buffer of size 99"))
    True
    """
    return isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)) is not None


@contextmanager
def explained(
    message: str, place: str | Path | None = None, kinds: Kinds = Exception, longest: int | None = None
) -> Iterator[None]:
    """Turn exceptions of some kinds that leave the block into one line: the message and, in brackets, the reason.

    >>> with explained("cannot be read", "photo.png", OSError):
    ...     raise OSError("broken  data stream")
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: photo.png: cannot be read (broken data stream)
    """
    try:
        yield
    except kinds as error:
        raise SteepslopeError(f"{message} ({reason_of(error, longest)})", place) from error


@dataclass(frozen=True)
class Check:
    """The allowed values of a setting: in words, and as a function of a value."""

    expected: str
    allows: Callable[[Any], bool]


def whole(low: int, high: int | None = None) -> Check:
    """Allow whole numbers from ``low`` to ``high``.

    >>> whole(1).expected, whole(0, 9).expected, whole(0).allows(True)
    ('a whole number >= 1', 'a whole number from 0 to 9', False)
    """
    limits = f">= {low}" if high is None else f"from {low} to {high}"
    most = math.inf if high is None else high
    return Check(f"a whole number {limits}", lambda value: _is_of_kind(Integral, value) and low <= value <= most)


def number(low: float = -math.inf, high: float = math.inf) -> Check:
    """Allow numbers from ``low`` to ``high``; NaN is in no range.

    >>> number().expected, number(0).expected, number(0, 0.5).expected
    ('a number', 'a number >= 0', 'a number from 0 to 0.5')
    """
    upwards = f" >= {low:g}" if low > -math.inf else ""
    limits = upwards if high == math.inf else f" from {low:g} to {high:.12g}"
    return Check(f"a number{limits}", lambda value: _is_of_kind(Real, value) and low <= value <= high)


def _is_of_kind(kind: type, value: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)  # True is an int to Python


def choice(*words: str) -> Check:
    """Allow one of some words."""
    return Check(" or ".join(words), lambda value: value in words)


def optional(check: Check) -> Check:
    """Allow None or what another check allows."""
    return Check(check.expected, lambda value: value is None or check.allows(value))


def each(check: Check) -> Check:
    """Allow tuples whose elements another check allows."""
    expected = f"a list, each {check.expected}"
    return Check(expected, lambda values: isinstance(values, tuple) and all(map(check.allows, values)))


SEED = whole(0, 2**31 - 1)  # the range that every generator takes


def plain(value: Any) -> Any:
    """Return a number of NumPy or PyTorch as Python's own, also inside a tuple; anything else unchanged.

    Such numbers wrap around, not every library takes them as a size, and JSON does not know them.

    >>> import numpy as np
    >>> plain(np.uint8(3)), plain((np.int64(64), 32)), plain(np.True_), plain("auto")
    (3, (64, 32), True, 'auto')
    """
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return value.item() if getattr(value, "shape", None) == () else value


def require(name: str, value: T, check: Check) -> T:
    """Return the value, :func:`plain`; raise unless the check allows it.

    >>> require("epochs", 0, whole(1))
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: epochs: expected a whole number >= 1, found 0
    """
    found: T = plain(value)
    if not check.allows(found):
        raise SteepslopeError(f"expected {check.expected}, found {found!r}", name)
    return found


def require_all(settings: Any, checks: Mapping[str, Check]) -> None:
    """Make all attributes of frozen settings :func:`plain`; raise unless each that has a check is allowed by it."""
    for name, value in vars(settings).items():
        object.__setattr__(settings, name, plain(value))
    for name, check in checks.items():
        require(name, getattr(settings, name), check)


def listed(value: Any, kind: Callable[[Any], T]) -> tuple[T, ...]:
    """Return text with commas, several values, or one value, as a tuple; raise ValueError for text of another kind.

    >>> listed("64, 32", int), listed((64, 32), int), listed(64, int), listed("", int)
    ((64, 32), (64, 32), (64,), ())
    """
    if isinstance(value, str):
        return tuple(kind(part.strip()) for part in value.split(",") if part.strip())
    return tuple(map(kind, value)) if isinstance(value, Iterable) else (kind(value),)


def read_fields(kind: type[T], content: Any, place: str | Path) -> T:
    """Return a dataclass whose fields JSON holds, each as its annotation says; further fields are left out.

    Fields may be numbers, text, booleans, literals, None, dataclasses (by their own ``from_json``, if they have one),
    and lists or mappings of these.

    Raises
    ------
    SteepslopeError
        If a field is missing or of another type; the error names the field and the place.

    >>> read_fields(Check, {"expected": "a number"}, "card.json")
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: card.json: the field 'allows' is missing
    """
    hints = get_type_hints(kind)
    known = content if isinstance(content, Mapping) else {}
    values = {}
    for field in fields(kind):  # type: ignore[arg-type]
        name = field.name
        if name not in known:
            raise SteepslopeError(f"the field {name!r} is missing", place)
        values[name] = _as_hinted(hints[name], known[name], name, place)
    return kind(**values)


def _as_hinted(hint: Any, value: Any, name: str, place: str | Path) -> Any:
    """Return a value from JSON as its hinted Python type; raise if it has another type."""
    arguments = get_args(hint)
    origin = get_origin(hint) or hint
    if origin is Literal:
        require_known(f"{name} in {place}:", value, arguments)
        return value
    if NoneType in arguments:
        return None if value is None else _as_hinted(arguments[0], value, name, place)
    if origin is tuple and isinstance(value, list):
        return tuple(_as_hinted(arguments[0], each, name, place) for each in value)
    if is_dataclass(origin) and isinstance(value, Mapping):
        from_json = getattr(origin, "from_json", None)
        return read_fields(origin, value, place) if from_json is None else from_json(value, place)  # type: ignore[arg-type]
    if origin is Mapping and isinstance(value, Mapping):
        return {str(key): _as_hinted(arguments[1], each, name, place) for key, each in value.items()}
    plain_kind: Any = {int: Integral, float: Real}.get(origin, origin)
    if hint is not Any and not (isinstance(value, plain_kind) and isinstance(value, bool) == (origin is bool)):
        raise SteepslopeError(f"field {name!r}: found {value!r} of an unexpected type", place)
    return float(value) if origin is float else value
