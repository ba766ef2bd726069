"""torchvision's data sets: small ones downloaded into memory, ImageNet read file by file."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steepslope.data.class_names import ClassNames, wordnet_labels
from steepslope.data.imagefolder import ImageFiles, open_local_folder
from steepslope.data.images import Images, row_ids
from steepslope.errors import SteepslopeError, require_known

# torchvision is imported where it is used: it takes seconds, and a spec is parsed by commands that never open it.
Loaded = tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]  # pixels, labels and names of the classes


def data_root() -> Path:
    """Return the folder of torchvision's data sets: $STEEPSLOPE_DATA, by default ~/.cache/steepslope."""
    return Path(os.environ.get("STEEPSLOPE_DATA", Path.home() / ".cache" / "steepslope"))


def _by_train_flag(name: str, split: str) -> Loaded:
    from torchvision import datasets

    data = getattr(datasets, name)(str(data_root()), train=split == "train", download=True)
    return np.asarray(data.data), np.asarray(data.targets, dtype=np.int64), tuple(data.classes)


def _svhn(split: str) -> Loaded:
    from torchvision import datasets

    data = datasets.SVHN(str(data_root()), split=split, download=True)
    return np.ascontiguousarray(data.data.transpose(0, 2, 3, 1)), data.labels.astype(np.int64), tuple("0123456789")


IN_MEMORY: dict[str, Callable[[str], Loaded]] = {
    **{name: partial(_by_train_flag, name) for name in ("MNIST", "FashionMNIST", "KMNIST", "CIFAR10", "CIFAR100")},
    "SVHN": _svhn,
}
TORCHVISION = (*IN_MEMORY, "ImageNet")


def load_torchvision(argument: str, split: str) -> Images | ImageFiles:
    """Load one split from $STEEPSLOPE_DATA, where the small data sets are downloaded once.

    ImageNet's test split is its 50,000 validation images. Its archives, or what torchvision makes of them, must lie in
    the folder ``imagenet`` there.
    """
    look_at_torchvision(argument)
    try:
        if argument == "ImageNet":
            return _imagenet(split)
        pixels, labels, classes = IN_MEMORY[argument](split)
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        missing = f"torchvision:{argument}: neither found in {data_root()} nor downloaded"
        raise SteepslopeError(f"{missing} ({reason})") from error
    return Images(pixels, labels, row_ids(split, np.arange(len(labels))), classes)


def look_at_torchvision(argument: str, split: str = "") -> None:
    """Raise unless it is the name of a data set."""
    require_known("torchvision data set", argument, TORCHVISION)


def _imagenet(split: str) -> ImageFiles:
    part = "train" if split == "train" else "val"
    from torchvision import datasets

    found = datasets.ImageNet(str(data_root() / "imagenet"), split=part)
    return open_local_folder(str(found.split_folder), ClassNames(own=wordnet_labels()))
