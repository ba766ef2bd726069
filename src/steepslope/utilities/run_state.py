"""All that a killed training needs to go on: weights, the optimizer's moments, and a few numbers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from steepslope.errors import SteepslopeError
from steepslope.utilities.files import staged_folder
from steepslope.utilities.weights import save_weights

Tensors = dict[str, Tensor]


def save_state(path: Path, net: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, about: dict[str, Any]) -> None:
    """Write a state, all or nothing; ``about`` is what JSON can hold."""
    tensors = {f"net.{name}": tensor for name, tensor in net.items()}
    for index, moments in optimizer.state_dict()["state"].items():
        kept = {name: torch.as_tensor(moment) for name, moment in moments.items() if moment is not None}
        tensors |= {f"optimizer.{index}.{name}": moment for name, moment in kept.items()}
    with staged_folder(path.parent, last=path.name) as staging:
        save_weights(tensors, staging / path.name, {"about": json.dumps(about)})


def load_state(path: Path) -> tuple[Tensors, dict[int, Tensors], dict[str, Any]] | None:
    """Read the net's weights, the optimizer's moments and the facts stored with them; None where there is no state."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["about"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise SteepslopeError(f"cannot be read; delete it to start anew ({error})", path) from error
    moments: dict[int, Tensors] = {}
    for name in [name for name in tensors if name.startswith("optimizer.")]:
        _, index, moment = name.split(".")
        moments.setdefault(int(index), {})[moment] = tensors.pop(name)
    return {name.removeprefix("net."): tensor for name, tensor in tensors.items()}, moments, about


def restore_optimizer(optimizer: torch.optim.Optimizer, moments: dict[int, Tensors]) -> None:
    """Give the optimizer its moments back."""
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
