"""How an oracle is trained on images, and on what; free of torch, so that the command line can read it."""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Literal, get_args, get_origin

from steepslope.errors import (
    SEED,
    Check,
    SteepslopeError,
    choice,
    each,
    listed,
    located,
    number,
    require,
    require_all,
    whole,
)
from steepslope.files import parse_query
from steepslope.nets.extraction import Machines
from steepslope.oracle import LossOptions


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
        Where a frozen backbone (trainable: head) drops units: none; in its features; or in its predictions too, and the
        oracle learns whether these are correct, not those of the classifier, each from the pass that gave the features.
        The authors use predictions, with the classifier as the backbone: with dropout it makes many more mistakes to
        learn from. Without effect where the backbone has no dropout.
    flip
        Mirror images at random.
    rotate
        Largest angle, in degrees, by which images are rotated at random.
    select
        Which weights to keep: of the last step, or of the epoch with the best validation AUPR-Error.
    precision
        Precision of the forward pass: 32, or mixed with bf16 or fp16.
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
    frozen_dropout: Literal["none", "features", "predictions"] = "none"
    flip: bool = False
    rotate: float = 0.0
    select: Literal["last", "aupr_error"] = "last"
    precision: Literal["32", "bf16", "fp16"] = "32"
    save_every: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        require_all(self, CHECKS)
        if self.cycle_momentum and (self.optimizer, self.schedule) != ("sgd", "one_cycle"):
            raise SteepslopeError("cycle_momentum: expected the optimizer sgd and the schedule one_cycle with it")

    @property
    def has_momentum(self) -> bool:
        """Whether the optimizer has a momentum that can be set."""
        return self.optimizer == "sgd"

    @property
    def augments(self) -> bool:
        """Whether an image is another each time."""
        return self.flip or self.rotate > 0

    @property
    def features_stay(self) -> bool:
        """Whether every backbone gives the same features of an image each time, so that once is enough."""
        return self.trainable == "head" and self.frozen_dropout == "none" and not self.augments


CHECKS: dict[str, Check] = {
    "hidden": each(whole(1)), "epochs": whole(1), "batch_size": whole(1), "accumulate": whole(1),
    "learning_rate": number(1e-12, 1e3), "momentum": number(0, 0.9999), "weight_decay": number(0, 1e3),
    "warmup_steps": whole(0), "clip": number(0, math.inf), "rotate": number(0, 180), "save_every": whole(1),
    "seed": SEED,
    **{one.name: choice(*get_args(one.type)) for one in fields(Finetuning) if get_origin(one.type) is Literal},
}  # fmt: skip


_NAME = "name"  # of a stage
_INPUT: dict[str, tuple[Callable[[str], Any], Check]] = {
    "size": (int, whole(1)),
    "mean": (partial(listed, kind=float), each(number(-1e6, 1e6))),
    "std": (partial(listed, kind=float), each(number(1e-12, 1e6))),
    "resize": (str, choice("crop", "squash")),
    "channels": (int, whole(1)),
}  # of a net's input: how text is read, and what is allowed


def _parse_input(spec: str) -> dict[str, Any]:
    """Return what a spec changes of a net's input, by name; the only change of a file's name is ``preprocessing``.

    >>> _parse_input("size=224&mean=0.5,0.4,0.3&std=0.5&resize=squash")
    {'size': 224, 'mean': (0.5, 0.4, 0.3), 'std': (0.5,), 'resize': 'squash'}
    """
    if "=" not in spec:
        return {"preprocessing": spec}
    changes = {}
    for name, text in parse_query(f"input?{spec}", _INPUT)[1].items():
        read, check = _INPUT[name]
        value: Any = text
        with suppress(ValueError):  # the check refuses what stays text
            value = read(text)
        changes[name] = require(name, value, check)
    return changes


@dataclass(frozen=True, kw_only=True)
class FinetuneRequest(Finetuning, Machines):
    """What an oracle is trained on, and how.

    Parameters
    ----------
    oracle
        Classifier spec of the oracle's backbone: timm:_NAME, torchvision:_NAME, checkpoint:DIR, module:pkg.mod:factory,
        or net:_NAME (one of ours with random weights).
    data
        Data spec of the images; where it has splits, those rows of the training split that a checkpoint was fitted to.
    classifier
        Classifier spec of a classifier that is run on every image as it is augmented.
    outputs
        Outputs of the classifier on the images without augmentation, in place of the classifier, which then is not run.
    valid
        Outputs on which epochs are compared, where --select is not last; by default those of the live classifier's
        held-out rows.
    valid_data
        Data spec of the images of the outputs in --valid; by default that of --data.
    classes
        Text file with the name of one class (folder) a line, in the order of the labels, as for extract.
    init
        Folder of a trained oracle of the same backbone and head to begin with.
    stages
        Trainings one after another, each a name and what it changes of the settings; each begins with the oracle of the
        one before, and goes to the subfolder of its name.
    oracle_input
        What to change of the oracle's input, such as size=224&mean=0.5&std=0.5&resize=squash. The size is its side in
        pixels. Mean and standard deviation are of pixels in [0, 1], one number for all channels or one each with
        commas. It is resized by crop (shorter side, then the central square) or squash. By default it has the channels
        of the first convolution. Or a JSON file with all of these, as --preprocessing of extract takes.
    classifier_input
        The same of the classifier's input.
    workers
        Processes that decode images; 0 decodes in the training process.

    Raises
    ------
    SteepslopeError
        If a setting is not allowed, if both or neither of classifier and outputs are given, or if a stage has no name
        of its own.
    """

    oracle: str
    data: str | None = None
    classifier: str | None = None
    outputs: str | None = None
    valid: str | None = None
    valid_data: str | None = None
    classes: str | None = None
    init: str | None = None
    stages: tuple[dict[str, Any], ...] = ()
    oracle_input: str | None = None
    classifier_input: str | None = None
    workers: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.classifier is None) == (self.outputs is None):
            found = "neither" if self.classifier is None else "both"
            raise SteepslopeError(f"classifier and outputs: expected one of the two, found {found}")
        names = [stage.get(_NAME) for stage in self.stages]
        for name in names:
            if not isinstance(name, str) or not name.replace("-", "").isalnum() or names.count(name) > 1:
                expected = "expected a name of each, of letters, digits and dashes, once"
                raise SteepslopeError(f"stages: {expected}, found {name!r}")
        _ = self.recipes
        for role in ("oracle", "classifier"):
            self.input_changes(role)

    @property
    def recipes(self) -> dict[str, Finetuning]:
        """The recipe of each stage by its name, or that of the only one under the name ""."""
        base = Finetuning(**{one.name: getattr(self, one.name) for one in fields(Finetuning)})
        recipes = {}
        for stage in self.stages:
            changes = dict(stage)
            name = changes.pop(_NAME)
            recipes[name] = base.changed(changes)
        return recipes or {"": base}

    @property
    def first_recipe(self) -> Finetuning:
        """The recipe of the first stage."""
        return next(iter(self.recipes.values()))

    @property
    def selects(self) -> bool:
        """Whether any stage compares epochs."""
        return any(recipe.select != "last" for recipe in self.recipes.values())

    @property
    def machines(self) -> Machines:
        """On what to run; the precision is the same in all stages."""
        precision = self.first_recipe.precision
        return Machines(devices=self.devices, num_nodes=self.num_nodes, precision=precision)

    def input_changes(self, role: str) -> dict[str, Any]:
        """Return what to change of the own input of the oracle, or of the classifier, as :func:`_parse_input` does."""
        option = f"{role}_input"
        spec = getattr(self, option)
        with located(option):
            if spec is None:
                return {}
            return _parse_input(spec)
