"""Files by URL, such as ``s3://bucket/photos``, through fsspec; ``file://`` names a local path like any other.

File systems are looked up where they are used, and none is kept: a process that is forked, or that gets a data set
sent, needs connections of its own.
"""

import re
from typing import Any, NamedTuple
from urllib.parse import unquote

from steepslope.errors import SteepslopeError, explained
from steepslope.files.extras import require_extra

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
LOCAL = "file://"
VERSIONS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "created")
QUOTING = ("http://", "https://")  # whose listings have %20 for a space


class Listed(NamedTuple):
    """A file that a listing has: its path in the file system, and its path below the folder.

    ``version`` changes with its contents, as far as the store tells: its size, an ETag, the time of the last change.
    """

    path: str
    name: str
    version: str = ""


def is_url(text: str) -> bool:
    """Return whether a place is a URL; ``file://`` counts as a path.

    >>> is_url("s3://bucket/photos"), is_url("photos"), is_url("file:///photos"), is_url("C:/photos")
    (True, False, False, False)
    """
    return URL.match(text) is not None and not text.startswith(LOCAL)


def path_without_scheme(text: str) -> str:
    """Return a place without ``file://``.

    >>> path_without_scheme("file:///photos"), path_without_scheme("photos")
    ('/photos', 'photos')
    """
    return text.removeprefix(LOCAL)


def filesystem_of_url(url: str) -> tuple[Any, str]:
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


def read_url(url: str, path: str | None = None, start: int | None = None, end: int | None = None) -> bytes:
    """Return the bytes, or some of them, of the file of a URL, or of a path in its file system."""
    system, place = filesystem_of_url(url)
    return bytes(system.cat_file(path or place, start=start, end=end))


def files_below_url(url: str) -> list[Listed]:
    """Return all files below a URL in the order of a local folder: those of a folder before those of its subfolders.

    One listing gives names and sizes: no file takes a request of its own.

    Raises
    ------
    SteepslopeError
        If there is nothing.
    """
    system, root = filesystem_of_url(url)
    with explained("cannot be listed", url, longest=200):
        listing = system.find(root, detail=True)
    base = root.rstrip("/") + "/"
    files = []
    for path, info in listing.items():
        name = unquote(path.removeprefix(base)) if url.startswith(QUOTING) else path.removeprefix(base)
        version = next((info[field] for field in VERSIONS if info.get(field)), "")
        if path != root:
            files.append(Listed(path, name, f"{info.get('size')} {version}"))
    if not files:
        raise SteepslopeError("expected files below it, found none that can be listed", url)
    return sorted(files, key=_order_of_listed_file)


def _order_of_listed_file(file: Listed) -> list[tuple[bool, str]]:
    *folders, name = file.name.split("/")
    return [*((True, folder) for folder in folders), (False, name)]
