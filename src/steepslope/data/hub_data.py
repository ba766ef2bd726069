"""Hugging Face data sets: saved folders, folders of files, and names in the hub or its cache."""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from steepslope.data.class_names import ClassNames
from steepslope.data.images import ALL, decode_image
from steepslope.errors import SteepslopeError, explained, require_known
from steepslope.utilities.extras import require_extra
from steepslope.utilities.files import digest_of
from steepslope.utilities.queries import parse_query


@dataclass(frozen=True, eq=False)
class HubImages:
    """One split of a Hugging Face data set: ``table`` holds encoded images in ``column``; ids are the rows."""

    table: Any
    column: str
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

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

    def fingerprint(self, rows: slice = ALL) -> str:
        """Return the SHA-256 of the library's own fingerprint, the rows and their labels."""
        numbers = list(range(*rows.indices(len(self))))
        return digest_of([self.table._fingerprint, self.column, numbers, self.labels[rows].tolist()])


def open_hub(argument: str, names: ClassNames) -> HubImages:
    """Open ``hf:NAME[?config=…&image=…&label=…&revision=…][:SPLIT]``; NAME may be a folder.

    The columns are those named, or the only ones that hold images and classes. Classes that have names get their
    labels by :class:`ClassNames`.
    """
    datasets = require_extra("datasets", "data", "hf: data")
    found = None if Path(argument).is_dir() else re.fullmatch(r"(.+):(\w[\w.-]*)", argument)
    name, split = (found[1], found[2]) if found else (argument, None)
    if not name.split("?")[0]:
        raise SteepslopeError("data spec 'hf:': expected a name or a folder after it, found nothing")
    name, options = parse_query(name, ["config", "image", "label", "revision"])
    table = _split(_load(datasets, name, options), split, f"hf:{name}")
    if len(table) == 0:
        raise SteepslopeError(f"hf:{name}: expected images, found none")
    image = options.get("image") or _only_column(table, datasets.Image, "image", name)
    label = options.get("label") or _only_column(table, datasets.ClassLabel, "label", name)
    for kind, column in (("image", image), ("label", label)):
        require_known(f"{kind} column of hf:{name}:", column, table.features)
    if not isinstance(table.features[image], datasets.Image):
        raise SteepslopeError(f"hf:{name}: expected images in the column {image!r}, found {table.features[image]}")
    labels = _labels(table, label, names, f"hf:{name}")
    return HubImages(table.cast_column(image, datasets.Image(decode=False)), image, labels)


def _load(datasets: Any, name: str, options: dict[str, str]) -> Any:
    folder = Path(name)
    if not folder.exists() and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise SteepslopeError(f"hf:{name}: no such folder")
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


def _split(loaded: Any, split: str | None, source: str) -> Any:
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


def _only_column(table: Any, kind: type, option: str, name: str) -> str:
    found = [column for column, feature in table.features.items() if isinstance(feature, kind)]
    if len(found) != 1:
        among = f"{len(found)} among {', '.join(table.features)}; choose with ?{option}=NAME"
        raise SteepslopeError(f"hf:{name}: expected one {option} column, found {among}")
    return str(found[0])


def _labels(table: Any, column: str, names: ClassNames, source: str) -> NDArray[np.int64]:
    labels = np.asarray(table.with_format("numpy")[column][:])
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        found = "missing values" if labels.dtype.kind == "f" else labels.dtype
        raise SteepslopeError(f"expected whole numbers in the column {column!r}, found {found}", source)
    own_names = getattr(table.features[column], "names", None)
    if not own_names or labels.min() < 0:  # some test splits are published without labels, as -1
        return labels.astype(np.int64)
    return np.asarray(names.labels_of(own_names, source)[labels])
