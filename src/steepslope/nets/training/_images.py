"""The images of outputs, found by their ids. A report shows images without running a net, so nothing here needs torch.

What needs Pillow is imported where there are images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located
from steepslope.files import require_extra
from steepslope.nets.data import ClassNames
from steepslope.outputs import ClassifierOutputs, extraction_of_folder

if TYPE_CHECKING:
    from steepslope.nets.data import Dataset, DatasetSpec

HOLDOUT = "holdout"


def images_of_outputs(outputs: ClassifierOutputs, spec: DatasetSpec, where: str) -> tuple[Dataset, NDArray[np.int64]]:
    """Find the images of outputs by their ids: the data set, or that of its splits that has them, and their rows."""
    with located(where):
        return ImageFinder(spec, outputs.classes)(outputs.ids)


class ImageFinder:
    """Finds images by their ids in a data set, or in that of its splits that has them all; each is opened once.

    ``classes`` are the names of the classes, by label, where they have names.
    """

    def __init__(self, spec: DatasetSpec, classes: tuple[str, ...] | None = None) -> None:
        self.spec = spec
        self.names = ClassNames.by_label(classes)
        self.splits: Sequence[str | None] = [spec.split] if spec.split else spec.splits or [None]
        self.open = cache(lambda split: spec.open(split, self.names))

    def __call__(self, ids: Iterable[str] | None) -> tuple[Dataset, NDArray[np.int64]]:
        """Return a data set and the rows of the images, (len(ids),); raise if it lacks one, or two splits have all.

        In two folders, files may have the same names; in all other data, ids tell the split.
        """
        from steepslope.nets.data import image_rows_by_id

        failures, found = [], []
        wanted = None if ids is None else list(ids)
        for data in map(self.open, self.splits):
            try:
                found.append((data, image_rows_by_id(data, wanted)))
            except SteepslopeError as error:
                failures.append(error)
            if found and not self.spec.is_named:
                break
        if not found:
            raise SteepslopeError(f"in {self.spec}: {failures[0]}")
        if len(found) > 1:
            several = "expected one split that has images of these ids, found several"
            raise SteepslopeError(f"in {self.spec}: {several}: name it, as in {self.spec}:{self.splits[-1]}")
        return found[0]

    def places(self, ids: Sequence[str]) -> list[tuple[Dataset, int] | None]:
        """Return where each image is; None where none has its id, or several have it.

        All are looked for in one split, that with the most of them.

        Raises
        ------
        SteepslopeError
            If no split can be opened.
        """
        failures, found = [], []
        for split in self.splits:
            try:
                data = self.open(split)
            except SteepslopeError as error:
                failures.append(error)
                continue
            names = [*map(str, data.ids)]
            row_of = {name: row for row, name in enumerate(names)}
            repeated = Counter(names)
            found.append([(data, row_of[name]) if repeated[name] == 1 else None for name in ids])
            if None not in found[-1]:
                break
        if not found:
            raise failures[0]
        return min(found, key=lambda places: places.count(None))


def open_images_of_outputs(outputs: ClassifierOutputs, path: Path, data: str | None = None) -> Dataset:
    """Open the images of outputs: those of the data spec, or else of the one in the outputs' manifest."""
    return images_of_outputs(outputs, data_spec_of_outputs(path, data), str(path))[0]


def data_spec_of_outputs(path: Path, data: str | None = None) -> DatasetSpec:
    """Return the data spec that is given, or else the one in the manifest of outputs."""
    if data is None:
        where = extraction_of_folder(path).get("data")
        if where is None:
            raise SteepslopeError("does not say where its images are: give --data", path)
        data = str(where).removesuffix(f":{HOLDOUT}")
    require_extra("PIL", "nets", f"{data}: to read images")
    from steepslope.nets.data import parse_data

    return parse_data(data)
