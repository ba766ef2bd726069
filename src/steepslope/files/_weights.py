"""Arrays in safetensors files, which cannot run code."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, numpy as of_numpy

from steepslope.errors import SteepslopeError, explained
from steepslope.files._folders import share_permissions


@contextmanager
def written_safely(path: Path) -> Iterator[None]:
    """Raise an OSError for whatever goes wrong in the block, and share the file's permissions after it."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(f"{path.name}: {error}") from error
    share_permissions(path)


def save_arrays(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write named arrays; whatever goes wrong (a full disk, say) is an OSError."""
    with written_safely(path):
        of_numpy.save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, path)


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read named arrays, all of them finite."""
    with explained("cannot be read", path, (OSError, SafetensorError), 160):
        arrays: dict[str, NDArray[Any]] = of_numpy.load_file(path)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise SteepslopeError(f"expected finite numbers, found others in {name}", path)
    return arrays
