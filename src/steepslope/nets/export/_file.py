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

from steepslope.errors import SteepslopeError, explained, read_fields, require_known
from steepslope.files import require_extra

if TYPE_CHECKING:
    from steepslope.gate import Gate

Part = Literal["all", "gate", "oracle"]
Arrays = Mapping[str, NDArray[Any]]
KEY = "steepslope"  # of the metadata
_VERSION = 2  # of the metadata
_DIGEST = b"\x72\x4a\x0a\x06sha256\x12\x40"  # how protobuf writes a further entry of the metadata, before 64 characters
IMAGES = "images"
GREY = 1  # channel of images that are whole numbers, as of colour images; others are floats
COLOUR = 3
_CHUNK = 2**20  # bytes
_NO_PROMISE = "Trust logits alone: nothing is promised."
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
        if array.ndim != len(self.shape) or array.dtype != self.dtype:
            return False
        return all(size in (None, found) for size, found in zip(self.shape, array.shape, strict=True))

    def __str__(self) -> str:
        sizes = [str(size or "?") for size in self.shape]
        if self.shape and self.shape[0] is None:
            sizes[0] = "N"
        return f"{self.name} {np.dtype(self.dtype)} ({', '.join(sizes)})"


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
    words: str = _NO_PROMISE
    threshold: float | None = None
    thresholds: Mapping[str, float | None] | None = None
    classes: tuple[str, ...] | None = None
    certificates: tuple[Mapping[str, Any], ...] = ()
    coverage: float = 0.0
    answers: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, gate: Gate, digest: str, part: Part = "all") -> Self:
        """Return the card of a gate, whose own digest is :func:`~steepslope.gate.digest_of_gate`."""
        finite: dict[str | None, float | None] = dict.fromkeys(gate.thresholds)
        finite |= {group: value for group, value in gate.thresholds.items() if math.isfinite(value)}
        groups = None
        if gate.has_groups:
            groups = {str(group): value for group, value in finite.items()}
        return cls(
            part,
            digest,
            gate.sentences(),
            threshold=finite.get(None),
            thresholds=groups,
            classes=gate.classes,
            certificates=tuple(certificate.as_json() for certificate in gate.certificates),
            coverage=gate.coverage,
            answers={} if gate.source is None else dict(gate.source.answers),
        )

    @property
    def accepts_any(self) -> bool:
        """Whether the gate accepts any prediction at all."""
        return any(promise["threshold"] is not None or promise["accepts_all"] for promise in self.certificates)

    def as_json(self) -> dict[str, Any]:
        """Return what the metadata of an exported file hold, as JSON has it."""
        return {"version": _VERSION, **asdict(self)}

    @classmethod
    def read(cls, text: str, path: Path) -> Self:
        """Return the card that the text of a file's metadata holds; an error names the file and the field."""
        with explained("expected JSON in its metadata", path, (ValueError, RecursionError), longest=160):
            card = json.loads(text)
        version = card.get("version") if isinstance(card, dict) else card
        if not isinstance(card, dict) or version != _VERSION:
            raise SteepslopeError(f"expected version {_VERSION} of the metadata, found {version!r}", path)
        known = read_fields(cls, card, path)
        for certificate in known.certificates:
            if not {"threshold", "accepts_all"} <= certificate.keys():
                raise SteepslopeError("expected certificates in its metadata, found others", path)
        return known


def sealed_onnx(model: bytes) -> bytes:
    r"""Return an ONNX model with the SHA-256 of all its bytes as a last entry of its metadata, ``sha256``.

    >>> sealed_onnx(b"model")[5:15]
    b'rJ\n\x06sha256'
    """
    return model + _DIGEST + hashlib.sha256(model).hexdigest().encode()


def require_unchanged_onnx(source: Path) -> None:
    """Raise unless a file ends with the SHA-256 of all before it, as :func:`sealed_onnx` leaves it."""
    with source.open("rb") as file:
        size = max(0, source.stat().st_size - len(_DIGEST) - 64)
        digest = hashlib.sha256()
        for start in range(0, size, _CHUNK):
            digest.update(file.read(min(_CHUNK, size - start)))
        ending = file.read()
    if not ending.startswith(_DIGEST):
        raise SteepslopeError("expected a file that steepslope export wrote, with its SHA-256, found another", source)
    if ending[len(_DIGEST) :] != digest.hexdigest().encode():
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
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads would slow others down
        # of any kind: ONNX Runtime has an exception for each sort of damage
        with explained("cannot be read as an ONNX file", source, longest=160):
            session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        metadata = session.get_modelmeta().custom_metadata_map
        if KEY not in metadata:
            expected = "expected a file that steepslope export wrote"
            raise SteepslopeError(f"{expected}, found an ONNX file without the metadata of a gate", source)
        inputs = _array_specs(session.get_inputs(), source)
        outputs = _array_specs(session.get_outputs(), source)
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
        names = [output.name for output in self.outputs]
        options = None
        if release:
            options = import_module("onnxruntime").RunOptions()
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        with explained("cannot run on these arrays", self.source, longest=160):
            return dict(zip(names, self.session.run(names, dict(arrays), options), strict=True))


def require_fitting_inputs(arrays: Arrays, specs: tuple[ArraySpec, ...]) -> None:
    """Raise unless the arrays are those of the specs, of their types and shapes, and of one number of rows."""
    known = {spec.name: spec for spec in specs}
    for name in arrays:
        require_known("input", name, known)
    missing = [name for name in known if name not in arrays]
    if missing:
        raise SteepslopeError(f"expected the inputs {', '.join(known)}, found no {' and no '.join(missing)}", "inputs")
    for name, array in arrays.items():
        if not known[name].fits(array):
            raise SteepslopeError(f"expected {known[name]}, found {array.dtype} {array.shape}", "inputs")
    rows = {name: len(array) for name, array in arrays.items()}
    if len(set(rows.values())) > 1:
        raise SteepslopeError(f"expected as many rows of each, found {rows}", "inputs")


def _array_specs(nodes: Any, source: Path) -> tuple[ArraySpec, ...]:
    specs = []
    for node in nodes:
        if node.type not in TYPES:
            raise SteepslopeError(f"expected arrays of {', '.join(TYPES)}, found {node.name} {node.type}", source)
        shape = tuple(size if isinstance(size, int) else None for size in node.shape)
        specs.append(ArraySpec(node.name, TYPES[node.type], shape))
    return tuple(specs)
