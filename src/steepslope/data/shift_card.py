"""What ``shift.json`` tells whoever reads a folder of shifted images: their size, and the classes of its folders."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from steepslope.errors import SteepslopeError
from steepslope.utilities.files import field, read_json

CARD = "shift.json"


@dataclass(frozen=True)
class ShiftCard:
    """Shifted images on disk.

    ``brought_to`` is the height and width of all of them, None where they have sizes of their own. ``labels`` are the
    labels of the folders by name, empty for images without. ``classes`` are the names of the classes by label, None
    where they have none: folders may be named in another way, since not every name can be a folder's.
    """

    brought_to: tuple[int, int] | None
    labels: Mapping[str, int]
    classes: tuple[str, ...] | None

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """Read the card of a folder; None where it has none, as if it were any folder of images."""
        path = folder / CARD
        if not path.is_file():
            return None
        content = read_json(path, "shifted images")
        size, labels = content.get("size"), field(content, "folders", dict, path)
        classes = content.get("classes")
        if not all(type(label) is int and label >= 0 for label in labels.values()):
            raise SteepslopeError(f"field 'folders': expected labels >= 0, found {list(labels.values())}", path)
        return cls(None if size is None else tuple(size), labels, None if classes is None else tuple(classes))

    def as_json(self) -> dict[str, Any]:
        """Return the fields of the card."""
        size, classes = self.brought_to, self.classes
        return {
            "size": None if size is None else list(size),
            "folders": dict(self.labels),
            "classes": None if classes is None else list(classes),
        }

    def name_of(self, folder: str) -> str:
        """Return the name of the class whose images lie in a folder: its own where the classes have no names."""
        return folder if self.classes is None or folder not in self.labels else self.classes[self.labels[folder]]

    @property
    def names(self) -> dict[str, int]:
        """The labels of all classes by :meth:`name_of`."""
        if self.classes is not None:
            return {name: label for label, name in enumerate(self.classes)}
        return dict(self.labels)
