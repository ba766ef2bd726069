"""What tells files from others of the same names: the one place that decides which changes a run notices.

Arrays, tables, JSON and weights are read as a whole anyway, so their contents count, wherever they lie and whatever
their times are. Images are many and large: their size, times and number in the file system count, which change when
a file is written, replaced, moved or restored; on request (``--verify``) their contents do.
"""

import hashlib
from pathlib import Path

from steepslope.errors import SteepslopeError
from steepslope.files.folders import digest_of

READ = ("manifest.json", "oracle.json", "gate.json", "metrics.json", "*.npy", "*.parquet", "*.safetensors")
INSIDE = ("", "auxiliary", "foreign", "augmented")  # where in a folder these files are read


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
        files = sorted({file for folder in INSIDE for kind in READ for file in (path / folder).glob(kind)})
        return digest_of([[str(file.relative_to(path)), fingerprint(file, contents)] for file in files])
    try:
        if not contents:
            found = path.stat()
            return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SteepslopeError(f"cannot be read ({error.strerror})", path) from error
