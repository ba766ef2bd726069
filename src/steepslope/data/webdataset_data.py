"""WebDataset shards: tar files in which the files of one sample have the same name up to the first dot."""

import io
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from steepslope.data.class_names import ClassNames, in_order
from steepslope.data.imagefolder import SUFFIXES
from steepslope.data.images import ALL, Labels, decode_image, labels_at
from steepslope.errors import SteepslopeError, explained
from steepslope.utilities.extras import require_extra
from steepslope.utilities.files import digest_of


@dataclass(frozen=True, slots=True)
class Sample:
    """Where an image lies in which shard, and what its ``.cls`` file holds, if it has one."""

    shard: Path
    key: str
    offset: int
    size: int
    label: str | None


@dataclass(frozen=True, eq=False)
class ShardImages:
    """The samples of all shards, found once through the tar headers; images are read where they lie."""

    samples: list[Sample]
    labels: Labels | None
    classes: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def ids(self) -> list[str]:
        """The shards' names, with their folders where those differ, and the samples' keys."""
        several = len({sample.shard.parent for sample in self.samples}) > 1
        return [f"{sample.shard if several else sample.shard.name}/{sample.key}" for sample in self.samples]

    def image(self, row: int) -> Image.Image:
        """Decode one image completely."""
        sample = self.samples[row]
        with sample.shard.open("rb") as file:
            file.seek(sample.offset)
            return decode_image(io.BytesIO(file.read(sample.size)))

    def fingerprint(self, rows: slice = ALL) -> str:
        """Return the SHA-256 of the keys, sizes and labels."""
        labels = labels_at(self.labels, rows)
        places = [(one.shard.name, one.key, one.size) for one in self.samples[rows]]
        return digest_of([places, None if labels is None else labels.tolist()])


def open_shards(argument: str, names: ClassNames) -> ShardImages:
    """Open ``wds:PATTERN``, local tar files by ``{000..012}`` or ``*``.

    The label is the number in ``.cls``, or a name there that ``--classes`` or the classifier knows. Where no sample has
    a ``.cls``, the images have no labels.
    """
    samples = [sample for shard in look_at_shards(argument) for sample in _samples(shard)]
    if not samples:
        raise SteepslopeError(f"wds:{argument}: expected images, found none")
    if all(sample.label is None for sample in samples):
        return ShardImages(samples, None)
    labels = np.array([_label(sample, names) for sample in samples], dtype=np.int64)
    return ShardImages(samples, labels, in_order(names.known))


def look_at_shards(argument: str, split: str = "") -> list[Path]:
    """Return the shards of a pattern; raise if one is missing."""
    return [*_shards(argument)]


def _shards(pattern: str) -> Iterator[Path]:
    webdataset = require_extra("webdataset", "data", "wds: data")
    with explained(f"wds:{pattern}: cannot be read as a pattern"):  # of any kind: it has its own library for braces
        names = webdataset.shardlists.expand_urls(pattern)
    for name in names:
        path = Path(name)
        found = [path] if path.is_file() else sorted(path.parent.glob(path.name or "?"))
        if not found:
            raise SteepslopeError(f"wds:{pattern}: no such file: {name} (shards are local tar files)")
        yield from found


def _samples(shard: Path) -> Iterator[Sample]:
    """Yield the samples of one shard in the order of their images."""
    images: dict[str, tarfile.TarInfo] = {}
    labels: dict[str, str] = {}
    for key, extension, member, label in _members(shard):
        if label is not None:
            labels[key] = label
        elif f".{extension.lower()}" in SUFFIXES:
            if key in images:
                raise SteepslopeError(f"{shard}: expected one image a sample, found two of {key!r}")
            images[key] = member
    for key, member in images.items():
        yield Sample(shard, key, member.offset_data, member.size, labels.get(key))


def _members(shard: Path) -> Iterator[tuple[str, str, tarfile.TarInfo, str | None]]:
    """Yield key, extension and place of each file, and the content of a ``.cls``."""
    split_name = require_extra("webdataset.tariterators", "data", "wds: data").base_plus_ext
    kinds = (tarfile.TarError, OSError, UnicodeDecodeError)
    with explained(f"{shard}: cannot be read as an uncompressed tar file", kinds=kinds):
        _require_end(shard)
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                key, extension = split_name(member.name)
                if key is not None and member.isfile() and not key.startswith("__"):
                    content = tar.extractfile(member) if extension.lower() == "cls" else None
                    yield key, extension, member, content.read().decode().strip() if content else None


def _require_end(shard: Path) -> None:
    """Raise unless the file ends in two blocks of zeros; one cut off after a member would pass for whole."""
    with shard.open("rb") as file:
        file.seek(-min(1024, shard.stat().st_size), 2)
        if file.read().strip(b"\0"):
            raise tarfile.ReadError("its end is missing")


def _label(sample: Sample, names: ClassNames) -> int:
    if sample.label is None:
        found = "expected a label, as other samples have, found none"
        raise SteepslopeError(f"{sample.shard}: {sample.key}.cls: {found}")
    if sample.label in names.known:
        return names.known[sample.label]
    with suppress(ValueError):
        if abs(label := int(sample.label)) < 2**31:
            return label
    place, expected = f"{sample.shard}: {sample.key}.cls", "a whole number or a class's name (see --classes)"
    raise SteepslopeError(f"{place}: expected {expected}, found {sample.label!r}")
