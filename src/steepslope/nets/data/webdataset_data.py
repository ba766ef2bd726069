"""WebDataset shards: tar files in which the files of one sample have the same name up to the first dot.

They are local files or URLs. Where the images lie in a shard is read once, from the tar headers; then each image is one
read of its own bytes.
"""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from steepslope.errors import SteepslopeError, explained, without_secrets
from steepslope.files.extras import require_extra
from steepslope.files.folders import digest_of, fingerprint
from steepslope.nets.data.class_names import ClassNames, class_names_in_order
from steepslope.nets.data.images import ALL, SUFFIXES, Labels, decode_image, labels_at
from steepslope.nets.data.urls import filesystem_of_url, is_url, path_without_scheme, read_url
from steepslope.outputs.labels import Texts


@dataclass(frozen=True, slots=True)
class Sample:
    """Where an image lies in which shard, a path or URL, and what its ``.cls`` file holds, if it has one."""

    shard: str
    key: str
    offset: int
    size: int
    label: str | None


@dataclass(frozen=True, eq=False)
class ShardImages:
    """The samples of all shards; ``ids`` are the shards' names, with their folders where those differ, and the keys."""

    samples: list[Sample]
    ids: list[str]
    labels: Labels | None
    classes: tuple[str, ...] | None = None

    @classmethod
    def of(cls, samples: list[Sample], labels: Labels | None, classes: tuple[str, ...] | None = None) -> ShardImages:
        """Return the samples with their ids."""
        places = [without_secrets(sample.shard) for sample in samples]
        several = len({place.rpartition("/")[0] for place in places}) > 1
        shards = places if several else [place.rpartition("/")[2] for place in places]
        return cls(samples, [f"{shard}/{one.key}" for shard, one in zip(shards, samples, strict=True)], labels, classes)

    def __len__(self) -> int:
        return len(self.samples)

    def image(self, row: int) -> Image.Image:
        """Decode one image completely."""
        sample = self.samples[row]
        return decode_image(io.BytesIO(_bytes_of_sample(sample)))

    def fingerprint(self, rows: slice = ALL, verify: bool = False) -> str:
        """Return a hash of the keys, sizes, labels and the local shards' fingerprints, or the images' contents."""
        samples = self.samples[rows]
        labels = labels_at(self.labels, rows)
        places = [(without_secrets(one.shard).rpartition("/")[2], one.key, one.size) for one in samples]
        if verify:
            seen = [sha256(_bytes_of_sample(one)).hexdigest() for one in samples]
        else:
            shards = dict.fromkeys(one.shard for one in samples)
            seen = [fingerprint(Path(shard), contents=False) for shard in shards if not is_url(shard)]
        return digest_of([places, seen, labels])

    def subset(self, rows: NDArray[np.int64]) -> ShardImages:
        """Return the given rows, in the given order, with their ids."""
        samples, ids = ([some[row] for row in rows] for some in (self.samples, self.ids))
        return replace(self, samples=samples, ids=ids, labels=labels_at(self.labels, rows))


def _bytes_of_sample(sample: Sample) -> bytes:
    if is_url(sample.shard):
        return read_url(sample.shard, start=sample.offset, end=sample.offset + sample.size)
    with Path(sample.shard).open("rb") as file:
        file.seek(sample.offset)
        return file.read(sample.size)


def open_shards(argument: str, split: str, names: ClassNames) -> ShardImages:
    """Open ``wds:PATTERN``, tar files, local or by URL, by ``{000..012}`` or ``*``.

    The label is the number in ``.cls``, or a name there that ``--classes`` or the classifier knows; −1 and ``unknown``
    are none of the classes. Where no sample has a ``.cls``, the images have no labels.
    """
    samples = [sample for shard in look_at_shards(argument) for sample in _samples_in_shard(shard)]
    if not samples:
        raise SteepslopeError(f"wds:{argument}: expected images, found none")
    if all(sample.label is None for sample in samples):
        return ShardImages.of(samples, None)
    places = [f"{sample.shard}: {sample.key}.cls" for sample in samples]
    texts = Texts.of_rows([_label_of_sample(sample, place) for sample, place in zip(samples, places, strict=True)])
    labels = names.by_name(texts, f"wds:{argument}", places.__getitem__, numbers=True)[texts.codes]
    return ShardImages.of(samples, labels, class_names_in_order(names.known))


def look_at_shards(argument: str, split: str = "") -> list[str]:
    """Return the paths or URLs of the shards of a pattern; raise if one is missing, or there twice."""
    shards = [*_shards_of_pattern(argument)]
    name, count = Counter(shards).most_common(1)[0] if shards else ("", 0)
    if count > 1:
        raise SteepslopeError(f"wds:{argument}: expected each shard once, found {name} {count} times")
    return shards


def _shards_of_pattern(pattern: str) -> Iterator[str]:
    webdataset = require_extra("webdataset", "data", "wds: data")
    with explained(f"wds:{pattern}: cannot be read as a pattern"):  # of any kind: it has its own library for braces
        names = webdataset.shardlists.expand_urls(pattern)
    for name in names:
        shards = _shards_at_url(name) if is_url(name) else _local_shards(Path(path_without_scheme(name)))
        if not shards:
            raise SteepslopeError(f"wds:{pattern}: no such file: {name}")
        yield from shards


def _local_shards(path: Path) -> list[str]:
    return [str(path)] if path.is_file() else sorted(map(str, path.parent.glob(path.name or "?")))


def _shards_at_url(url: str) -> list[str]:
    system, path = filesystem_of_url(url)
    with explained("cannot be looked up", url, longest=200):
        if "*" in path:
            return sorted(str(system.unstrip_protocol(file)) for file in system.glob(path))
        return [url] if system.isfile(path) else []


def _samples_in_shard(shard: str) -> Iterator[Sample]:
    """Yield the samples of one shard in the order of their images."""
    split_name = require_extra("webdataset.tariterators", "data", "wds: data").base_plus_ext
    images: dict[str, tarfile.TarInfo] = {}
    labels: dict[str, str] = {}
    kinds = (tarfile.TarError, OSError, UnicodeDecodeError)
    with explained("cannot be read as an uncompressed tar file", shard, kinds), _open_shard_tar(shard) as tar:
        for member in tar:
            key, extension = split_name(member.name)
            if key is None or key.startswith("__") or not member.isfile():
                continue
            if extension.lower() == "cls":
                labels[key] = tar.extractfile(member).read().decode().strip()  # type: ignore[union-attr]
            elif f".{extension.lower()}" in SUFFIXES:
                if key in images:
                    raise SteepslopeError(f"expected one image a sample, found two of {key!r}", shard)
                images[key] = member
    for key, member in images.items():
        yield Sample(shard, key, member.offset_data, member.size, labels.get(key))


@contextmanager
def _open_shard_tar(shard: str) -> Iterator[tarfile.TarFile]:
    """Open a tar file; one without two blocks of zeros at its end, cut off after a member, would pass for whole."""
    system, path = filesystem_of_url(shard) if is_url(shard) else (None, shard)
    with Path(path).open("rb") if system is None else system.open(path, "rb") as file:
        file.seek(-min(1024, file.seek(0, 2)), 2)
        if file.read().strip(b"\0"):
            raise tarfile.ReadError("its end is missing")
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:") as tar:
            yield tar


def _label_of_sample(sample: Sample, place: str) -> str:
    if sample.label is None:
        raise SteepslopeError("expected a label, as other samples have, found none", place)
    return sample.label
