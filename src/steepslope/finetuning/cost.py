"""What a training will cost, found out before it starts: sizes by counting, time and memory by a short trial."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from steepslope.classifiers.classifier import Classifier
from steepslope.finetuning.learner import freeze, optimizer_of
from steepslope.finetuning.request import Finetuning
from steepslope.losses import LossSettings
from steepslope.oracle.base import loss_of
from steepslope.oracle.on_images import ImageOracle

MOMENTS = {"sgd": 1, "adam": 2, "adamw": 2}  # numbers an optimizer keeps for each weight
WARM, TIMED = 1, 1  # trial steps


def cost_lines(
    oracle: ImageOracle, recipe: Finetuning, classifier: Classifier | None, rows: int, fabric: Fabric, trial: int = 2
) -> list[str]:
    """Return what a training costs, in lines to print.

    Parameters, and the bytes of weights, gradients, moments and of what the backward pass keeps of an image, are
    counted; libraries need memory of their own. The time is that of a few steps on ``trial`` images of noise, the
    classifier's forward pass included. Where features stay the same, each image goes through the nets once.
    """
    net = oracle.net
    freeze(net, recipe)
    net.train(recipe.trainable == "all")
    fabric.to_device(net)
    images = torch.randn((trial, oracle.transform.channels, *net.size), device=fabric.device)
    with torch.no_grad():
        width = net.features(images).shape[1]
    loss = partial(_loss, oracle, loss_of(recipe), images, fabric)
    with _counting_saved(net) as saved:
        loss()
    speed = trial * TIMED / _seconds(loss, optimizer_of(recipe, net), classifier, trial, fabric)
    parameters, trained = _count(net), _count(net, trained=True)
    known = 0 if classifier is None else _count(classifier.net)
    weights, training = 4 * (parameters + known), 4 * trained * (1 + MOMENTS[recipe.optimizer])
    an_image, held = saved[0] // trial, -(-recipe.batch_size // (fabric.world_size * recipe.accumulate))
    steps, seen = -(-rows // recipe.batch_size) * recipe.epochs, rows if recipe.features_stay else rows * recipe.epochs
    return [
        f"oracle: images {' × '.join(map(str, images.shape[1:]))}, {width:,} features, {_millions(parameters)} "
        f"parameters, {_millions(trained)} of them trained",
        f"classifier: {f'{_millions(known)} parameters, run live' if known else 'not run, its outputs are there'}",
        f"images: {seen:,} in {steps:,} steps of {recipe.batch_size}",
        f"memory of a process: {_gigabytes(weights + training + held * an_image)} with {held} images at once: weights "
        f"{_gigabytes(weights)}, gradients and moments {_gigabytes(training)}, {an_image / 1e6:.1f} MB an image",
        f"time: {seen / speed / 3600:,.2f} hours at {speed:,.1f} images/s, tried on {trial} images at once "
        f"({_device(fabric)}); decoding images comes on top",
    ]


def _count(net: nn.Module, trained: bool = False) -> int:
    return sum(one.numel() for one in net.parameters() if one.requires_grad or not trained)


def _device(fabric: Fabric) -> str:
    if fabric.device.type == "cuda":
        return torch.cuda.get_device_name(fabric.device)
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


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count:,}"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
