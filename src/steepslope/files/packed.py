"""A folder of JSON and safetensors files as the two files that the Hugging Face Hub expects, and the folder again.

``config.json`` holds the JSON files and texts, and the SHA-256 of each file; ``model.safetensors`` all arrays, named by
their file. What is unpacked is the same to the byte, or refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open, torch as of_torch
from torch import Tensor

from steepslope.errors import SteepslopeError, explained
from steepslope.files.folders import as_json_file, digest_of, field, read_json, write_json
from steepslope.files.packed_config import CHANGED, CONFIG, DIGEST, EXPECTED, LIBRARY, TENSORS, VERSION, read_config
from steepslope.files.weights import save_weights

HEADERS = "headers"  # in the metadata of the arrays: how each safetensors file begins
MALFORMED = (AttributeError, KeyError, IndexError, TypeError, ValueError)  # of JSON that is of another shape
FILE = re.compile(r"(oracle/)?[a-z_]+\.(json|md|safetensors)")  # no other is written, wherever a name comes from


def pack(folder: Path, names: Iterable[str], kind: str, out: Path) -> None:
    """Write the files of these names in a folder, ``oracle/oracle.json`` say, packed into another folder."""
    cards: dict[str, Any] = {}
    texts: dict[str, str] = {}
    headers: dict[str, str] = {}
    tensors: dict[str, Tensor] = {}
    for name in sorted(names):
        _require_name(name, folder)
        path = folder / name
        if path.suffix == ".json":
            cards[name] = read_json(path, EXPECTED)
        elif path.suffix == ".md":
            texts[name] = path.read_text(encoding="utf-8")
        else:
            headers[name], arrays = _read_tensors(path)
            tensors |= {_tensor_name(name, one): array.clone() for one, array in arrays.items()}
    digests = {name: _sha256(content) for name, content in _contents(cards, texts, headers, tensors)}
    for name in headers:
        if digests[name] != _sha256((folder / name).read_bytes()):
            raise SteepslopeError("cannot be packed: it holds other bytes than its arrays", folder / name)
    config = {
        "library_name": LIBRARY, "version": VERSION, "kind": kind, "cards": cards, "texts": texts, "files": digests
    }  # fmt: skip
    save_weights(tensors, out / TENSORS, {HEADERS: json.dumps(headers)})
    write_json(out / CONFIG, {**config, DIGEST: digest_of(config)})


def unpack(folder: Path, out: Path) -> None:
    """Write what a packed folder holds as the files that it was; raise if any is not what was packed."""
    config, path = read_config(folder), folder / CONFIG
    digests, cards, texts = (dict(field(config, name, dict, path)) for name in ("files", "cards", "texts"))
    for name in digests:
        _require_name(name, path)
    headers, tensors = _read_packed(folder / TENSORS)
    if {*digests} != {*cards, *texts, *headers}:
        raise SteepslopeError(CHANGED, folder)
    with explained(CHANGED, folder / TENSORS, MALFORMED, 160):
        contents = dict(_contents(cards, texts, headers, tensors))
    for name, content in contents.items():
        if _sha256(content) != digests[name]:
            raise SteepslopeError(CHANGED, folder / TENSORS if name in headers else path)
    for name, content in contents.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)


def tensor_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays that a packed folder holds, by ``file:name``."""
    _, tensors = _read_packed(folder / TENSORS)
    return {name: tuple(array.shape) for name, array in tensors.items()}


def _require_name(name: str, place: Path) -> None:
    if not FILE.fullmatch(name):
        raise SteepslopeError(f"expected the file of a gate or oracle, found {name!r}", place)


def _tensor_name(file: str, name: str) -> str:
    return f"{file.removesuffix('.safetensors')}:{name}"


def _read_tensors(path: Path) -> tuple[str, dict[str, Tensor]]:
    """Return the header of a safetensors file, as it stands there, and the arrays."""
    with explained("cannot be read", path, (OSError, SafetensorError, ValueError), 160):
        with path.open("rb") as file:
            header = file.read(int.from_bytes(file.read(8), "little")).decode()
        return header, of_torch.load_file(path)


def _read_packed(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return the headers of all files, and the arrays; raise unless these are the ones that the headers name."""
    with explained(CHANGED, path, (OSError, SafetensorError, *MALFORMED), 160):
        with safe_open(path, "pt") as file:
            headers = dict(json.loads((file.metadata() or {}).get(HEADERS, "")))
        named = {_tensor_name(name, one) for name, header in headers.items() for one in _entries(header)}
        tensors = of_torch.load_file(path)
    if named != {*tensors}:
        raise SteepslopeError(CHANGED, path)
    return headers, tensors


def _entries(header: str) -> dict[str, Any]:
    """Return what a header tells of each array, in the order in which their bytes follow."""
    found = {name: one for name, one in json.loads(header).items() if name != "__metadata__"}
    return dict(sorted(found.items(), key=lambda item: item[1]["data_offsets"]))


def _contents(
    cards: Mapping[str, Any], texts: Mapping[str, str], headers: Mapping[str, str], tensors: Mapping[str, Tensor]
) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of each file."""
    for name, card in cards.items():
        yield name, as_json_file(card)
    for name, text in texts.items():
        yield name, text.encode()
    for name, header in headers.items():
        arrays = (tensors[_tensor_name(name, one)] for one in _entries(header))
        start = header.encode()
        yield name, b"".join([len(start).to_bytes(8, "little"), start, *map(_bytes_of, arrays)])


def _bytes_of(array: Tensor) -> bytes:
    return array.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
