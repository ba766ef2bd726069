"""Hugging Face data sets: saved folders, folders of files, and names in the hub or its cache."""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from steepslope.errors import SteepslopeError, explained, require_known
from steepslope.files.extras import parse_query, require_extra
from steepslope.files.folders import digest_of
from steepslope.nets.data.class_names import ClassNames, class_names_in_order
from steepslope.nets.data.images import ALL, Labels, decode_image, labels_at
from steepslope.outputs.labels import UNKNOWN, Texts

UNLABELLED = "none"  # in place of the label column


@dataclass(frozen=True, eq=False)
class HubImages:
    """One split of a Hugging Face data set: ``table`` holds encoded images in ``column``; ids are the rows."""

    table: Any
    column: str
    labels: Labels | None
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
        return decode_image(io.BytesIO(cell["bytes"]) if cell["bytes"] is not None else cell["path"])

    def fingerprint(self, rows: slice = ALL, verify: bool = False) -> str:
        """Return the SHA-256 of the library's own fingerprint, the rows and their labels."""
        numbers = list(range(*rows.indices(len(self))))
        labels = labels_at(self.labels, rows)
        return digest_of([self.table._fingerprint, self.column, numbers, labels])


def open_hub(argument: str, split: str, names: ClassNames) -> HubImages:
    """Open ``hf:NAME[?config=…&image=…&label=…&revision=…][:SPLIT]``; NAME may be a folder.

    The columns are those named, or the only ones that hold images and classes. Classes that have names get their
    labels by :class:`ClassNames`. The images have no labels where ``label=none`` says so, where no column could hold
    any, and where all are −1, as in published test splits.
    """
    name, part, options = look_at_hub(argument)
    datasets = require_extra("datasets", "data", "hf: data")
    table = _hub_split(_load_from_hub(datasets, name, options), part, f"hf:{name}")
    if len(table) == 0:
        raise SteepslopeError(f"hf:{name}: expected images, found none")
    image = options.get("image") or _only_hub_column(table, datasets.Image, "image", name)
    require_known(f"image column of hf:{name}:", image, table.features)
    if not isinstance(table.features[image], datasets.Image):
        raise SteepslopeError(f"hf:{name}: expected images in the column {image!r}, found {table.features[image]}")
    label = _hub_label_column(datasets, table, options.get("label"), name)
    labels, classes = (None, None) if label is None else _hub_labels(table, label, names, f"hf:{name}")
    return HubImages(table.cast_column(image, datasets.Image(decode=False)), image, labels, classes)


def look_at_hub(argument: str, split: str = "") -> tuple[str, str | None, dict[str, str]]:
    """Return name, split and options of a spec; raise if they name a folder that is missing."""
    require_extra("datasets", "data", "hf: data")
    match = None if Path(argument).is_dir() else re.fullmatch(r"(.+):(\w[\w.-]*)", argument)
    name, split_named = (match[1], match[2]) if match else (argument, None)
    if not name.split("?")[0]:
        raise SteepslopeError("data spec 'hf:': expected a name or a folder after it, found nothing")
    name, options = parse_query(name, ["config", "image", "label", "revision"])
    if not Path(name).exists() and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise SteepslopeError(f"hf:{name}: no such folder")
    return name, split_named, options


def _load_from_hub(datasets: Any, name: str, options: dict[str, str]) -> Any:
    folder = Path(name)
    saved = (folder / "dataset_dict.json").exists() or (folder / "state.json").exists()
    if saved and options.keys() & {"config", "revision"}:
        raise SteepslopeError(f"hf:{name}: expected no config or revision, since the folder was saved as it is")
    bars = datasets.are_progress_bars_disabled()
    try:
        datasets.disable_progress_bars()
        # of any kind: the library, its builders and the network each have their own
        with explained(f"hf:{name}: cannot be loaded", longest=200):
            if saved:
                return datasets.load_from_disk(name)
            return datasets.load_dataset(name, options.get("config"), revision=options.get("revision"))
    finally:
        if not bars:
            datasets.enable_progress_bars()


def _hub_split(loaded: Any, split: str | None, source: str) -> Any:
    """Return the named split, or the only one."""
    if hasattr(loaded, "features"):
        if split is not None:
            raise SteepslopeError(f"expected no split, since it was saved without any, found {split!r}", source)
        return loaded
    if split is None and len(loaded) == 1:
        return next(iter(loaded.values()))
    if split not in loaded:
        splits = ", ".join(loaded)
        raise SteepslopeError(f"expected one of its splits ({splits}) after a colon, found {split or 'none'}", source)
    return loaded[split]


def _hub_label_column(datasets: Any, table: Any, named: str | None, source: str) -> str | None:
    """Return the column of labels; None where the spec says that there is none, or where no column could be it."""
    if named == UNLABELLED:
        return None
    if named is not None:
        require_known(f"label column of hf:{source}:", named, table.features)
        return named
    types = [str(getattr(feature, "dtype", "")) for feature in table.features.values()]  # classes are int64, too
    could_be = any(name.startswith(("int", "uint")) for name in types)
    return _only_hub_column(table, datasets.ClassLabel, "label", source) if could_be else None


def _only_hub_column(table: Any, kind: type, option: str, name: str) -> str:
    columns = [column for column, feature in table.features.items() if isinstance(feature, kind)]
    if len(columns) != 1:
        among = f"{len(columns)} among {', '.join(table.features)}; choose with ?{option}=NAME"
        among += f", or ?label={UNLABELLED} for images without labels" if option == "label" else ""
        raise SteepslopeError(f"hf:{name}: expected one {option} column, found {among}")
    return str(columns[0])


def _hub_labels(
    table: Any, column: str, names: ClassNames, source: str
) -> tuple[Labels | None, tuple[str, ...] | None]:
    """Return the labels and, by label, the names of the classes."""
    labels = np.asarray(table.with_format("numpy")[column][:])
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        found = "missing values" if labels.dtype.kind == "f" else labels.dtype
        raise SteepslopeError(f"expected whole numbers in the column {column!r}, found {found}", source)
    if (labels == -1).all():
        return None, None
    own_names = getattr(table.features[column], "names", None)
    if not own_names or labels.min() < UNKNOWN:
        return labels.astype(np.int64), class_names_in_order(names.known)
    numbers = names.labels_of(Texts(labels[labels != UNKNOWN].astype(np.int32), own_names), source)
    ordered = own_names if np.array_equal(numbers, np.arange(len(own_names))) else None
    found = np.append(numbers, UNKNOWN)[labels]  # at the place −1, the last, too
    return found, class_names_in_order(names.known) or (None if ordered is None else tuple(ordered))
