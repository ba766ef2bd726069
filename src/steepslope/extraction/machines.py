"""The processes of a run: how they are launched on devices, and how they fail together."""

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from steepslope.errors import SteepslopeError, explained
from steepslope.extraction.options import Machines
from steepslope.utilities.locks import locked

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
LONG = timedelta(days=7)  # the first process may join shards for hours while the others wait


@contextmanager
def launched(machines: Machines, backend: str = "auto") -> Iterator[Fabric]:
    """Start the processes, or join those that torchrun started, for the length of the block.

    The backend ``onnx`` runs on the CPU.
    """
    outer = torch.distributed.is_initialized()
    try:
        yield _launch(machines, "cpu" if backend == "onnx" else "auto")
    finally:
        if torch.distributed.is_initialized() and not outer:
            torch.distributed.destroy_process_group()


def _launch(machines: Machines, accelerator: str) -> Fabric:
    if machines.precision == "fp16" and not torch.accelerator.is_available():
        raise SteepslopeError("expected 32 or bf16 on a CPU, found 'fp16'", "precision")
    devices, nodes = _processes(machines)
    plain = machines.strategy in ("auto", "ddp")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    precision: Any = PRECISIONS[machines.precision]
    # of any kind: Fabric, its strategies and plugins have some of their own
    with explained("not available here", "devices, num_nodes, strategy and precision", longest=200):
        strategy = DDPStrategy(timeout=LONG) if plain and devices * nodes > 1 else machines.strategy
        fabric = Fabric(
            accelerator=accelerator, strategy=strategy, devices=devices, num_nodes=nodes, precision=precision
        )
        fabric.launch()
    return fabric


def _processes(machines: Machines) -> tuple[int, int]:
    """Return the processes a machine and the machines, as chosen or as torchrun started them."""
    if not torch.distributed.is_torchelastic_launched():
        return machines.devices or 1, machines.num_nodes or 1
    local, world = (int(os.environ[name]) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    devices, nodes = machines.devices or local, machines.num_nodes or world // local
    if devices * nodes != world:
        expected = f"{world} processes, as torchrun started"
        raise SteepslopeError(f"expected {expected}, found {devices} × {nodes}", "devices and num_nodes")
    return devices, nodes


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
        raise SteepslopeError("another process failed; its own message has the reason")


@contextmanager
def alone_in(folders: Iterable[Path], fabric: Fabric) -> Iterator[None]:
    """Keep other runs out of folders for the length of the block; the first process holds the locks for all."""
    with ExitStack() as held:
        with together(fabric):
            for folder in folders if fabric.is_global_zero else ():
                held.enter_context(locked(folder))
        yield
