"""Files by URL, such as ``s3://bucket/photos``, through fsspec; ``file://`` names a local path like any other.

File systems are looked up where they are used, and none is kept: a process that is forked, or that gets a data set
sent, needs connections of its own.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote

from steepslope.errors import SteepslopeError, explained
from steepslope.files.extras import require_extra

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
LOCAL = "file://"
VERSIONS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "created")
QUOTING = ("http://", "https://")  # whose listings have %20 for a space


class Listed(NamedTuple):
    """A file that a listing has: its path in the file system, its path below the folder, and its bytes, −1 unknown.

    ``version`` changes with its contents, as far as the store tells: an ETag, or the time of the last change.
    """

    path: str
    name: str
    size: int
    version: str = ""


def is_url(text: str) -> bool:
    """Return whether a place is a URL; ``file://`` counts as a path.

    >>> is_url("s3://bucket/photos"), is_url("photos"), is_url("file:///photos"), is_url("C:/photos")
    (True, False, False, False)
    """
    return URL.match(text) is not None and not text.startswith(LOCAL)


def as_path(text: str) -> str:
    """Return a place without ``file://``.

    >>> as_path("file:///photos"), as_path("photos")
    ('/photos', 'photos')
    """
    return text.removeprefix(LOCAL)


def filesystem(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of a URL, with the path in it.

    Raises
    ------
    SteepslopeError
        If fsspec, or the library of that kind of URL, is not installed, or there is no such kind.
    """
    fsspec = require_extra("fsspec", "ray", url)
    with explained("no such place can be read", url, longest=200):  # of any kind: each file system has its own
        system, path = fsspec.core.url_to_fs(url)
        return system, str(path)


def read(url: str, path: str, start: int | None = None, end: int | None = None) -> bytes:
    """Return the bytes, or some of them, of a file in the file system of a URL."""
    system, _ = filesystem(url)
    return bytes(system.cat_file(path, start=start, end=end))


def files_below(url: str) -> list[Listed]:
    """Return all files below a URL in the order of a local folder: those of a folder before those of its subfolders.

    One listing gives names and sizes: no file takes a request of its own.

    Raises
    ------
    SteepslopeError
        If there is nothing.
    """
    system, root = filesystem(url)
    with explained("cannot be listed", url, longest=200):
        found = system.find(root, detail=True)
    base = root.rstrip("/") + "/"
    files = [_listed(path, path.removeprefix(base), info, url) for path, info in found.items() if path != root]
    if not files:
        raise SteepslopeError("expected files below it, found none that can be listed", url)
    return sorted(files, key=lambda one: _order(one.name))


def with_suffix(files: Collection[Listed], suffixes: Collection[str], left_out: str) -> Iterator[Listed]:
    """Yield the files with one of some suffixes, but for hidden ones and those of the name that is left out."""
    for one in files:
        name = PurePosixPath(one.name).name
        if not name.startswith(".") and name != left_out and PurePosixPath(name).suffix.lower() in suffixes:
            yield one


def _listed(path: str, name: str, info: Any, url: str) -> Listed:
    size = info.get("size")
    version = next((str(info[field]) for field in VERSIONS if info.get(field)), "")
    return Listed(path, unquote(name) if url.startswith(QUOTING) else name, -1 if size is None else int(size), version)


def _order(name: str) -> list[tuple[bool, str]]:
    *folders, file = name.split("/")
    return [*((True, folder) for folder in folders), (False, file)]
