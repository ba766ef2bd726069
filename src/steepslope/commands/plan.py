"""`steepslope plan`."""

from __future__ import annotations

from typing import Any

from steepslope.finetuning.request import FinetuneRequest


def plan(
    images: int | None = None,
    trial: int = 2,
    alpha_pos: float = 1.0,
    alpha_neg: float = 3.0,
    gamma: float = 2.0,
    beta: float = 0.999,
    **request: Any,
) -> None:
    """Estimate what a training costs before it starts: steps, parameters, memory and time, by a few steps on noise.

    With --images the weights of timm's and torchvision's nets are not needed, and not loaded.

    Parameters
    ----------
    images
        Number of images, in place of those of the data.
    trial
        Images at once in the steps that are tried.
    alpha_pos
        Slope of the steep slope loss for correct predictions.
    alpha_neg
        Slope of the steep slope loss for wrong predictions.
    gamma
        Exponent of the focal loss.
    beta
        Weight of the rarer class in the class-balanced loss, in [0, 1).
    """
    parameters = {"alpha_pos": alpha_pos, "alpha_neg": alpha_neg, "gamma": gamma, "beta": beta}
    whole = FinetuneRequest(**request, parameters=parameters)

    from steepslope.finetuning.launch import plan_stages
    from steepslope.utilities.progress import console

    for line in plan_stages(whole, images, trial):
        console().print(line)
