"""Settings in YAML files: read as mappings, and built into frozen dataclasses, with errors of one line."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from steepslope.errors import SteepslopeError, require_known

T = TypeVar("T")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises
    ------
    SteepslopeError
        If the file cannot be read, or holds something else.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SteepslopeError(f"cannot be read ({' '.join(str(error).split())[:160]})", path) from error
    if not isinstance(content, dict):
        raise SteepslopeError(f"expected names and values, found {type(content).__name__}", path)
    return content


def built(kind: type[T], content: Mapping[str, Any], place: str) -> T:
    """Return an instance of a dataclass from what YAML holds; lists become tuples. ``place`` is for errors.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Point:
    ...     x: int
    >>> built(Point, {"x": [1, 2]}, "a point")
    Point(x=(1, 2))
    >>> built(Point, {"y": 1}, "a point")
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: unknown field of a point: 'y': did you mean 'x'? Known: x

    Raises
    ------
    SteepslopeError
        If a field is unknown, with the closest name, or one is missing.
    """
    if not isinstance(content, Mapping):
        raise SteepslopeError(f"expected names and values, found {content!r}", place)
    for name in content:
        require_known(f"field of {place}:", name, {one.name for one in fields(kind)})  # type: ignore[arg-type]
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}
    try:
        return kind(**given)
    except TypeError as error:
        raise SteepslopeError(str(error).partition(") ")[2] or str(error), place) from error


def set_at(content: dict[str, Any], place: str, value: Any) -> None:
    """Set what a place such as ``nets.vit.size`` holds; all but its last part must be there.

    >>> content = {"nets": {"vit": {"size": 384}}}
    >>> set_at(content, "nets.vit.size", 32)
    >>> content
    {'nets': {'vit': {'size': 32}}}
    """
    *parents, last = place.split(".")
    for name in parents:
        require_known(f"place in {place!r}:", name, content)
        content = content[name]
        if not isinstance(content, dict):
            raise SteepslopeError(f"expected names and values below it, found {content!r}", name)
    content[last] = value
