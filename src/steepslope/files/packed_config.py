"""The config of a packed folder: what tells it from other folders, and from one that was changed; free of torch."""

from pathlib import Path
from typing import Any

from steepslope.errors import SteepslopeError
from steepslope.files.folders import digest_of, read_json

CONFIG, TENSORS = "config.json", "model.safetensors"
LIBRARY = "steepslope"
VERSION = 1
DIGEST = "digest"
EXPECTED = "a packed gate or oracle"
CHANGED = "was changed after it was packed, or is cut: get it again"


def packed_kind(folder: Path) -> str | None:
    """Return of what kind a packed folder is, such as gate; None where this package has packed nothing there."""
    if not (folder / CONFIG).is_file():
        return None
    config = read_json(folder / CONFIG, EXPECTED)
    return str(config.get("kind")) if config.get("library_name") == LIBRARY else None


def read_config(folder: Path) -> dict[str, Any]:
    """Return what ``config.json`` holds; raise unless this package wrote it, and it is as it was written."""
    path = folder / CONFIG
    config = read_json(path, EXPECTED)
    if config.get("library_name") != LIBRARY:
        raise SteepslopeError(f"expected {EXPECTED}, found the config of {config.get('library_name')!r}", path)
    if config.get("version") != VERSION:
        raise SteepslopeError(f"expected version {VERSION} of the format, found {config.get('version')!r}", path)
    if config.get(DIGEST) != digest_of({name: value for name, value in config.items() if name != DIGEST}):
        raise SteepslopeError(CHANGED, path)
    return config
