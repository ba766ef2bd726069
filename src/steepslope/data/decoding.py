"""Rows of a data set as batches of tensors; a row that cannot be read is data, a reason in words, not an exception.

An exception that left a worker process would arrive wrapped in that process's traceback.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from steepslope.data.images import Dataset, Picture
from steepslope.data.shifted import transform_of
from steepslope.data.transforms import Transform
from steepslope.errors import SteepslopeError, reason_of

T = TypeVar("T")


def decoded(data: Dataset, row: int, use: Callable[[Picture], T]) -> T | str:
    """Return what ``use`` makes of a row's image, or what is wrong with it."""
    try:
        return use(data.image(row))
    except SteepslopeError as error:
        return str(error)
    except Exception as error:  # decoders have many kinds for damaged and for hostile files
        reason = re.sub(r"<_io.BytesIO object at \w+>", "from its bytes", reason_of(error))
        return f"cannot be read as an image ({reason})"


def unreadable(data: Dataset, row: int, reason: str) -> SteepslopeError:
    """Return the error that names an image and what is wrong with it."""
    return SteepslopeError(reason, str(data.ids[row]))


class Batch(NamedTuple):
    """Decoded rows with their images (m, C, H, W), if there are any, and why others could not be decoded."""

    rows: list[int]
    images: torch.Tensor | None
    failed: list[tuple[int, str]]


@dataclass(frozen=True, eq=False)
class Decoded(torch.utils.data.Dataset[tuple[int, torch.Tensor | str]]):
    """Rows of a data set as tensors (C, H, W), or as the reason why an image cannot be read."""

    data: Dataset
    transform: Transform

    def __getitem__(self, row: int) -> tuple[int, torch.Tensor | str]:
        return row, decoded(self.data, row, self.transform)


def batch_loader(
    data: Dataset, transform: Transform, batches: list[list[int]], workers: int = 0, pin_memory: bool = False
) -> Iterator[Batch]:
    """Decode batches of rows in their order; worker processes, if any, go on decoding across the ends of batches."""
    rows = Decoded(data, transform_of(data, transform))
    loader = DataLoader(rows, batch_sampler=batches, collate_fn=_collate, num_workers=workers, pin_memory=pin_memory)
    return iter(loader)


def decoded_batches(
    data: Dataset, rows: NDArray[np.int64], transform: Transform, size: int, workers: int = 0
) -> Iterator[torch.Tensor]:
    """Yield the images of some rows, in their order, (m, C, H, W) with m <= size.

    Raises
    ------
    SteepslopeError
        If an image cannot be read; the message names the first.
    """
    parts = [rows[start : start + size].tolist() for start in range(0, len(rows), size)]
    for batch in batch_loader(data, transform, parts, workers):
        for row, reason in batch.failed:
            raise unreadable(data, row, reason)
        assert batch.images is not None
        yield batch.images


def _collate(items: list[tuple[int, torch.Tensor | str]]) -> Batch:
    good = [(row, image) for row, image in items if not isinstance(image, str)]
    failed = [(row, reason) for row, reason in items if isinstance(reason, str)]
    return Batch([row for row, _ in good], torch.stack([image for _, image in good]) if good else None, failed)
