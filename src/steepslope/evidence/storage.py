"""What evidence learnt, as a file beside an oracle's weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.evidence.registry import FORMER_NAMES, kind_of
from steepslope.evidence.states import NO_STATE, State
from steepslope.utilities.weights import load_arrays


def flattened(states: Mapping[str, State]) -> dict[str, NDArray[Any]]:
    """Name each array by its evidence: ``neighbors/points``."""
    return {f"{name}/{key}": array for name, state in states.items() for key, array in state.items()}


def load_states(path: Path, inputs: Sequence[str], num_classes: int) -> dict[str, State]:
    """Read what the inputs learnt; anything else than they could have is an error that names the file."""
    states = grouped(load_arrays(path))
    learning = {name: one for name in inputs if (one := kind_of(name).learning) is not None}
    for name, one in learning.items():
        try:
            one.check(states.get(name, NO_STATE), num_classes)
        except SteepslopeError as error:
            found = f"expected what {name} learnt, found nothing or something else ({error})"
            raise SteepslopeError(found, path) from error
    return {name: states[name] for name in learning}


def grouped(arrays: Mapping[str, NDArray[Any]]) -> dict[str, State]:
    """Undo :func:`flattened`; arrays of other names are left out."""
    states: dict[str, dict[str, NDArray[Any]]] = {}
    for name, array in arrays.items():
        evidence, _, key = name.partition("/")
        evidence = FORMER_NAMES.get(evidence, evidence)
        if key:
            states.setdefault(evidence, {})[key] = array
    return dict(states)
