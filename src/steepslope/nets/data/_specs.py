"""Data set specs, ``scheme:argument[:split]``, the registry of schemes, and the hold-out split of training rows.

A new source of images is a file with a loader, and an entry in ``DATASETS``. A new shift is a parser, and an entry
point of the group ``steepslope.shifts``, in this package or another.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SEED, SteepslopeError, located, plain, require, require_known
from steepslope.nets.data import _benchmark_sets as benchmark_sets, _hub_data as hub_data, _image_files as image_files
from steepslope.nets.data._class_names import NO_NAMES, ClassNames
from steepslope.nets.data._images import Dataset, Divisible, Images, images_in_memory
from steepslope.nets.data._shifted import Shifted, ShiftSpec

TRAIN = "train"
TEST = "test"
SHIFT_GROUP = "steepslope.shifts"  # of entry points: the name of a shift -> what parses its argument
SPLIT_SEED = 42  # of the hold-out split


def _no_splits(argument: str) -> tuple[str, ...]:
    """Return none, of a source whose data sets are one whole."""
    return ()


def _train_and_test(argument: str) -> tuple[str, ...]:
    """Return the splits of a source whose data sets always come in both."""
    return TRAIN, TEST


@dataclass(frozen=True)
class Source:
    """How to open the data sets of a scheme: by argument, split and names of classes, which become labels.

    ``look`` raises at once where the argument, or a split of it, names nothing. ``splits`` are there, of an argument,
    where a data set comes in them; its labels are numbers then, unless its classes are ``named`` by folders.
    """

    open: Callable[[str, str, ClassNames], Dataset]
    look: Callable[[str, str], object]
    splits: Callable[[str], tuple[str, ...]] = _no_splits
    named: bool = True


DATASETS: dict[str, Source] = {
    "digits": Source(benchmark_sets.load_digits, benchmark_sets.look_at_digits, _train_and_test, named=False),
    "idx": Source(benchmark_sets.load_idx, benchmark_sets.look_at_idx, _train_and_test, named=False),
    "torchvision": Source(
        benchmark_sets.load_torchvision, benchmark_sets.look_at_torchvision, _train_and_test, named=False
    ),
    "imagefolder": Source(
        image_files.open_image_folder, image_files.look_at_image_folder, image_files.splits_of_image_folder
    ),
    "images": Source(image_files.open_image_files, image_files.look_at_image_files),
    "paths": Source(image_files.open_path_table, image_files.look_at_path_table),
    "hf": Source(hub_data.open_hub, hub_data.look_at_hub),
}


@dataclass(frozen=True)
class DatasetSpec:
    """A parsed spec: the registry's scheme, what follows it, the split if one was named, and shifts of its images.

    The last of the shifts comes first: as in the text, where each stands before what it changes.
    """

    scheme: str
    argument: str
    split: str | None
    shifts: tuple[ShiftSpec, ...] = ()

    @property
    def is_named(self) -> bool:
        """Whether its classes have names that may be another's; else its labels are numbers."""
        return DATASETS[self.scheme].named

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the data set's splits; none where it is one whole."""
        return DATASETS[self.scheme].splits(self.argument)

    def look(self) -> Self:
        """Return the spec itself, or raise where it names nothing; it takes no time, so it comes before all loading."""
        DATASETS[self.scheme].look(self.argument, self.split or "")
        for shift in self.shifts:
            shift.look()
        return self

    def open(self, split: str | None = None, names: ClassNames = NO_NAMES) -> Dataset:
        """Open the data set, or the split that is named here or in the spec."""
        chosen = split or self.split or ""
        if self.splits and not chosen:
            raise SteepslopeError(f"data {self}: expected one split, such as {self}:{self.splits[-1]}")
        return self.shifted(DATASETS[self.scheme].open(self.argument, chosen, names))

    def shifted(self, data: Dataset) -> Dataset:
        """Return a data set with its images shifted."""
        for shift in reversed(self.shifts):
            data = Shifted(data, shift)
        return data

    def load(self, split: str, names: ClassNames = NO_NAMES) -> Divisible:
        """Load one split, such as "train" or "test", of a data set that has such."""
        if split not in self.splits:
            raise SteepslopeError(
                f"data {self}: expected a data set with a training and a test split, such as digits, or a folder with "
                "the folders train and test, each with one folder a class"
            )
        images = self.open(split, names)
        assert isinstance(images, Divisible)
        return images

    def load_into_memory(self, split: str) -> Images:
        """Load one split of images that are small enough for the memory."""
        images = self.load(split)
        if self.shifts:
            raise SteepslopeError(f"data {self}: expected images that are not shifted")
        with located(f"data {self}"):
            if not isinstance(images, Images):
                images = images_in_memory(images)
        return images

    def __str__(self) -> str:
        if self.split:
            return f"{self.name}:{self.split}"
        return self.name

    @property
    def name(self) -> str:
        """The spec without its split, as it is recorded and shown."""
        data = f"{self.scheme}:{self.argument}" if self.argument else self.scheme
        return "/".join([*map(str, self.shifts), data])


def parse_data(text: str) -> DatasetSpec:
    """Parse ``scheme[:argument][:split]``, with shifts before it or without, as ``corrupt:fog:3/digits:test``.

    A scheme without splits keeps all after it as its argument. Shifts are entry points of :data:`SHIFT_GROUP`.

    >>> parse_data("idx:/data/fashion-mnist:test")
    DatasetSpec(scheme='idx', argument='/data/fashion-mnist', split='test', shifts=())

    Raises
    ------
    SteepslopeError
        If a scheme, shift or setting is unknown, and the message has the closest name; if the spec names a URL; or if
        a shift's libraries are not installed.
    """
    image_files.require_no_url(text)
    scheme, _, argument = text.partition(":")
    if scheme not in DATASETS:
        return _parse_shifted_spec(text, scheme, argument)
    before, _, last = argument.rpartition(":")
    if last in DATASETS[scheme].splits(before):
        return DatasetSpec(scheme, before, last)
    return DatasetSpec(scheme, argument, None)


def _parse_shifted_spec(text: str, name: str, rest: str) -> DatasetSpec:
    """Parse a spec that begins with a shift: the name of its entry point, its argument, ``/``, and a data spec."""
    if name == "wds":
        raise SteepslopeError(
            f"unknown data scheme in {text!r}: hf:FOLDER?label=cls reads WebDataset shards by datasets"
        )
    shifts = _shift_parsers()
    require_known(f"data scheme in {text!r}:", name, [*DATASETS, *shifts])
    schemes = "|".join(map(re.escape, [*shifts, *DATASETS]))
    border = re.search(f"/(?=(?:{schemes})(?::|$))", rest) or re.search(r"/(?=\w+:)", rest)
    if border is None:
        raise SteepslopeError(f"data spec {text!r}: expected / and a data spec after {name}:…, found none")
    with located(f"data spec {text!r}"):
        try:
            parse = shifts[name].load()
        except ImportError as error:
            raise SteepslopeError(f"{name} needs {error.name}: pip install 'steepslope[lab]'") from error
        shift = parse(rest[: border.start()])
    inner = parse_data(rest[border.end() :])
    return replace(inner, shifts=(shift, *inner.shifts))


def _shift_parsers() -> dict[str, EntryPoint]:
    """Return the entry points of all shifts that are installed, by name: text -> :class:`ShiftSpec`."""
    return {entry.name: entry for entry in entry_points(group=SHIFT_GROUP)}


def holdout_split(n: int, holdout: int | None, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut the training rows 0…n−1 into (fitted on, held out), each in ascending order.

    Without a number, 10,000 rows are held out, but at most half: errors are needed to learn from, and a
    classifier makes few on what it was fitted to.

    >>> fitted, held_out = holdout_split(60_000, None, seed=42)
    >>> len(fitted), len(held_out)
    (50000, 10000)
    """
    count = min(10_000, n // 2) if holdout is None else plain(holdout)
    if not 0 < count < n:
        raise SteepslopeError(f"expected 1 to {n - 1} of the {n} training rows, found {count}", "holdout")
    order = np.random.default_rng(require("split_seed", seed, SEED)).permutation(n)
    return np.sort(order[count:]), np.sort(order[:count])
