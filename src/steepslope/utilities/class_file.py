"""A text file with the names of classes, or a folder that records them."""

from pathlib import Path

from steepslope.errors import SteepslopeError, explained
from steepslope.utilities.files import field, read_json

RECORDS = ("manifest.json", "classifier.json")  # of folders whose classes have names: outputs and checkpoints


def read_classes(path: Path) -> dict[str, int]:
    """Read the names of classes in the order of the labels.

    They stand in a text file, one a line, or in what a folder of outputs or of a trained classifier records.
    """
    if path.is_dir():
        return {name: label for label, name in enumerate(_recorded(path))}
    with explained("expected a text file with one class a line", path, (OSError, UnicodeDecodeError)):
        names = [name.strip() for name in path.read_text(encoding="utf-8-sig").rstrip().split("\n")]
    for row, name in enumerate(names):
        if not name or name in names[:row]:
            raise SteepslopeError(f"expected one class a line, each once, found {name!r} in line {row + 1}", path)
    return {name: label for label, name in enumerate(names)}


def _recorded(folder: Path) -> list[str]:
    records = [folder / name for name in RECORDS if (folder / name).exists()]
    if not records:
        raise SteepslopeError("expected a text file, outputs or a classifier with names of classes, found none", folder)
    content = read_json(records[0], "names of classes")
    if not content.get("classes"):
        raise SteepslopeError("expected names of classes, found none: give a text file with one a line", records[0])
    return [str(name) for name in field(content, "classes", list, records[0])]
