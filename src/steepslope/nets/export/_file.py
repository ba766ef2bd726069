"""A gate that was exported as an ONNX file: what the file tells of itself, and how it is run; free of torch.

The file takes ``images``, decoded and of one size, or arrays such as ``logits`` and ``features``; it gives ``label``,
``probability``, ``p_correct``, ``trust_logit`` and ``accepted``, and ``handed_over`` where the oracle hands over.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.checks import read_fields
from steepslope.errors import SteepslopeError, explained, require_known
from steepslope.files import require_extra

if TYPE_CHECKING:
    from steepslope.gate import Gate

Part = Literal["all", "gate", "oracle"]
Arrays = Mapping[str, NDArray[Any]]
KEY, VERSION = "steepslope", 2  # of the metadata
DIGEST = b"\x72\x4a\x0a\x06sha256\x12\x40"  # how protobuf writes a further entry of the metadata, before 64 characters
IMAGES = "images"
GREY, COLOUR = 1, 3  # channels of images that are whole numbers; others are floats
CHUNK = 2**20  # bytes
NO_PROMISE = "Trust logits alone: nothing is promised."
TYPES: dict[str, type[np.generic]] = {
    "tensor(bool)": np.bool_, "tensor(double)": np.float64, "tensor(float)": np.float32, "tensor(float16)": np.float16,
    "tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(uint16)": np.uint16, "tensor(uint8)": np.uint8,
}  # fmt: skip


@dataclass(frozen=True)
class ArraySpec:
    """The name, type and shape of an array that a model takes or gives; sizes that may vary are None.

    >>> spec = ArraySpec("logits", np.float32, (None, 10))
    >>> spec.fits(np.zeros((4, 10), np.float32)), spec.fits(np.zeros((4, 9), np.float32)), str(spec)
    (True, False, 'logits float32 (N, 10)')
    """

    name: str
    dtype: type[np.generic]
    shape: tuple[int | None, ...]

    def fits(self, array: NDArray[Any]) -> bool:
        """Return whether an array has the type and the shape."""
        same = array.ndim == len(self.shape) and array.dtype == self.dtype
        return same and all(size in (None, found) for size, found in zip(self.shape, array.shape, strict=True))

    def __str__(self) -> str:
        sizes = ["N" if size is None and axis == 0 else size or "?" for axis, size in enumerate(self.shape)]
        return f"{self.name} {np.dtype(self.dtype)} ({', '.join(map(str, sizes))})"


@dataclass(frozen=True)
class GateCard:
    """What a gate tells of itself, as an exported file holds it.

    ``part`` is what was exported: all, from images on, the gate from logits and further arrays on, or the oracle alone.
    ``threshold`` is the trust logit from which on predictions are accepted, None where that is not one finite number;
    ``thresholds`` are those of groups. ``certificates`` are as
    :meth:`~steepslope.promise.Certificate.as_json` has them, and ``words`` are the promise in words.
    ``coverage`` is the fraction of calibration rows that were accepted. ``gate`` is the digest of the gate's card;
    ``answers`` has the arrays that are made of a class and a confidence, and the scale of the latter, if known.
    """

    part: Part
    gate: str
    words: str = NO_PROMISE
    threshold: float | None = None
    thresholds: Mapping[str, float | None] | None = None
    classes: tuple[str, ...] | None = None
    certificates: tuple[Mapping[str, Any], ...] = ()
    coverage: float = 0.0
    answers: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, gate: Gate, digest: str, part: Part = "all") -> Self:
        """Return the card of a gate, whose own digest is :func:`~steepslope.gate.digest_of_gate`."""
        finite = {group: one if math.isfinite(one) else None for group, one in gate.thresholds.items()}
        groups = {str(group): one for group, one in finite.items()} if gate.has_groups else None
        certificates = tuple(one.as_json() for one in gate.certificates)
        answers = {} if gate.source is None else dict(gate.source.answers)
        told = gate.classes, certificates, gate.coverage, answers
        return cls(part, digest, gate.sentences(), finite.get(None), groups, *told)

    @property
    def accepts_any(self) -> bool:
        """Whether the gate accepts any prediction at all."""
        return any(one["threshold"] is not None or one["accepts_all"] for one in self.certificates)

    def as_json(self) -> dict[str, Any]:
        """Return what the metadata of an exported file hold, as JSON has it."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def read(cls, text: str, path: Path) -> Self:
        """Return the card that the text of a file's metadata holds; an error names the file and the field."""
        with explained("expected JSON in its metadata", path, (ValueError, RecursionError), longest=160):
            card = json.loads(text)
        if not isinstance(card, dict) or card.get("version") != VERSION:
            found = card.get("version") if isinstance(card, dict) else card
            raise SteepslopeError(f"expected version {VERSION} of the metadata, found {found!r}", path)
        found = read_fields(cls, card, path)
        if not all({"threshold", "accepts_all"} <= one.keys() for one in found.certificates):
            raise SteepslopeError("expected certificates in its metadata, found others", path)
        return found


def sealed_onnx(model: bytes) -> bytes:
    r"""Return an ONNX model with the SHA-256 of all its bytes as a last entry of its metadata, ``sha256``.

    >>> sealed_onnx(b"model")[5:15]
    b'rJ\n\x06sha256'
    """
    return model + DIGEST + hashlib.sha256(model).hexdigest().encode()


def require_unchanged_onnx(source: Path) -> None:
    """Raise unless a file ends with the SHA-256 of all before it, as :func:`sealed_onnx` leaves it."""
    with source.open("rb") as file:
        size = max(0, source.stat().st_size - len(DIGEST) - 64)
        digest = hashlib.sha256()
        for start in range(0, size, CHUNK):
            digest.update(file.read(min(CHUNK, size - start)))
        ending = file.read()
    if not ending.startswith(DIGEST):
        raise SteepslopeError("expected a file that steepslope export wrote, with its SHA-256, found another", source)
    if ending[len(DIGEST) :] != digest.hexdigest().encode():
        raise SteepslopeError("expected the content whose SHA-256 the file holds, found another: export again", source)


@dataclass(frozen=True, eq=False)
class ExportedGate:
    """A gate in an ONNX file, run by ONNX Runtime on the CPU.

    ``inputs`` and ``outputs`` are the arrays that it takes and gives, ``card`` is what it tells of itself.
    """

    source: Path
    session: Any
    inputs: tuple[ArraySpec, ...]
    outputs: tuple[ArraySpec, ...]
    card: GateCard

    @classmethod
    def open(cls, path: str | Path, threads: int = 0) -> Self:
        """Open a file that ``steepslope export`` wrote; 0 ``threads`` are as many as there are cores.

        Raises
        ------
        SteepslopeError
            If it is no file that ``export`` wrote, or a byte of it is another.
        """
        source = Path(path)
        onnxruntime = require_extra("onnxruntime", "serve", "an exported gate")
        if not source.is_file():
            raise SteepslopeError("expected an ONNX file, found none", source)
        require_unchanged_onnx(source)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads would slow others down
        # of any kind: ONNX Runtime has an exception for each sort of damage
        with explained("cannot be read as an ONNX file", source, longest=160):
            session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        metadata = session.get_modelmeta().custom_metadata_map
        if KEY not in metadata:
            expected = "expected a file that steepslope export wrote"
            raise SteepslopeError(f"{expected}, found an ONNX file without the metadata of a gate", source)
        inputs, outputs = (_array_specs(nodes, source) for nodes in (session.get_inputs(), session.get_outputs()))
        return cls(source, session, inputs, outputs, GateCard.read(metadata[KEY], source))

    def run(self, arrays: Arrays, release: bool = False) -> dict[str, NDArray[Any]]:
        """Return all outputs, each (n, …), by name.

        Parameters
        ----------
        arrays
            The inputs by name, each (n, …) and of the input's own type, such as ``images`` uint8 (n, H, W, C).
        release
            Whether to give all memory back afterwards; else ONNX Runtime keeps it, which makes the next run faster.

        Raises
        ------
        SteepslopeError
            If an array is missing, unknown, or of another type or shape, or if ONNX Runtime cannot run on it.
        """
        require_fitting_inputs(arrays, self.inputs)
        names, options = [one.name for one in self.outputs], None
        if release:
            options = import_module("onnxruntime").RunOptions()
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        with explained("cannot run on these arrays", self.source, longest=160):
            return dict(zip(names, self.session.run(names, dict(arrays), options), strict=True))


def require_fitting_inputs(arrays: Arrays, specs: tuple[ArraySpec, ...]) -> None:
    """Raise unless the arrays are those of the specs, of their types and shapes, and of one number of rows."""
    known = {one.name: one for one in specs}
    for name in arrays:
        require_known("input", name, known)
    missing = [name for name in known if name not in arrays]
    if missing:
        raise SteepslopeError(f"expected the inputs {', '.join(known)}, found no {' and no '.join(missing)}", "inputs")
    for name, array in arrays.items():
        if not known[name].fits(array):
            raise SteepslopeError(f"expected {known[name]}, found {array.dtype} {array.shape}", "inputs")
    rows = {name: len(array) for name, array in arrays.items()}
    if len({*rows.values()}) > 1:
        raise SteepslopeError(f"expected as many rows of each, found {rows}", "inputs")


def _array_specs(nodes: Any, source: Path) -> tuple[ArraySpec, ...]:
    for one in nodes:
        if one.type not in TYPES:
            raise SteepslopeError(f"expected arrays of {', '.join(TYPES)}, found {one.name} {one.type}", source)
    shapes = (tuple(size if isinstance(size, int) else None for size in one.shape) for one in nodes)
    return tuple(ArraySpec(one.name, TYPES[one.type], shape) for one, shape in zip(nodes, shapes, strict=True))
