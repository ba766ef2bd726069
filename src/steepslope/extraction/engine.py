"""Run a frozen classifier on batches: device, precision and backend, and the evidence that is kept."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from numpy.typing import NDArray
from torch import Tensor, nn

from steepslope.classifiers.classifier import Classifier
from steepslope.classifiers.onnx_net import OnnxNet, as_onnx
from steepslope.errors import SteepslopeError
from steepslope.extraction.noise import noise_of
from steepslope.extraction.options import ExtractionOptions
from steepslope.extraction.views import VIEWS
from steepslope.utilities.progress import console
from steepslope.utilities.seeding import seeded

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
LONG = timedelta(days=7)  # the first process may join shards for hours while the others wait
SMALL = 64  # inputs of fewer pixels a side cost less than an export
CHECK_ROWS = 4

Arrays = dict[str, NDArray[Any]]


@contextmanager
def launched(options: ExtractionOptions) -> Iterator[Fabric]:
    """Start as many processes as asked for, or join those that torchrun started, for the length of the block."""
    outer = torch.distributed.is_initialized()
    try:
        yield _launch(options)
    finally:
        if torch.distributed.is_initialized() and not outer:
            torch.distributed.destroy_process_group()


def _launch(options: ExtractionOptions) -> Fabric:
    devices, nodes = options.devices or 1, options.num_nodes or 1
    plain = options.strategy in ("auto", "ddp")
    if options.precision == "fp16" and not torch.accelerator.is_available():
        raise SteepslopeError("precision: expected 32 or bf16 on a CPU, found 'fp16'")
    if torch.distributed.is_torchelastic_launched():
        local, world = (int(os.environ[name]) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
        devices, nodes = options.devices or local, options.num_nodes or world // local
        if devices * nodes != world:
            raise SteepslopeError(
                f"devices and num_nodes: expected {world} processes, as torchrun started, found {devices} × {nodes}"
            )
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    try:
        fabric = Fabric(
            accelerator="cpu" if options.backend == "onnx" else "auto",
            devices=devices,
            num_nodes=nodes,
            strategy=DDPStrategy(timeout=LONG) if plain and devices * nodes > 1 else options.strategy,
            precision=PRECISIONS[options.precision],  # type: ignore[arg-type]
        )
        fabric.launch()
    except Exception as error:  # of Fabric, its strategies and plugins, some of their own kind
        reason = " ".join(str(error).split())[:200]
        raise SteepslopeError(f"devices, num_nodes, strategy and precision: cannot be had here ({reason})") from error
    return fabric


@contextmanager
def together(fabric: Fabric) -> Iterator[None]:
    """Let the processes leave the block together: when one fails, all do, instead of waiting for it."""
    failure: Exception | None = None
    try:
        yield
    except Exception as error:
        failure = error
    failed = fabric.all_reduce(torch.tensor(float(failure is not None)), reduce_op="sum")
    if failure is not None:
        raise failure
    if failed != 0:
        raise SteepslopeError("another process failed; its own message says why")


def on_backend(classifier: Classifier, options: ExtractionOptions, fabric: Fabric) -> Classifier:
    """Return the classifier as the backend runs it; ``auto`` takes ONNX Runtime where it can and pays."""
    if isinstance(classifier.net, OnnxNet):
        if options.backend == "torch" or options.precision != "32":
            raise SteepslopeError(f"{classifier.spec}: expected the backend onnx and precision 32, since it is a file")
        return classifier
    if options.backend == "torch":
        return classifier
    if options.backend == "auto" and not _onnx_pays(classifier, options, fabric):
        return classifier
    generator = torch.Generator().manual_seed(0)
    size = (CHECK_ROWS, classifier.transform.channels, *classifier.transform.size)
    try:
        return replace(classifier, net=as_onnx(classifier.net, torch.randn(size, generator=generator), classifier.spec))
    except SteepslopeError as error:
        if options.backend == "onnx":
            raise
        console().print(f"PyTorch runs the classifier ({error})")
        return classifier


def _onnx_pays(classifier: Classifier, options: ExtractionOptions, fabric: Fabric) -> bool:
    return (
        fabric.device.type == "cpu"
        and options.precision == "32"
        and "dropout" not in options.evidence
        and min(classifier.transform.size) >= SMALL
        and all(find_spec(name) is not None for name in ("onnxruntime", "onnxscript"))
    )


@dataclass(frozen=True, eq=False)
class Engine:
    """A net on a device; called with a batch and the number of its first row, it gives the arrays to keep."""

    net: nn.Module
    fabric: Fabric
    options: ExtractionOptions
    layout: torch.memory_format = torch.contiguous_format

    @classmethod
    def on(cls, classifier: Classifier, options: ExtractionOptions, fabric: Fabric) -> Engine:
        """Move the classifier to the device; where it can, colour images lie there channels last, which is faster."""
        if "dropout" in options.evidence and not dropout_layers(classifier.net):
            raise SteepslopeError(
                f"{classifier.spec}: expected dropout layers for dropout passes, found none "
                "(?dropout=RATE gives a timm model one before its last layer)"
            )
        net = fabric.to_device(classifier.net).requires_grad_(False)
        engine = cls(net, fabric, options)
        return engine._channels_last(classifier) if classifier.transform.channels == 3 else engine

    def _channels_last(self, classifier: Classifier) -> Engine:
        """Return the engine with that layout, or as it is for a net that cannot have it (``view`` after a layer)."""
        if isinstance(self.net, OnnxNet):
            return self
        transform = classifier.transform
        probe = torch.zeros((2, transform.channels, *transform.size))
        try:
            self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            changed = replace(self, layout=torch.channels_last)
            changed(probe, 0)
        except RuntimeError:
            self.net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            return self
        return changed

    def __call__(self, images: Tensor, first_row: int) -> Arrays:
        """Return logits float32 (m, K) and, of those asked for, the other arrays of :class:`ClassifierOutputs`."""
        with torch.inference_mode():
            inputs = images.to(self.fabric.device, non_blocking=True)
            features, logits = self._run(inputs)
            arrays = {"logits": _array(logits)}
            if "features" in self.options.evidence and features is not None:
                arrays["features"] = _narrowed(_array(features), self.options.features)
            if "views" in self.options.evidence:
                views = [self._run(VIEWS[name](inputs))[1] for name in self.options.views]
                arrays["views"] = np.stack([_array(view) for view in views], axis=1)
                arrays["noise"] = _array(noise_of(inputs))
            if "dropout" in self.options.evidence:
                arrays["dropout"] = _array(self._dropout(inputs, first_row))
        return arrays

    def _run(self, inputs: Tensor) -> tuple[Tensor | None, Tensor]:
        with self.fabric.autocast():
            features, logits = self.net(inputs.contiguous(memory_format=self.layout))
        return features, logits

    def _dropout(self, inputs: Tensor, first_row: int) -> Tensor:
        """Return the log of the mean and the deviation of each class's probability over the passes, (m, 2, K)."""
        layers = dropout_layers(self.net)
        try:
            for layer in layers:
                layer.training = True
            with seeded(first_row):
                passes = [self._run(inputs)[1].float().cpu().double() for _ in range(self.options.passes)]
        finally:
            for layer in layers:
                layer.training = False
        logs = torch.stack(passes).log_softmax(dim=2)
        if torch.equal(logs[0], logs[1]):
            raise SteepslopeError("dropout: expected passes that differ, but the net's dropout layers change nothing")
        mean = logs.logsumexp(dim=0) - np.log(len(passes))
        return torch.stack([mean, logs.exp().std(dim=0)], dim=1)


def dropout_layers(net: nn.Module) -> list[nn.Module]:
    """Return the modules that drop units at a rate above 0: torch's layers, attention, and timm's ``drop_rate``.

    With them come torch's encoders, which leave out their own dropout layers in evaluation mode.
    """
    return [layer for layer in net.modules() if _drops(layer)]


def _drops(layer: nn.Module) -> bool:
    rates = [getattr(layer, name, None) for name in ("p", "dropout", "drop_rate")]
    if isinstance(layer, nn.TransformerEncoder | nn.TransformerEncoderLayer):
        return any(_drops(inner) for inner in layer.children())
    known = isinstance(layer, nn.modules.dropout._DropoutNd | nn.MultiheadAttention) or rates[2] is not None
    return known and any(isinstance(rate, int | float) and rate > 0 for rate in rates)


def _narrowed(features: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        narrow: NDArray[Any] = features.astype(dtype)
    if not np.isfinite(narrow).all() and np.isfinite(features).all():
        raise SteepslopeError(f"features: {np.abs(features).max():.3g} is too large for {dtype}: keep float32")
    return narrow


def _array(values: Tensor) -> NDArray[np.float32]:
    return values.float().cpu().numpy()
