"""The processes of a run: how they are launched on devices, and how they fail together."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.distributed.distributed_c10d import _set_pg_timeout

from steepslope.errors import SteepslopeError, explained, reason_of
from steepslope.files import locked, optional_library
from steepslope.nets.extraction._options import Machines

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_fabrics = optional_library("lightning_fabric", "nets")

_PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
JOIN = timedelta(minutes=10)  # for all processes to come
_LONG = timedelta(days=7)  # the first process may join shards for hours while the others wait
# Said of exceptions of any kind: Fabric, its strategies and plugins have some of their own.
_UNAVAILABLE = "not available here"
_CHOICES = "devices, num_nodes and precision"
_MASTER = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")  # where processes of several machines meet, without a launcher


@contextmanager
def launched_processes(machines: Machines, backend: str = "auto") -> Iterator[Fabric]:
    """Start the processes, or join those that torchrun started, for the length of the block.

    The backend ``onnx`` runs on the CPU.
    """
    outer = torch.distributed.is_initialized()
    try:
        yield _launch_processes(machines, "cpu" if backend == "onnx" else "auto")
    finally:
        if torch.distributed.is_initialized() and not outer:
            torch.distributed.destroy_process_group()


def single_device(precision: str = "32") -> Fabric:
    """Return this process's device, for images in memory; nothing is launched."""
    _prepare_fabric(precision)
    fabric: Fabric = _fabrics.Fabric(accelerator="auto", devices=1, precision=_PRECISIONS[precision])
    return fabric


def _prepare_fabric(precision: str) -> None:
    """Raise for what Fabric would replace, with a warning alone: other numbers would come out."""
    if precision == "fp16" and not torch.accelerator.is_available():
        raise SteepslopeError("expected 32 or bf16 on a CPU, found 'fp16'", "precision")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


def _launch_processes(machines: Machines, accelerator: str) -> Fabric:
    _prepare_fabric(machines.precision)
    devices, nodes = _processes_and_machines(machines)
    with explained(_UNAVAILABLE, _CHOICES, longest=200):
        fabric: Fabric = _fabrics.Fabric(
            accelerator=accelerator,
            strategy=_fabrics.strategies.DDPStrategy(timeout=JOIN) if devices * nodes > 1 else "auto",
            devices=devices,
            num_nodes=nodes,
            precision=_PRECISIONS[machines.precision],
        )
    _require_master_address(fabric, nodes)
    _join_processes(fabric, devices * nodes)
    return fabric


def _require_master_address(fabric: Fabric, nodes: int) -> None:
    """Raise if machines would each wait at a place of their own, since nothing tells them of one another."""
    environment = getattr(fabric.strategy, "cluster_environment", None)
    alone = isinstance(environment, _fabrics.plugins.environments.LightningEnvironment)
    missing = [name for name in _MASTER if name not in os.environ]
    if nodes > 1 and alone and missing:
        raise SteepslopeError(
            f"expected torchrun --nnodes {nodes}, or {', '.join(_MASTER)} in the environment of each machine, "
            f"found no {', '.join(missing)}",
            "num_nodes",
        )


def _join_processes(fabric: Fabric, processes: int) -> None:
    """Start the processes, or wait for those of other machines to come; then they may wait long for one another."""
    try:
        fabric.launch()
    except torch.distributed.DistError as error:
        place = ":".join(os.environ.get(name, "?") for name in _MASTER[:2])
        raise SteepslopeError(
            f"waited {JOIN.total_seconds() / 60:g} minutes for {processes} processes to meet at {place}, in vain: "
            "expected the same command on each machine, with NODE_RANK 0, 1, …, and the port open "
            f"({reason_of(error, 120)})",
            "num_nodes",
        ) from error
    except Exception as error:
        raise SteepslopeError(f"{_UNAVAILABLE} ({reason_of(error, 200)})", _CHOICES) from error
    if torch.distributed.is_initialized():
        _set_pg_timeout(_LONG)


def _processes_and_machines(machines: Machines) -> tuple[int, int]:
    """Return the processes a machine and the machines, as chosen or as torchrun started them."""
    if not torch.distributed.is_torchelastic_launched():
        return machines.devices or 1, machines.num_nodes or 1
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    world = int(os.environ["WORLD_SIZE"])
    devices = machines.devices or local
    nodes = machines.num_nodes or world // local
    if devices * nodes != world:
        raise SteepslopeError(
            f"expected {world} processes, as torchrun started, found {devices} × {nodes}", "devices and num_nodes"
        )
    return devices, nodes


@contextmanager
def failing_together(fabric: Fabric) -> Iterator[None]:
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
def alone_in_folders(folders: Iterable[Path], fabric: Fabric) -> Iterator[None]:
    """Keep other runs out of folders for the length of the block; the first process holds the locks for all."""
    with ExitStack() as locks:
        with failing_together(fabric):
            if fabric.is_global_zero:
                for folder in folders:
                    locks.enter_context(locked(folder))
        yield
