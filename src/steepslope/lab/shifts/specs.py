"""Shifts in data specs, such as ``corrupt:fog:3/imagefolder:DIR``: ``NAME:ARGUMENT?OPTION=VALUE&…`` before the ``/``.

Each function parses the argument of the shift of its name, and is an entry point of the group ``steepslope.shifts``.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from steepslope.checks import listed
from steepslope.errors import SteepslopeError, unknown_name
from steepslope.files.extras import parse_query
from steepslope.lab.shifts.corruptions import Corruption, ShiftByKind
from steepslope.lab.shifts.distortions import Distortion
from steepslope.lab.shifts.options import RecolorOptions
from steepslope.lab.shifts.recolor import RecolorSpec
from steepslope.lab.shifts.stylization import StylizeSpec

S = TypeVar("S", bound=ShiftByKind)
Kinds = Mapping[str, Callable[[str], Any]]  # the name of an option -> what makes its value of a text


def corrupt(argument: str) -> Corruption:
    """Parse ``KIND:SEVERITY[?seed=0&crop=224]``."""
    return _parse_shift_by_kind(Corruption, "fog:3", argument)


def distort(argument: str) -> Distortion:
    """Parse ``KIND:SEVERITY[?seed=0&crop=224]``."""
    return _parse_shift_by_kind(Distortion, "blur:1", argument)


def _parse_shift_by_kind(shift: type[S], example: str, argument: str) -> S:
    name, options = parse_query(argument, ["seed", "crop"])
    kind, colon, severity = name.partition(":")
    if not colon:
        method = shift.method
        raise SteepslopeError(f"expected {method}:KIND:SEVERITY, such as {method}:{example}, found {method}:{argument}")
    settings = {"severity": severity, **options}
    return shift(kind, **converted_shift_options(settings, dict.fromkeys(settings, int)))


def stylize(argument: str) -> StylizeSpec:
    """Parse ``STYLIZER?styles=FOLDER[&alpha=1&side=…&crop=…&style_crop=256&seed=0]``."""
    kinds: Kinds = {"styles": str, "alpha": float, "side": int, "crop": int, "style_crop": int, "seed": int}
    folder, options = parse_query(argument, kinds)
    if "styles" not in options:
        raise SteepslopeError("expected styles=FOLDER after ?, the images whose styles are taken, found none", "styles")
    return StylizeSpec(folder, **converted_shift_options(options, kinds))


def recolor(argument: str) -> RecolorSpec:
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
    values = converted_shift_options(parse_query(f"?{'&'.join(ours)}", kinds)[1], kinds)
    options = RecolorOptions(**{name: values.pop(name) for name in attack if name in values})
    return RecolorSpec("?".join(filter(None, (classifier, "&".join(others)))), options, values)


def converted_shift_options(options: Mapping[str, str], kinds: Kinds) -> dict[str, Any]:
    """Return options, by name, as what they are to be; raise where a text is no such."""
    values = {}
    for name, text in options.items():
        try:
            values[name] = kinds[name](text)
        except ValueError:
            expected = "a whole number" if kinds[name] is int else "numbers"
            raise SteepslopeError(f"expected {expected}, found {text!r}", name) from None
    return values
