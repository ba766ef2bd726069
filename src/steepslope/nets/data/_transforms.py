"""From an image file's pixels to what a classifier takes, and rows of a data set as batches of tensors.

A row that cannot be read is data, a reason in words: an exception that left a worker process would arrive wrapped in
that process's traceback.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, TypeVar, get_args

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.utils.data import DataLoader

from steepslope.errors import Check, SteepslopeError, choice, each, number, reason_of, require, require_known, whole
from steepslope.files import optional_library, read_json
from steepslope.nets.data._images import Dataset, Picture, as_colour, as_grey
from steepslope.nets.data._shifted import size_brought_to
from steepslope.numerics import Counts, Values, blocks

_tv = optional_library("torchvision.transforms.v2.functional", "nets")

Resize = Literal["crop", "squash", "exact"]
_INTERPOLATIONS = "nearest", "nearest-exact", "bilinear", "bicubic", "box", "hamming", "lanczos"
_T = TypeVar("_T")
_Fitted = TypeVar("_Fitted", Image.Image, torch.Tensor)
LUMA = np.array([0.299, 0.587, 0.114])  # of ITU-R 601, as PIL makes images grey
WIDEST = 4  # sides at most this ratio apart are enough for a central square crop


@dataclass(frozen=True)
class Transform:
    """Size, resizing and normalisation of a classifier's input.

    ``resize`` is ``crop`` (the shorter side to size / crop_share, then the central square), ``squash`` (both sides to
    the size) or ``exact`` (any other size is an error). ``mean`` and ``std`` are of pixels in [0, 1], one a channel.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: Resize = "crop"
    crop_share: float = 1.0
    interpolation: str = "bicubic"

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour, other numbers for arrays; 0 where it is not known."""
        return len(self.mean)

    def changed(self, **changes: Any) -> Self:
        """Return the same with the given changes; None changes nothing."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def __call__(self, image: Picture) -> torch.Tensor:
        """Return float32 (C, H, W).

        Images become grey for 1 channel and RGB for 3. Others have to have as many: arrays (H, W, C), or (C, H, W),
        of whole numbers up to their type's largest or floats in [0, 1]. Of floats, grey and colour are converted too.
        """
        mean = torch.tensor(self.mean).view(-1, 1, 1)
        std = torch.tensor(self.std).view(-1, 1, 1)
        return (self._pixels(image) - mean) / std

    def _pixels(self, image: Picture) -> torch.Tensor:
        """Return the resized pixels in [0, 1], (C, H, W)."""
        if isinstance(image, Image.Image) and self.channels in (1, 3):
            upright = ImageOps.exif_transpose(image)
            picture = as_grey(upright) if self.channels == 1 else as_colour(upright)
            pixels = np.atleast_3d(np.array(self.fitted(picture), dtype=np.float32))
            return (torch.from_numpy(pixels) / 255).permute(2, 0, 1)
        array = _recoloured_array(np.asarray(image), self.channels)
        return self.fitted(_array_as_channels(array, self.channels))

    def fitted(self, image: _Fitted) -> _Fitted:
        """Return the image at the size, its pixels as they are."""
        height, width = self.size
        if min(height, width) < 1:
            raise SteepslopeError("expected a size of the classifier's input, found none: give --image-size")
        if self.resize == "exact":
            size = _tv.get_size(image)
            if size != [height, width]:
                raise SteepslopeError(f"expected an image of {width}×{height} pixels, found {size[1]}×{size[0]}")
            return image
        mode = _tv.InterpolationMode(self.interpolation)
        resized: _Fitted
        if self.resize == "squash":
            resized = _tv.resize(image, [height, width], mode, antialias=True)
            return resized
        shorter = math.floor(min(height, width) / self.crop_share + 1e-6)  # as timm has it
        resized = _tv.resize(_less_wide_image(image), [shorter], mode, antialias=True)
        cropped: _Fitted = _tv.center_crop(resized, [height, width])
        return cropped

    @classmethod
    def of(cls, content: Mapping[str, Any], path: Path) -> Self:
        """Return the transform that JSON holds, as extraction writes it into manifests; ``path`` is named in errors."""
        for name in content:
            require_known(f"field of {path}:", name, _FIELDS)
        missing = [name for name in ("size", "mean", "std") if name not in content]
        if missing:
            raise SteepslopeError(f"expected size, mean and std, found no {' and no '.join(missing)}", path)
        fields: dict[str, Any] = {}
        for name, value in content.items():
            if isinstance(value, list):
                value = tuple(value)
            fields[name] = require(f"{path}: {name}", value, _FIELDS[name])
        means = len(fields["mean"])
        stds = len(fields["std"])
        if means == 0 or means != stds:
            raise SteepslopeError(f"expected a mean and a std of each channel, found {means} and {stds}", path)
        return cls(**fields)


def read_transform(path: Path) -> Transform:
    """Read a transform from a JSON file: its fields alone, or a manifest of outputs that were extracted.

    Raises
    ------
    SteepslopeError
        If a field is missing, unknown or not as :class:`Transform` has it.
    """
    content: Any = read_json(path, "a preprocessing file")
    if "extraction" in content:
        content = (content["extraction"] or {}).get("transform")
    if not isinstance(content, dict):
        raise SteepslopeError("expected the transform of an extraction, found none", path)
    return Transform.of(content, path)


_FIELDS: dict[str, Check] = {
    "size": Check("height and width, >= 1", lambda value: each(whole(1)).allows(value) and len(value) == 2),
    "mean": each(number(-1e6, 1e6)),
    "std": each(number(1e-12, 1e6)),
    "resize": choice(*get_args(Resize)),
    "crop_share": number(1e-3, 1),
    "interpolation": choice(*_INTERPOLATIONS),
}


def _array_as_channels(array: Values, channels: int) -> torch.Tensor:
    """Return an array (H, W), (H, W, C) or (C, H, W) as float32 (C, H, W); whole numbers are scaled to [0, 1].

    >>> _array_as_channels(np.full((4, 4, 6), 255, np.uint8), 6).shape
    torch.Size([6, 4, 4])

    Raises
    ------
    SteepslopeError
        If it has another number of channels.
    """
    as_stored = np.atleast_3d(array)
    pixels = np.moveaxis(as_stored, 2, 0)
    if len(pixels) != channels and len(as_stored) == channels:
        pixels = as_stored
    if len(pixels) != channels:
        raise SteepslopeError(
            f"expected an image of {channels} channels, found {array.shape}: "
            "images of more channels are arrays (H, W, C) in .npy files"
        )
    largest = 1
    if array.dtype.kind in "ui":
        largest = np.iinfo(array.dtype).max
    return torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32) / np.float32(largest))


def _recoloured_array(array: Values, channels: int) -> Values:
    """Return floats (H, W, 1) repeated for a colour net, and (H, W, 3) as their luma for a grey one."""
    if array.dtype.kind != "f" or array.ndim != 3 or {array.shape[2], channels} != {1, 3}:
        return array
    if channels == 3:
        return array.repeat(3, axis=2)
    luma: Values = array @ LUMA.astype(array.dtype)[:, None]
    return luma


def _less_wide_image(image: _Fitted) -> _Fitted:
    """Cut the ends off a very long image: a central crop never sees them, and resizing them could fill the memory."""
    height, width = _tv.get_size(image)
    cut: _Fitted = _tv.center_crop(image, [min(height, WIDEST * width), min(width, WIDEST * height)])
    return cut


def transform_for_data(data: Dataset, transform: Transform) -> Transform:
    """Return the transform for a data set: images that were brought to its size already are taken as they are.

    Another crop would enlarge what was shifted at the size at which the classifier sees it.
    """
    if size_brought_to(data) == transform.size:
        return transform.changed(resize="exact")
    return transform


def decoded_or_reason(data: Dataset, row: int, use: Callable[[Picture], _T]) -> _T | str:
    """Return what ``use`` makes of a row's image, or what is wrong with it."""
    try:
        return use(data.image(row))
    except Exception as error:  # decoders have many kinds for damaged and for hostile files
        return why_unreadable(error)


def why_unreadable(error: Exception) -> str:
    """Return what is wrong with an image, by what was raised where it was read or used."""
    if isinstance(error, SteepslopeError):
        return str(error)
    reason = re.sub(r"<_io.BytesIO object at \w+>", "from its bytes", reason_of(error))
    return f"cannot be read as an image ({reason})"


def unreadable_image(data: Dataset, row: int, reason: str) -> SteepslopeError:
    """Return the error that names an image and what is wrong with it."""
    return SteepslopeError(reason, str(data.ids[row]))


class ImageBatch(NamedTuple):
    """Decoded rows with their images (m, C, H, W), if there are any, and why others could not be decoded."""

    rows: list[int]
    images: torch.Tensor | None
    failed: list[tuple[int, str]]


@dataclass(frozen=True, eq=False)
class _DecodedRows(torch.utils.data.Dataset[tuple[int, torch.Tensor | str]]):
    """Rows of a data set as tensors (C, H, W), or as the reason why an image cannot be read."""

    data: Dataset
    transform: Transform

    def __getitem__(self, row: int) -> tuple[int, torch.Tensor | str]:
        return row, decoded_or_reason(self.data, row, self.transform)


def image_batch_loader(
    data: Dataset, transform: Transform, batches: list[list[int]], workers: int = 0, pin_memory: bool = False
) -> Iterator[ImageBatch]:
    """Decode batches of rows in their order; worker processes, if any, go on decoding across the ends of batches."""
    loader = DataLoader(
        _DecodedRows(data, transform_for_data(data, transform)),
        batch_sampler=batches,
        collate_fn=_collate_images,
        num_workers=workers,
        pin_memory=pin_memory,
    )
    return iter(loader)


def decoded_image_batches(
    data: Dataset, rows: Counts, transform: Transform, size: int, workers: int = 0
) -> Iterator[torch.Tensor]:
    """Yield the images of some rows, in their order, (m, C, H, W) with m <= size.

    Raises
    ------
    SteepslopeError
        If an image cannot be read; the message names the first.
    """
    batches = [rows[block].tolist() for block in blocks(len(rows), size)]
    for batch in image_batch_loader(data, transform, batches, workers):
        if batch.failed:
            raise unreadable_image(data, *batch.failed[0])
        assert batch.images is not None
        yield batch.images


def _collate_images(items: list[tuple[int, torch.Tensor | str]]) -> ImageBatch:
    rows: list[int] = []
    images: list[torch.Tensor] = []
    failed: list[tuple[int, str]] = []
    for row, image in items:
        if isinstance(image, str):
            failed.append((row, image))
        else:
            rows.append(row)
            images.append(image)
    return ImageBatch(rows, torch.stack(images) if images else None, failed)
