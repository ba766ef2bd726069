"""Weights of nets in safetensors files, which cannot run code.

All that a killed training needs to go on: weights, the optimizer's moments, and a few numbers.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open, torch as of_torch
from torch import Tensor

from steepslope.errors import SteepslopeError, explained
from steepslope.files.folders import staged_folder
from steepslope.files.weights import written_safely


def save_weights(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write tensors; whatever goes wrong (a full disk, say) is an OSError."""
    with written_safely(path):
        of_torch.save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)


def load_weights(module: torch.nn.Module, path: Path) -> None:
    """Load a safetensors file of finite weights into a module that it must fit exactly."""
    with explained("expected weights of this architecture", path, (OSError, SafetensorError, RuntimeError), 200):
        tensors = of_torch.load_file(path)
        module.load_state_dict(tensors)
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise SteepslopeError(f"expected finite weights, found others in {name}", path)


Tensors = dict[str, Tensor]


def save_training_state(
    path: Path, net: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, about: dict[str, Any]
) -> None:
    """Write a state, all or nothing; ``about`` is what JSON can hold."""
    tensors = {f"net.{name}": tensor for name, tensor in net.items()}
    for index, moments in optimizer.state_dict()["state"].items():
        kept = {name: torch.as_tensor(moment) for name, moment in moments.items() if moment is not None}
        tensors |= {f"optimizer.{index}.{name}": moment for name, moment in kept.items()}
    with staged_folder(path.parent, last=path.name) as staging:
        save_weights(tensors, staging / path.name, {"about": json.dumps(about)})


def load_training_state(path: Path) -> tuple[Tensors, dict[int, Tensors], dict[str, Any]] | None:
    """Read the net's weights, the optimizer's moments and the facts stored with them; None where there is no state."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["about"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise SteepslopeError(f"cannot be read; delete it to start again ({error})", path) from error
    moments: dict[int, Tensors] = {}
    for name in [name for name in tensors if name.startswith("optimizer.")]:
        _, index, moment = name.split(".")
        moments.setdefault(int(index), {})[moment] = tensors.pop(name)
    return {name.removeprefix("net."): tensor for name, tensor in tensors.items()}, moments, about


def take_up_state(path: Path, net: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
    """Give a net and its optimizer what was saved of them; return the facts stored with it, None without a state."""
    state = load_training_state(path)
    if state is None:
        return None
    weights, moments, about = state
    net.load_state_dict(weights)
    restore_optimizer_state(optimizer, moments)
    return about


def restore_optimizer_state(optimizer: torch.optim.Optimizer, moments: dict[int, Tensors]) -> None:
    """Give the optimizer its moments back."""
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
