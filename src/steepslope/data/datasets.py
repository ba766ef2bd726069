"""Data set specs, ``scheme:rest``, and the split that holds rows out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steepslope.checks import SEED, require
from steepslope.data.hub_data import open_hub
from steepslope.data.idx import load_idx
from steepslope.data.imagefolder import ImageFiles, open_image_folder
from steepslope.data.images import ClassNames, Dataset, Images, row_ids
from steepslope.data.torchvision_data import load_torchvision
from steepslope.data.webdataset_data import open_shards
from steepslope.errors import SteepslopeError, unknown_name

SPLITS = ("train", "test")


@dataclass(frozen=True)
class DatasetSpec:
    """A parsed spec: the registry's scheme, what follows it, and the split if one was named."""

    scheme: str
    rest: str
    split: str | None

    @property
    def family(self) -> Family:
        """The registry's entry."""
        return DATASETS[self.scheme]

    def load(self, split: str) -> Images | ImageFiles:
        """Load one split, "train" or "test"."""
        if self.family.load_split is None:
            raise SteepslopeError(f"data {self}: expected a data set with a training and a test split, such as digits")
        return self.family.load_split(self.rest, split)

    def load_into_memory(self, split: str) -> Images:
        """Load one split of images that are small enough for the memory."""
        images = self.load(split)
        if not isinstance(images, Images):
            raise SteepslopeError(f"data {self}: expected small images of one size, such as digits")
        return images

    def open(self, names: ClassNames) -> Dataset:
        """Open a data set that has no training and test split of its own."""
        assert self.family.open_whole is not None
        return self.family.open_whole(self.rest, names)

    def __str__(self) -> str:
        return ":".join(part for part in (self.scheme, self.rest, self.split or "") if part)

    @property
    def name(self) -> str:
        """The spec without its split."""
        return ":".join(part for part in (self.scheme, self.rest) if part)


def parse_dataset(spec: str) -> DatasetSpec:
    """Parse ``scheme[:rest][:train|:test]``; what has no such splits keeps all after the scheme.

    >>> parse_dataset("idx:/data/fashion-mnist:test")
    DatasetSpec(scheme='idx', rest='/data/fashion-mnist', split='test')

    Raises
    ------
    SteepslopeError
        If the scheme is unknown; the message has the closest name.
    """
    scheme, _, rest = spec.partition(":")
    if scheme not in DATASETS:
        raise unknown_name(f"data scheme in {spec!r}:", scheme, DATASETS)
    head, _, tail = rest.rpartition(":")
    if tail in SPLITS and DATASETS[scheme].load_split is not None:
        return DatasetSpec(scheme, head, tail)
    return DatasetSpec(scheme, rest, None)


def load_digits(rest: str, split: str) -> Images:
    """Load scikit-learn's 1,797 digits of 8×8 pixels: 1,000 to train, 797 to test, drawn once."""
    from sklearn import datasets

    if rest:
        raise SteepslopeError(f"data spec 'digits:{rest}': expected digits, digits:train or digits:test")
    bunch = datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    rows = order[:1000] if split == "train" else order[1000:]
    pixels = (bunch.images * (255 / 16)).round().astype(np.uint8)
    return Images(pixels[rows], bunch.target[rows].astype(np.int64), row_ids("digits", rows))


@dataclass(frozen=True)
class Family:
    """How data sets of one scheme are read: by split, or whole and image by image."""

    load_split: Callable[[str, str], Images | ImageFiles] | None = None
    open_whole: Callable[[str, ClassNames], Dataset] | None = None


DATASETS: dict[str, Family] = {
    "digits": Family(load_split=load_digits),
    "idx": Family(load_split=load_idx),
    "torchvision": Family(load_split=load_torchvision),
    "imagefolder": Family(open_whole=open_image_folder),
    "hf": Family(open_whole=open_hub),
    "wds": Family(open_whole=open_shards),
}


def holdout_split(n: int, holdout: int | None, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut the training rows 0…n−1 into (fitted on, held out), each in ascending order.

    Without a number, 10,000 rows are held out, but at most half: errors are needed to learn from, and a
    classifier makes few on what it was fitted to.

    >>> fitted, held_out = holdout_split(60_000, None, seed=42)
    >>> len(fitted), len(held_out)
    (50000, 10000)
    """
    count = min(10_000, n // 2) if holdout is None else holdout
    if not 0 < count < n:
        raise SteepslopeError(f"holdout: expected 1 to {n - 1} of the {n} training rows, found {count}")
    require("split_seed", seed, SEED)
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[count:]), np.sort(order[:count])
