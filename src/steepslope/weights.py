"""Weights from safetensors files, which cannot run code."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from steepslope.errors import SteepslopeError


def load_weights(module: torch.nn.Module, path: Path) -> None:
    """Load a safetensors file into a module that it must fit exactly."""
    try:
        module.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise SteepslopeError(f"{path}: expected weights of this architecture ({reason})") from error
