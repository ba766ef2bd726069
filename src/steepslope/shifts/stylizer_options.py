"""What can be chosen about the training of a stylizer; free of torch, so that the command line can read it."""

from dataclasses import dataclass
from typing import Literal

from steepslope.checks import SEED, Check, choice, number, require_all, whole
from steepslope.errors import SteepslopeError

REDUCTIONS = (2, 4, 8, 16)
STYLIZER_CHECKS: dict[str, Check] = {
    "steps": whole(1),
    "batch_size": whole(1),
    "crop": whole(16),
    "learning_rate": number(1e-12, 1),
    "style_weight": number(0, 1e6),
    "reconstruction_weight": number(0, 1e6),
    "reduction": Check("2, 4, 8 or 16", lambda value: value in REDUCTIONS),
    "width": whole(1, 512),
    "save_every": whole(1),
    "seed": SEED,
    "device": choice("auto", "cpu", "cuda"),
}
FREE = ("save_every", "device")  # options that do not decide what is trained


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
    learning_rate
        Highest learning rate of Adam; it rises in the first tenth of the steps and then falls along a cosine.
    style_weight
        Weight of the style losses against the content loss.
    reconstruction_weight
        Weight of the squared error, in pixels, of content that is decoded without a style.
    reduction
        By how much the deepest feature map is smaller than the image: 2, 4, 8 or 16. A larger one changes shapes more
        and keeps less of the image.
    width
        Channels of the decoder at full resolution; each halving of the resolution doubles them, up to eight times.
    save_every
        Steps after which the state of an unfinished training is saved.
    seed
        Seed of the decoder's first weights, the pairs and the crops.
    device
        Where to train: auto takes a GPU if there is one, cpu or cuda.
    """

    steps: int = 10_000
    batch_size: int = 8
    crop: int = 128
    learning_rate: float = 1e-3
    style_weight: float = 10.0
    reconstruction_weight: float = 10.0
    reduction: int = 4
    width: int = 32
    save_every: int = 500
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        require_all(self, STYLIZER_CHECKS)
        if self.crop % self.reduction or self.crop < 2 * self.reduction:
            expected = f"a multiple of the reduction, {self.reduction}, at least twice as large"
            raise SteepslopeError(f"expected {expected}, found {self.crop}", "crop")
