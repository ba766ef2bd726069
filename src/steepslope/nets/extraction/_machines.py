"""The processes of a run: how they are launched on devices, and how they fail together."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.distributed.distributed_c10d import _set_pg_timeout

from steepslope.errors import SteepslopeError, explained, reason_of
from steepslope.files import locked, optional_library
from steepslope.nets.extraction._options import Machines

if TYPE_CHECKING:
    from lightning_fabric import Fabric

fabrics = optional_library("lightning_fabric", "nets")

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
JOIN = timedelta(minutes=10)  # for all processes to come
LONG = timedelta(days=7)  # the first process may join shards for hours while the others wait
# Said of exceptions of any kind: Fabric, its strategies and plugins have some of their own.
UNAVAILABLE, CHOICES = "not available here", "devices, num_nodes and precision"
MASTER = "MASTER_ADDR", "MASTER_PORT", "NODE_RANK"  # where processes of several machines meet, without a launcher


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
    _require_possible_precision(precision)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric: Fabric = fabrics.Fabric(accelerator="auto", devices=1, precision=PRECISIONS[precision])
    return fabric


def _require_possible_precision(precision: str) -> None:
    """Raise for what Fabric would replace, with a warning alone: other numbers would come out."""
    if precision == "fp16" and not torch.accelerator.is_available():
        raise SteepslopeError("expected 32 or bf16 on a CPU, found 'fp16'", "precision")


def _launch_processes(machines: Machines, accelerator: str) -> Fabric:
    _require_possible_precision(machines.precision)
    devices, nodes = _processes_and_machines(machines)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    precision: Any = PRECISIONS[machines.precision]
    with explained(UNAVAILABLE, CHOICES, longest=200):
        strategy = fabrics.strategies.DDPStrategy(timeout=JOIN) if devices * nodes > 1 else "auto"
        fabric: Fabric = fabrics.Fabric(
            accelerator=accelerator, strategy=strategy, devices=devices, num_nodes=nodes, precision=precision
        )
    _require_master_address(fabric, nodes)
    _join_processes(fabric, devices * nodes)
    return fabric


def _require_master_address(fabric: Fabric, nodes: int) -> None:
    """Raise if machines would each wait at a place of their own, since nothing tells them of one another."""
    alone = isinstance(
        getattr(fabric.strategy, "cluster_environment", None), fabrics.plugins.environments.LightningEnvironment
    )
    missing = [name for name in MASTER if name not in os.environ]
    if nodes > 1 and alone and missing:
        expected = f"expected torchrun --nnodes {nodes}, or {', '.join(MASTER)} in the environment of each machine"
        raise SteepslopeError(f"{expected}, found no {', '.join(missing)}", "num_nodes")


def _join_processes(fabric: Fabric, processes: int) -> None:
    """Start the processes, or wait for those of other machines to come; then they may wait long for one another."""
    try:
        fabric.launch()
    except torch.distributed.DistError as error:
        place = ":".join(os.environ.get(name, "?") for name in MASTER[:2])
        waited = f"waited {JOIN.total_seconds() / 60:g} minutes for {processes} processes to meet at {place}, in vain"
        expected = "expected the same command on each machine, with NODE_RANK 0, 1, …, and the port open"
        raise SteepslopeError(f"{waited}: {expected} ({reason_of(error, 120)})", "num_nodes") from error
    except Exception as error:
        raise SteepslopeError(f"{UNAVAILABLE} ({reason_of(error, 200)})", CHOICES) from error
    if torch.distributed.is_initialized():
        _set_pg_timeout(LONG)


def _processes_and_machines(machines: Machines) -> tuple[int, int]:
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
    with ExitStack() as held:
        with failing_together(fabric):
            for folder in folders if fabric.is_global_zero else ():
                held.enter_context(locked(folder))
        yield
