"""Packages whose names load on first use, so that importing them, or an option class inside, stays quick."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def late(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a package's ``__getattr__`` for names that live in other modules.

    >>> late("steepslope", {"Whole": "steepslope.checks"})("Whole").__name__
    'Whole'
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(homes[name]), name)

    return get
