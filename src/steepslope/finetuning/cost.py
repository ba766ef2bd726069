"""What a training will cost, found out before it starts: sizes by counting, time and memory by a short trial."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from steepslope.classifiers.classifier import Classifier
from steepslope.finetuning.learner import freeze, optimizer_of
from steepslope.finetuning.recipe import Finetuning
from steepslope.losses import LossSettings
from steepslope.oracle.base import loss_of
from steepslope.oracle.on_images import ImageOracle

MOMENTS = {"sgd": 1, "adam": 2, "adamw": 2}  # numbers an optimizer keeps for each weight
WARM, TIMED = 1, 1  # trial steps


@dataclass(frozen=True)
class Cost:
    """What a training takes.

    Numbers of parameters; bytes of the weights, of gradients and the optimizer's moments, and of what the backward pass
    needs of one image; how many images a second pass in a trial of ``trial`` at once; and of a whole training the
    steps, and the images that go through the nets (once each, where their features stay the same).
    """

    oracle_shape: tuple[int, ...]
    width: int
    parameters: int
    trained: int
    classifier_parameters: int
    weight_bytes: int
    training_bytes: int
    image_bytes: int
    images: int
    steps: int
    images_a_second: float
    trial: int
    device: str

    @property
    def hours(self) -> float:
        """The time of a whole training on one such device, without reading and decoding images."""
        return self.images / self.images_a_second / 3600

    def memory(self, images: int) -> int:
        """Return the bytes that a process needs with so many images at once, without the libraries' own."""
        return self.weight_bytes + self.training_bytes + images * self.image_bytes


def cost_of(
    oracle: ImageOracle, recipe: Finetuning, classifier: Classifier | None, rows: int, fabric: Fabric, trial: int = 2
) -> Cost:
    """Count and try: take a few steps on ``trial`` images of noise, the classifier's forward pass included."""
    net = oracle.net
    freeze(net, recipe)
    net.train(recipe.trainable == "all")
    trained = sum(one.numel() for one in net.parameters() if one.requires_grad)
    parameters = sum(one.numel() for one in net.parameters())
    known = 0 if classifier is None else sum(one.numel() for one in classifier.net.parameters())
    fabric.to_device(net)
    images = torch.randn((trial, oracle.transform.channels, *net.size), device=fabric.device)
    with torch.no_grad():
        width = net.features(images).shape[1]
    step_loss = partial(_loss, oracle, loss_of(recipe), images, fabric)
    with _counting_saved(net) as saved:
        step_loss()
    steps = -(-rows // recipe.batch_size)
    seen = rows if recipe.features_stay else rows * recipe.epochs
    return Cost(
        oracle_shape=tuple(images.shape[1:]),
        width=width,
        parameters=parameters,
        trained=trained,
        classifier_parameters=known,
        weight_bytes=4 * (parameters + known),
        training_bytes=4 * trained * (1 + MOMENTS[recipe.optimizer]),
        image_bytes=saved[0] // trial,
        images=seen,
        steps=steps * recipe.epochs,
        images_a_second=trial * TIMED / _seconds(step_loss, optimizer_of(recipe, net), classifier, trial, fabric),
        trial=trial,
        device=torch.cuda.get_device_name(fabric.device) if fabric.device.type == "cuda" else _cpu(),
    )


def _cpu() -> str:
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def _loss(oracle: ImageOracle, loss: LossSettings, images: Tensor, fabric: Fabric) -> Tensor:
    """Return a loss as in training; half of the images count as errors."""
    right = torch.arange(len(images), device=images.device) % 2 == 0
    target = right.float() if loss.takes_probability else right
    with fabric.autocast():
        z = oracle.net(images)
    return loss.bind()(z, target).sum()


@contextmanager
def _counting_saved(net: nn.Module) -> Iterator[list[int]]:
    """Count the bytes that the backward pass keeps of a forward pass inside the block, weights left out."""
    own = {one.untyped_storage().data_ptr() for one in [*net.parameters(), *net.buffers()]}
    seen, total = set(own), [0]

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            total[0] += storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield total


def _seconds(
    loss: Callable[[], Tensor], optimizer: Optimizer, classifier: Classifier | None, trial: int, fabric: Fabric
) -> float:
    """Return how long some steps take: the classifier's forward pass, the oracle's forward and backward, the update."""
    known: Tensor | None = None
    if classifier is not None:
        fabric.to_device(classifier.net)
        shape = (trial, classifier.transform.channels, *classifier.transform.size)
        known = torch.randn(shape, device=fabric.device)
    start = 0.0
    for step in range(WARM + TIMED):
        if step == WARM:
            _wait(fabric)
            start = time.perf_counter()
        if classifier is not None and known is not None:
            with torch.inference_mode(), fabric.autocast():
                classifier.net(known)
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    _wait(fabric)
    return time.perf_counter() - start


def _wait(fabric: Fabric) -> None:
    if fabric.device.type == "cuda":
        torch.cuda.synchronize(fabric.device)


def lines(cost: Cost, recipe: Finetuning, processes: int = 1) -> list[str]:
    """Return what a training costs, in lines to print."""
    held = -(-recipe.batch_size // (processes * recipe.accumulate))
    shape = " × ".join(map(str, cost.oracle_shape))
    return [
        f"oracle: images {shape}, {cost.width:,} features, {_millions(cost.parameters)} parameters, "
        f"{_millions(cost.trained)} of them trained",
        f"classifier: {_millions(cost.classifier_parameters)} parameters, run live"
        if cost.classifier_parameters
        else "classifier: not run, its outputs are there",
        f"images: {cost.images:,} in {cost.steps:,} steps of {recipe.batch_size}",
        f"memory of a process: {_gigabytes(cost.memory(held))} with {held} images at once: weights "
        f"{_gigabytes(cost.weight_bytes)}, gradients and moments {_gigabytes(cost.training_bytes)}, "
        f"{cost.image_bytes / 1e6:.1f} MB an image",
        f"time: {cost.hours:,.2f} hours at {cost.images_a_second:,.1f} images/s, tried on {cost.trial} images at once "
        f"({cost.device}); decoding images comes on top",
    ]


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count:,}"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
