"""Classifier outputs on disk: a folder of memory-mapped arrays, or one .npz, .csv or .parquet file.

A folder holds ``logits.npy``, ``labels.npy``, ``features.npy``, ``ids.parquet`` and, written last,
``manifest.json`` with the shapes. Tables have the columns ``id``, ``label``, ``logit_0``… and ``feature_0``….
Nothing that is read can run code: pickled arrays are refused.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, unknown_name
from steepslope.files import field, read_json, staged_folder, write_json
from steepslope.outputs import ClassifierOutputs

MANIFEST = "manifest.json"
ARRAYS = ("logits", "labels", "features")


def save(outputs: ClassifierOutputs, path: Path) -> None:
    """Write in the format that the suffix of ``path`` names; without a suffix, a folder."""
    if path.suffix in WRITERS:
        with staged_folder(path.parent, last=path.name) as staging:
            WRITERS[path.suffix](outputs, staging / path.name)
    else:
        _save_folder(outputs, path)


def load(path: Path) -> ClassifierOutputs:
    """Read what :func:`save` wrote; an error names the path and what is wrong with it."""
    if not path.exists():
        raise SteepslopeError(f"{path}: no such file or folder")
    reader = _load_folder if path.is_dir() else READERS.get(path.suffix)
    if reader is None:
        raise unknown_name(f"format of {path.name}:", path.suffix, READERS)
    try:
        return reader(path)
    except SteepslopeError as error:
        raise error if str(path) in str(error) else SteepslopeError(f"{path}: {error}") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        summary = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SteepslopeError(f"{path}: cannot be read as classifier outputs ({summary})") from error


def _present(outputs: ClassifierOutputs) -> dict[str, NDArray[Any]]:
    arrays = {name: getattr(outputs, name) for name in ARRAYS}
    return {name: array for name, array in arrays.items() if array is not None}


def _save_folder(outputs: ClassifierOutputs, folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = _present(outputs)
    with staged_folder(folder, last=MANIFEST) as staging:
        for name, array in arrays.items():
            np.save(staging / f"{name}.npy", array, allow_pickle=False)
        if outputs.ids is not None:
            pq.write_table(pa.table({"id": pa.array(outputs.ids)}), staging / "ids.parquet")
        manifest = {
            "format": "steepslope outputs",
            "version": 1,
            "rows": len(outputs),
            "num_classes": outputs.num_classes,
            "arrays": {name: {"dtype": str(a.dtype), "shape": list(a.shape)} for name, a in arrays.items()},
            "ids": outputs.ids is not None,
        }
        write_json(staging / MANIFEST, manifest)


def _load_folder(folder: Path) -> ClassifierOutputs:
    import pyarrow.parquet as pq

    path = folder / MANIFEST
    manifest = read_json(path, "a complete folder of classifier outputs")
    arrays = {}
    for name, described in field(manifest, "arrays", dict, path).items():
        array = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        if list(array.shape) != described["shape"]:
            raise SteepslopeError(
                f"{folder / name}.npy: expected shape {described['shape']}, as in {MANIFEST}, "
                f"found {list(array.shape)}"
            )
        arrays[name] = array
    if field(manifest, "ids", bool, path):
        arrays["ids"] = pq.read_table(folder / "ids.parquet").column("id").to_numpy()
    return _build(arrays)


def _save_npz(outputs: ClassifierOutputs, path: Path) -> None:
    ids = {} if outputs.ids is None else {"ids": outputs.ids}
    np.savez(path, allow_pickle=False, **_present(outputs), **ids)


def _load_npz(path: Path) -> ClassifierOutputs:
    with np.load(path, allow_pickle=False) as archive:
        return _build({name: archive[name] for name in (*ARRAYS, "ids") if name in archive})


def _to_table(outputs: ClassifierOutputs) -> Any:
    import pyarrow as pa

    columns: dict[str, NDArray[Any]] = {} if outputs.ids is None else {"id": outputs.ids}
    columns["label"] = outputs.labels
    for prefix, array in (("logit", outputs.logits), ("feature", outputs.features)):
        if array is not None:
            columns |= {f"{prefix}_{k}": np.ascontiguousarray(array[:, k]) for k in range(array.shape[1])}
    return pa.table(columns)


def _from_table(table: Any) -> ClassifierOutputs:
    arrays: dict[str, NDArray[Any]] = {}
    for prefix, name in (("logit", "logits"), ("feature", "features")):
        columns = [
            f"{prefix}_{k}" for k in range(len(table.column_names)) if f"{prefix}_{k}" in table.column_names
        ]
        if columns != [f"{prefix}_{k}" for k in range(len(columns))]:
            raise SteepslopeError(f"columns {prefix}_0, {prefix}_1, …: found a gap in {columns}")
        if columns:
            arrays[name] = np.column_stack([_number_column(table, column) for column in columns])
    if "label" in table.column_names:
        arrays["labels"] = table.column("label").to_numpy()
    if "id" in table.column_names:
        arrays["ids"] = table.column("id").to_numpy().astype(np.str_)
    return _build(arrays)


def _number_column(table: Any, name: str) -> NDArray[Any]:
    values: NDArray[Any] = table.column(name).to_numpy()
    if values.dtype.kind not in "fiu":
        raise SteepslopeError(f"column {name!r}: expected numbers, found {table.column(name).type}")
    return values if values.dtype.kind == "f" else values.astype(np.float64)


def _save_csv(outputs: ClassifierOutputs, path: Path) -> None:
    import pyarrow.csv as pc

    pc.write_csv(_to_table(outputs), path)


def _load_csv(path: Path) -> ClassifierOutputs:
    import pyarrow.csv as pc

    return _from_table(pc.read_csv(path))


def _save_parquet(outputs: ClassifierOutputs, path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(_to_table(outputs), path)


def _load_parquet(path: Path) -> ClassifierOutputs:
    import pyarrow.parquet as pq

    return _from_table(pq.read_table(path))


def _build(arrays: dict[str, NDArray[Any]]) -> ClassifierOutputs:
    for name in ("logits", "labels"):
        if name not in arrays:
            raise SteepslopeError(f"expected {name}, found only {', '.join(sorted(arrays)) or 'nothing'}")
    return ClassifierOutputs(**arrays)


READERS: dict[str, Callable[[Path], ClassifierOutputs]] = {
    ".npz": _load_npz,
    ".csv": _load_csv,
    ".parquet": _load_parquet,
}
WRITERS: dict[str, Callable[[ClassifierOutputs, Path], None]] = {
    ".npz": _save_npz,
    ".csv": _save_csv,
    ".parquet": _save_parquet,
}
