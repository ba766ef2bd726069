"""Whether what a file unpacks to fits into memory: its directory tells that before anything is unpacked."""

from collections.abc import Iterable
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from steepslope.errors import SteepslopeError

GIBI = 1 << 30
CGROUP, OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
GROUPS = {  # by the controllers in OWN_GROUPS, version 2 and 1: folder, limit, use, and the cache that can be dropped
    "": (CGROUP, "memory.max", "memory.current", "inactive_file"),
    "memory": (CGROUP / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
HARMLESS, MOST_TIMES = GIBI, 100  # up to so many bytes any ratio passes; outputs are seldom packed to a tenth


def require_memory_for(path: Path, needed: int, packed: int) -> None:
    """Raise if ``packed`` bytes unpack to more than is free, or to more times their number than in an honest file."""
    free = free_memory()
    if needed > free:
        found = f"found one that needs {needed / GIBI:,.1f} GiB"
        raise SteepslopeError(f"expected a file that fits into {free / GIBI:,.1f} GiB of free memory, {found}", path)
    if needed > max(HARMLESS, MOST_TIMES * packed):
        found = f"found one that unpacks to {needed / max(1, packed):,.0f} times its size, {needed / GIBI:,.1f} GiB"
        expected = f"expected a file that unpacks to {MOST_TIMES} times its size at most"
        raise SteepslopeError(f"{expected}, {found}: if that is meant, unpack it, or save outputs as a folder", path)


def free_memory() -> float:
    """Return the bytes of memory that this process may still take; infinity where the system does not tell.

    That is the least of what the machine has free, what a container leaves, and what ``ulimit -v`` leaves.
    """
    return min(_free_on_machine(), _left_in_container(), _left_to_process())


def _free_on_machine() -> float:
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024.0 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    return inf


def _left_in_container() -> float:
    """Return the least that the limits of this process's control groups and of those around them leave."""
    left = inf
    with suppress(OSError, ValueError):
        for line in OWN_GROUPS.read_text(encoding="utf-8").splitlines():
            _, controllers, name = line.split(":", 2)
            if controllers in GROUPS:  # others limit no memory
                root, *names = GROUPS[controllers]
                group = root / name.strip("/")
                left = min(left, *(_left_in_group(folder, *names) for folder in (group, *group.parents)))
    return left


def _left_in_group(folder: Path, limit: str, use: str, dropped: str) -> float:
    """Return what the limit of one group leaves; files that it could drop from its cache are no use of memory."""
    with suppress(OSError, ValueError, StopIteration):  # no such group, or "max": no limit
        most = int((folder / limit).read_text(encoding="ascii"))
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
        cached = int(next(line for line in lines if line.startswith(f"{dropped} ")).split()[1])
        used = int((folder / use).read_text(encoding="ascii")) - cached
        return float(max(0, most - used))
    return inf


def _left_to_process() -> float:
    """Return what the limit of the address space leaves."""
    with suppress(ImportError, OSError, ValueError):
        import resource  # Windows has none

        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            return float(max(0, most - pages * resource.getpagesize()))
    return inf


def arrays_that_fit_memory(archive: Any, names: Iterable[str], path: Path) -> dict[str, NDArray[Any]]:
    """Return those of the named arrays that an open .npz file has; raise before reading if memory has no room."""
    entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.zip.infolist()}
    wanted = [name for name in dict.fromkeys(names) if name in archive]
    read = [entries[name] for name in wanted if name in entries]
    require_memory_for(path, sum(entry.file_size for entry in read), sum(entry.compress_size for entry in read))
    return {name: archive[name] for name in wanted}
