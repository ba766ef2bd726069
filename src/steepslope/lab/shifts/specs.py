"""Data specs with shifts: ``corrupt:fog:3/imagefolder:DIR`` is a data set like any other.

A shift is ``NAME:ARGUMENT?OPTION=VALUE&…`` before a ``/`` and the spec of what it changes, which may be shifted itself.
A new shift is a parser and its entry in ``SHIFTS``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from steepslope.checks import listed
from steepslope.errors import SteepslopeError, located, unknown_name
from steepslope.files.extras import parse_query
from steepslope.lab.shifts.corruptions import Corruption, ShiftByKind
from steepslope.lab.shifts.distortions import Distortion
from steepslope.lab.shifts.options import RecolorOptions
from steepslope.lab.shifts.recolor import RecolorSpec
from steepslope.lab.shifts.stylization import StylizeSpec
from steepslope.nets.data.shifted import ShiftSpec
from steepslope.nets.data.specs import DATASETS, DatasetSpec, parse_dataset

Kinds = Mapping[str, Callable[[str], Any]]  # the name of an option -> what makes its value of a text


def _by_kind(shift: type[ShiftByKind], example: str, argument: str) -> ShiftByKind:
    """Parse ``KIND:SEVERITY[?seed=0&crop=224]``."""
    name, options = parse_query(argument, ["seed", "crop"])
    kind, colon, severity = name.partition(":")
    if not colon:
        own = shift.method
        raise SteepslopeError(f"expected {own}:KIND:SEVERITY, such as {own}:{example}, found {own}:{argument}")
    given = {"severity": severity, **options}
    return shift(kind, **converted(given, dict.fromkeys(given, int)))


def stylize_spec(argument: str) -> StylizeSpec:
    """Parse ``STYLIZER?styles=FOLDER[&alpha=1&side=…&crop=…&style_crop=256&seed=0]``."""
    kinds: Kinds = {"styles": str, "alpha": float, "side": int, "crop": int, "style_crop": int, "seed": int}
    folder, options = parse_query(argument, kinds)
    if "styles" not in options:
        raise SteepslopeError("expected styles=FOLDER after ?, the images whose styles are taken, found none", "styles")
    return StylizeSpec(folder, **converted(options, kinds))


def recolor_spec(argument: str) -> RecolorSpec:
    """Parse ``CLASSIFIER[?bound=.06&steps=100&…&mean=…&std=…]``; other options are the classifier's own."""
    attack: Kinds = {name: type(value) for name, value in asdict(RecolorOptions()).items()}
    numbers = partial(listed, kind=float)
    inputs: Kinds = {"image_size": int, "mean": numbers, "std": numbers, "resize": str, "channels": int}
    kinds = {**attack, **inputs}
    classifier, _, query = argument.partition("?")
    parts = [part for part in query.split("&") if part]
    ours = [part for part in parts if part.partition("=")[0] in kinds]
    others = [part for part in parts if part not in ours]
    if others and not classifier.startswith(("timm:", "torchvision:")):
        raise unknown_name("option of recolor:", others[0].partition("=")[0], kinds)
    values = converted(parse_query(f"?{'&'.join(ours)}", kinds)[1], kinds)
    options = RecolorOptions(**{name: values.pop(name) for name in attack if name in values})
    return RecolorSpec("?".join(filter(None, (classifier, "&".join(others)))), options, values)


SHIFTS: dict[str, Callable[[str], ShiftSpec]] = {
    "corrupt": partial(_by_kind, Corruption, "fog:3"),
    "distort": partial(_by_kind, Distortion, "blur:1"),
    "stylize": stylize_spec,
    "recolor": recolor_spec,
}


def converted(options: Mapping[str, str], kinds: Kinds) -> dict[str, Any]:
    """Return options, by name, as what they are to be; raise where a text is no such."""
    values = {}
    for name, text in options.items():
        try:
            values[name] = kinds[name](text)
        except ValueError:
            expected = "a whole number" if kinds[name] is int else "numbers"
            raise SteepslopeError(f"expected {expected}, found {text!r}", name) from None
    return values


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
    border = re.search(known, rest) or (re.search("/", rest) if name in ("corrupt", "distort") else None)
    if border is None:
        raise SteepslopeError(f"data spec {text!r}: expected / and a data spec after {name}:…, found none")
    with located(f"data spec {text!r}"):
        shift = SHIFTS[name](rest[: border.start()])
    inner = parse_data(rest[border.end() :])
    return replace(inner, shifts=(shift, *inner.shifts))
