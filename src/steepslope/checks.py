"""The allowed values of settings, as data, and dataclasses from JSON. Errors say what was expected, and what found."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from steepslope.errors import SteepslopeError, require_known

T = TypeVar("T")


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
