"""Shards of a running extraction, how they become one folder of outputs, and the key by which it is resumed.

The key has all that decides the outputs; by it, a folder that holds others is told from one that holds these.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained
from steepslope.files import DELETE, Artifact, as_it_comes_from_json, bar, staged_folder, versions_of, write_json
from steepslope.nets.classifiers import Classifier
from steepslope.nets.data import (
    Augmented,
    Dataset,
    ImageBatch,
    image_batch_loader,
    labels_at,
    shift_recipes_of,
    unreadable_image,
)
from steepslope.nets.extraction._engine import ESTIMATES, Engine
from steepslope.nets.extraction._options import ExtractionOptions
from steepslope.numerics import ArrayDict, Values, blocks
from steepslope.outputs import AUGMENTED, MANIFEST, VERSION, outputs_manifest, write_ids_to_folder

STOPPED = "stopped"  # by this file the processes tell each other that one of them failed
SHARDS = ".shards"
OUTPUTS = Artifact(
    "outputs",
    MANIFEST,
    made="extraction",
    free=("classifier", "data", "shard_rows"),
    unfinished=(f"{SHARDS}/key.json", SHARDS),
    mendable=("fingerprint",),  # shards know their own rows, so it goes on with repaired images
    remedy=DELETE,
)
SKIPPING = replace(OUTPUTS, mendable=("fingerprint", "on_error"))  # may go on after an image that has stopped it

_BatchArrays = tuple[ImageBatch, dict[str, NDArray[Any]]]  # a batch without its images, and the arrays to keep
Batches = Sequence[_BatchArrays]
Shards = dict[Path, list[list[int]]]  # the file of the outputs of some neighbouring rows -> these, cut into batches


def plan_shards(data: Dataset, options: ExtractionOptions, folder: Path, ending: str = ".npz") -> Shards:
    """Cut a data set into shards, with a hash of their rows in the names: changed rows are another shard."""
    shards: Shards = {}
    for rows in blocks(len(data), options.shard_rows):
        digest = data.fingerprint(rows, options.verify)[:12]
        batches = blocks(rows.stop, options.batch_size, rows.start)
        path = folder / f"{rows.start:010d}-{digest}{ending}"
        shards[path] = [list(range(batch.start, batch.stop)) for batch in batches]
    return shards


def write_shards(shards: Shards, engine: Engine, data: Dataset, source: str) -> None:
    """Run the engine over the shards that are not there yet, as far as they fall to this process."""
    fabric = engine.fabric
    mine = list(shards)[fabric.global_rank :: fabric.world_size]
    missing = {path: shards[path] for path in mine if not path.exists()}
    for path, batches in run_shards(missing, engine, data, source):
        _write_shard(path, batches)
        if (path.parent / STOPPED).exists():
            return


def run_shards(
    shards: Shards, engine: Engine, data: Dataset, source: str, shown: bool = True, first: int = 0
) -> Iterator[tuple[Path, Batches]]:
    """Yield, shard by shard, its file and what the engine makes of its batches; a bar, if shown, counts the images.

    ``first`` is the number that the data set's first row has in the whole, where it is a part of one.
    """
    rows = list(itertools.chain.from_iterable(shards.values()))
    is_pinned = engine.fabric.device.type == "cuda"
    images = image_batch_loader(data, engine.transform, rows, engine.options.workers, pin_memory=is_pinned)
    shown = shown and engine.fabric.is_global_zero
    with bar(f"extracting {source}", sum(map(len, rows)), shown=shown) as progress:
        for path, batches in shards.items():
            of_shard = itertools.islice(images, len(batches))
            yield path, [_run_batch(batch, engine, data, source, first) for batch in of_shard]
            progress.update(sum(map(len, batches)))


def _run_batch(batch: ImageBatch, engine: Engine, data: Dataset, source: str, first: int) -> _BatchArrays:
    if batch.failed and engine.options.on_error == "stop":
        raise unreadable_image(data, *batch.failed[0]).within(source)
    if batch.images is None:
        return batch, {}
    arrays = engine(batch.images, first + batch.rows[0])
    for name, array in arrays.items():
        is_finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
        if not is_finite.all():
            where = f"{source}: {data.ids[batch.rows[is_finite.argmin()]]}"
            raise SteepslopeError(f"expected finite {name} from the classifier, found NaN or infinity", where)
    return batch._replace(images=None), arrays


def _write_shard(path: Path, batches: Batches) -> None:
    """Write what the engine made of a shard's batches, all or nothing."""
    rows: list[int] = []
    failed: list[tuple[int, str]] = []
    blocks_of: dict[str, list[Values]] = {}
    for batch, arrays in batches:
        rows += batch.rows
        failed += batch.failed
        for name, array in arrays.items():
            blocks_of.setdefault(name, []).append(array)
    joined: ArrayDict = {
        "rows": np.array(rows, dtype=np.int64),
        "failed": np.array([row for row, _ in failed], dtype=np.int64),
        "reasons": np.array([reason for _, reason in failed], dtype=np.str_),
    }
    for name, parts in blocks_of.items():
        joined[name] = np.concatenate(parts)
    with staged_folder(path.parent, last=path.name) as staging:
        np.savez(staging / path.name, allow_pickle=False, **joined)


def join_shards(
    shards: Shards, data: Dataset, out: Path, about: Mapping[str, Any], classes: Sequence[str] | None
) -> int:
    """Stream the shards into one array each; return how many images could not be read.

    The manifest, written last, lists these; it tells all ``about`` the outputs, and the names of the ``classes``.
    """
    ids = data.ids
    rows = np.concatenate(list(_shard_arrays(shards, "rows")))
    if len(rows) == 0:
        raise SteepslopeError(f"none of the {len(data)} images could be read", out)
    failed = np.concatenate(list(_shard_arrays(shards, "failed")))
    reasons = itertools.chain.from_iterable(_shard_arrays(shards, "reasons"))
    skipped = [{"id": str(ids[row]), "reason": str(why)} for row, why in zip(failed, reasons, strict=True)]
    with OUTPUTS.staged(out) as staging:
        names: set[str] = set()
        for path in shards:  # one without a readable image has no arrays
            with np.load(path) as archive:
                names.update(archive.files)
        described = {}
        for name in sorted(names - {"rows", "failed", "reasons"}):
            described[name] = _write_joined(staging / f"{name}.npy", _shard_arrays(shards, name), len(rows))
        labels = labels_at(data.labels, rows)
        if labels is not None:
            described["labels"] = _write_joined(staging / "labels.npy", iter([labels]), len(rows))
        write_ids_to_folder([str(ids[row]) for row in rows], staging)
        manifest = outputs_manifest(described, has_ids=True, classes=classes)
        write_json(staging / MANIFEST, {**manifest, **about, "skipped": skipped})
    return len(skipped)


def _shard_arrays(shards: Shards, name: str) -> Iterator[Values]:
    for path in shards:
        damage = explained("is damaged; delete it and run again", path, (OSError, ValueError, BadZipFile))
        with damage, np.load(path) as archive:
            array = archive.get(name)
        if array is not None:
            yield array


def _write_joined(path: Path, blocks: Iterator[Values], rows: int) -> dict[str, Any]:
    """Write blocks of rows as one array; through a mapping, a full disk would end the process without a word."""
    first = next(blocks)
    shape = (rows, *first.shape[1:])
    header = {"descr": np.lib.format.dtype_to_descr(first.dtype), "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in itertools.chain([first], blocks):
            file.write(np.ascontiguousarray(block).data)
    return {"dtype": str(first.dtype), "shape": list(shape)}


def extraction_key(classifier: Classifier, data: Dataset, source: str, options: ExtractionOptions) -> dict[str, Any]:
    """Return all that decides the outputs, as JSON holds it."""
    key: dict[str, Any] = {}
    if isinstance(data, Augmented):
        key[AUGMENTED] = data.recipe
    shifts = shift_recipes_of(data)
    if shifts:
        key["shifts"] = shifts
    key |= {
        "classifier": classifier.spec,
        "digest": classifier.digest,
        "transform": asdict(classifier.transform),
        "data": source,
        "fingerprint": data.fingerprint(verify=options.verify),
    }
    if options.verify:
        key["verify"] = True
    key["evidence"] = options.evidence
    for name, evidence, settings in (
        ("views", "views", options.views),
        ("noise", "noise", ESTIMATES),
        ("passes", "dropout", [options.passes, options.batch_size]),
        ("features", "features", options.features),
    ):
        key[name] = settings if evidence in options.evidence else None
    key |= {
        "precision": options.precision,
        "on_error": options.on_error,
        "shard_rows": options.shard_rows,
        "versions": {"outputs": str(VERSION), **versions_of([classifier.runs_on])},
    }
    return as_it_comes_from_json(key)
