"""What can be chosen about recolouring; free of torch, so that the command line can read it."""

from dataclasses import dataclass
from typing import Literal

from steepslope.checks import Check, choice, number, require_all, whole

RECOLOR_CHECKS: dict[str, Check] = {
    "bound": number(0, 1),
    "steps": whole(1),
    "learning_rate": number(1e-8, 1),
    "smoothness": number(0, 1e6),
    "keep": choice("best", "last"),
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
        Weight of the colour map's roughness beside the classifier's margin, which are minimised together.
    keep
        Which of an image's versions to keep: best, the one of the lowest margin of all steps, or last, as the authors'
        code does.
    batch_size
        Images attacked together; a large classifier needs fewer for its gradients to fit the memory.
    """

    bound: float = 0.06
    steps: int = 100
    learning_rate: float = 1e-3
    smoothness: float = 0.05
    keep: Literal["best", "last"] = "best"
    batch_size: int = 32

    def __post_init__(self) -> None:
        require_all(self, RECOLOR_CHECKS)
