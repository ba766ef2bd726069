"""A folder of outputs: memory-mapped arrays, the ids, and a manifest that is written last.

``logits.npy``, ``labels.npy``, further arrays by their names, ``ids.json``, and ``manifest.json``, whose presence
means complete, with the shapes, the names of the classes, and what an extraction knows of the classifier. The features
of an auxiliary backbone, the logits of other classifiers, ``opinions/NAME``, and the outputs of augmented copies of the
images, may lie in a subfolder of their own.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained, located
from steepslope.files import field, read_json, staged_folder, write_json
from steepslope.outputs._answers import ANSWERED_BY
from steepslope.outputs._arrays import CLASSES, OF_COPIES, OPINION, STRINGS, Arrays, array_of, arrays_in_order
from steepslope.outputs._opinions import PLACES, aligned_opinion, opinion_rows_by_id

MANIFEST = "manifest.json"
VERSION = 1
_IDS = "ids.json"
AUXILIARY = "auxiliary"  # the subfolder with another backbone's outputs of the same images
OPINIONS = "opinions"  # the subfolder with a folder NAME of another classifier's outputs for each opinion
AUGMENTED = "augmented"  # the subfolder with the outputs of augmented copies of the images


def write_outputs_folder(
    folder: Path, arrays: Arrays, classes: Sequence[str] | None = None, answered_by: str | None = None
) -> None:
    """Write a complete folder; an earlier one stays until this one is. It may name the model that gave answers."""
    described = {}
    with staged_folder(folder, last=MANIFEST) as staging:
        for name, array in arrays.items():
            if array_of(name).kind != STRINGS:
                np.save(staging / f"{name}.npy", array, allow_pickle=False)
                described[name] = {"dtype": str(array.dtype), "shape": list(array.shape)}
        if "ids" in arrays:
            write_ids_to_folder(arrays["ids"], staging)
        manifest = outputs_manifest(described, "ids" in arrays, classes)
        if answered_by is not None:
            manifest["extraction"] = {ANSWERED_BY: answered_by}
        write_json(staging / MANIFEST, manifest)


def write_ids_to_folder(ids: Iterable[str], folder: Path) -> None:
    """Write the ids into a folder of outputs, a list in JSON."""
    (folder / _IDS).write_text(json.dumps(list(map(str, ids)), ensure_ascii=False), encoding="utf-8")


def outputs_manifest(
    arrays: Mapping[str, Mapping[str, Any]], has_ids: bool, classes: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return what the manifest holds: of each array its dtype and shape, and the names of the classes, if any."""
    rows, num_classes = arrays["logits"]["shape"]
    manifest = {
        "format": "steepslope outputs",
        "version": VERSION,
        "rows": rows,
        "num_classes": num_classes,
        "arrays": dict(arrays),
        "ids": has_ids,
    }
    if classes is not None:
        manifest[CLASSES] = list(classes)
    return manifest


def read_outputs_folder(folder: Path) -> tuple[Arrays, tuple[str, ...] | None, NDArray[np.object_] | None]:
    """Map the arrays of a folder; return them, the names of the classes or None, and the ids (n,) or None."""
    path = folder / MANIFEST
    manifest = read_json(path, "a complete folder of classifier outputs")
    if manifest.get("version") != VERSION:
        raise SteepslopeError(f"expected version {VERSION} of the format, found {manifest.get('version')!r}", path)
    described = field(manifest, "arrays", dict, path)
    arrays = {name: _mapped_array_of_folder(folder, name, described[name], path) for name in arrays_in_order(described)}
    auxiliary = folder / AUXILIARY
    if (auxiliary / MANIFEST).exists():
        if ids_of_folder(auxiliary) != ids_of_folder(folder):
            raise SteepslopeError(f"expected the images of {folder}, in the same order, found others", auxiliary)
        arrays[AUXILIARY] = read_outputs_folder(auxiliary)[0]["features"]
    arrays |= _opinions_of_subfolders(folder, arrays["logits"])
    if (folder / AUGMENTED / MANIFEST).exists():
        arrays |= _augmented_copies_of_folder(folder / AUGMENTED, folder)
    classes = None
    if CLASSES in manifest:
        classes = tuple(map(str, field(manifest, CLASSES, list, path)))
    ids = None
    if field(manifest, "ids", bool, path):
        ids = np.array(_ids_in_folder(folder), dtype=np.object_)
    return arrays, classes, ids


def _ids_in_folder(folder: Path) -> list[str]:
    path = folder / _IDS
    with explained("cannot be read as a list of ids", path, (OSError, ValueError, RecursionError)):
        ids = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
        raise SteepslopeError("expected a list of ids, found something else", path)
    return ids


def _mapped_array_of_folder(folder: Path, name: str, described: dict[str, Any], manifest: Path) -> NDArray[Any]:
    path = folder / f"{name}.npy"
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    expected = tuple(field(described, "shape", list, manifest))
    if array.shape != expected:
        raise SteepslopeError(f"expected shape {expected}, as in {MANIFEST}, found {array.shape}", path)
    return array


def opinions_in_folder(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what extractions recorded of the other classifiers whose logits a folder holds, by their names."""
    manifests = sorted(folder.glob(f"{OPINIONS}/*/{MANIFEST}"))
    return {path.parent.name: extraction_of_folder(path.parent) for path in manifests}


def _opinions_of_subfolders(folder: Path, own: NDArray[Any]) -> Arrays:
    """Return the opinions of the other classifiers whose logits lie in subfolders, by the names of their arrays."""
    records = opinions_in_folder(folder)
    if not records:
        return {}
    ids = ids_of_folder(folder)
    opinions = {}
    for name, record in records.items():
        subfolder = folder / OPINIONS / name
        with located(subfolder):
            rows = opinion_rows_by_id(ids, ids_of_folder(subfolder))
            places = field(record, PLACES, list, subfolder / MANIFEST)
            logits = read_outputs_folder(subfolder)[0]["logits"]
            opinions[f"{OPINION}{name}"] = aligned_opinion(own, logits, rows, places)
    return opinions


def _augmented_copies_of_folder(subfolder: Path, folder: Path) -> Arrays:
    """Map the arrays of augmented copies, (n, A, …), by their names in outputs."""
    require_folders_of_one_classifier(folder, subfolder)
    originals = ids_of_folder(folder)
    names = ids_of_folder(subfolder)
    copies = max(1, len(names) // max(1, len(originals)))
    if names != augmented_copy_ids(originals, copies):
        raise SteepslopeError(
            "expected "
            f"copies #1 to #A of each image of {folder}, in the same order, "
            "found others: delete this folder and extract again",
            subfolder,
        )
    copied = {f"{OF_COPIES}{name}": array for name, array in read_outputs_folder(subfolder)[0].items()}
    arrays = {}
    for name in arrays_in_order(copied):
        arrays[name] = copied[name].reshape(len(originals), copies, *copied[name].shape[1:])
    return arrays


def augmented_copy_ids(ids: Sequence[str], copies: int) -> list[str]:
    """Name the augmented copies of images.

    >>> augmented_copy_ids(["cat.png", "dog.png"], 2)
    ['cat.png#1', 'cat.png#2', 'dog.png#1', 'dog.png#2']
    """
    numbers = range(1, copies + 1)
    return [f"{name}#{number}" for name, number in product(ids, numbers)]


def ids_of_folder(folder: Path) -> list[str]:
    """Return all ids of a folder of outputs, in order."""
    if not field(read_json(folder / MANIFEST, "classifier outputs"), "ids", bool, folder / MANIFEST):
        raise SteepslopeError("expected outputs with ids, found none", folder)
    return _ids_in_folder(folder)


def extraction_of_folder(folder: Path) -> dict[str, Any]:
    """Return the manifest's record of the extraction that made a folder; empty where it was made otherwise."""
    if not (folder / MANIFEST).exists():
        return {}
    return dict(read_json(folder / MANIFEST, "classifier outputs").get("extraction") or {})


def recipe_of_folder(folder: Path) -> dict[str, Any] | None:
    """Return how the augmented copies of a folder were made, as its extraction recorded it; None where it did not."""
    return extraction_of_folder(folder / AUGMENTED).get(AUGMENTED)


def require_folders_of_one_classifier(*paths: str | Path | None) -> None:
    """Raise unless folders of outputs come from one classifier and input; those that do not record them may be any."""
    makers: dict[str | Path, tuple[Any, Any]] = {}
    for path in paths:
        if path is None:
            continue
        record = extraction_of_folder(Path(path))
        if "digest" not in record:
            continue
        makers[path] = (record["digest"], record.get("transform"))
        first = next(iter(makers))
        if makers[path] != makers[first]:
            raise SteepslopeError(f"expected outputs of the same classifier and input as {first}, found others", path)
