"""Data specs with shifts: ``corrupt:fog:3/imagefolder:DIR`` is a data set like any other.

A shift is ``NAME:ARGUMENT?OPTION=VALUE&…`` before a ``/`` and the spec of what it changes, which may be shifted itself.
A new shift is a parser and its entry in ``SHIFTS``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from steepslope.checks import listed
from steepslope.data.shifted import ShiftSpec
from steepslope.data.specs import DATASETS, DatasetSpec, parse_dataset
from steepslope.errors import SteepslopeError, located, unknown_name
from steepslope.files.queries import parse_query
from steepslope.shifts.corruptions import Corruption
from steepslope.shifts.distortions import Distortion
from steepslope.shifts.options import RecolorOptions
from steepslope.shifts.recolor import RecolorSpec
from steepslope.shifts.stylization import StylizeSpec

Kinds = Mapping[str, Callable[[str], Any]]  # the name of an option -> what makes its value of a text


def corruption_spec(argument: str) -> Corruption:
    """Parse ``KIND:SEVERITY[?seed=0&crop=224]``."""
    return Corruption(**_by_kind(argument, "corrupt:KIND:SEVERITY, such as corrupt:fog:3, found corrupt:"))


def distortion_spec(argument: str) -> Distortion:
    """Parse ``KIND:SEVERITY[?seed=0&crop=224]``."""
    return Distortion(**_by_kind(argument, "distort:KIND:SEVERITY, such as distort:blur:1, found distort:"))


def _by_kind(argument: str, expected: str) -> dict[str, Any]:
    """Return by name the kind, and as whole numbers the severity after it and the options."""
    name, options = parse_query(argument, ["seed", "crop"])
    kind, colon, text = name.partition(":")
    if not colon:
        raise SteepslopeError(f"expected {expected}{argument}")
    given = {"severity": text, **options}
    return {"kind": kind, **converted(given, dict.fromkeys(given, int))}


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
    inputs: Kinds = {"image_size": int, "mean": _numbers, "std": _numbers, "resize": str, "channels": int}
    classifier, _, query = argument.partition("?")
    parts = [part for part in query.split("&") if part]
    ours = [part for part in parts if part.partition("=")[0] in {**attack, **inputs}]
    others = [part for part in parts if part not in ours]
    if others and not classifier.startswith(("timm:", "torchvision:")):
        raise unknown_name("option of recolor:", others[0].partition("=")[0], {**attack, **inputs})
    own = "&".join(others)
    given = converted(parse_query(f"?{'&'.join(ours)}", {**attack, **inputs})[1], {**attack, **inputs})
    options = RecolorOptions(**{name: value for name, value in given.items() if name in attack})
    changes = {name: value for name, value in given.items() if name in inputs}
    return RecolorSpec(f"{classifier}?{own}" if own else classifier, options, changes)


SHIFTS: dict[str, Callable[[str], ShiftSpec]] = {
    "corrupt": corruption_spec,
    "distort": distortion_spec,
    "stylize": stylize_spec,
    "recolor": recolor_spec,
}


def _numbers(text: str) -> tuple[float, ...]:
    return listed(text, float)


def converted(options: Mapping[str, str], kinds: Kinds) -> dict[str, Any]:
    """Return options, by name, as what they are to be; raise where a text is no such."""
    found = {}
    for name, text in options.items():
        try:
            found[name] = kinds[name](text)
        except ValueError:
            expected = "a whole number" if kinds[name] is int else "numbers"
            raise SteepslopeError(f"expected {expected}, found {text!r}", name) from None
    return found


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
    found = re.search(known, rest) or (re.search("/", rest) if name in ("corrupt", "distort") else None)
    if found is None:
        raise SteepslopeError(f"data spec {text!r}: expected / and a data spec after {name}:…, found none")
    with located(f"data spec {text!r}"):
        shift = SHIFTS[name](rest[: found.start()])
    inner = parse_data(rest[found.end() :])
    return replace(inner, shifts=(shift, *inner.shifts))
