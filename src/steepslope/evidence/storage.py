"""What evidence learnt, as a file beside an oracle's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from steepslope.errors import SteepslopeError
from steepslope.evidence import EVIDENCE
from steepslope.evidence.states import NO_STATE, State
from steepslope.utilities.files import share


def save_arrays(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write named arrays; whatever goes wrong (a full disk, say) is an OSError."""
    try:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
    except SafetensorError as error:
        raise OSError(f"{path.name}: {error}") from error
    share(path)


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read named arrays, all of them finite."""
    try:
        arrays: dict[str, NDArray[Any]] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise SteepslopeError(f"{path}: cannot be read ({' '.join(str(error).split())[:160]})") from error
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise SteepslopeError(f"{path}: expected finite numbers, found others in {name}")
    return arrays


def flattened(states: Mapping[str, State]) -> dict[str, NDArray[Any]]:
    """Name each array by its evidence: ``neighbors/points``."""
    return {f"{name}/{key}": array for name, state in states.items() for key, array in state.items()}


def load_states(path: Path, inputs: Sequence[str], num_classes: int) -> dict[str, State]:
    """Read what the inputs learnt; anything else than they could have is an error that names the file."""
    states = grouped(load_arrays(path))
    learning = {name: EVIDENCE[name].learning for name in inputs}
    for name, one in learning.items():
        if one is not None and not one.valid(states.get(name, NO_STATE), num_classes):
            raise SteepslopeError(f"{path}: expected what {name} learnt, found nothing or something else")
    return {name: states[name] for name, one in learning.items() if one is not None}


def grouped(arrays: Mapping[str, NDArray[Any]]) -> dict[str, State]:
    """Undo :func:`flattened`; arrays of other names are left out."""
    states: dict[str, dict[str, NDArray[Any]]] = {}
    for name, array in arrays.items():
        evidence, _, key = name.partition("/")
        if key:
            states.setdefault(evidence, {})[key] = array
    return dict(states)
