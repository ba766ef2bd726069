"""Shifts of single images in data specs, such as ``corrupt:fog:3/imagefolder:DIR``: ``NAME:ARGUMENT`` before the ``/``.

``corrupt`` and ``distort`` parse the argument of the shift of their name. They are entry points of the group
``steepslope.shifts``.
"""

from functools import partial

from steepslope.errors import SteepslopeError
from steepslope.files import parse_query
from steepslope_lab.shifts.corruptions import Corruption, ShiftByKind
from steepslope_lab.shifts.distortions import Distortion


def parse_shift_by_kind(shift: type[ShiftByKind], example: str, argument: str) -> ShiftByKind:
    """Parse ``KIND:SEVERITY[?seed=0&crop=224]``."""
    name, options = parse_query(argument, ["seed", "crop"])
    kind, colon, severity = name.partition(":")
    if not colon:
        method = shift.method
        raise SteepslopeError(f"expected {method}:KIND:SEVERITY, such as {method}:{example}, found {method}:{argument}")
    settings = {"severity": severity, **options}
    for option, text in settings.items():
        if not text.removeprefix("-").isdecimal():
            raise SteepslopeError(f"expected a whole number, found {text!r}", option)
    return shift(kind, **{option: int(text) for option, text in settings.items()})


corrupt = partial(parse_shift_by_kind, Corruption, "fog:3")
distort = partial(parse_shift_by_kind, Distortion, "blur:1")
