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
from steepslope.outputs import AUGMENTED, MANIFEST, VERSION, outputs_manifest, write_ids_to_folder

STOPPED = "stopped"  # by this file the processes tell each other that one of them failed
SHARDS = ".shards"
KEY = "key.json"
OUTPUTS = Artifact(  # shards know their own rows, so an unfinished extraction goes on with repaired images
    "outputs", MANIFEST, made="extraction", free=("classifier", "data", "shard_rows"),
    unfinished=(f"{SHARDS}/{KEY}", SHARDS), mendable=("fingerprint",), remedy=DELETE,
)  # fmt: skip
SKIPPING = replace(OUTPUTS, mendable=("fingerprint", "on_error"))  # may go on after an image that has stopped it

BatchArrays = tuple[ImageBatch, dict[str, NDArray[Any]]]  # a batch without its images, and the arrays to keep
Batches = Sequence[BatchArrays]
Shards = dict[Path, list[list[int]]]  # the file of the outputs of some neighbouring rows -> these, cut into batches


def plan_shards(data: Dataset, options: ExtractionOptions, folder: Path, ending: str = ".npz") -> Shards:
    """Cut a data set into shards, with a hash of their rows in the names: changed rows are another shard."""
    shards: Shards = {}
    size = options.batch_size
    for start in range(0, len(data), options.shard_rows):
        rows = range(len(data))[start : start + options.shard_rows]
        digest = data.fingerprint(slice(rows.start, rows.stop), options.verify)[:12]
        batches = [list(rows[first : first + size]) for first in range(0, len(rows), size)]
        shards[folder / f"{start:010d}-{digest}{ending}"] = batches
    return shards


def write_shards(shards: Shards, engine: Engine, data: Dataset, source: str) -> None:
    """Run the engine over the shards that are not there yet, as far as they fall to this process."""
    fabric = engine.fabric
    mine = [path for path in [*shards][fabric.global_rank :: fabric.world_size] if not path.exists()]
    for path, batches in run_shards({path: shards[path] for path in mine}, engine, data, source):
        write_shard(path, batches)
        if (path.parent / STOPPED).exists():
            return


def run_shards(
    shards: Shards, engine: Engine, data: Dataset, source: str, shown: bool = True, first: int = 0
) -> Iterator[tuple[Path, Batches]]:
    """Yield, shard by shard, its file and what the engine makes of its batches; a bar, if shown, counts the images.

    ``first`` is the number that the data set's first row has in the whole, where it is a part of one.
    """
    rows = [batch for batches in shards.values() for batch in batches]
    pinned = engine.fabric.device.type == "cuda"
    batches = image_batch_loader(data, engine.transform, rows, engine.options.workers, pin_memory=pinned)
    shown = shown and engine.fabric.is_global_zero
    with bar(f"extracting {source}", sum(map(len, rows)), shown=shown) as progress:
        for path, some in shards.items():
            of_shard = itertools.islice(batches, len(some))
            yield path, [_run_batch(batch, engine, data, source, first) for batch in of_shard]
            progress.update(sum(map(len, some)))


def _run_batch(batch: ImageBatch, engine: Engine, data: Dataset, source: str, first: int) -> BatchArrays:
    if batch.failed and engine.options.on_error == "stop":
        raise unreadable_image(data, *batch.failed[0]).within(source)
    arrays = {} if batch.images is None else engine(batch.images, first + batch.rows[0])
    for name, array in arrays.items():
        bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
        if len(bad):
            where = f"{source}: {data.ids[batch.rows[bad[0]]]}"
            raise SteepslopeError(f"expected finite {name} from the classifier, found NaN or infinity", where)
    return batch._replace(images=None), arrays


def write_shard(path: Path, batches: Batches) -> None:
    """Write what the engine made of a shard's batches, all or nothing."""
    failed = [one for batch, _ in batches for one in batch.failed]
    arrays: dict[str, NDArray[Any]] = {
        "rows": np.array([row for batch, _ in batches for row in batch.rows], dtype=np.int64),
        "failed": np.array([row for row, _ in failed], dtype=np.int64),
        "reasons": np.array([reason for _, reason in failed], dtype=np.str_),
    }
    for name in next((some for _, some in batches if some), {}):
        arrays[name] = np.concatenate([some[name] for _, some in batches if some])
    with staged_folder(path.parent, last=path.name) as staging:
        np.savez(staging / path.name, allow_pickle=False, **arrays)


def join_shards(
    shards: Shards, data: Dataset, out: Path, about: Mapping[str, Any], classes: Sequence[str] | None
) -> int:
    """Stream the shards into one array each; return how many images could not be read.

    The manifest, written last, lists these; it tells all ``about`` the outputs, and the names of the ``classes``.
    """
    rows, ids = np.concatenate([*_shard_arrays(shards, "rows")]), data.ids
    if len(rows) == 0:
        raise SteepslopeError(f"none of the {len(data)} images could be read", out)
    failed, reasons = (itertools.chain.from_iterable(_shard_arrays(shards, name)) for name in ("failed", "reasons"))
    skipped = [{"id": str(ids[row]), "reason": str(why)} for row, why in zip(failed, reasons, strict=True)]
    with OUTPUTS.staged(out) as staging:
        labels = labels_at(data.labels, rows)
        names: set[str] = set()
        for path in shards:  # one without a readable image has no arrays
            with np.load(path) as archive:
                names.update(archive.files)
        arrays = {name: _shard_arrays(shards, name) for name in sorted(names - {"rows", "failed", "reasons"})}
        arrays |= {} if labels is None else {"labels": iter([labels])}
        described = {name: _write_joined(staging / f"{name}.npy", some, len(rows)) for name, some in arrays.items()}
        write_ids_to_folder([str(ids[row]) for row in rows], staging)
        manifest = outputs_manifest(described, has_ids=True, classes=classes)
        write_json(staging / MANIFEST, {**manifest, **about, "skipped": skipped})
    return len(skipped)


def _shard_arrays(shards: Shards, name: str) -> Iterator[NDArray[Any]]:
    kinds = (OSError, ValueError, BadZipFile)
    for path in shards:
        with explained("is damaged; delete it and run again", path, kinds), np.load(path) as archive:
            arrays = [archive[name]] if name in archive.files else []
        yield from arrays


def _write_joined(path: Path, blocks: Iterator[NDArray[Any]], rows: int) -> dict[str, Any]:
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
    views, dropout = "views" in options.evidence, "dropout" in options.evidence
    shifts = shift_recipes_of(data)
    key = {
        **({AUGMENTED: data.recipe} if isinstance(data, Augmented) else {}),
        **({"shifts": shifts} if shifts else {}),
        "classifier": classifier.spec, "digest": classifier.digest, "transform": asdict(classifier.transform),
        "data": source, "fingerprint": data.fingerprint(verify=options.verify),
        **({"verify": True} if options.verify else {}),
        "evidence": options.evidence,
        "views": options.views if views else None, "noise": ESTIMATES if "noise" in options.evidence else None,
        "passes": [options.passes, options.batch_size] if dropout else None,
        "features": options.features if "features" in options.evidence else None,
        "precision": options.precision, "on_error": options.on_error, "shard_rows": options.shard_rows,
        "versions": {"outputs": str(VERSION), **versions_of([classifier.runs_on])},
    }  # fmt: skip
    return as_it_comes_from_json(key)
