"""Train a small classifier on images in memory; killed at any moment, it resumes to the same weights.

A net has its own number of threads, on which sums depend, so a seed gives the same weights on one core and on many.
"""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields, replace as replaced
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from steepslope.errors import SteepslopeError, require_known
from steepslope.files import Notice, bar, require_extra, silent
from steepslope.nets._seeding import on_threads, seeded
from steepslope.nets._weights import save_training_state, take_up_state
from steepslope.nets.classifiers._classifier import Classifier, ClassifierCard
from steepslope.nets.classifiers._nets import (
    CHECKPOINT,
    NETS,
    STATE,
    Net,
    checkpoint_classifier,
    load_checkpoint,
    save_checkpoint,
)
from steepslope.nets.classifiers._options import ClassifierTraining
from steepslope.nets.data import SPLIT_SEED, TRAIN, Images, decoded_image_batches, holdout_split, parse_data
from steepslope.numerics import cosine_rate


def recipe_of_settings(settings: Mapping[str, Any], seed: int) -> ClassifierTraining:
    """Return the recipe in settings of train-classifier, which also name a net, and how many rows are held out.

    Raises
    ------
    SteepslopeError
        If the net or a setting is unknown, with the closest name, or a value is not allowed.
    """
    require_known("net", settings.get("net", ""), NETS)
    known = ["net", "holdout", *(field.name for field in fields(ClassifierTraining))]
    changes: dict[str, Any] = {}
    for name, value in settings.items():
        require_known("setting", name, known)
        if name not in ("net", "holdout"):
            changes[name] = value
    changes["seed"] = seed
    return ClassifierTraining(**changes)


def train_classifier(
    net: str,
    data: str,
    out: Path,
    recipe: ClassifierTraining,
    holdout: int | None = None,
    replace: bool = True,
    notice: Notice = silent,
) -> tuple[Classifier, float]:
    """Train on the training split of ``data`` less its held-out rows; save a checkpoint to ``out``.

    The split is the same for classifiers of different seeds. Returns the
    classifier and its accuracy on the held-out rows. Unless it is to be replaced, a classifier that was trained so is
    found complete, of which ``notice`` is told, and another is an error.
    """
    require_extra("torchvision", "nets", "training a classifier")
    require_known("net", net, NETS)
    recipe = replaced(
        recipe, epochs=recipe.epochs or NETS[net].epochs, batch_size=recipe.batch_size or NETS[net].batch_size
    )
    spec = parse_data(data)
    if spec.split not in (None, TRAIN):
        raise SteepslopeError(
            f"a classifier trains on the training split, not on the {spec.split} split", f"data {data!r}"
        )
    images = spec.load_into_memory(TRAIN)
    _require_image_shape(net, images, spec.name)
    if spec.is_named:
        notice(f"{spec.name}: trained on its split {TRAIN}, {len(images):,} images, less those held out")
    fitted, held_out = holdout_split(len(images), holdout, SPLIT_SEED)
    pixels = images.pixels[fitted] / 255
    if pixels.std() == 0:
        raise SteepslopeError("expected images that differ, found one grey value in all of them", spec.name)
    card = ClassifierCard(
        net=net,
        num_classes=len(images.classes or ()) or int(images.labels.max()) + 1,
        mean=float(pixels.mean()),
        std=float(pixels.std()),
        data=spec.name,
        fingerprint=spec.load(TRAIN).fingerprint(),
        holdout=len(held_out),
        split_seed=SPLIT_SEED,
        training=asdict(recipe),
        classes=images.classes,
    )
    with CHECKPOINT.making(out, asdict(card), replace, notice) as complete:
        if complete:
            classifier = load_checkpoint(str(out))
        else:
            classifier = _trained_classifier(card, recipe, images.subset(fitted), out)
    return classifier, _accuracy_on_images(classifier, images.subset(held_out))


def _trained_classifier(card: ClassifierCard, recipe: ClassifierTraining, images: Images, out: Path) -> Classifier:
    """Train, or go on with a killed training, and save the checkpoint."""
    CHECKPOINT.begin(out, asdict(card))
    run = _ClassifierRun(card, recipe)
    run.resume(out / STATE)
    with on_threads(NETS[card.net].threads):
        run.train(images, out / STATE)
    save_checkpoint(run.net, card, out)
    CHECKPOINT.end(out)
    return checkpoint_classifier(run.net, card, f"checkpoint:{out}")


def _accuracy_on_images(classifier: Classifier, images: Images) -> float:
    """Return the fraction of images whose label is predicted, in [0, 1]."""
    batches = decoded_image_batches(images, np.arange(len(images)), classifier.transform, size=1000)
    predicted = np.concatenate([classifier(batch)[1].argmax(axis=1) for batch in batches])
    return float((predicted == images.labels).mean())


class _ClassifierRun:
    """A net, its optimizer and the epochs done: all that a resumed run needs."""

    def __init__(self, card: ClassifierCard, recipe: ClassifierTraining) -> None:
        assert recipe.epochs is not None
        assert recipe.batch_size is not None
        self.epochs = recipe.epochs
        self.batch_size = recipe.batch_size
        self.card = card
        self.recipe = recipe
        self.epochs_done = 0
        with seeded(recipe.seed):
            self.net: Net = NETS[card.net].build(card.num_classes)
        weights = self.net.parameters()
        decay = recipe.weight_decay
        self.optimizer: torch.optim.Optimizer
        if recipe.optimizer == "adam":
            self.optimizer = torch.optim.Adam(weights, weight_decay=decay)
        else:
            self.optimizer = torch.optim.SGD(weights, momentum=recipe.momentum, weight_decay=decay)

    def train(self, images: Images, state: Path) -> None:
        inputs = _normalised_pixels(torch.from_numpy(images.pixels.copy()), self.card.mean, self.card.std)
        labels = torch.from_numpy(images.labels)
        steps = math.ceil(len(labels) / self.batch_size)
        with bar("training", steps * self.epochs, steps * self.epochs_done) as progress:
            while self.epochs_done < self.epochs:
                # Order, mirroring and dropout of an epoch depend on its number alone, so it can be resumed.
                with seeded(1_000_003 * self.recipe.seed + self.epochs_done):
                    order = torch.split(torch.randperm(len(labels)), self.batch_size)
                    for step, rows in enumerate(order):
                        self._set_learning_rate((self.epochs_done + step / steps) / self.epochs)
                        loss = self._step(self._augmented(inputs[rows]), labels[rows])
                        progress.set_postfix_str(f"loss {loss:.3f}", refresh=False)
                        progress.update()
                if not all(bool(weight.isfinite().all()) for weight in self.net.parameters()):
                    raise SteepslopeError("the loss became NaN: a lower learning rate may help")
                self.epochs_done += 1
                save_training_state(state, self.net.state_dict(), self.optimizer, {"epochs": self.epochs_done})

    def _set_learning_rate(self, done: float) -> None:
        rate = self.recipe.learning_rate
        if self.recipe.schedule == "cosine":
            rate *= cosine_rate(done)
        self.optimizer.param_groups[0]["lr"] = rate

    def _augmented(self, inputs: Tensor) -> Tensor:
        if self.recipe.flip:
            inputs = _mirrored_images(inputs)
        if self.recipe.rotate:
            inputs = _turned_images(inputs, self.recipe.rotate, -self.card.mean / self.card.std)
        return inputs

    def _step(self, inputs: Tensor, labels: Tensor) -> float:
        self.net.train()
        loss = torch.nn.functional.cross_entropy(self.net(inputs), labels)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return float(loss.detach())

    def resume(self, path: Path) -> None:
        """Take up an unfinished run; without one that can be read, start again."""
        with suppress(SteepslopeError):
            about = take_up_state(path, self.net, self.optimizer)
            if about is not None:
                self.epochs_done = about["epochs"]


def _normalised_pixels(pixels: Tensor, mean: float, std: float) -> Tensor:
    """Turn uint8 images (n, H, W) or (n, H, W, C) into standardised floats (n, 1, H, W) or (n, C, H, W)."""
    standardised = (pixels.float() / 255 - mean) / std
    if pixels.ndim == 3:
        return standardised.unsqueeze(1)
    return standardised.permute(0, 3, 1, 2).contiguous()


def _require_image_shape(net: str, images: Images, source: str) -> None:
    """Raise unless the images have the shape that the net is built for."""
    side = NETS[net].image_size
    kind = "grey"
    expected: tuple[int, ...] = (side, side)
    if NETS[net].channels == 3:
        kind = "colour"
        expected = (side, side, 3)
    if images.pixels.shape[1:] != expected:
        found = "×".join(map(str, images.pixels.shape[1:]))
        raise SteepslopeError(f"{net} expects {kind} images of {side}×{side} pixels, found {found}", source)


def _mirrored_images(inputs: Tensor) -> Tensor:
    """Flip each image (n, C, H, W) left to right with probability one half."""
    return torch.where(torch.rand(len(inputs), 1, 1, 1) < 0.5, inputs.flip(-1), inputs)


def _turned_images(inputs: Tensor, degrees: float, outside: float) -> Tensor:
    """Turn each image (n, C, H, W) by up to so many degrees either way; what comes in from outside has that value."""
    angle = torch.deg2rad((2 * torch.rand(len(inputs)) - 1) * degrees)
    cos = angle.cos()
    sin = angle.sin()
    zero = torch.zeros(len(inputs))
    maps = torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1)
    grid = torch.nn.functional.affine_grid(maps, list(inputs.shape), align_corners=False)
    return torch.nn.functional.grid_sample(inputs - outside, grid, align_corners=False) + outside
