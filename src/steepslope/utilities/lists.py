"""The one way in which lists are written as text: with commas between."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


def listed(value: Any, kind: Callable[[Any], T]) -> tuple[T, ...]:
    """Return text with commas, several values, or one value, as a tuple; text that is no ``kind`` is a ValueError.

    >>> listed("64, 32", int), listed((64, 32), int), listed(64, int), listed("", int)
    ((64, 32), (64, 32), (64,), ())
    """
    if isinstance(value, str):
        return tuple(kind(part.strip()) for part in value.split(",") if part.strip())
    return tuple(value) if isinstance(value, Iterable) else (value,)
