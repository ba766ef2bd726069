"""Libraries that only some specs need."""

import importlib
from typing import Any

from steepslope.errors import SteepslopeError


def require_extra(module: str, extra: str, need: str) -> Any:
    """Import a library of an optional extra, or raise an error that tells how to install it.

    >>> require_extra("no_such_library", "data", "wds: data")
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: wds: data needs no_such_library: pip install 'steepslope[data]'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SteepslopeError(f"{need} needs {module}: pip install 'steepslope[{extra}]'") from error
