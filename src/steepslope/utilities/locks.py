"""One run at a time in a folder: a lock that the operating system holds, so that a run that dies leaves none behind."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from steepslope.errors import SteepslopeError

LOCK = ".lock"  # the empty file stays: whoever removed it could let two runs in


@contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Keep other runs out of a folder for the length of the block; it is made if it is not there.

    A folder that cannot be written to is not locked, since no run can change it. A folder in which the block leaves
    nothing is as it was before.

    Raises
    ------
    SteepslopeError
        If another run holds the folder.
    """
    target = Path(folder)
    made = [path for path in (target, *target.parents) if not path.exists()]
    lock = FileLock(target / LOCK)
    try:
        target.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise SteepslopeError(
            "another run works in this folder: wait for it, or choose another folder", folder
        ) from None
    except OSError:  # whatever writes says why it cannot
        _clear(target, made)
        yield
        return
    try:
        yield
    finally:
        lock.release()
        _clear(target, made)


def _clear(folder: Path, made: list[Path]) -> None:
    """Remove the lock's file where it is alone, and the folders that were made for it."""
    with suppress(OSError):
        if [path.name for path in folder.iterdir()] == [LOCK]:
            (folder / LOCK).unlink()
        for path in made:
            path.rmdir()  # it fails where there is something in it
