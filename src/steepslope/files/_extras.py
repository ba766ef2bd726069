"""What some specs need: libraries, and options, ``NAME?option=value&option=value``."""

import importlib
import sys
from collections.abc import Collection, Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from steepslope.errors import SteepslopeError, is_out_of_memory, reason_of, unknown_name

# The extras of the libraries that some modules import plainly, for the command that needs such a module.
EXTRAS = {
    "PIL": "nets", "cryptography": "sign", "lightning_fabric": "nets", "matplotlib": "lab", "onnxruntime": "nets",
    "timm": "nets", "torch": "nets", "torchvision": "nets", "yaml": "nets",
}  # fmt: skip


def require_extra(module: str, extra: str, need: str) -> Any:
    """Import a library of an optional extra, or raise an error that tells how to install it.

    >>> require_extra("no_such_library", "data", "hf: data")
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: hf: data needs no_such_library: pip install 'steepslope[data]'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if is_out_of_memory(error):
            raise
        raise SteepslopeError(f"{need} needs {module}: pip install 'steepslope[{extra}]'") from error


def imported_by_name(spec: str) -> Any:
    """Return what ``module:name`` names in a module of one's own, which may lie in the current folder.

    Raises
    ------
    SteepslopeError
        If there is no colon, or the module cannot be imported or has no such name.
    """
    module, colon, name = spec.partition(":")
    if not (module and colon and name):
        raise SteepslopeError("expected module:name", spec)
    sys.path.insert(0, "")  # to find modules in the current folder too, as ``python -m`` does
    try:
        return getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # whatever the user's own code raises
        raise SteepslopeError(f"cannot be imported ({reason_of(error)})", spec) from error
    finally:
        sys.path.remove("")


class _Optional:
    """A library of an extra that is imported when something of it is first used."""

    def __init__(self, module: str, extra: str) -> None:
        self._module, self._extra = module, extra

    def __getattr__(self, name: str) -> Any:
        return getattr(require_extra(self._module, self._extra, "this"), name)


def optional_library(module: str, extra: str) -> Any:
    """Return a library of an extra, to be imported on first use; an error then names the extra if it is not installed.

    >>> optional_library("no_such_library", "data").read
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: this needs no_such_library: pip install 'steepslope[data]'
    """
    return _Optional(module, extra)


def versions_of(libraries: Iterable[str]) -> dict[str, str]:
    """Return the major and minor versions of those of some libraries that are installed.

    >>> versions_of(["no-such-library"])
    {}
    """
    versions = {}
    for name in libraries:
        with suppress(PackageNotFoundError):
            versions[name] = ".".join(version(name).split(".")[:2])
    return versions


def parse_query(text: str, known: Collection[str]) -> tuple[str, dict[str, str]]:
    """Cut a spec into its name and its options; an unknown option is named.

    >>> parse_query("resnet50?weights=random", ["weights"])
    ('resnet50', {'weights': 'random'})
    """
    name, _, query = text.partition("?")
    options = {}
    for part in filter(None, query.split("&")):
        option, _, value = part.partition("=")
        if option not in known:
            raise unknown_name(f"option of {text!r}:", option, known)
        if not value:
            raise SteepslopeError(f"{text!r}: expected a value after {option}=, found none")
        options[option] = value
    return name, options
