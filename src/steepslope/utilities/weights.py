"""Weights from safetensors files, which cannot run code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from steepslope.errors import SteepslopeError
from steepslope.utilities.files import share


def save_weights(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write tensors; whatever goes wrong (a full disk, say) is an OSError."""
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    except SafetensorError as error:
        raise OSError(f"{path.name}: {error}") from error
    share(path)


def load_weights(module: torch.nn.Module, path: Path) -> None:
    """Load a safetensors file of finite weights into a module that it must fit exactly."""
    try:
        tensors = load_file(path)
        module.load_state_dict(tensors)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise SteepslopeError(f"{path}: expected weights of this architecture ({reason})") from error
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise SteepslopeError(f"{path}: expected finite weights, found others in {name}")
