"""`steepslope finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steepslope.finetuning.request import FinetuneRequest


def finetune(
    out: str,
    alpha_pos: float = 1.0,
    alpha_neg: float = 3.0,
    gamma: float = 2.0,
    beta: float = 0.999,
    **request: Any,
) -> None:
    """Train an oracle on images, as the paper does; killed at any step and run again, it goes on.

    Parameters
    ----------
    out
        Folder for the oracle, its history.csv and, until it is done, the state from which it goes on.
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

    from steepslope.finetuning.launch import train_stages
    from steepslope.utilities.progress import console

    train_stages(whole, Path(out), console().print)
