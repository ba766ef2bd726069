"""Settings in YAML files: read as mappings, and built into frozen dataclasses, with errors of one line."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from steepslope.errors import SteepslopeError, explained, reason_of, require_known
from steepslope.files._extras import optional_library

yaml = optional_library("yaml", "nets")
T = TypeVar("T")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping; one whose name ends in ``.json`` needs no further library.

    Raises
    ------
    SteepslopeError
        If the file cannot be read, or holds something else; or PyYAML is not installed.
    """
    read = json.loads if path.suffix == ".json" else yaml.safe_load
    try:
        content = read(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SteepslopeError("expected a file in YAML or JSON, found none", path) from None
    except Exception as error:  # each parser has errors of its own
        raise SteepslopeError(f"cannot be read ({reason_of(error, 160)})", path) from error
    if not isinstance(content, dict):
        raise SteepslopeError(f"expected names and values, found {type(content).__name__}", path)
    return content


def dataclass_from_yaml(kind: type[T], content: Mapping[str, Any], place: str) -> T:
    """Return an instance of a dataclass from what YAML holds; lists become tuples. ``place`` is for errors.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Point:
    ...     place: tuple[int, int]
    >>> dataclass_from_yaml(Point, {"place": [1, 2]}, "a point")
    Point(place=(1, 2))
    >>> dataclass_from_yaml(Point, {"palce": [1, 2]}, "a point")
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: unknown field of a point: 'palce': did you mean 'place'? Known: place

    Raises
    ------
    SteepslopeError
        If a field is unknown, with the closest name, or one is missing.
    """
    if not isinstance(content, Mapping):
        raise SteepslopeError(f"expected names and values, found {content!r}", place)
    for name in content:
        require_known(f"field of {place}:", name, {one.name for one in fields(kind)})  # type: ignore[arg-type]
    for one in fields(kind):  # type: ignore[arg-type]
        if one.default is one.default_factory is MISSING and one.name not in content:
            raise SteepslopeError(f"expected {one.name}, found none", place)
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in content.items()})


def set_in_yaml(content: dict[str, Any], place: str, text: str) -> None:
    """Set a place such as ``nets.vit.size`` to what a text of YAML says; all but its last part must be there.

    Elements of lists are named by their numbers from 0 on.

    >>> content = {"nets": {"vit": {"size": 384}}, "stages": [{"epochs": 500}, {"epochs": 20}]}
    >>> set_in_yaml(content, "nets.vit.size", "32")
    >>> set_in_yaml(content, "stages.1.epochs", "2")
    >>> content
    {'nets': {'vit': {'size': 32}}, 'stages': [{'epochs': 500}, {'epochs': 2}]}

    Raises
    ------
    SteepslopeError
        If a part before the last is not there, with the closest name, or holds neither names nor a list; or if a list
        has no element of that number; or the text cannot be read.
    """
    with explained("cannot be read", place):
        value = yaml.safe_load(text)
    *parents, last = place.split(".")
    inside: Any = content
    for name in parents:
        inside = inside[_key_in_yaml(inside, name, place)]
        if not isinstance(inside, dict | list):
            raise SteepslopeError(f"expected names and values below {name}, found {type(inside).__name__}", place)
    inside[last if isinstance(inside, dict) else _key_in_yaml(inside, last, place)] = value


def _key_in_yaml(inside: dict[str, Any] | list[Any], name: str, place: str) -> Any:
    """Return a name as what finds its value in a mapping or list that has it."""
    if isinstance(inside, dict):
        require_known(f"place in {place!r}:", name, inside)
        return name
    require_known(f"place in {place!r}:", name, [str(number) for number in range(len(inside))])
    return int(name)
