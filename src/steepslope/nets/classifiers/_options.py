"""What can be chosen about the training of a small classifier; free of torch, so that the command line can read it."""

from dataclasses import dataclass
from typing import Literal

from steepslope.errors import SEED, Check, choice, number, optional, require_all, whole

_CLASSIFIER_CHECKS: dict[str, Check] = {
    "epochs": optional(whole(1)),
    "batch_size": optional(whole(1)),
    "learning_rate": number(1e-12),
    "rotate": number(0, 180),
    "optimizer": choice("adam", "sgd"),
    "momentum": number(0, 0.9999),
    "weight_decay": number(0, 1e3),
    "schedule": choice("cosine", "constant"),
    "seed": SEED,
}


@dataclass(frozen=True, kw_only=True)
class ClassifierTraining:
    """How to train a small classifier.

    Parameters
    ----------
    epochs
        Passes over the training rows; by default what suits the net.
    batch_size
        Images in a step; by default what suits the net.
    learning_rate
        Learning rate of the first step.
    flip
        Mirror images at random.
    rotate
        Largest angle, in degrees, by which images are turned at random.
    optimizer
        Optimizer: adam or sgd.
    momentum
        Momentum of sgd.
    weight_decay
        Weight decay of the optimizer.
    schedule
        Schedule of the learning rate: cosine or constant.
    seed
        Seed of the weights, the order of images and dropout; the same seed gives the same net on any number of threads.
    """

    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float = 1e-3
    flip: bool = False
    rotate: float = 0.0
    optimizer: Literal["adam", "sgd"] = "adam"
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Literal["cosine", "constant"] = "cosine"
    seed: int = 0

    def __post_init__(self) -> None:
        require_all(self, _CLASSIFIER_CHECKS)
