"""Images in the style of others, and stylisation as a shift: each image's style is drawn by its id."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from steepslope.errors import SteepslopeError, located
from steepslope.files import versions_of
from steepslope.nets import seed_of
from steepslope.nets.data import DATASETS, LUMA, Dataset, Labels, Picture, Size, parse_data
from steepslope_lab.shifts.options import StylizeOptions
from steepslope_lab.shifts.pixels import (
    Reader,
    cropped_picture,
    cut_square,
    device_at_hand,
    picture_as_floats,
    style_reader,
)
from steepslope_lab.shifts.stylizer import CARD, Stylizer, adain
from steepslope_lab.shifts.stylizer_encoder import RGB

MARGIN = 2  # places of the deepest maps around an image: encoders pad with zeros, which would be seen as a frame
LONGEST = 8  # times the side: a line of pixels would fill the memory


def style_data_spec(styles: str) -> str:
    """Return the data spec of styles: itself, or that of a folder.

    >>> style_data_spec("paintings"), style_data_spec("imagefolder:paintings")
    ('images:paintings', 'imagefolder:paintings')
    """
    return styles if styles.partition(":")[0] in DATASETS else f"images:{styles}"


def look_at_stylizer_and_styles(options: StylizeOptions) -> None:
    """Raise unless there are a stylizer and styles."""
    if not (Path(options.stylizer) / CARD).is_file():
        found = f"it has no {CARD}" if Path(options.stylizer).is_dir() else "no such folder"
        raise SteepslopeError(f"expected the folder of a stylizer (shift train-stylizer), {found}", options.stylizer)
    with located("styles"):
        parse_data(style_data_spec(options.styles)).look()


@dataclass(frozen=True, eq=False)
class Stylization:
    """Adaptive instance normalisation (Huang & Belongie, 2017) as a shift, with its options.

    Grey images stay grey. ``block`` are the images that are shifted together, where they have one size.
    """

    settings: StylizeOptions
    stylizer: Stylizer
    styles: Dataset
    read_style: Reader
    block: int = 16

    @classmethod
    def of(cls, options: StylizeOptions) -> Self:
        """Load the stylizer and list the styles; raise where one is missing."""
        look_at_stylizer_and_styles(options)
        styles = parse_data(style_data_spec(options.styles)).open()
        if not len(styles):
            raise SteepslopeError("expected images to take styles from, found none", options.styles)
        return cls(options, Stylizer.load(options.stylizer), styles, style_reader(styles, options.style_crop))

    @property
    def title(self) -> str:
        """The shift and its strength."""
        return f"stylized, alpha {self.settings.alpha:g}"

    @property
    def size(self) -> Size | None:
        """Height and width of all images; None where they keep theirs."""
        crop = self.settings.crop
        return None if crop is None else (crop, crop)

    @property
    def recipe(self) -> dict[str, Any]:
        """What decides the stylised images, as JSON holds it."""
        settings = {name: value for name, value in vars(self.settings).items() if name not in ("stylizer", "styles")}
        nets = {"stylizer": self.stylizer.digest, "styles": self.styles.fingerprint()}
        return {"method": "stylize", **nets, **settings, "block": self.block, "versions": versions_of(["torch"])}

    def __call__(
        self,
        images: Sequence[Picture],
        ids: Sequence[str],
        labels: Labels | None = None,
        brought_to: Size | None = None,
    ) -> list[Picture]:
        """Return the stylised images, float32 (H, W, C) in [0, 1]; those of the size already are not cropped again."""
        self.stylizer.to(device_at_hand())
        crop = None if brought_to == self.size else self.settings.crop
        pixels = [picture_as_floats(cropped_picture(image, crop)) for image in images]
        for one, name in zip(pixels, ids, strict=True):
            if one.shape[2] not in (1, 3):
                raise SteepslopeError(f"expected an image in grey or in colour, found {one.shape[2]} channels", name)
        shifted: dict[int, Picture] = {}
        for shape in {one.shape for one in pixels}:
            places = [place for place, one in enumerate(pixels) if one.shape == shape]
            content = torch.from_numpy(np.stack([pixels[place] for place in places])).permute(0, 3, 1, 2)
            changed = self._stylized(content, [ids[place] for place in places])
            shifted |= dict(zip(places, changed.permute(0, 2, 3, 1).cpu().numpy(), strict=True))
        return [shifted[place] for place in range(len(images))]

    def _stylized(self, content: Tensor, ids: Sequence[str]) -> Tensor:
        """Stylise images (n, C, H, W) of one size."""
        device, (height, width) = device_at_hand(), content.shape[2:]
        styles = torch.stack([self.style(name) for name in ids]).to(device)
        side = self.settings.side
        factor = 1.0 if side is None else min(side / min(height, width), LONGEST * side / max(height, width))
        sides = (max(1, round(factor * length)) for length in (height, width))
        inside = images_as_rgb(_resized_for_style(content.to(device), *sides))
        changed = _resized_for_style(stylized(self.stylizer, inside, styles, self.settings.alpha), height, width)
        return images_as_grey(changed) if content.shape[1] == 1 else changed

    def style(self, name: str) -> Tensor:
        """Return the part of a style that is drawn for an image with that id, float32 (3, s, s) in [0, 1]."""
        draw = np.random.default_rng(seed_of(self.settings.seed, name))
        return cut_square(self.read_style(int(draw.integers(len(self.styles)))), self.settings.style_crop, draw)


def _resized_for_style(images: Tensor, height: int, width: int) -> Tensor:
    if images.shape[2:] == (height, width):
        return images
    return interpolate(images, (height, width), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


def stylized(stylizer: Stylizer, content: Tensor, styles: Tensor, alpha: float = 1.0) -> Tensor:
    """Return content in the style of other images, each in that of its own.

    The maps that are decoded are (1 − alpha) · content + alpha · AdaIN (Eq. 14 of the paper). With 0, and in its own
    style, an image is reconstructed. Images are continued by reflection, by two places of the deepest maps and to
    multiples of the reduction, and cropped again at the end. All is computed on the device of the stylizer.

    Parameters
    ----------
    stylizer
        The encoder and the decoder.
    content
        RGB images in [0, 1], floats (n, 3, H, W), of any size; see :func:`images_as_rgb` for grey ones.
    styles
        RGB images in [0, 1], floats (n or 1, 3, h, w), of any size; one serves all.
    alpha
        Strength in [0, 1].

    Returns
    -------
    Tensor
        RGB images in [0, 1], float32 (n, 3, H, W), on the device of the content.
    """
    device = stylizer.encoder.mean.device
    with torch.no_grad():
        around = partial(continued_by_reflection, multiple=stylizer.reduction, margin=MARGIN * stylizer.reduction)
        larger, (top, left) = around(content.to(device, torch.float32))
        maps = stylizer.encode(larger)[-1]
        if alpha > 0:
            of_style = stylizer.encode(around(styles.to(device, torch.float32))[0])[-1]
            maps = (1 - alpha) * maps + alpha * adain(maps, of_style)
        height, width = content.shape[2:]
        images = stylizer.decode(maps)[:, :, top : top + height, left : left + width]
    return images.clamp(0, 1).to(content.device)


def continued_by_reflection(images: Tensor, multiple: int, margin: int) -> tuple[Tensor, tuple[int, int]]:
    """Continue images by reflection on all sides, as often as it takes, to sides that are multiples of a number.

    Parameters
    ----------
    images
        Floats (n, C, H, W).
    multiple
        What the sides become multiples of, >= 1.
    margin
        Least number of pixels that are added on each side, >= 0.

    Returns
    -------
    tuple
        The images (n, C, H', W'), and the row and column at which the original begins.
    """
    starts = []
    for axis in (2, 3):
        side = images.shape[axis]
        longer = -(-(side + 2 * margin) // multiple) * multiple
        starts.append((longer - side) // 2)
        places = np.pad(np.arange(side), (starts[-1], longer - side - starts[-1]), mode="reflect")
        images = images.index_select(axis, torch.from_numpy(places).to(images.device))
    return images, (starts[0], starts[1])


def images_as_rgb(images: Tensor) -> Tensor:
    """Return grey images (n, 1, H, W) as RGB (n, 3, H, W); RGB images are returned as they are."""
    return images.expand(-1, RGB, -1, -1) if images.shape[1] == 1 else images


def images_as_grey(images: Tensor) -> Tensor:
    """Return RGB images (n, 3, H, W) as grey (n, 1, H, W), weighted as Pillow weights them.

    >>> images_as_grey(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)).item()
    0.29899999499320984
    """
    weights = torch.tensor(LUMA, dtype=images.dtype, device=images.device).view(1, RGB, 1, 1)
    return (images * weights).sum(1, keepdim=True)
