"""What an oracle is trained on: images, decoded once and changed alike for both nets, and what it is taught of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.utils.data import DataLoader, default_collate

from steepslope.errors import SteepslopeError
from steepslope.losses import LossSettings
from steepslope.nets._seeding import seed_of, seeded
from steepslope.nets.data import Dataset, Picture, Transform, decoded_or_reason, image_in_pil, unreadable_image
from steepslope.nets.training._request import Finetuning
from steepslope.outputs import UNKNOWN

_NOT_RUN = torch.empty(0)  # what the classifier sees where it is not run


class Example(NamedTuple):
    """What the oracle and the classifier see of images (m, C, H, W each), and the rows' places in the fit set, (m,).

    ``classifier`` is empty where the classifier is not run.
    """

    oracle: Tensor
    classifier: Tensor
    places: Tensor


@dataclass(frozen=True, eq=False)
class Examples(torch.utils.data.Dataset[Example | str]):
    """The fit set's images; the augmentation of (epoch, place) is drawn from those two and the seed alone.

    Without a transform of its own, the oracle sees what the classifier sees; without one of the classifier's, the
    classifier is not run.
    """

    data: Dataset
    rows: NDArray[np.int64]
    recipe: Finetuning
    oracle: Transform | None
    classifier: Transform | None

    def __getitem__(self, key: tuple[int, int]) -> Example | str:
        """Return one example, without the axis m, or why it cannot be had."""
        epoch, place = key
        row = int(self.rows[place])

        def example(image: Picture) -> Example:
            changed = self._augmented(image, epoch, place)
            seen = _NOT_RUN
            if self.classifier is not None:
                seen = self.classifier(changed)
            if self.oracle is None or self.oracle == self.classifier:  # both see the same
                return Example(seen, _NOT_RUN, torch.tensor(place))
            return Example(self.oracle(changed), seen, torch.tensor(place))

        made = decoded_or_reason(self.data, row, example)
        if isinstance(made, str):
            return str(unreadable_image(self.data, row, made))
        return made

    def __len__(self) -> int:
        return len(self.rows)

    def from_step(self, first: int, steps: Steps, rank: int, workers: int) -> Iterator[Example]:
        """Yield one process's parts, from step ``first`` on."""
        keys = ([(epoch, place) for place in part] for epoch, part in steps.parts_from(first, rank))
        for part in DataLoader(self, batch_sampler=keys, num_workers=workers, collate_fn=_stacked_examples):
            if isinstance(part, str):  # raised here, since a worker would wrap it in its own traceback
                raise SteepslopeError(part)
            yield part

    def _augmented(self, image: Picture, epoch: int, place: int) -> Picture:
        if not self.recipe.augments:
            return image
        image = image_in_pil(image)
        draw = np.random.default_rng((self.recipe.seed, epoch, place))
        mirror = draw.random() < 0.5
        angle = draw.uniform(-self.recipe.rotate, self.recipe.rotate)
        if self.recipe.rotate:
            image = ImageOps.exif_transpose(image).rotate(angle, Image.Resampling.BILINEAR)
        if self.recipe.flip and mirror:
            image = ImageOps.mirror(ImageOps.exif_transpose(image))
        return image


@dataclass(frozen=True)
class Steps:
    """Which rows each step takes: n of them shuffled again each epoch, in batches of all processes together.

    A part is one of ``accumulate`` that a process makes of its rows. A last batch of fewer than two rows a part is left
    out: batch normalisation has no use for a single row.
    """

    n: int
    batch_size: int
    processes: int
    accumulate: int
    epochs: int
    seed: int

    @classmethod
    def of(cls, recipe: Finetuning, n: int, processes: int) -> Self:
        """Return the steps of a recipe."""
        return cls(n, recipe.batch_size, processes, recipe.accumulate, recipe.epochs, recipe.seed)

    @property
    def parts(self) -> int:
        """Into how many parts a step is cut."""
        return self.processes * self.accumulate

    def __post_init__(self) -> None:
        rows = min(self.batch_size, self.n)
        if rows < self.parts:
            expected = f"expected at least {self.parts} rows, one for each process and part"
            raise SteepslopeError(f"{expected}, found {rows}", "batch_size")

    @property
    def an_epoch(self) -> int:
        """The number of steps of an epoch."""
        whole, left = divmod(self.n, self.batch_size)
        return max(1, whole + (left >= 2 * self.parts))

    @property
    def total(self) -> int:
        """The number of steps of all epochs."""
        return self.epochs * self.an_epoch

    def rows_of(self, step: int) -> int:
        """Return how many rows a step has, of all processes together."""
        return min(self.batch_size, self.n - step % self.an_epoch * self.batch_size)

    def parts_from(self, first: int, rank: int) -> Iterator[tuple[int, list[int]]]:
        """Yield, from step ``first`` on, the epoch and the places of each part that falls to process ``rank``."""
        mine = slice(rank * self.accumulate, (rank + 1) * self.accumulate)
        for epoch in range(first // self.an_epoch, self.epochs):
            order = np.random.default_rng((self.seed, epoch)).permutation(self.n)
            for index in range(max(0, first - epoch * self.an_epoch), self.an_epoch):
                start = index * self.batch_size
                parts = np.array_split(order[start : start + self.batch_size], self.parts)
                for part in parts[mine]:
                    yield epoch, part.tolist()


def _stacked_examples(items: list[Example | str]) -> Any:
    """Return examples as one; if any could not be had, why that is."""
    for item in items:
        if isinstance(item, str):
            return item
    return default_collate(items)


@dataclass(frozen=True, eq=False)
class Features:
    """The features of the fit set's images, (n, d), where they are the same each time."""

    features: Tensor

    def __len__(self) -> int:
        return len(self.features)

    def from_step(self, first: int, steps: Steps, rank: int, workers: int) -> Iterator[Example]:
        """Yield one process's parts, from step ``first`` on; workers have nothing to do."""
        for _, part in steps.parts_from(first, rank):
            places = torch.tensor(part)
            yield Example(self.features[places], _NOT_RUN, places)


@dataclass(frozen=True, eq=False)
class DroppedFeatures:
    """Features and logits of a frozen backbone that drops units, new in each pass.

    In each example, the features stand in ``oracle``, and the logits of the same pass in ``classifier``. ``run`` makes
    them of ``inputs``: the images, or what reaches the first layer of dropout.
    """

    inputs: Examples | Features
    run: Callable[[Tensor], tuple[Tensor, Tensor]]
    device: torch.device

    def __len__(self) -> int:
        return len(self.inputs)

    def from_step(self, first: int, steps: Steps, rank: int, workers: int) -> Iterator[Example]:
        """Yield one process's parts, from step ``first`` on; what is dropped is drawn from the part's number."""
        parts = self.inputs.from_step(first, steps, rank, workers)
        for number, part in enumerate(parts, first * steps.accumulate):
            with seeded(seed_of(steps.seed, number, rank) % 2**63), torch.no_grad():
                features, logits = self.run(part.oracle.to(self.device))
            yield Example(features.float(), logits.float(), part.places)


Source = Examples | Features | DroppedFeatures


@dataclass(frozen=True, eq=False)
class CachedTargets:
    """The classifier's outputs are known: ``is_correct`` (n,) and the ``target`` (n,) of the loss, by place."""

    is_correct: Tensor
    target: Tensor

    def __call__(self, example: Example) -> tuple[Tensor, Tensor, Tensor]:
        """Return is_correct, target, and whether the logits are finite, (m,) each."""
        right = self.is_correct[example.places]
        return right, self.target[example.places], torch.ones_like(right)


@dataclass(frozen=True, eq=False)
class LiveTargets:
    """The classifier is run on each example as it is augmented, without a gradient, in evaluation mode.

    Without a ``net``, the classifier is the frozen backbone itself, with dropout: its logits come with the features.
    """

    net: nn.Module | None
    labels: Tensor
    loss: LossSettings
    fabric: Fabric

    def __call__(self, example: Example) -> tuple[Tensor, Tensor, Tensor]:
        """Return is_correct, target, and whether the logits are finite, (m,) each."""
        logits = example.classifier
        if self.net is not None:
            images = example.classifier
            if not images.numel():  # both nets see the same
                images = example.oracle
            with torch.no_grad(), self.fabric.autocast():
                logits = self.net(images)[1].float()
        labels = self.labels[example.places.to(self.labels.device)]
        is_correct = logits.argmax(dim=1) == labels
        target = is_correct
        if self.loss.takes_probability:
            of_label = logits.double().softmax(dim=1).gather(1, labels.clamp_min(0)[:, None])
            target = torch.where(labels == UNKNOWN, 0.0, of_label[:, 0].float())
        return is_correct, target, logits.isfinite().all(dim=1)


Targets = CachedTargets | LiveTargets
