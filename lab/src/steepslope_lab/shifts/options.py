"""What can be chosen about shifts; free of torch, so that the command line can read it."""

from dataclasses import dataclass
from typing import Literal

from steepslope.errors import SEED, Check, SteepslopeError, choice, number, optional, require_all, whole

WRITING_CHECKS: dict[str, Check] = {"format": choice("png", "npy"), "workers": optional(whole(0))}


@dataclass(frozen=True, kw_only=True)
class WritingOptions:
    """How shifted images are written.

    Parameters
    ----------
    format
        png: 8 bits, without loss beyond that; npy: arrays (H, W, C), floats in [0, 1] where the shift makes such.
        Images of other channels than grey and colour are always npy.
    workers
        Processes that shift and write images; 0 does it in this one. By default one a core, where no net is run.
    """

    format: Literal["png", "npy"] = "png"
    workers: int | None = None

    def __post_init__(self) -> None:
        require_all(self, WRITING_CHECKS)


STYLIZE_CHECKS: dict[str, Check] = {
    "alpha": number(0, 1),
    "side": optional(whole(1)),
    "crop": optional(whole(1)),
    "style_crop": whole(16),
    "seed": SEED,
}


@dataclass(frozen=True, kw_only=True)
class StylizeOptions:
    """How to give images the styles of others.

    Parameters
    ----------
    stylizer
        Folder of a stylizer (shift train-stylizer).
    styles
        Folder or data spec of the images whose styles are taken; each image has one of them, drawn by its id.
    alpha
        Strength, from 0, which is the stylizer's reconstruction of the image, to 1.
    side
        Length to which the shorter side is brought while an image is stylised, in pixels, for images that are too small
        to show a style, such as 112 for those of MNIST; by default images are stylised as they are.
    crop
        Side to which images are brought first, in pixels: the shorter side is resized to crop / .875, and the centre
        cut out. By default images keep their size.
    style_crop
        Side of the square that is cut out of a style, in pixels; a smaller style is an error.
    seed
        Seed of the styles and of where they are cut, next to each image's id.
    """

    stylizer: str
    styles: str
    alpha: float = 1.0
    side: int | None = None
    crop: int | None = None
    style_crop: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        require_all(self, STYLIZE_CHECKS)


RECOLOR_CHECKS: dict[str, Check] = {
    "bound": number(0, 1),
    "steps": whole(1),
    "learning_rate": number(1e-8, 1),
    "smoothness": number(0, 1e6),
    "batch_size": whole(1),
}


@dataclass(frozen=True, kw_only=True)
class RecolorOptions:
    """How to recolour images against a classifier.

    Parameters
    ----------
    bound
        Largest change of a colour along each axis of CIELUV, all scaled to [0, 1]: lightness alone for grey images.
    steps
        Steps of Adam on each image's colour map.
    learning_rate
        Learning rate of Adam; a colour moves by about as much a step.
    smoothness
        Weight of the colour map's roughness next to the classifier's margin: their sum is minimised.
    batch_size
        Images attacked together; a large classifier needs fewer for its gradients to fit the memory.
    """

    bound: float = 0.06
    steps: int = 100
    learning_rate: float = 1e-3
    smoothness: float = 0.05
    batch_size: int = 32

    def __post_init__(self) -> None:
        require_all(self, RECOLOR_CHECKS)


REDUCTION = Check("2, 4, 8 or 16", lambda value: value in (2, 4, 8, 16))
STYLIZER_CHECKS: dict[str, Check] = {
    "steps": whole(1),
    "batch_size": whole(1),
    "crop": whole(16),
    "reduction": REDUCTION,
    "width": whole(1, 512),
    "seed": SEED,
}


@dataclass(frozen=True, kw_only=True)
class StylizerTraining:
    """How to train a stylizer's decoder.

    Parameters
    ----------
    steps
        Number of optimizer steps.
    batch_size
        Pairs of a content and a style image in each step.
    crop
        Side of the random square crops, in pixels; a multiple of the reduction, and at least twice as large. Images
        are reduced until their shorter side is at most twice as long. Smaller content is enlarged; smaller styles are
        refused.
    reduction
        By how much the deepest feature map is smaller than the image: 2, 4, 8 or 16. A larger one changes shapes more
        and keeps less of the image.
    width
        Channels of the decoder at full resolution; each halving of the resolution doubles them, up to eight times.
    seed
        Seed of the decoder's first weights, the pairs and the crops.
    """

    steps: int = 10_000
    batch_size: int = 8
    crop: int = 128
    reduction: int = 4
    width: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        require_all(self, STYLIZER_CHECKS)
        if self.crop % self.reduction or self.crop < 2 * self.reduction:
            expected = f"a multiple of the reduction, {self.reduction}, at least twice as large"
            raise SteepslopeError(f"expected {expected}, found {self.crop}", "crop")
