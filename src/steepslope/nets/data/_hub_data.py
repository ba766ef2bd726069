"""Hugging Face data sets, as the library ``datasets`` loads them: folders of files, and names in the hub."""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from steepslope.errors import SteepslopeError, explained, require_known
from steepslope.files import digest_of, parse_query, require_extra
from steepslope.nets.data._class_names import ClassNames, class_names_in_order
from steepslope.nets.data._images import ALL, Labels, decode_image, labels_at
from steepslope.outputs import UNKNOWN, Texts

_OPTIONS = ("config", "image", "label", "revision")
_UNLABELLED = "none"  # in place of the label column
_SAVED = ("dataset_dict.json", "state.json")  # what save_to_disk writes


@dataclass(frozen=True, eq=False)
class _HubImages:
    """One split of a Hugging Face data set: ``table`` holds encoded images in ``column``; ids are the rows."""

    table: Any
    column: str
    labels: Labels | None = None
    classes: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.table)

    @property
    def ids(self) -> list[str]:
        """The rows' numbers."""
        return [f"{row:07d}" for row in range(len(self))]

    def image(self, row: int) -> Image.Image:
        """Decode one image completely."""
        cell = self.table[row][self.column]
        if cell is None:
            raise ValueError("no image")
        if cell["bytes"] is None:
            return decode_image(cell["path"])
        return decode_image(io.BytesIO(cell["bytes"]))

    def fingerprint(self, rows: slice = ALL, verify: bool = False) -> str:
        """Return the SHA-256 of the library's own fingerprint, the rows and their labels."""
        numbers = list(range(*rows.indices(len(self))))
        labels = labels_at(self.labels, rows)
        return digest_of([self.table._fingerprint, self.column, numbers, labels])


def open_hub(argument: str, split: str, names: ClassNames) -> _HubImages:
    """Open ``hf:NAME[?config=…&image=…&label=…&revision=…][:SPLIT]``; NAME may be a folder.

    The columns are those named, or the only ones that hold images and classes. Classes that have names get their
    labels by :class:`ClassNames`. The images have no labels where ``label=none`` says so, and where all are −1, as in
    published test splits.
    """
    datasets = require_extra("datasets", "data", "hf: data")
    name, part, options = look_at_hub(argument)
    source = f"hf:{name}"
    # of any kind: the library, its builders and the network each have their own
    with explained(f"{source}: cannot be loaded", longest=200):
        loaded = datasets.load_dataset(name, options.get("config"), revision=options.get("revision"))
    table = _hub_split(loaded, part, source)
    if len(table) == 0:
        raise SteepslopeError("expected images, found none", source)
    image = options.get("image") or _only_column_of(table, datasets.Image, "image", source)
    require_known(f"image column of {source}:", image, table.features)
    if not isinstance(table.features[image], datasets.Image):
        raise SteepslopeError(f"expected images in the column {image!r}, found {table.features[image]}", source)
    encoded = table.cast_column(image, datasets.Image(decode=False))
    label = options.get("label") or _only_column_of(table, datasets.ClassLabel, "label", source)
    if label == _UNLABELLED:
        return _HubImages(encoded, image)
    require_known(f"label column of {source}:", label, table.features)
    labels, classes = _hub_labels(table, label, names, source)
    return _HubImages(encoded, image, labels, classes)


def look_at_hub(argument: str, split: str = "") -> tuple[str, str | None, dict[str, str]]:
    """Return name, split and options of a spec; raise if they name a folder that is missing, or one to convert."""
    require_extra("datasets", "data", "hf: data")
    part = None
    match = re.fullmatch(r"(.+):(\w[\w.-]*)", argument)
    if match and not Path(argument).is_dir():
        argument, part = match.groups()
    name, options = parse_query(argument, _OPTIONS)
    if not name:
        raise SteepslopeError("data spec 'hf:': expected a name or a folder after it, found nothing")
    folder = Path(name)
    if not folder.exists() and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise SteepslopeError(f"hf:{name}: no such folder")
    if any((folder / file).exists() for file in _SAVED):
        raise SteepslopeError(
            f"hf:{name}: expected files such as Parquet, found a folder of save_to_disk: "
            "open it with datasets.load_from_disk, and write it with to_parquet"
        )
    return name, part, options


def _hub_split(loaded: Any, part: str | None, source: str) -> Any:
    """Return the named split, or the only one."""
    if part is None and len(loaded) == 1:
        [part] = loaded
    if part not in loaded:
        raise SteepslopeError(
            f"expected one of its splits ({', '.join(loaded)}) after a colon, found {part or 'none'}", source
        )
    return loaded[part]


def _only_column_of(table: Any, kind: type, option: str, source: str) -> str:
    columns = [column for column, feature in table.features.items() if isinstance(feature, kind)]
    if len(columns) != 1:
        found = f"{len(columns)} among {', '.join(table.features)}; choose with ?{option}=NAME"
        if option == "label":
            found += f", or ?label={_UNLABELLED} for images without labels"
        raise SteepslopeError(f"expected one {option} column, found {found}", source)
    return str(columns[0])


def _hub_labels(
    table: Any, column: str, names: ClassNames, source: str
) -> tuple[Labels | None, tuple[str, ...] | None]:
    """Return the labels and, by label, the names of the classes."""
    labels = np.asarray(table.with_format("numpy")[column][:])
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        found = "missing values" if labels.dtype.kind == "f" else labels.dtype
        raise SteepslopeError(f"expected whole numbers in the column {column!r}, found {found}", source)
    if (labels == UNKNOWN).all():
        return None, None
    classes = class_names_in_order(names.known)
    own_names = getattr(table.features[column], "names", None)
    if not own_names or labels.min() < UNKNOWN:
        return labels.astype(np.int64), classes
    numbers = names.labels_of(Texts(labels[labels != UNKNOWN].astype(np.int32), own_names), source)
    if classes is None and np.array_equal(numbers, np.arange(len(own_names))):
        classes = tuple(own_names)
    return np.append(numbers, UNKNOWN)[labels], classes  # −1 takes the last
