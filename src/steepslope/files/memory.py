"""Whether what a file unpacks to fits into memory: its directory tells that before anything is unpacked."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from steepslope.errors import SteepslopeError

GIBI = 1 << 30
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
        raise SteepslopeError(f"{expected}, {found}: if that is meant, save it as a folder", path)


def free_memory() -> float:
    """Return the bytes of memory that are free, as far as the system tells; infinity where it does not."""
    limits = [float("inf")]
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        limits.append(1024.0 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    with suppress(OSError, ValueError):  # "max" where there is no limit
        limits.append(float(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return min(limits)


def arrays_that_fit_memory(archive: Any, names: Iterable[str], path: Path) -> dict[str, NDArray[Any]]:
    """Return those of the named arrays that an open .npz file has; raise before reading if memory has no room."""
    entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.zip.infolist()}
    wanted = [name for name in dict.fromkeys(names) if name in archive]
    read = [entries[name] for name in wanted if name in entries]
    require_memory_for(path, sum(entry.file_size for entry in read), sum(entry.compress_size for entry in read))
    return {name: archive[name] for name in wanted}
