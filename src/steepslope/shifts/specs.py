"""Data specs with shifts: ``corrupt:fog:3/imagefolder:DIR`` is a data set like any other.

A shift is ``NAME:ARGUMENT?OPTION=VALUE&…`` before a ``/`` and the spec of what it changes, which may be shifted itself.
A new shift is a parser and its entry in ``SHIFTS``.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from steepslope.checks import require
from steepslope.data.datasets import DATASETS, DatasetSpec, parse_dataset
from steepslope.data.shifted import ShiftSpec
from steepslope.errors import SteepslopeError, located
from steepslope.shifts.corruptions import SEVERITY, Corruption
from steepslope.utilities.queries import parse_query


def corruption_spec(argument: str) -> Corruption:
    """Parse ``KIND:SEVERITY[?seed=0&crop=224]``."""
    name, options = parse_query(argument, ["seed", "crop"])
    kind, _, severity = name.partition(":")
    settings = {name: whole_number(name, value) for name, value in options.items()}
    require("severity", whole_number("severity", severity or "none"), SEVERITY)
    return Corruption(kind, int(severity), **settings)


SHIFTS: dict[str, Callable[[str], ShiftSpec]] = {"corrupt": corruption_spec}


def whole_number(name: str, text: str) -> int:
    """Return the number that a text is; raise unless it is a whole one."""
    try:
        return int(text)
    except ValueError:
        raise SteepslopeError(f"expected a whole number, found {text!r}", name) from None


def parse_data(text: str) -> DatasetSpec:
    """Parse a data spec, with shifts before it or without.

    >>> spec = parse_data("corrupt:fog:3?seed=1/digits:test")
    >>> spec.scheme, spec.split, str(spec)
    ('digits', 'test', 'corrupt:fog:3?seed=1/digits:test')

    Raises
    ------
    SteepslopeError
        If a scheme, shift or setting is unknown; the message has the closest name.
    """
    name, _, rest = text.partition(":")
    if name not in SHIFTS:
        return parse_dataset(text)
    known = rf"/(?=(?:{'|'.join({**SHIFTS, **DATASETS})})(?::|$))"
    found = re.search(known, rest) or re.search("/", rest)
    if found is None:
        raise SteepslopeError(f"data spec {text!r}: expected / and a data spec after {name}:…, found none")
    with located(f"data spec {text!r}"):
        shift = SHIFTS[name](rest[: found.start()])
    inner = parse_data(rest[found.end() :])
    return replace(inner, shifts=(shift, *inner.shifts))
