"""What another net makes of images, kept next to a classifier's outputs of the same images.

A second backbone's features, or another classifier's logits, its opinion.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located
from steepslope.files import Notice, field, silent
from steepslope.nets.classifiers import Classifier
from steepslope.nets.data import (
    ALL,
    Augmented,
    ClassNames,
    Dataset,
    DatasetSpec,
    Picture,
    image_rows_by_id,
    shift_recipes_of,
)
from steepslope.nets.extraction._extraction import Sources, extract
from steepslope.nets.extraction._options import ExtractionOptions
from steepslope.outputs import (
    AUGMENTED,
    AUXILIARY,
    MANIFEST,
    OPINIONS,
    PLACES,
    ClassifierOutputs,
    Opinion,
    extraction_of_folder,
    ids_of_folder,
    opinion_class_places,
    require_opinion_name,
)

_SPLIT_OF = {"train": "train", "holdout": "train", "val": "val", "test": "test"}


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """Rows of a data set in a given order, without labels, since another net may have other classes."""

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
        digest = hashlib.sha256()
        for run in runs:
            if len(run):
                whole_run = slice(int(run[0]), int(run[-1]) + 1)
                digest.update(self.data.fingerprint(whole_run, verify).encode())
        return digest.hexdigest()


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
    sources = _sources_of_other_net(spec, out, Path(AUXILIARY), options)
    return extract(backbone, sources, options.keeping("features"), summary_of_features, notice)


def extract_opinion(
    name: str,
    net: Classifier,
    spec: DatasetSpec,
    out: Path,
    options: ExtractionOptions,
    classes: Mapping[str, str | None] | None = None,
    notice: Notice = silent,
) -> dict[Path, ClassifierOutputs]:
    """Write another classifier's logits of the images whose outputs ``out``, or its subfolders, hold.

    They go to the subfolder ``opinions/NAME`` of each, also of augmented copies, and are read with it from then on, as
    the array ``opinion_NAME``. Its classes go by their names where both nets have names, or as the mapping ``classes``
    says; else they have to be the same in the same order. Images that it cannot read lack the opinion.

    Raises
    ------
    SteepslopeError
        As of :func:`extract_auxiliary`, or if the classes cannot be told.
    """
    if set(options.evidence) - {"noise", "features"}:
        raise SteepslopeError(f"of an opinion, expected logits alone, found {options.evidence}", "evidence")
    sources = _sources_of_other_net(spec, out, Path(OPINIONS, require_opinion_name(name)), options)
    if not net.num_classes:
        net = net.with_transform()
    other = Opinion(np.empty((0, net.num_classes or 0)), classes=net.names)
    first = next(iter(sources)).parents[1]
    with located(f"opinion {name}"):
        places = opinion_class_places(Opinion.of(ClassifierOutputs.load(first)), other, classes)
    return extract(net, sources, options.keeping(), _summary_of_logits, notice, {PLACES: list(places)})


def _sources_of_other_net(spec: DatasetSpec, out: Path, subfolder: Path, options: ExtractionOptions) -> Sources:
    """Return the images whose outputs lie in ``out``, and their copies, by where another net's outputs of them go."""
    if options.augment:
        raise SteepslopeError("expected none with another net, which sees the copies of the outputs", "augment")
    images = {}
    for folder, data in _data_by_output_folder(spec, out).items():
        images[folder] = _images_of_output_folder(folder, data)
    sources: dict[Path, tuple[str, Dataset]] = {}
    for folder, rows in images.items():
        sources[folder / subfolder] = str(spec), rows
    for folder, rows in images.items():
        if (folder / AUGMENTED / MANIFEST).exists():
            copies = _copies_of_output_folder(folder / AUGMENTED, rows)
            sources[folder / AUGMENTED / subfolder] = f"{spec}, augmented", copies
    return sources


def summary_of_features(outputs: ClassifierOutputs) -> str:
    """Return the number of features and images, in words; a backbone's classes may be others than the labels'."""
    return f"{outputs.require_features().shape[1]:,} auxiliary features of {len(outputs):,} images"


def _summary_of_logits(outputs: ClassifierOutputs) -> str:
    """Return of how many images, and in how many classes, there is an opinion, in words."""
    return f"an opinion on {len(outputs):,} images, of {outputs.num_classes:,} classes"


def _data_by_output_folder(spec: DatasetSpec, out: Path) -> dict[Path, Dataset]:
    """Return the folders of complete outputs, and of each the data set with its images."""
    if (out / MANIFEST).exists():
        # with the names of its classes, which a table of paths may hold
        return {out: spec.open(names=ClassNames.by_label(ClassifierOutputs.load(out).classes))}
    folders = [out / name for name in _SPLIT_OF if (out / name / MANIFEST).exists()]
    if not folders:
        raise SteepslopeError("expected complete outputs, to which another net's are added, found none", out)
    first = ClassifierOutputs.load(folders[0])
    names = ClassNames.by_label(first.classes if spec.is_named else None)
    opened: dict[str, Dataset] = {}
    data = {}
    for folder in folders:
        split = _SPLIT_OF[folder.name]
        if split not in opened:
            opened[split] = spec.load(split, names)
        data[folder] = opened[split]
    return data


def _images_of_output_folder(folder: Path, data: Dataset) -> Unlabelled:
    with located(folder):
        expected = extraction_of_folder(folder).get("shifts", [])
        shifts = shift_recipes_of(data)
        if shifts != expected:
            raise SteepslopeError(
                f"expected images shifted as those of the outputs ({_shifts_in_words(expected)}), "
                f"not {_shifts_in_words(shifts)}"
            )
        return Unlabelled(data, image_rows_by_id(data, ids_of_folder(folder)))


def _shifts_in_words(recipes: Sequence[Mapping[str, Any]]) -> str:
    """Return the shifts of recipes in a few words."""
    shifts = []
    for recipe in recipes:
        shown = [name for name in ("method", "kind", "severity", "seed", "crop") if name in recipe]
        shifts.append(", ".join(f"{name} {recipe[name]}" for name in shown))
    return " after ".join(shifts) or "as they are"


def _copies_of_output_folder(folder: Path, originals: Unlabelled) -> Augmented:
    """Return the augmented copies whose outputs a folder holds, made again as its manifest records."""
    path = folder / MANIFEST
    recipe = field(extraction_of_folder(folder), AUGMENTED, dict, path)
    with located(path):
        copies = Augmented(originals, field(recipe, "copies", int, path))
        if recipe != copies.recipe:
            raise SteepslopeError(f"expected copies by {copies.recipe}, found others: extract them again")
        return copies
