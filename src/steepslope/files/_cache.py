"""A user's cache of what takes long to make and can be made again, such as a net exported to ONNX.

The name of a file is the digest of what it was made from, and the file begins with that of its contents. A file is
written under another name and then renamed, so no run sees half of it; it is used only if its contents have their
digest. Where the folder cannot be read or written to, nothing is kept, and all still works. The cache holds up to
4 GiB; what was used longest ago goes first, parts left by killed runs included.
"""

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile

FOLDER = "STEEPSLOPE_CACHE"  # the variable that names another folder
LARGEST = 4 * 2**30  # bytes in all
DIGEST = 32  # bytes
ENDING = ".bin"


def _cache_folder() -> Path:
    """Return the folder: that of ``STEEPSLOPE_CACHE``, or ``steepslope`` in ``XDG_CACHE_HOME``, or in ``~/.cache``."""
    if named := os.environ.get(FOLDER):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "steepslope"


def read_cache(key: str) -> bytes | None:
    """Return what was kept under a digest; None where there is nothing, or nothing whole."""
    with suppress(OSError, RuntimeError):
        path = _cache_folder() / f"{key}{ENDING}"
        content = path.read_bytes()
        if sha256(content[DIGEST:]).digest() == content[:DIGEST]:
            path.touch()  # used last
            return content[DIGEST:]
        path.unlink()
    return None


def write_cache(key: str, content: bytes) -> None:
    """Keep some contents under a digest, in place of what was kept; the files not used for longest make room."""
    with suppress(OSError, RuntimeError):  # a full disk; or a user without a home
        folder = _cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder, prefix=".partial-", suffix=ENDING, delete=False) as file:
            try:
                file.write(sha256(content).digest())
                file.write(content)
                file.close()
                Path(file.name).replace(folder / f"{key}{ENDING}")
            finally:
                Path(file.name).unlink(missing_ok=True)
        room = LARGEST
        for path in sorted(folder.glob(f"*{ENDING}"), key=lambda path: path.stat().st_mtime, reverse=True):
            room -= path.stat().st_size
            if room < 0:
                path.unlink(missing_ok=True)
