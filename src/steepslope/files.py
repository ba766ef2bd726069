"""Writing that is all or nothing, and reading that says in one line what is wrong with a file."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from steepslope.errors import SteepslopeError


@contextmanager
def staged_folder(folder: str | Path, last: str) -> Iterator[Path]:
    """Give a staging folder whose files move into ``folder`` together when the block ends without an error.

    The file named ``last`` leaves first and arrives last, so its presence means a complete set. On an error
    nothing in ``folder`` has changed.
    """
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise SteepslopeError(f"{target}: expected a folder to write to, found a file")
    try:
        target.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".partial-", dir=target))
    except OSError as error:
        raise SteepslopeError(f"{target}: cannot write here ({error.strerror})") from error
    try:
        yield staging
        (target / last).unlink(missing_ok=True)
        for path in sorted(staging.iterdir(), key=lambda path: path.name == last):
            path.replace(target / path.name)
    except OSError as error:
        raise SteepslopeError(f"{target}: writing failed ({error.strerror or error})") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON with sorted structure kept as given; NaN is refused, since JSON has none."""
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path, expected: str) -> dict[str, Any]:
    """Read a JSON object; ``expected`` says in the error what the file should have been."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SteepslopeError(f"{path.parent}: expected {expected}, but it has no {path.name}") from None
    except (OSError, ValueError) as error:
        raise SteepslopeError(f"{path}: expected {expected}, but it cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise SteepslopeError(f"{path}: expected {expected}, found a JSON {type(content).__name__}")
    return content


def field(content: Mapping[str, Any], name: str, kind: type | tuple[type, ...], where: Path) -> Any:
    """Return ``content[name]`` if it is of that type; else say which field of which file is wrong."""
    if name not in content:
        raise SteepslopeError(f"{where}: the field {name!r} is missing")
    if not isinstance(content[name], kind):
        raise SteepslopeError(f"{where}: field {name!r}: found {content[name]!r} of an unexpected type")
    return content[name]
