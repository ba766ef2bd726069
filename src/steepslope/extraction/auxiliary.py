"""A second backbone's features of images, kept beside a classifier's outputs of the same images."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.classifiers.classifier import Classifier
from steepslope.data.augmentation import Augmented
from steepslope.data.class_names import ClassNames
from steepslope.data.images import ALL, Dataset, Picture, rows_by_id
from steepslope.data.shifted import recipes_of
from steepslope.data.specs import DatasetSpec
from steepslope.errors import SteepslopeError, located
from steepslope.extraction.extraction import extract
from steepslope.extraction.options import ExtractionOptions
from steepslope.files.folders import field
from steepslope.files.progress import Notice, silent
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.folder import AUGMENTED, AUXILIARY, MANIFEST, extraction_of, ids_of_folder

SPLIT_OF = {"train": "train", "holdout": "train", "val": "val", "test": "test"}


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """Rows of a data set in a given order, without labels, since an auxiliary backbone has other classes."""

    data: Dataset
    rows: NDArray[np.int64]
    labels: None = None
    classes: None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def ids(self) -> list[str]:
        """Names of the images, (n,)."""
        ids = self.data.ids
        return [str(ids[row]) for row in self.rows]

    def image(self, row: int) -> Picture:
        """Decode one image."""
        return self.data.image(int(self.rows[row]))

    def fingerprint(self, rows: slice = ALL, verify: bool = False) -> str:
        """Return the SHA-256 of the hashes of all runs of neighbouring rows."""
        chosen = self.rows[rows]
        runs = np.split(chosen, np.flatnonzero(np.diff(chosen) != 1) + 1)
        digests = [self.data.fingerprint(slice(int(run[0]), int(run[-1]) + 1), verify) for run in runs if len(run)]
        return hashlib.sha256("".join(digests).encode()).hexdigest()


def extract_auxiliary(
    backbone: Classifier, spec: DatasetSpec, out: Path, options: ExtractionOptions, notice: Notice = silent
) -> dict[Path, ClassifierOutputs]:
    """Write the backbone's features of the images whose outputs ``out``, or its subfolders, hold.

    They go to the subfolder ``auxiliary`` of each, and are read with it from then on. Where there are outputs of
    augmented copies, the features of the same copies go to the ``auxiliary`` of theirs. Noise is not kept again.

    Raises
    ------
    SteepslopeError
        If there are no complete outputs, the data set lacks one of their images, or the options want views, dropout
        passes or copies of their own.
    """
    if set(options.evidence) - {"noise"} != {"features"}:
        raise SteepslopeError(f"of an auxiliary backbone, expected features, found {options.evidence}", "evidence")
    if options.augment:
        expected = "expected none with an auxiliary backbone, which sees the copies of the outputs"
        raise SteepslopeError(expected, "augment")
    images = {folder: _images_of(folder, data) for folder, data in _data_by_folder(spec, out).items()}
    sources: dict[Path, tuple[str, Dataset]] = {
        folder / AUXILIARY: (str(spec), rows) for folder, rows in images.items()
    }
    for folder, rows in images.items():
        if (folder / AUGMENTED / MANIFEST).exists():
            copies = _copies_of(folder / AUGMENTED, rows)
            sources[folder / AUGMENTED / AUXILIARY] = f"{spec}, augmented", copies
    return extract(backbone, sources, options.keeping("features"), summary_of_features, notice)


def summary_of_features(outputs: ClassifierOutputs) -> str:
    """Return the number of features and images, in words; a backbone's classes may be others than the labels'."""
    return f"{outputs.require_features().shape[1]:,} auxiliary features of {len(outputs):,} images"


def _data_by_folder(spec: DatasetSpec, out: Path) -> dict[Path, Dataset]:
    """Return the folders of complete outputs, and of each the data set with its images."""
    if (out / MANIFEST).exists():
        # the names of its classes: an attack leads away from an image's class, whatever the backbone
        return {out: spec.open(names=ClassNames.by_label(ClassifierOutputs.load(out).classes))}
    splits = {out / name: split for name, split in SPLIT_OF.items() if (out / name / MANIFEST).exists()}
    if not splits:
        raise SteepslopeError("expected complete outputs, to keep auxiliary features beside, found none", out)
    first = ClassifierOutputs.load(next(iter(splits)))
    names = ClassNames.by_label(first.classes if spec.is_named else None)
    opened = {split: spec.load(split, names) for split in dict.fromkeys(splits.values())}
    return {folder: opened[split] for folder, split in splits.items()}


def _images_of(folder: Path, data: Dataset) -> Unlabelled:
    with located(folder):
        found, shifts = extraction_of(folder).get("shifts", []), recipes_of(data)
        if found != shifts:
            expected = f"expected images shifted as those of the outputs ({_told(found)})"
            raise SteepslopeError(f"{expected}, not {_told(shifts)}")
        return Unlabelled(data, rows_by_id(data, ids_of_folder(folder)))


def _told(recipes: Sequence[Mapping[str, Any]]) -> str:
    """Return the shifts of recipes in a few words."""
    shown = ("method", "kind", "severity", "seed", "crop", "classifier", "bound", "stylizer", "alpha")
    told = [", ".join(f"{name} {recipe[name]}" for name in shown if name in recipe) for recipe in recipes]
    return " after ".join(told) or "as they are"


def _copies_of(folder: Path, originals: Unlabelled) -> Augmented:
    """Return the augmented copies whose outputs a folder holds, made again as its manifest records."""
    path = folder / MANIFEST
    recipe = field(extraction_of(folder), AUGMENTED, dict, path)
    kinds: dict[str, type] = {"copies": int, "kinds": list, "seed": int}
    copies, names, seed = (field(recipe, name, kind, path) for name, kind in kinds.items())
    with located(path):
        return Augmented(originals, copies, tuple(map(str, names)), seed)
