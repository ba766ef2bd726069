"""Run a frozen classifier over images once, so that everything later works on arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from steepslope.data.classifiers import Classifier
from steepslope.data.datasets import DatasetSpec, Images, holdout_split
from steepslope.errors import SteepslopeError
from steepslope.outputs import ClassifierOutputs, blocks
from steepslope.progress import track


def extract(classifier: Classifier, images: Images, source: str, batch_size: int = 500) -> ClassifierOutputs:
    """Return features and logits (float32) of all images, in their order."""
    if len(images) == 0:
        raise SteepslopeError(f"{source}: expected images, found none")
    classifier.check(images, source)
    rows = list(blocks(len(images), batch_size))
    parts = [classifier(images.pixels[block]) for block in track(rows, f"extracting {source}", len(rows))]
    features, logits = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return ClassifierOutputs(logits, images.labels, features, images.ids)


def named_splits(classifier: Classifier, spec: DatasetSpec) -> Iterator[tuple[str, Images]]:
    """Give the images of the spec's split, or of "train", "holdout" and "test" where it names none.

    Where the training images are those that the classifier was made from, "train" are the rows that it was fitted to
    and "holdout" those that it never saw. Other training images were all new to it: they are cut in the same way.
    """
    if spec.split:
        yield spec.split, spec.load(spec.split)
        return
    images, card = spec.load("train"), classifier.card
    own = images.fingerprint() == card.fingerprint
    fitted, held_out = holdout_split(len(images), card.holdout if own else None, card.split_seed)
    yield "train", images.subset(fitted)
    yield "holdout", images.subset(held_out)
    yield "test", spec.load("test")


def extract_to_folder(classifier: Classifier, spec: DatasetSpec, out: Path) -> dict[Path, ClassifierOutputs]:
    """Write the outputs of one split to ``out``, or of all three to its subfolders: all of them, or none."""
    extracted = {
        out if spec.split else out / name: extract(classifier, images, f"{spec.name}:{name}")
        for name, images in list(named_splits(classifier, spec))
    }
    for folder, outputs in extracted.items():
        outputs.save(folder)
    return extracted
