"""Weights and arrays in safetensors files, which cannot run code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, numpy as of_numpy, torch as of_torch
from torch import Tensor

from steepslope.errors import SteepslopeError, explained
from steepslope.utilities.files import share_permissions


def save_weights(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write tensors; whatever goes wrong (a full disk, say) is an OSError."""
    try:
        of_torch.save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    except SafetensorError as error:
        raise OSError(f"{path.name}: {error}") from error
    share_permissions(path)


def load_weights(module: torch.nn.Module, path: Path) -> None:
    """Load a safetensors file of finite weights into a module that it must fit exactly."""
    with explained("expected weights of this architecture", path, (OSError, SafetensorError, RuntimeError), 200):
        tensors = of_torch.load_file(path)
        module.load_state_dict(tensors)
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise SteepslopeError(f"expected finite weights, found others in {name}", path)


def save_arrays(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write named arrays; whatever goes wrong (a full disk, say) is an OSError."""
    try:
        of_numpy.save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
    except SafetensorError as error:
        raise OSError(f"{path.name}: {error}") from error
    share_permissions(path)


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read named arrays, all of them finite."""
    with explained("cannot be read", path, (OSError, SafetensorError), 160):
        arrays: dict[str, NDArray[Any]] = of_numpy.load_file(path)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise SteepslopeError(f"expected finite numbers, found others in {name}", path)
    return arrays
