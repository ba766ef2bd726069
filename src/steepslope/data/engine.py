"""Run a frozen classifier on batches: device, precision and backend, and the evidence that is kept."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from steepslope.data.classifiers import Classifier
from steepslope.data.onnx_net import OnnxNet, as_onnx
from steepslope.data.options import ExtractionOptions
from steepslope.data.views import VIEWS
from steepslope.errors import SteepslopeError
from steepslope.progress import console
from steepslope.training.seeding import seeded

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
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
            strategy=options.strategy,
            precision=PRECISIONS[options.precision],  # type: ignore[arg-type]
        )
        fabric.launch()
    except (ValueError, RuntimeError, ImportError) as error:
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
    if isinstance(classifier.net, OnnxNet) or options.backend == "torch":
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

    @classmethod
    def on(cls, classifier: Classifier, options: ExtractionOptions, fabric: Fabric) -> Engine:
        """Move the classifier to the device; colour images lie there channels last, which is faster."""
        if "dropout" in options.evidence and not dropout_layers(classifier.net):
            raise SteepslopeError(
                f"{classifier.spec}: expected dropout layers for dropout passes, found none "
                "(?dropout=RATE gives a timm model one before its last layer)"
            )
        net = fabric.to_device(classifier.net).requires_grad_(False)
        if classifier.transform.channels == 3:
            net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(net, fabric, options)

    def __call__(self, images: Tensor, first_row: int) -> Arrays:
        """Return logits float32 (m, K) and, of those asked for, features (m, d), views (m, V, K), dropout (m, 2, K)."""
        with torch.inference_mode(), self.fabric.autocast():
            inputs = images.to(self.fabric.device, non_blocking=True)
            if inputs.shape[1] == 3:
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            features, logits = self.net(inputs)
            arrays = {"logits": _array(logits)}
            if "features" in self.options.evidence and features is not None:
                arrays["features"] = _array(features).astype(self.options.features)
            if "views" in self.options.evidence:
                views = [self.net(VIEWS[name](inputs))[1] for name in self.options.views]
                arrays["views"] = np.stack([_array(view) for view in views], axis=1)
            if "dropout" in self.options.evidence:
                arrays["dropout"] = _array(self._dropout(inputs, first_row))
        return arrays

    def _dropout(self, inputs: Tensor, first_row: int) -> Tensor:
        """Return the log of the mean and the deviation of each class's probability over the passes, (m, 2, K)."""
        layers = dropout_layers(self.net)
        try:
            for layer in layers:
                layer.training = True
            with seeded(first_row):
                passes = [self.net(inputs)[1].double().log_softmax(dim=1) for _ in range(self.options.passes)]
        finally:
            for layer in layers:
                layer.training = False
        logs = torch.stack(passes)
        mean = logs.logsumexp(dim=0) - np.log(len(passes))
        return torch.stack([mean, logs.exp().std(dim=0)], dim=1)


def dropout_layers(net: nn.Module) -> list[nn.Module]:
    """Return the modules that drop units at a rate above 0: torch's layers, and timm's ``drop_rate``."""
    dropout = nn.modules.dropout._DropoutNd
    return [
        layer
        for layer in net.modules()
        if (isinstance(layer, dropout) and layer.p > 0) or float(getattr(layer, "drop_rate", None) or 0) > 0
    ]


def _array(values: Tensor) -> NDArray[np.float32]:
    return values.float().cpu().numpy()
