"""A folder that holds one result is not mixed with another."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from steepslope.errors import SteepslopeError


def require_same(
    folder: Path, what: str, found: Mapping[str, Any], expected: Mapping[str, Any], free: Collection[str] = ()
) -> None:
    """Raise unless what a folder records about its result is what is expected of it, but for what is ``free``.

    >>> require_same(Path("runs/mine"), "another training", {"seed": 0}, {"seed": 1})
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: runs/mine: holds another training and is not mixed with this one: seed: \
expected 1, found 0; choose another folder or delete this one
    """
    for name in {**expected, **found}:
        if name not in free and found.get(name) != expected.get(name):
            raise SteepslopeError(
                f"holds {what} and is not mixed with this one: {name}: expected {expected.get(name)}, "
                f"found {found.get(name)}; choose another folder or delete this one",
                folder,
            )
