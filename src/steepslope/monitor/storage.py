"""The state of a monitor in one JSON file, which a kill at any moment leaves as it was."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from steepslope.errors import SteepslopeError
from steepslope.files.folders import digest_of, field, locked, read_json, staged_folder, write_json

VERSION = 1
EXPECTED = "the state of a monitor"


def write_state(path: Path, monitor: Mapping[str, Any], counted: Mapping[str, Any] | None = None) -> None:
    """Write what a monitor holds, and which rows it has counted, with the digest of both."""
    if path.is_dir():
        raise SteepslopeError("expected a file to write to, found a folder", path)
    content = {"version": VERSION, "monitor": dict(monitor), "counted": None if counted is None else dict(counted)}
    with staged_folder(path.parent, last=path.name) as staging:
        write_json(staging / path.name, {**content, "digest": digest_of(content)})


def locked_state(path: Path) -> AbstractContextManager[None]:
    """Return what keeps others from writing a state, such as a server that holds it as long as it runs."""
    return locked(path.parent, f".{path.name}.lock")


def read_state(path: Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return what :func:`write_state` was given; raise for a file that is none, or was changed."""
    if not path.is_file():
        raise SteepslopeError(f"expected {EXPECTED}, found {'a folder' if path.exists() else 'no such file'}", path)
    content = read_json(path, EXPECTED)
    if content.get("version") != VERSION:
        raise SteepslopeError(f"expected version {VERSION} of the format, found {content.get('version')!r}", path)
    if content.pop("digest", None) != digest_of(content):
        raise SteepslopeError("was changed after it was written: expected the digest of its content", path)
    return field(content, "monitor", dict, path), field(content, "counted", (dict, type(None)), path)
