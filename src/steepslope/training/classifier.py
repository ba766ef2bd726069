"""Train a small classifier on images in memory; killed at any moment, it resumes to the same weights."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from steepslope.data.classifiers import (
    Classifier,
    ClassifierCard,
    checkpoint_classifier,
    normalized,
    require_image_shape,
    save_checkpoint,
)
from steepslope.data.datasets import holdout_split, parse_dataset
from steepslope.data.images import Images
from steepslope.errors import SteepslopeError, require_seed, unknown_name
from steepslope.files import staged_folder
from steepslope.nets import NETS, Net
from steepslope.progress import bar
from steepslope.training.seeding import seeded
from steepslope.weights import save_weights

STATE = "unfinished.safetensors"


@dataclass(frozen=True)
class ClassifierTraining:
    """A recipe: Adam with a cosine learning rate; ``flip`` mirrors images at random."""

    epochs: int
    batch_size: int
    learning_rate: float = 1e-3
    flip: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        require_seed(self.seed)
        if self.epochs < 1 or self.batch_size < 1 or not self.learning_rate > 0:
            raise SteepslopeError(
                "training: expected epochs >= 1, batch_size >= 1 and learning_rate > 0, found "
                f"{self.epochs}, {self.batch_size} and {self.learning_rate}"
            )


def recipe_for(net: str, **changes: Any) -> ClassifierTraining:
    """Return the recipe that suits a net, with the given changes; None changes nothing."""
    if net not in NETS:
        raise unknown_name("net", net, NETS)
    kind = NETS[net]
    default = {"epochs": kind.epochs, "batch_size": kind.batch_size}
    return ClassifierTraining(**default | {name: value for name, value in changes.items() if value is not None})


def train_classifier(
    net: str,
    data: str,
    out: Path,
    recipe: ClassifierTraining,
    holdout: int | None = None,
    split_seed: int = 42,
) -> tuple[Classifier, float]:
    """Train on the training split of ``data`` less its held-out rows; save a checkpoint to ``out``.

    The split depends on ``split_seed`` alone, so classifiers of different seeds share it. Returns the
    classifier and its accuracy on the held-out rows.
    """
    spec = parse_dataset(data)
    if spec.split == "test":
        raise SteepslopeError(f"data {data!r}: a classifier trains on the training split, not on the test split")
    images = spec.load_into_memory("train")
    require_image_shape(net, images, spec.name)
    fitted, held_out = holdout_split(len(images), holdout, split_seed)
    pixels = images.pixels[fitted] / 255
    if pixels.std() == 0:
        raise SteepslopeError(f"{spec.name}: expected images that differ, found one grey value in all of them")
    card = ClassifierCard(
        net=net,
        num_classes=int(images.labels.max()) + 1,
        mean=float(pixels.mean()),
        std=float(pixels.std()),
        data=spec.name,
        fingerprint=images.fingerprint(),
        holdout=len(held_out),
        split_seed=split_seed,
        training=asdict(recipe),
    )
    run = _Run(card, recipe)
    run.resume(out / STATE)
    run.train(images.subset(fitted), out / STATE)
    save_checkpoint(run.net, card, out)
    (out / STATE).unlink()
    classifier = checkpoint_classifier(run.net, card, f"checkpoint:{out}")
    return classifier, accuracy(classifier, images.subset(held_out))


def accuracy(classifier: Classifier, images: Images, batch: int = 1000) -> float:
    """Return the share of images whose label is predicted, in [0, 1]."""
    hits = [
        classifier(torch.stack([classifier.transform(images.image(row)) for row in rows]))[1].argmax(axis=1)
        == images.labels[rows]
        for rows in np.array_split(np.arange(len(images)), max(1, len(images) // batch))
    ]
    return float(np.concatenate(hits).mean())


class _Run:
    """A net, its optimizer and the epochs done: all that a resumed run needs."""

    def __init__(self, card: ClassifierCard, recipe: ClassifierTraining) -> None:
        self.card, self.recipe, self.epochs_done = card, recipe, 0
        with seeded(recipe.seed):
            self.net: Net = NETS[card.net].build(card.num_classes)
        self.optimizer = torch.optim.Adam(self.net.parameters())

    def train(self, images: Images, state: Path) -> None:
        inputs = normalized(torch.from_numpy(images.pixels.copy()), self.card.mean, self.card.std)
        labels = torch.from_numpy(images.labels)
        steps = math.ceil(len(labels) / self.recipe.batch_size)
        with bar() as progress:
            task = progress.add_task("training", total=steps * self.recipe.epochs)
            progress.update(task, completed=steps * self.epochs_done)
            while self.epochs_done < self.recipe.epochs:
                # Order, mirroring and dropout of an epoch depend on its number alone, so it can be resumed.
                with seeded(1_000_003 * self.recipe.seed + self.epochs_done):
                    order = torch.split(torch.randperm(len(labels)), self.recipe.batch_size)
                    for step, rows in enumerate(order):
                        self._set_learning_rate((self.epochs_done + step / steps) / self.recipe.epochs)
                        loss = self._step(mirrored(inputs[rows]) if self.recipe.flip else inputs[rows], labels[rows])
                        progress.update(task, advance=1, description=f"training, loss {loss:.3f}")
                if not all(bool(weight.isfinite().all()) for weight in self.net.parameters()):
                    raise SteepslopeError("the loss became NaN: a lower learning rate may help")
                self.epochs_done += 1
                self._save(state)

    def _set_learning_rate(self, done: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done))

    def _step(self, inputs: Tensor, labels: Tensor) -> float:
        self.net.train()
        loss = torch.nn.functional.cross_entropy(self.net(inputs), labels)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return float(loss.detach())

    def _save(self, path: Path) -> None:
        tensors = {f"net.{name}": tensor for name, tensor in self.net.state_dict().items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()}
        with staged_folder(path.parent, last=path.name) as staging:
            save_weights(tensors, staging / path.name, {"run": self._key(), "epochs": str(self.epochs_done)})

    def resume(self, path: Path) -> None:
        """Take up an unfinished run of exactly this card; without one that can be read, start anew."""
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        except (OSError, SafetensorError):
            return
        if metadata.get("run") != self._key():
            return
        self.epochs_done = int(metadata["epochs"])
        state: dict[int, dict[str, Any]] = {}
        for name in [name for name in tensors if name.startswith("optimizer.")]:
            _, index, moment = name.split(".")
            state.setdefault(int(index), {})[moment] = tensors.pop(name)
        self.net.load_state_dict({name.removeprefix("net."): tensor for name, tensor in tensors.items()})
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})

    def _key(self) -> str:
        return json.dumps(asdict(self.card))


def mirrored(inputs: Tensor) -> Tensor:
    """Flip each image (n, C, H, W) left to right with probability one half."""
    return torch.where(torch.rand(len(inputs), 1, 1, 1) < 0.5, inputs.flip(-1), inputs)
