"""Weights of nets in safetensors files, and states of unfinished trainings; neither can run code.

A state has all that a killed training needs to go on: weights, the optimizer's moments, and a few numbers.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, torch as of_torch
from torch import Tensor

from steepslope.errors import SteepslopeError, explained
from steepslope.files import staged_folder, written_safely


def save_weights(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors; whatever goes wrong (a full disk, say) is an OSError."""
    with written_safely(path):
        of_torch.save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def load_weights(module: torch.nn.Module, path: Path) -> None:
    """Load a safetensors file of finite weights into a module that it must fit exactly."""
    with explained("expected weights of this architecture", path, (OSError, SafetensorError, RuntimeError), 200):
        tensors = of_torch.load_file(path)
        module.load_state_dict(tensors)
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise SteepslopeError(f"expected finite weights, found others in {name}", path)


def digest_of_weights(plan: str, module: torch.nn.Module) -> str:
    """Return the SHA-256 of a text, such as what rebuilds the layers, and of all weights by their names, in hex."""
    digest = hashlib.sha256(plan.encode())
    for name, tensor in module.state_dict().items():
        digest.update(name.encode() + tensor.contiguous().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_training_state(
    path: Path, net: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, about: dict[str, Any]
) -> None:
    """Write a state, all or nothing; ``about`` holds numbers, text and tensors alone."""
    state = {"net": dict(net), "optimizer": optimizer.state_dict(), "about": about}
    with staged_folder(path.parent, last=path.name) as staging, explained("cannot be written", path, RuntimeError, 160):
        torch.save(state, staging / path.name)


def take_up_state(path: Path, net: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
    """Give a net and its optimizer what was saved of them; return the facts stored with it, None without a state."""
    if not path.exists():
        return None
    with explained("cannot be read; delete it to start again", path, longest=160):  # torch has no kind of its own
        state = torch.load(path, "cpu", weights_only=True)
        about: dict[str, Any] = state["about"]
    net.load_state_dict(state["net"])
    optimizer.load_state_dict(state["optimizer"])
    return about
