"""Run a frozen classifier over images once, so that everything later works on arrays.

Outputs are written in shards of fixed rows, each by an atomic rename, and joined at the end with the manifest last.
Killed at any moment and run again, an extraction goes on after its last whole shard and ends in the same bytes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from steepslope.data.classifiers import Classifier
from steepslope.data.datasets import Dataset, DatasetSpec, holdout_split
from steepslope.data.transforms import Transform
from steepslope.errors import SteepslopeError
from steepslope.files import read_json, staged_folder, write_json
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs_io import MANIFEST, outputs_manifest, save_ids
from steepslope.progress import console, track

SHARDS = ".shards"
KEY = "key.json"


@dataclass(frozen=True)
class ExtractionOptions:
    """How to extract; what of it changes the result is part of the folder's key.

    ``on_error`` is ``stop`` or ``skip``; ``features`` is ``float32``, ``float16`` or ``none``.
    """

    batch_size: int = 64
    workers: int = 0
    shard_rows: int = 4096
    on_error: str = "stop"
    features: str = "float32"

    def __post_init__(self) -> None:
        for name, choices in {"on_error": ("stop", "skip"), "features": ("float32", "float16", "none")}.items():
            if getattr(self, name) not in choices:
                raise SteepslopeError(f"{name}: expected {' or '.join(choices)}, found {getattr(self, name)!r}")
        if self.batch_size < 1 or self.shard_rows < 1 or self.workers < 0:
            raise SteepslopeError(
                "expected batch_size >= 1, shard_rows >= 1 and workers >= 0, "
                f"found {self.batch_size}, {self.shard_rows} and {self.workers}"
            )


@dataclass(frozen=True, eq=False)
class _Decoded(torch.utils.data.Dataset[tuple[int, torch.Tensor | str]]):
    """Rows of a data set as tensors, or as the reason why an image cannot be read."""

    data: Dataset
    transform: Transform
    rows: Sequence[int]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[int, torch.Tensor | str]:
        row = self.rows[index]
        try:
            return row, self.transform(self.data.image(row))
        except (OSError, ValueError, SyntaxError) as error:
            return row, " ".join(str(error).split()) or type(error).__name__


def extract(
    classifier: Classifier, data: Dataset, source: str, out: Path, options: ExtractionOptions
) -> ClassifierOutputs:
    """Write the outputs of all images to ``out``, in their order, or find them complete there.

    Raises
    ------
    SteepslopeError
        If the folder holds outputs of another classifier, transform, data set or option; if a label is none of the
        classifier's; or, unless errors are skipped, if an image cannot be read.
    """
    key = extraction_key(classifier, data, source, options)
    if is_complete(out, key):
        console().print(f"{out}: already complete")
        return ClassifierOutputs.load(out)
    if len(data) == 0:
        raise SteepslopeError(f"{source}: expected images, found none")
    classifier.check_labels(data.labels, source)
    shards = out / SHARDS
    with staged_folder(shards, last=KEY) as staging:
        write_json(staging / KEY, key)
    starts = range(0, len(data), options.shard_rows)
    paths = [shards / f"{start:010d}.npz" for start in starts]
    for start, path in track(list(zip(starts, paths, strict=True)), f"extracting {source}", len(paths)):
        if not path.exists():
            rows = range(start, min(start + options.shard_rows, len(data)))
            _write_shard(path, classifier, _Decoded(data, classifier.transform, rows), source, options)
    _join(paths, data, out, key)
    shutil.rmtree(shards)
    return ClassifierOutputs.load(out)


def extraction_key(classifier: Classifier, data: Dataset, source: str, options: ExtractionOptions) -> dict[str, Any]:
    """Return all that decides the outputs, as JSON holds it."""
    key = {
        "classifier": classifier.spec,
        "digest": classifier.digest,
        "transform": asdict(classifier.transform),
        "data": source,
        "fingerprint": data.fingerprint(),
        "features": options.features,
        "on_error": options.on_error,
        "shard_rows": options.shard_rows,
    }
    return dict(json.loads(json.dumps(key)))


def is_complete(out: Path, key: dict[str, Any]) -> bool:
    """Say whether the folder holds these outputs; refuse one that holds others, whole or in part."""
    if (out / MANIFEST).exists():
        _require_same(out, read_json(out / MANIFEST, "classifier outputs").get("extraction") or {}, key)
        return True
    if (out / SHARDS / KEY).exists():
        _require_same(out, read_json(out / SHARDS / KEY, "an unfinished extraction"), key)
    return False


def _require_same(out: Path, found: dict[str, Any], key: dict[str, Any]) -> None:
    for name, value in key.items():
        if name not in ("classifier", "data") and found.get(name) != value:
            raise SteepslopeError(
                f"{out}: holds outputs of another extraction and is not mixed with this one: {name}: "
                f"expected {value}, found {found.get(name)}; choose another folder or delete this one"
            )


def _write_shard(
    path: Path, classifier: Classifier, decoded: _Decoded, source: str, options: ExtractionOptions
) -> None:
    rows: list[int] = []
    failed: list[tuple[int, str]] = []
    parts: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for batch in DataLoader(decoded, options.batch_size, num_workers=options.workers, collate_fn=list):
        bad = [(row, reason) for row, reason in batch if isinstance(reason, str)]
        if bad and options.on_error == "stop":
            raise SteepslopeError(f"{source}: {decoded.data.ids[bad[0][0]]}: cannot be read as an image ({bad[0][1]})")
        good = [(row, image) for row, image in batch if not isinstance(image, str)]
        failed += bad
        rows += [row for row, _ in good]
        if good:
            parts.append(classifier(torch.stack([image for _, image in good])))
    arrays = {"rows": np.array(rows, dtype=np.int64), "failed": np.array([row for row, _ in failed], dtype=np.int64)}
    arrays["reasons"] = np.array([reason for _, reason in failed], dtype=np.str_)
    if parts:
        arrays["logits"] = np.concatenate([logits for _, logits in parts])
        if options.features != "none":
            arrays["features"] = np.concatenate([features for features, _ in parts]).astype(options.features)
    with staged_folder(path.parent, last=path.name) as staging:
        np.savez(staging / path.name, allow_pickle=False, **arrays)


def _join(paths: Sequence[Path], data: Dataset, out: Path, key: dict[str, Any]) -> None:
    """Stream the shards into one array each; the manifest lists the images that could not be read."""
    rows = np.concatenate([shard["rows"] for shard in _shards(paths)])
    if len(rows) == 0:
        raise SteepslopeError(f"{out}: none of the {len(data)} images could be read")
    with staged_folder(out, last=MANIFEST) as staging:
        shapes = {}
        for name in ("logits", "features"):
            first = next((shard[name] for shard in _shards(paths) if name in shard), None)
            if first is not None:
                array = np.lib.format.open_memmap(
                    staging / f"{name}.npy", "w+", dtype=first.dtype, shape=(len(rows), first.shape[1])
                )
                _fill(array, (shard[name] for shard in _shards(paths) if name in shard))
                shapes[name] = array
        labels = data.labels[rows]
        np.save(staging / "labels.npy", labels, allow_pickle=False)
        save_ids([str(data.ids[row]) for row in rows], staging)
        manifest = outputs_manifest({**shapes, "labels": labels}, has_ids=True)
        skipped = [
            {"id": str(data.ids[row]), "reason": str(reason)}
            for shard in _shards(paths)
            for row, reason in zip(shard["failed"], shard["reasons"], strict=True)
        ]
        write_json(staging / MANIFEST, {**manifest, "extraction": key, "skipped": skipped})
    if skipped:
        console().print(f"{out}: {len(skipped):,} images could not be read and are listed in {MANIFEST}")


def _fill(array: NDArray[Any], blocks: Iterator[NDArray[Any]]) -> None:
    start = 0
    for block in blocks:
        array[start : start + len(block)] = block
        start += len(block)


def _shards(paths: Sequence[Path]) -> Iterator[dict[str, NDArray[Any]]]:
    for path in paths:
        with np.load(path, allow_pickle=False) as shard:
            yield {name: shard[name] for name in shard.files}


def named_data(classifier: Classifier, spec: DatasetSpec, classes: dict[str, int] | None) -> dict[str, Dataset]:
    """Give the data set under the name "", or the splits "train", "holdout" and "test" where the spec names none.

    Where the training images are those that the classifier was made from, "train" are the rows that it was fitted to
    and "holdout" those that it never saw. Other training images were all new to it: they are cut in the same way.
    """
    if spec.family.open_whole is not None:
        return {"": spec.open(classes if classes is not None else classifier.classes)}
    if spec.split:
        return {"": spec.load(spec.split)}
    images, card = spec.load("train"), classifier.card
    own = card is not None and images.fingerprint() == card.fingerprint
    seed = 42 if card is None else card.split_seed
    fitted, held_out = holdout_split(len(images), card.holdout if own and card else None, seed)
    return {"train": images.subset(fitted), "holdout": images.subset(held_out), "test": spec.load("test")}


def extract_to_folder(
    classifier: Classifier,
    spec: DatasetSpec,
    out: Path,
    options: ExtractionOptions | None = None,
    classes: dict[str, int] | None = None,
) -> dict[Path, ClassifierOutputs]:
    """Write the outputs of a data set to ``out``, or of its three splits to its subfolders.

    All that can be checked beforehand is checked before the first is written.
    """
    options = options or ExtractionOptions()
    named = named_data(classifier, spec, classes)
    for name, data in named.items():
        is_complete(out / name, extraction_key(classifier, data, _source(spec, name), options))
        classifier.check_labels(data.labels, _source(spec, name))
    return {
        out / name: extract(classifier, data, _source(spec, name), out / name, options) for name, data in named.items()
    }


def read_classes(path: Path) -> dict[str, int]:
    """Read a text file with the name of one class a line, in the order of the labels."""
    try:
        names = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SteepslopeError(f"{path}: expected a text file with one class a line ({error})") from error
    names = [name.strip() for name in names if name.strip()]
    if not names or len(set(names)) != len(names):
        raise SteepslopeError(f"{path}: expected one class a line, each once, found {len(names)} lines")
    return {name: label for label, name in enumerate(names)}


def _source(spec: DatasetSpec, name: str) -> str:
    return f"{spec.name}:{name}" if name else str(spec)
