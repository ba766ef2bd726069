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
from steepslope.numerics import blocks

OPSET = 20  # of the files that are written
_FLOAT_TYPES: dict[str, type[np.floating[Any]]] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxNet(nn.Module):
    """An ONNX file with one input of images (n, C, H, W), and outputs (n, K) and, named ``features``, (n, d).

    A file with a fixed batch is run once a batch of that size, the last one filled up. ``fixed`` has the batch,
    channels, height and width that the file fixes, None where it does not.
    """

    runs_on = "onnxruntime"

    def __init__(self, model: Path | bytes, source: str) -> None:
        super().__init__()
        self.model = model
        self.source = source
        self.open()
        inputs = self.session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in _FLOAT_TYPES:
            raise SteepslopeError(f"expected one input of float images (n, C, H, W), found {_in_words(inputs)}", source)
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
        self.threads = torch.get_num_threads()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads would slow others down
        # of any kind: ONNX Runtime has an exception for each sort of damage
        with explained("cannot be read as an ONNX file", self.source, longest=160):
            self.session = onnxruntime.InferenceSession(self.model, options, providers=["CPUExecutionProvider"])

    def forward(self, images: Tensor) -> tuple[Tensor | None, Tensor]:
        """Return features (n, d), if the file has them, and logits (n, K)."""
        if self.threads != torch.get_num_threads():
            self.open()
        pixels = images.float().cpu().numpy().astype(_FLOAT_TYPES[self.input.type])
        batch = self.fixed[0] or len(pixels)
        names = [name for name in (self.logits, self.features) if name is not None]
        runs = [self._run_filled(pixels[rows], batch, names) for rows in blocks(len(pixels), batch)]
        outputs = [torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*runs, strict=True)]
        if self.features is None:
            return None, outputs[0]
        logits, features = outputs
        return features.flatten(1), logits

    def _run_filled(self, pixels: Any, batch: int, names: list[str]) -> list[Any]:
        filled = np.zeros((batch, *pixels.shape[1:]), pixels.dtype)
        filled[: len(pixels)] = pixels
        with explained(f"cannot run on images of shape {pixels.shape}", self.source, longest=160):
            arrays = self.session.run(names, {self.input.name: filled})
        return [array[: len(pixels)].astype(np.float32) for array in arrays]


def _in_words(places: Any) -> str:
    """Return the names, types and shapes of inputs or outputs."""
    return ", ".join(f"{place.name} {place.type} {place.shape}" for place in places)


def _onnx_output_names(outputs: Any, source: str) -> tuple[str, str | None]:
    """Return the output named logits, or the only one of floats (n, K), and the one named features, if there is one."""
    shapes = {output.name: output.shape for output in outputs if output.type in _FLOAT_TYPES}
    flat = [name for name, shape in shapes.items() if len(shape) == 2 and name != "features"]
    features = "features" if "features" in shapes else None
    if "logits" in flat:
        return "logits", features
    if len(flat) != 1:
        raise SteepslopeError(
            f"expected one output of floats (n, K), or one of them named logits, found {_in_words(outputs)}", source
        )
    return flat[0], features


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
    shapes = {output.name: output.shape for output in net.session.get_outputs()}
    classes = None
    if shapes[net.logits][-1] == NUM_CLASSES:
        classes = wordnet_labels()
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
        cached = read_cache(key)
        if cached is not None:
            with suppress(SteepslopeError):
                return _agreeing_onnx_net(OnnxNet(cached, source), net, images)
    model = exported_onnx(net, images[:2], ["images"], ["features", "logits"], source)
    exported = _agreeing_onnx_net(OnnxNet(model, source), net, images)
    if key is not None:
        write_cache(key, model)
    return exported


def _agreeing_onnx_net(exported: OnnxNet, net: nn.Module, images: Tensor) -> OnnxNet:
    """Return an exported net; raise unless it gives what the net gives."""
    with torch.inference_mode():
        expected = net(images)[1]
        found = exported(images)[1]
    gap = math.inf
    if expected.shape == found.shape:
        gap = float((expected - found).abs().max())
    if not gap <= 1e-3 or not torch.equal(expected.argmax(dim=1), found.argmax(dim=1)):
        raise SteepslopeError(
            f"ONNX Runtime's logits differ from PyTorch's by {gap:.2g}, expected <= 1e-3", exported.source
        )
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
                net,
                (inputs, {}),
                path,
                input_names=list(names),
                output_names=list(outputs),
                opset_version=OPSET,
                dynamic_shapes=(shapes,),
                dynamo=True,
                external_data=False,
                verbose=False,
                optimize=optimize,
            )
        except Exception as error:  # whatever in the net has no counterpart
            reason = reason_of(error.__cause__ or error, 160)
            raise SteepslopeError(f"cannot be exported to ONNX ({reason})", source) from error
        return path.read_bytes()


@contextmanager
def _silent_onnx_exporter() -> Any:
    """Keep the exporter's remarks on its own progress from the user."""
    disabled = logging.root.manager.disable
    nowhere = io.StringIO()
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"), redirect_stdout(nowhere), redirect_stderr(nowhere):
            yield
    finally:
        logging.disable(disabled)
