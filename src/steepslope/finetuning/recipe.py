"""How an oracle is trained on images; free of torch, so that the command line can read it."""

import math
from dataclasses import dataclass, fields
from typing import Literal, get_args, get_origin

from steepslope.checks import SEED, Check, choice, each, number, require_all, whole
from steepslope.errors import SteepslopeError
from steepslope.oracle.settings import LossOptions


@dataclass(frozen=True, kw_only=True)
class Finetuning(LossOptions):
    """How to train an oracle on images.

    Parameters
    ----------
    head
        Last layer: hyperplane (signed distance, paper Eq. 7) or linear.
    hidden
        Widths of ReLU layers between the backbone's features and the head.
    trainable
        Which weights are trained: all, or the head alone on a frozen backbone.
    oracle_sees
        Which image the oracle sees: image, the one that its own transform makes; or nearest, the classifier's input
        resized by nearest neighbour, as in the authors' code.
    epochs
        Passes over the images.
    batch_size
        Images in a step, of all processes together.
    accumulate
        Parts in which each process works through a step, to save memory.
    optimizer
        Optimizer: sgd, adam or adamw.
    learning_rate
        Highest learning rate of the schedule.
    momentum
        Momentum of sgd.
    weight_decay
        Weight decay of the optimizer.
    schedule
        Course of the learning rate: constant, cosine, or one_cycle (up along a cosine in the warm-up, from a 25th, then
        down to nearly 0).
    warmup_steps
        Steps in which the learning rate rises.
    cycle_momentum
        Under one_cycle, let the momentum go from .95 to .85 and back, whatever the setting momentum is, as the authors'
        code does unawares.
    clip
        Largest norm of the gradient; 0 does not clip.
    batch_norm
        Batch normalisation of the backbone: train, or frozen, which uses and keeps its statistics.
    dropout
        Whether dropout is active in what is trained.
    frozen_dropout
        Whether dropout is active in a frozen backbone too, as in the authors' code.
    flip
        Mirror images at random.
    rotate
        Largest angle, in degrees, by which images are rotated at random.
    select
        Which weights to keep: of the last step, or of the epoch with the best validation AUPR-Error.
    precision
        Precision of the forward pass: 32, or mixed with bf16 or fp16.
    compile
        Compile the oracle with torch.compile.
    save_every
        Steps from one saved state to the next; a killed run loses at most these.
    seed
        Seed of the new layers, the order of images, augmentation and dropout.

    Raises
    ------
    SteepslopeError
        If a setting is not what :data:`CHECKS` allows. The loss, its parameters and the head are checked when the
        training is prepared, since that needs torch.
    """

    head: str = "hyperplane"
    hidden: tuple[int, ...] = ()
    trainable: Literal["all", "head"] = "all"
    oracle_sees: Literal["image", "nearest"] = "image"
    epochs: int = 1
    batch_size: int = 40
    accumulate: int = 1
    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    learning_rate: float = 1e-4
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine", "one_cycle"] = "cosine"
    warmup_steps: int = 0
    cycle_momentum: bool = False
    clip: float = 0.0
    batch_norm: Literal["train", "frozen"] = "train"
    dropout: bool = True
    frozen_dropout: bool = False
    flip: bool = False
    rotate: float = 0.0
    select: Literal["last", "aupr_error"] = "last"
    precision: Literal["32", "bf16", "fp16"] = "32"
    compile: bool = False
    save_every: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        require_all(self, CHECKS)
        if self.cycle_momentum and (self.optimizer, self.schedule) != ("sgd", "one_cycle"):
            raise SteepslopeError("cycle_momentum: expected the optimizer sgd and the schedule one_cycle beside it")

    @property
    def augments(self) -> bool:
        """Whether an image is another each time."""
        return self.flip or self.rotate > 0

    @property
    def features_stay(self) -> bool:
        """Whether the backbone gives the same features of an image each time, so that once is enough."""
        return self.trainable == "head" and not self.frozen_dropout and not self.augments


CHECKS: dict[str, Check] = {
    "hidden": each(whole(1)), "epochs": whole(1), "batch_size": whole(1), "accumulate": whole(1),
    "learning_rate": number(1e-12, 1e3), "momentum": number(0, 0.9999), "weight_decay": number(0, 1e3),
    "warmup_steps": whole(0), "clip": number(0, math.inf), "rotate": number(0, 180), "save_every": whole(1),
    "seed": SEED,
    **{one.name: choice(*get_args(one.type)) for one in fields(Finetuning) if get_origin(one.type) is Literal},
}  # fmt: skip
