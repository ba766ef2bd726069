"""How an oracle is trained on images; free of torch, so that the command line can read it."""

# Annotations are not postponed: the command line reads them.
import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from steepslope.checks import SEED, require
from steepslope.errors import SteepslopeError, unknown_name

CHOICES: dict[str, tuple[str, ...]] = {
    "trainable": ("all", "head"),
    "between": ("image", "nearest"),
    "optimizer": ("sgd", "adam", "adamw"),
    "schedule": ("constant", "cosine", "one_cycle"),
    "select": ("last", "aupr_error"),
    "batch_norm": ("train", "frozen"),
    "precision": ("32", "bf16", "fp16"),
}
LEAST: dict[str, int] = {"epochs": 1, "batch_size": 1, "accumulate": 1, "warmup_steps": 0, "save_every": 1}
RANGES: dict[str, tuple[float, float]] = {
    "learning_rate": (1e-12, 1e3), "momentum": (0, 0.9999), "weight_decay": (0, 1e3), "clip": (0, math.inf),
    "rotate": (0, 180),
}  # fmt: skip


@dataclass(frozen=True)
class Finetuning:
    """How to train an oracle on images.

    Parameters
    ----------
    loss
        cross_entropy, focal, true_class_probability, steep_slope or class_balanced.
    alpha_pos
        Slope of the steep slope loss for correct predictions.
    alpha_neg
        The same for wrong ones.
    gamma
        Exponent of the focal loss.
    beta
        Of the class-balanced loss.
    head
        hyperplane (signed distance, paper Eq. 7) or linear.
    hidden
        Widths of ReLU layers between the backbone's features and the head.
    trainable
        all, or the head alone on a frozen backbone.
    between
        What the oracle sees: the image as its own transform makes it, or, as in the authors' code, the classifier's
        input, resized to its size by nearest neighbour.
    epochs
        Passes over the images.
    batch_size
        Images a step, of all processes together.
    accumulate
        Parts in which each process works through its share of a step, for want of memory.
    optimizer
        sgd, adam or adamw.
    learning_rate
        The highest of the schedule.
    momentum
        Of sgd.
    weight_decay
        Of the optimizer.
    schedule
        constant, cosine, or one_cycle: up along a cosine in the warm-up, from a 25th, then down to nearly 0.
    warmup_steps
        Steps in which the rate rises.
    cycle_momentum
        Under one_cycle, let the momentum go from .95 to .85 and back, whatever ``momentum`` says, as the authors' code
        does unawares.
    clip
        Largest norm of the gradient; 0 does not clip.
    batch_norm
        train, or frozen: use and keep the backbone's statistics.
    dropout
        Whether dropout is active in what is trained.
    frozen_dropout
        Whether it is active in a frozen backbone too, as in the authors' code.
    flip
        Mirror images at random.
    rotate
        Turn images at random by at most so many degrees.
    select
        Which weights to keep: of the last step, or of the epoch with the best validation AUPR-Error.
    precision
        32, or mixed with bf16 or fp16.
    compile
        Compile the oracle with torch.compile.
    save_every
        Steps between two saved states; a killed run loses at most these.
    seed
        Fixes the new layers, the order, augmentation and dropout.
    """

    loss: str = "steep_slope"
    alpha_pos: float = 1.0
    alpha_neg: float = 3.0
    gamma: float = 2.0
    beta: float = 0.999
    head: str = "hyperplane"
    hidden: tuple[int, ...] = ()
    trainable: Literal["all", "head"] = "all"
    between: Literal["image", "nearest"] = "image"
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
        if not isinstance(self.hidden, tuple | list):
            raise SteepslopeError(f"hidden: expected a list of whole numbers, found {self.hidden!r}")
        object.__setattr__(self, "hidden", tuple(self.hidden))
        _check_values(self)
        if any(not isinstance(width, int) or width < 1 for width in self.hidden):
            raise SteepslopeError(f"hidden: expected whole numbers >= 1, found {self.hidden!r}")
        if self.cycle_momentum and (self.optimizer, self.schedule) != ("sgd", "one_cycle"):
            raise SteepslopeError("cycle_momentum: expected the optimizer sgd and the schedule one_cycle beside it")
        require("seed", self.seed, SEED)

    @property
    def augments(self) -> bool:
        """Whether an image looks different each time."""
        return self.flip or self.rotate > 0

    @property
    def features_stay(self) -> bool:
        """Whether the backbone gives the same features of an image each time, so that once is enough."""
        return self.trainable == "head" and not self.frozen_dropout and not self.augments

    def changed(self, changes: dict[str, Any]) -> "Finetuning":
        """Return the same with some settings changed; an unknown one is named."""
        known = {one.name for one in fields(self)}
        for name in changes:
            if name not in known:
                raise unknown_name("setting", name, known)
        return replace(self, **changes)

    def as_json(self) -> dict[str, Any]:
        """Return the settings as JSON holds them."""
        return {**asdict(self), "hidden": list(self.hidden)}


def _check_values(recipe: Finetuning) -> None:
    for name, choices in CHOICES.items():
        if getattr(recipe, name) not in choices:
            raise SteepslopeError(f"{name}: expected {' or '.join(choices)}, found {getattr(recipe, name)!r}")
    for name, least in LEAST.items():
        value = getattr(recipe, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise SteepslopeError(f"{name}: expected a whole number >= {least}, found {value!r}")
    for name, (low, high) in RANGES.items():
        value = getattr(recipe, name)
        if not isinstance(value, int | float) or not low <= value <= high:
            raise SteepslopeError(f"{name}: expected a number from {low:g} to {high:g}, found {value!r}")
