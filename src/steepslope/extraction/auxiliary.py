"""A second backbone's features of images that a classifier has judged already, kept beside its outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from steepslope.classifiers.classifier import Classifier
from steepslope.data.datasets import DatasetSpec
from steepslope.data.images import ALL, ClassNames, Dataset
from steepslope.errors import SteepslopeError
from steepslope.extraction.extraction import extract
from steepslope.extraction.options import ExtractionOptions
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.folder import AUXILIARY, MANIFEST, ids_of_folder

SPLIT_OF = {"train": "train", "holdout": "train", "test": "test"}


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """Rows of a data set in a given order, all with the label 0, since an auxiliary backbone has other classes."""

    data: Dataset
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Zeros, (n,)."""
        return np.zeros(len(self.rows), dtype=np.int64)

    @property
    def ids(self) -> Sequence[str] | NDArray[np.str_]:
        """Names of the images, (n,)."""
        ids = self.data.ids
        return [str(ids[row]) for row in self.rows]

    def image(self, row: int) -> Image.Image:
        """Decode one image."""
        return self.data.image(int(self.rows[row]))

    def fingerprint(self, rows: slice = ALL) -> str:
        """Return the SHA-256 of the hashes of all runs of neighbouring rows."""
        chosen = self.rows[rows]
        runs = np.split(chosen, np.flatnonzero(np.diff(chosen) != 1) + 1)
        marks = [self.data.fingerprint(slice(int(run[0]), int(run[-1]) + 1)) for run in runs if len(run)]
        return hashlib.sha256("".join(marks).encode()).hexdigest()


def extract_auxiliary(
    backbone: Classifier, spec: DatasetSpec, out: Path, options: ExtractionOptions
) -> dict[Path, ClassifierOutputs]:
    """Write the backbone's features of the images whose outputs ``out``, or its subfolders, hold.

    They go to the subfolder ``auxiliary`` of each, and are read with it from then on.

    Raises
    ------
    SteepslopeError
        If there are no complete outputs, or the data set lacks one of their images.
    """
    if options.evidence != ("features",):
        raise SteepslopeError(f"evidence: of an auxiliary backbone, expected features, found {options.evidence}")
    sources: dict[Path, tuple[str, Dataset]] = {
        folder / AUXILIARY: (str(spec), _rows_of(folder, data)) for folder, data in _judged(spec, out).items()
    }
    return extract(backbone, sources, replace(options, evidence=("features",)), said_of_features)


def said_of_features(outputs: ClassifierOutputs) -> str:
    """Return what to say of a backbone's outputs, whose classes may be others than the labels'."""
    return f"{outputs.require_features().shape[1]:,} auxiliary features of {len(outputs):,} images"


def _judged(spec: DatasetSpec, out: Path) -> dict[Path, Dataset]:
    """Return the folders of complete outputs, and of each the data set with its images."""
    splits = {out / name: split for name, split in SPLIT_OF.items() if (out / name / MANIFEST).exists()}
    if (out / MANIFEST).exists():
        if spec.family.open_whole is not None:
            return {out: spec.open(ClassNames())}
        if spec.split is None:
            raise SteepslopeError(f"data {spec}: expected one split, as {out} holds, such as {spec}:test")
        splits = {out: spec.split}
    if not splits:
        raise SteepslopeError(f"{out}: expected complete outputs, to keep auxiliary features beside, found none")
    loaded: dict[str, Dataset] = {split: spec.load(split) for split in dict.fromkeys(splits.values())}
    return {folder: loaded[split] for folder, split in splits.items()}


def _rows_of(folder: Path, data: Dataset) -> Unlabelled:
    number = {str(name): row for row, name in enumerate(data.ids)}
    ids = ids_of_folder(folder)
    missing = [name for name in ids if name not in number]
    if missing:
        raise SteepslopeError(
            f"{folder}: expected all of its images in the data set, found no {missing[0]!r} ({len(missing)} such)"
        )
    return Unlabelled(data, np.array([number[name] for name in ids], dtype=np.int64))
