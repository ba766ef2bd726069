"""A text file with the names of classes."""

from pathlib import Path

from steepslope.errors import SteepslopeError, explained


def read_classes(path: Path) -> dict[str, int]:
    """Read a text file with the name of one class a line, in the order of the labels."""
    with explained("expected a text file with one class a line", path, (OSError, UnicodeDecodeError)):
        names = [name.strip() for name in path.read_text(encoding="utf-8-sig").rstrip().split("\n")]
    for row, name in enumerate(names):
        if not name or name in names[:row]:
            raise SteepslopeError(f"expected one class a line, each once, found {name!r} in line {row + 1}", path)
    return {name: label for label, name in enumerate(names)}
