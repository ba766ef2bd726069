"""Classifier outputs on disk: a folder of memory-mapped arrays, or one .npz, .csv or .parquet file.

A folder holds ``logits.npy``, ``labels.npy``, optional arrays (``features.npy`` …), ``ids.parquet`` and, written last,
``manifest.json`` with the shapes. Tables have the columns ``id``, ``label``, ``logit_0``… and ``feature_0``…;
see :mod:`steepslope.outputs.tables`. Nothing that is read can run code: pickled arrays are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, unknown_name
from steepslope.metrics.curves import checked
from steepslope.outputs import ClassifierOutputs, Confidences, tables
from steepslope.utilities.files import field, read_json, staged_folder, write_json

MANIFEST = "manifest.json"
VERSION = 1
AUXILIARY = "auxiliary"  # the subfolder with another backbone's outputs of the same images
ARRAYS = ("logits", "labels", "features", "views", "dropout", "auxiliary", "noise")
Arrays = dict[str, NDArray[Any]]
T = TypeVar("T")


def save(outputs: ClassifierOutputs, path: Path) -> None:
    """Write in the format that the suffix of ``path`` names; with any other name, a folder."""
    if path.suffix.lower() in WRITERS:
        with staged_folder(path.parent, last=path.name) as staging:
            WRITERS[path.suffix.lower()](outputs, staging / path.name)
    else:
        _save_folder(outputs, path)


def load(path: Path) -> ClassifierOutputs:
    """Read what :func:`save` wrote; an error names the path and what is wrong with it."""
    return _reading(path, lambda: ClassifierOutputs(**_required(_read(path, ids=True), "logits", "labels")))


def load_predictions(path: Path, ids: bool = False) -> ClassifierOutputs | Confidences:
    """Read outputs, without their ids unless asked for, or ``confidence`` and ``is_correct`` in place of logits."""
    return _reading(path, lambda: _build(_read(path, ids)))


def require_one_classifier(*paths: str | Path | None) -> None:
    """Raise unless the folders of outputs come from one classifier and input; those that do not say so may be any."""
    makers = [(path, made) for path in paths if path is not None and (made := _made_by(Path(path))) is not None]
    for path, made in makers[1:]:
        first, expected = makers[0]
        if made != expected:
            raise SteepslopeError(f"{path}: expected outputs of the same classifier and input as {first}, found others")


def _made_by(path: Path) -> tuple[Any, Any] | None:
    """Return the digest and the transform of the classifier that an extraction ran."""
    if not (path / MANIFEST).exists():
        return None
    extraction = read_json(path / MANIFEST, "classifier outputs").get("extraction") or {}
    return (extraction["digest"], extraction.get("transform")) if "digest" in extraction else None


def ids_of(path: Path, rows: NDArray[np.int64]) -> list[str]:
    """Return the ids of some rows, or the rows' numbers where the path has no ids."""
    numbers = [str(row) for row in rows]
    if path.suffix.lower() == ".npz":
        ids = _reading(path, lambda: _load_npz(path, ids=True)).get("ids")
        return numbers if ids is None else ids[rows].astype(str).tolist()
    if path.is_dir() and not read_json(path / MANIFEST, "classifier outputs").get("ids"):
        return numbers
    table = path / "ids.parquet" if path.is_dir() else path
    return (_reading(path, lambda: tables.take(table, "id", rows)) if table.exists() else None) or numbers


def _build(arrays: Arrays) -> ClassifierOutputs | Confidences:
    if "logits" not in arrays and "confidence" in arrays:
        _required(arrays, "is_correct")
        return Confidences(*checked(arrays["confidence"], arrays["is_correct"]))
    known = {name: arrays[name] for name in (*ARRAYS, "ids") if name in arrays}
    return ClassifierOutputs(**_required(known, "logits", "labels"))


def _required(arrays: Arrays, *names: str) -> Arrays:
    for name in names:
        if name not in arrays:
            raise SteepslopeError(f"expected {name}, found only {', '.join(sorted(arrays)) or 'nothing'}")
    return arrays


def _read(path: Path, ids: bool) -> Arrays:
    if not path.exists():
        raise SteepslopeError(f"{path}: no such file or folder")
    if not path.is_dir() and path.suffix.lower() not in READERS:
        raise unknown_name(f"format of {path.name}:", path.suffix, READERS)
    return (_load_folder if path.is_dir() else READERS[path.suffix.lower()])(path, ids)


def _reading(path: Path, work: Callable[[], T]) -> T:
    """Do the work; an error in it becomes one line that names the path."""
    try:
        return work()
    except SteepslopeError as error:
        raise error if str(error).startswith(str(path)) else SteepslopeError(f"{path}: {error}") from error
    except Exception as error:  # numpy, zipfile, zlib and pyarrow each have their own for a damaged file
        summary = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SteepslopeError(f"{path}: cannot be read as classifier outputs ({summary})") from error


def _present(outputs: ClassifierOutputs) -> dict[str, NDArray[Any]]:
    arrays = {name: getattr(outputs, name) for name in ARRAYS}
    return {name: array for name, array in arrays.items() if array is not None}


def _save_folder(outputs: ClassifierOutputs, folder: Path) -> None:
    arrays = _present(outputs)
    with staged_folder(folder, last=MANIFEST) as staging:
        for name, array in arrays.items():
            np.save(staging / f"{name}.npy", array, allow_pickle=False)
        if outputs.ids is not None:
            save_ids(outputs.ids, staging)
        described = {name: {"dtype": str(a.dtype), "shape": list(a.shape)} for name, a in arrays.items()}
        write_json(staging / MANIFEST, outputs_manifest(described, has_ids=outputs.ids is not None))


def save_ids(ids: Sequence[str] | NDArray[np.str_], folder: Path) -> None:
    """Write ``ids.parquet``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"id": pa.array(ids, pa.string())}), folder / "ids.parquet")


def outputs_manifest(arrays: Mapping[str, Mapping[str, Any]], has_ids: bool) -> dict[str, Any]:
    """Return what ``manifest.json`` says of a folder's arrays, each with its dtype and shape."""
    return {
        "format": "steepslope outputs",
        "version": VERSION,
        "rows": arrays["logits"]["shape"][0],
        "num_classes": arrays["logits"]["shape"][1],
        "arrays": dict(arrays),
        "ids": has_ids,
    }


def _load_folder(folder: Path, ids: bool) -> Arrays:
    path = folder / MANIFEST
    manifest = read_json(path, "a complete folder of classifier outputs")
    if manifest.get("version") != VERSION:
        raise SteepslopeError(f"{path}: expected version {VERSION} of the format, found {manifest.get('version')!r}")
    described = field(manifest, "arrays", dict, path)
    arrays = {name: _load_array(folder, name, described[name], path) for name in ARRAYS if name in described}
    if (folder / AUXILIARY / MANIFEST).exists():
        arrays[AUXILIARY] = _auxiliary_features(folder)
    if ids and field(manifest, "ids", bool, path):
        arrays |= tables.read(folder / "ids.parquet", ids=True)
    return arrays


def _auxiliary_features(folder: Path) -> NDArray[Any]:
    if ids_in_order(folder / AUXILIARY) != ids_in_order(folder):
        raise SteepslopeError(f"{folder / AUXILIARY}: expected the images of {folder}, in the same order, found others")
    return _load_folder(folder / AUXILIARY, ids=False)["features"]


def ids_in_order(folder: Path) -> list[str]:
    """Return all ids of a folder of outputs."""
    if not field(read_json(folder / MANIFEST, "classifier outputs"), "ids", bool, folder / MANIFEST):
        raise SteepslopeError(f"{folder}: expected outputs with ids, found none")
    return list(tables.read(folder / "ids.parquet", ids=True)["ids"])


def _load_array(folder: Path, name: str, described: dict[str, Any], manifest: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    expected = tuple(field(described, "shape", list, manifest))
    if array.shape != expected:
        raise SteepslopeError(f"{folder / name}.npy: expected shape {expected}, as in {MANIFEST}, found {array.shape}")
    return array


def _save_npz(outputs: ClassifierOutputs, path: Path) -> None:
    ids = {} if outputs.ids is None else {"ids": outputs.ids}
    np.savez(path, allow_pickle=False, **_present(outputs), **ids)


def _load_npz(path: Path, ids: bool) -> Arrays:
    names = (*ARRAYS, "confidence", "is_correct", *(["ids"] if ids else []))
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in names if name in archive}


def _save_table(outputs: ClassifierOutputs, path: Path) -> None:
    for name in ("views", "dropout", "auxiliary", "noise"):
        if getattr(outputs, name) is not None:
            raise SteepslopeError(f"{path}: a table cannot hold {name}: save to a folder or .npz")
    tables.write(path, ids=outputs.ids, labels=outputs.labels, logits=outputs.logits, features=outputs.features)


READERS: dict[str, Callable[[Path, bool], Arrays]] = {
    ".npz": _load_npz,
    ".csv": tables.read,
    ".parquet": tables.read,
}
WRITERS: dict[str, Callable[[ClassifierOutputs, Path], None]] = {
    ".npz": _save_npz,
    ".csv": _save_table,
    ".parquet": _save_table,
}
