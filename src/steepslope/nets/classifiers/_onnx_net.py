"""Classifiers as ONNX files, run by ONNX Runtime on the CPU, and the export of a net with its agreement check."""

import hashlib
import io
import logging
import math
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from steepslope.errors import SteepslopeError, explained, reason_of
from steepslope.files import digest_of, read_cache, require_extra, require_memory_for, versions_of, write_cache
from steepslope.nets.classifiers._classifier import COLOUR, Classifier, unknown_transform
from steepslope.nets.data import NUM_CLASSES, wordnet_labels

OPSET = 20  # of the files that are written
FLOAT_TYPES: dict[str, type[np.floating[Any]]] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxNet(nn.Module):
    """An ONNX file with one input of images (n, C, H, W), and outputs (n, K) and, named ``features``, (n, d).

    A file with a fixed batch is run once a batch of that size, the last one filled up. ``fixed`` has the batch,
    channels, height and width that the file fixes, None where it does not.
    """

    runs_on = "onnxruntime"

    def __init__(self, model: Path | bytes, source: str) -> None:
        super().__init__()
        self.model, self.source = model, source
        self.open()
        inputs = self.session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in FLOAT_TYPES:
            found = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
            raise SteepslopeError(f"expected one input of float images (n, C, H, W), found {found}", source)
        self.input = inputs[0]
        self.fixed = [size if isinstance(size, int) else None for size in inputs[0].shape]
        self.logits, self.features = _onnx_output_names(self.session.get_outputs(), source)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes it again in another process, which needs the file only where others hold its weights."""
        model = self.model
        if isinstance(model, Path):
            model = model.resolve() if _onnx_weight_files(model) else model.read_bytes()
        return type(self), (model, self.source)

    def open(self) -> None:
        """Start a session with as many threads as PyTorch has; of several processes on a machine, each has fewer."""
        onnxruntime = require_extra("onnxruntime", "nets", "ONNX")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads = torch.get_num_threads()
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads would slow others down
        # of any kind: ONNX Runtime has an exception for each sort of damage
        with explained("cannot be read as an ONNX file", self.source, longest=160):
            self.session = onnxruntime.InferenceSession(self.model, options, providers=["CPUExecutionProvider"])

    def forward(self, images: Tensor) -> tuple[Tensor | None, Tensor]:
        """Return features (n, d), if the file has them, and logits (n, K)."""
        if self.threads != torch.get_num_threads():
            self.open()
        pixels = images.float().cpu().numpy().astype(FLOAT_TYPES[self.input.type])
        batch = self.fixed[0] or len(pixels)
        runs = [self._run_filled_batch(pixels[start : start + batch], batch) for start in range(0, len(pixels), batch)]
        logits, *features = (torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*runs, strict=True))
        return (features[0].flatten(1) if features else None), logits

    def _run_filled_batch(self, pixels: Any, batch: int) -> list[Any]:
        filled = np.concatenate([pixels, np.zeros((batch - len(pixels), *pixels.shape[1:]), pixels.dtype)])
        names = [self.logits] + ([self.features] if self.features else [])
        with explained(f"cannot run on images of shape {pixels.shape}", self.source, longest=160):
            arrays = self.session.run(names, {self.input.name: filled})
        return [array[: len(pixels)].astype(np.float32) for array in arrays]


def _onnx_output_names(outputs: Any, source: str) -> tuple[str, str | None]:
    """Return the output named logits, or the only one of floats (n, K), and the one named features, if there is one."""
    floats = [one for one in outputs if one.type in FLOAT_TYPES]
    flat = [one.name for one in floats if len(one.shape) == 2 and one.name != "features"]
    if "logits" not in flat and len(flat) != 1:
        found = ", ".join(f"{one.name} {one.type} {one.shape}" for one in outputs)
        expected = "one output of floats (n, K), or one of them named logits"
        raise SteepslopeError(f"expected {expected}, found {found}", source)
    features = "features" if any(one.name == "features" for one in floats) else None
    return "logits" if "logits" in flat else flat[0], features


def onnx_classifier(argument: str) -> Classifier:
    """Load ``onnx:FILE``; its normalisation is not in the file, and has to be given (``--mean --std``)."""
    path = Path(argument)
    digest = hashlib.sha256()
    with explained("expected an ONNX file, but it cannot be read", path, OSError):
        files = [path, *_onnx_weight_files(path)]
        size = sum(file.stat().st_size for file in files)
        require_memory_for(path, size, size)
        for file in files:
            digest.update(file.read_bytes())
    net = OnnxNet(path, str(path))
    _, channels, height, width = net.fixed
    transform = unknown_transform((height or 0, width or 0), channels or COLOUR)
    found = next(one.shape[-1] for one in net.session.get_outputs() if one.name == net.logits)
    classes = wordnet_labels() if found == NUM_CLASSES else None
    return Classifier(f"onnx:{argument}", net.eval(), transform, None, digest.hexdigest(), classes)


def _onnx_weight_files(path: Path) -> list[Path]:
    """Return the files in which large weights are kept, if there are any."""
    return [*path.parent.glob(f"{path.name}*.data"), *path.parent.glob(f"{path.stem}.data")]


def as_onnx(net: nn.Module, images: Tensor, source: str, digest: str | None = None) -> OnnxNet:
    """Export a net from images to (features, logits), and check it on a batch.

    With a ``digest`` of the net, the export is kept in the user's cache, and taken from there the next time. It is
    checked each time: a net whose code has changed is exported again.

    Raises
    ------
    SteepslopeError
        If it cannot be exported, or if a logit differs by more than 1e-3 or a prediction at all.
    """
    key = None
    if digest is not None:
        key = digest_of([digest, images.shape[1:], OPSET, versions_of(["torch", "onnxscript", "steepslope"])])
        if (model := read_cache(key)) is not None:
            with suppress(SteepslopeError):
                return _agreeing_onnx_net(OnnxNet(model, source), net, images)
    model = exported_onnx(net, images[:2], ["images"], ["features", "logits"], source)
    exported = _agreeing_onnx_net(OnnxNet(model, source), net, images)
    if key is not None:
        write_cache(key, model)
    return exported


def _agreeing_onnx_net(exported: OnnxNet, net: nn.Module, images: Tensor) -> OnnxNet:
    """Return an exported net; raise unless it gives what the net gives."""
    with torch.inference_mode():
        expected, found = net(images)[1], exported(images)[1]
    gap = float((expected - found).abs().max()) if expected.shape == found.shape else math.inf
    if not gap <= 1e-3 or not torch.equal(expected.argmax(dim=1), found.argmax(dim=1)):
        message = f"ONNX Runtime's logits differ from PyTorch's by {gap:.2g}, expected <= 1e-3"
        raise SteepslopeError(message, exported.source)
    return exported.eval()


def exported_onnx(
    net: nn.Module,
    inputs: Tensor | dict[str, Tensor],
    names: Sequence[str],
    outputs: Sequence[str],
    source: str,
    optimize: bool = True,
) -> bytes:
    """Return a module as an ONNX file in memory, with any number of rows; raise if it cannot be exported.

    ``inputs`` are examples of at least two rows: the one tensor that the module takes, or several by name. ``names``
    and ``outputs`` are the names of inputs and outputs in the file. The optimiser takes numbers within 1e-8 of 0, or
    within 1e-5 of 1, for these.
    """
    require_extra("onnxscript", "nets", "ONNX")
    rows = {0: torch.export.Dim("batch")}
    shapes = rows if isinstance(inputs, Tensor) else dict.fromkeys(inputs, rows)
    with tempfile.TemporaryDirectory() as folder, _silent_onnx_exporter():
        path = Path(folder) / "net.onnx"
        try:
            torch.onnx.export(
                net, (inputs, {}), path, input_names=list(names), output_names=list(outputs), opset_version=OPSET,
                dynamic_shapes=(shapes,), dynamo=True, external_data=False, verbose=False, optimize=optimize,
            )  # fmt: skip
        except Exception as error:  # whatever in the net has no counterpart
            reason = reason_of(error.__cause__ or error, 160)
            raise SteepslopeError(f"cannot be exported to ONNX ({reason})", source) from error
        return path.read_bytes()


@contextmanager
def _silent_onnx_exporter() -> Any:
    """Keep the exporter's remarks on its own progress from the user."""
    disabled, nowhere = logging.root.manager.disable, io.StringIO()
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"), redirect_stdout(nowhere), redirect_stderr(nowhere):
            yield
    finally:
        logging.disable(disabled)
