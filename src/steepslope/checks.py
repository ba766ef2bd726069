"""What settings may be, as data: a check says in one line what it expected of which setting, and what it found."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from steepslope.errors import SteepslopeError


class Check(Protocol):
    """What a setting may be."""

    @property
    def expected(self) -> str:
        """What is expected, in words."""
        ...

    def allows(self, value: Any) -> bool:
        """Return whether a value will do."""
        ...


@dataclass(frozen=True)
class Whole:
    """A whole number from ``low`` to ``high``.

    >>> Whole(1).expected, Whole(0, 9).expected
    ('a whole number >= 1', 'a whole number from 0 to 9')
    """

    low: int
    high: int | None = None

    @property
    def expected(self) -> str:
        """The range, in words."""
        return (
            f"a whole number >= {self.low}" if self.high is None else f"a whole number from {self.low} to {self.high}"
        )

    def allows(self, value: Any) -> bool:
        """Return whether it is an int, and no bool, in the range."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= (math.inf if self.high is None else self.high)


@dataclass(frozen=True)
class Number:
    """A number from ``low`` to ``high``."""

    low: float = -math.inf
    high: float = math.inf

    @property
    def expected(self) -> str:
        """The range, in words."""
        return f"a number from {self.low:g} to {self.high:.12g}"

    def allows(self, value: Any) -> bool:
        """Return whether it is an int or float in the range; NaN is in none."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        """The words."""
        return " or ".join(self.words)

    def allows(self, value: Any) -> bool:
        """Return whether it is one of them."""
        return value in self.words


@dataclass(frozen=True)
class Optional:
    """What another check allows, or None."""

    check: Check

    @property
    def expected(self) -> str:
        """What the other check expects."""
        return self.check.expected

    def allows(self, value: Any) -> bool:
        """Return whether it is None, or will do."""
        return value is None or self.check.allows(value)


@dataclass(frozen=True)
class Each:
    """A tuple of what another check allows."""

    check: Check

    @property
    def expected(self) -> str:
        """A list of what the other check expects."""
        return f"a list, each {self.check.expected}"

    def allows(self, value: Any) -> bool:
        """Return whether it is a tuple of such."""
        return isinstance(value, tuple) and all(self.check.allows(one) for one in value)


SEED = Whole(0, 2**31 - 1)  # what every generator in use takes


def require(name: str, value: Any, check: Check) -> None:
    """Raise unless the check allows the value.

    >>> require("epochs", 0, Whole(1))
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: epochs: expected a whole number >= 1, found 0
    """
    if not check.allows(value):
        raise SteepslopeError(f"expected {check.expected}, found {value!r}", name)


def require_all(settings: Any, checks: Mapping[str, Check]) -> None:
    """Raise unless each attribute of the settings that a check is of is allowed by it."""
    for name, check in checks.items():
        require(name, getattr(settings, name), check)
