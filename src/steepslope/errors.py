"""The one exception that users see, and how its message names what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

MANY = 50  # names are too many to list


class SteepslopeError(ValueError):
    """Bad input or an undefined result; its message is one line that says what, where, expected, found."""


class UndefinedMetricError(SteepslopeError):
    """A metric that has no value on this input, such as an AUC without a single error."""


class FewErrorsWarning(UserWarning):
    """An oracle is fitted on so few errors that its result depends on luck."""


def require_seed(seed: int) -> None:
    """Raise unless the seed is a whole number that every generator in use takes."""
    if not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise SteepslopeError(f"seed: expected a whole number from 0 to {2**31 - 1}, found {seed}")


def unknown_name(kind: str, name: str, known: Iterable[str]) -> SteepslopeError:
    """Build the error for a name that is in no registry, with the closest match first.

    >>> print(unknown_name("loss", "steepslope", ["focal", "steep_slope"]))
    unknown loss 'steepslope': did you mean 'steep_slope'? Known: focal, steep_slope
    """
    names = sorted(known)
    close = [repr(match) for match in get_close_matches(name, names, n=1 if len(names) <= MANY else 3)]
    hint = f"did you mean {' or '.join(close)}?" if close else ""
    listed = f"Known: {', '.join(names)}" if len(names) <= MANY else "" if close else f"{len(names):,} others are known"
    return SteepslopeError(f"unknown {kind} {name!r}: {' '.join(filter(None, (hint, listed)))}")
