"""Writing that is all or nothing, and reading whose errors name in one line what is wrong with a file or folder.

One run at a time in a folder: a lock that the operating system holds, so that a run that dies leaves none behind.

What tells files from others of the same names, and which changes a run notices, is decided here.
Arrays, tables, JSON and weights are read as a whole anyway, so their contents count, wherever they lie and whatever
their times are. Images are many and large: their size, times and number in the file system count, which change when
a file is written, replaced, moved or restored; on request (``--verify``) their contents do.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import BaseFileLock, FileLock, Timeout

from steepslope.errors import SteepslopeError, reason_of

LOCK = ".lock"
_OLD = ".old"  # in a staging folder, what it replaces
WAIT = 60.0  # seconds for another process to finish writing
_UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}  # the last two: a file is there
_TRIES = 1_000  # to hold a lock in a folder that other runs remove and make; a try takes about 0.1 ms


@contextmanager
def staged_folder(folder: str | Path, last: str, first: str = "", replaced: Iterable[str] = ()) -> Iterator[Path]:
    """Give a staging folder whose files move into ``folder`` together when the block ends without an error.

    Of several files the one named ``last`` leaves first and arrives last, so its presence means a complete set; the one
    named ``first`` arrives first. A folder among them replaces the one of its name. Files and folders named in
    ``replaced`` are removed, even where nothing new has their name. If the block fails, nothing in ``folder`` has
    changed. Processes that write the same ``last`` wait for one another.
    """
    target = require_no_file(folder)
    with undisturbed_folder(target, last):
        staging = staging_of(target, last)
        try:
            shutil.rmtree(staging, ignore_errors=True)  # what a killed run left
            staging.mkdir(parents=True)
        except OSError as error:
            raise SteepslopeError(f"cannot write here ({error.strerror})", target) from error
        try:
            yield staging
            _move_from_staging(staging, target, first, last, replaced)
        except OSError as error:
            raise SteepslopeError(f"writing failed ({error.strerror or error})", target) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def staging_of(folder: Path, last: str) -> Path:
    """Return the staging folder of :func:`staged_folder`, which is there only while files are written."""
    return folder / f".partial-{last}"


def undisturbed_folder(folder: Path, last: str) -> AbstractContextManager[None]:
    """Wait until no other process writes by :func:`staged_folder` under that name; keep others waiting in the block."""
    return locked(folder, staging_of(folder, last).name + LOCK, wait=WAIT, stays=False)


def require_no_file(folder: str | Path) -> Path:
    """Return the path of a folder to write to, which need not be there; raise if a file is in its place."""
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise SteepslopeError("expected a folder to write to, found a file", target)
    return target


def _move_from_staging(staging: Path, target: Path, first: str, last: str, replaced: Iterable[str]) -> None:
    files = sorted(staging.iterdir(), key=lambda path: (path.name == last, path.name != first))
    blocked = [path.name for path in files if path.is_file() and (target / path.name).is_dir()]
    if blocked:
        raise SteepslopeError("expected to write a file, found a folder", target / blocked[0])
    if len(files) > 1:
        (target / last).unlink(missing_ok=True)
    old = staging / _OLD
    old.mkdir()
    for name in {*replaced, *(path.name for path in files if path.is_dir())}:
        with suppress(FileNotFoundError):
            (target / name).rename(old / name)  # one step, even if others write into it
    for path in files:
        path.replace(target / path.name)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def share_permissions(path: Path) -> None:
    """Let those read and write a file who may its new folder; safetensors keeps its own from all others."""
    with suppress(OSError):  # not every file system has permissions
        path.chmod(path.parent.stat().st_mode & 0o666)


def write_json(path: Path, content: Any) -> None:
    """Write JSON with sorted structure kept as given; NaN is refused, since JSON has none."""
    path.write_bytes((json.dumps(content, indent=1, allow_nan=False, default=np.generic.item) + "\n").encode())


def read_json(path: Path, expected: str) -> dict[str, Any]:
    """Read a JSON object; ``expected`` tells in the error what the file should have been."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SteepslopeError(f"expected {expected}, but it has no {path.name}", path.parent) from None
    except (OSError, ValueError, RecursionError) as error:
        raise SteepslopeError(f"expected {expected}, but it cannot be read ({reason_of(error)})", path) from error
    if not isinstance(content, dict):
        raise SteepslopeError(f"expected {expected}, found a JSON {type(content).__name__}", path)
    return content


def positive(content: Mapping[str, Any], name: str, where: Path) -> int:
    """Return ``content[name]`` if it is a whole number >= 1."""
    value: int = field(content, name, int, where)
    if value < 1:
        raise SteepslopeError(f"field {name!r}: expected a number >= 1, found {value}", where)
    return value


def field(content: Mapping[str, Any], name: str, kind: type | tuple[type, ...], where: Path) -> Any:
    """Return ``content[name]`` if it is of that type; else an error names the field and the file."""
    if name not in content:
        raise SteepslopeError(f"the field {name!r} is missing", where)
    if not isinstance(content[name], kind) or (kind is int and isinstance(content[name], bool)):
        raise SteepslopeError(f"field {name!r}: found {content[name]!r} of an unexpected type", where)
    return content[name]


def digest_of(content: object) -> str:
    """Return the SHA-256 of content that JSON can hold, in hex; arrays count as lists."""
    return hashlib.sha256(json.dumps(content, default=np.ndarray.tolist).encode()).hexdigest()


READ = ("manifest.json", "oracle.json", "gate.json", "metrics.json", "*.npy", "*.parquet", "*.safetensors")
INSIDE = ("", "auxiliary", "augmented", "augmented/auxiliary", "opinions/*", "augmented/opinions/*")
# where in a folder these files are read


def fingerprint(path: Path, contents: bool = True) -> str:
    """Return what tells a file, or what is read of a folder, from others.

    Parameters
    ----------
    path
        A file, or a folder of outputs, an oracle, a gate or a report.
    contents
        Whether the contents count, as SHA-256, and nothing else; or the size, the times of the last change of contents
        and of the file's entry, which no program can set back, and its number in the file system.

    Raises
    ------
    SteepslopeError
        If there is no such file, or it cannot be read.
    """
    if path.is_dir():
        files = sorted({file for folder in INSIDE for kind in READ for file in path.glob(str(Path(folder, kind)))})
        return digest_of([[str(file.relative_to(path)), fingerprint(file, contents)] for file in files])
    try:
        if not contents:
            state = path.stat()
            return f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino}"
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SteepslopeError(f"cannot be read ({error.strerror})", path) from error


@contextmanager
def locked(folder: str | Path, name: str = LOCK, wait: float = 0, stays: bool = True) -> Iterator[None]:
    """Keep other runs out of a folder, or of the file that ``.NAME.lock`` is for, for the length of the block.

    The folder is made if it is not there. A folder in which the block leaves nothing but the lock is as it was before;
    otherwise the empty lock stays, if ``stays`` says so. A folder that cannot be written to is not locked, since no run
    can change it. ``wait`` is how many seconds to wait for another run.

    Raises
    ------
    SteepslopeError
        If another run holds the folder, or it can be written to and not locked, as on a full disk.
    """
    target, lock = Path(folder), None
    made = [path for path in (target, *target.parents) if not path.exists()]
    try:
        lock = _held_lock(target / name, wait)
    except Timeout:
        place = target if name == LOCK else target / name.removeprefix(".").removesuffix(LOCK)
        raise SteepslopeError("another run works here: wait for it, or choose another place", place) from None
    except OSError as error:
        is_writable = target.is_dir() and os.access(target, os.W_OK)
        if is_writable or error.errno not in _UNWRITABLE:  # else whatever writes says why it cannot
            raise SteepslopeError(f"cannot be locked ({reason_of(error)})", target) from error
    try:
        yield
    finally:
        if lock is not None:
            _clear_lock(target / name, made, stays)
            lock.release()


def _held_lock(path: Path, wait: float) -> BaseFileLock:
    """Return a lock that is held on the very file that lies at the path.

    Whoever held it before may have removed the file after it was opened here: what is held then is no lock to others.
    """
    failure: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    for _ in range(_TRIES):
        lock = FileLock(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=wait, poll_interval=0.01)
            descriptor = lock._context.lock_file_fd
            if descriptor is not None and os.path.samestat(os.fstat(descriptor), path.stat()):
                share_permissions(path)
                return lock
        except (FileNotFoundError, FileExistsError) as error:  # another run removed the folder, or made it again
            failure = error
        lock.release()
    raise failure


def _clear_lock(lock: Path, made: list[Path], stays: bool) -> None:
    """Remove a lock that is held, unless it stays, and the folders that were made for it and hold nothing else."""
    with suppress(OSError):
        is_alone = bool(made) and [path.name for path in lock.parent.iterdir()] == [lock.name]
        if is_alone or not stays:
            lock.unlink()
        for path in made:
            path.rmdir()  # it fails where there is something in it
