"""What of an oracle's net learns: which weights, in which modes, by which optimizer, at which rate.

Learning rate and momentum are functions of the step: nothing to save, nothing to resume.
"""

from collections.abc import Callable
from dataclasses import replace

from timm.layers import DropPath
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torchvision.ops import StochasticDepth

from steepslope.nets.extraction import dropout_layers
from steepslope.nets.training._on_images import ImageOracleNet
from steepslope.nets.training._request import Finetuning
from steepslope.numerics import cosine_rate

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
START, END = 25, 25e4  # one_cycle begins at a 25th of the highest rate and ends at a 250,000th
MOMENTA = 0.85, 0.95


def freeze_backbone(net: ImageOracleNet, recipe: Finetuning) -> None:
    """Freeze the backbone where the recipe trains the head alone."""
    for parameter in net.backbone.parameters():
        parameter.requires_grad_(parameter.requires_grad and recipe.trainable == "all")


def set_layer_modes(net: ImageOracleNet, recipe: Finetuning) -> None:
    """Set which layers train, which only serve, and which drop units."""
    net.train()
    if recipe.trainable == "head":
        net.backbone.eval()
    for layer in net.backbone.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and recipe.batch_norm == "frozen":
            layer.eval()
    for layer in [*dropout_layers(net.backbone), *drop_path_layers(net.backbone)]:
        layer.training = recipe.frozen_dropout != "none" if recipe.trainable == "head" else recipe.dropout


def features_stay(net: ImageOracleNet, recipe: Finetuning) -> bool:
    """Return whether the backbone gives the same features of an image each time, since nothing in it is dropped."""
    return recipe.features_stay or (not can_drop(net.backbone) and replace(recipe, frozen_dropout="none").features_stay)


def learns_of_dropped(net: ImageOracleNet, recipe: Finetuning) -> bool:
    """Return whether the targets are what a frozen backbone itself gets wrong with dropout."""
    return recipe.trainable == "head" and recipe.frozen_dropout == "predictions" and can_drop(net.backbone)


def can_drop(net: nn.Module) -> bool:
    """Return whether a net has layers that drop units or paths."""
    return bool([*dropout_layers(net), *drop_path_layers(net)])


def drop_path_layers(net: nn.Module) -> list[nn.Module]:
    """Return the layers that leave out whole paths at random: timm's and torchvision's."""
    return [layer for layer in net.modules() if isinstance(layer, DropPath | StochasticDepth)]


def optimizer_of(recipe: Finetuning, learner: nn.Module) -> Optimizer:
    """Return the recipe's optimizer of what can be trained."""
    parameters = [parameter for parameter in learner.parameters() if parameter.requires_grad]
    momentum = {"momentum": recipe.momentum} if optimizer_has_momentum(recipe) else {}
    kind = OPTIMIZERS[recipe.optimizer]
    return kind(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, **momentum)


def optimizer_has_momentum(recipe: Finetuning) -> bool:
    """Return whether the optimizer has a momentum that can be set."""
    return recipe.optimizer == "sgd"


def learning_rate_at(recipe: Finetuning, step: int, steps: int) -> float:
    """Return the learning rate of step 0…steps−1.

    ``one_cycle`` is that of torch's ``OneCycleLR`` with cosines, ``warmup_steps`` its rising part.

    >>> recipe = Finetuning(schedule="one_cycle", learning_rate=1.0, warmup_steps=10)
    >>> [round(learning_rate_at(recipe, step, 101), 6) for step in (0, 9, 100)]
    [0.04, 1.0, 4e-06]
    """
    top = recipe.learning_rate
    if recipe.schedule == "one_cycle":
        rising, done = _one_cycle_phase(recipe, step, steps)
        return _along_cosine(top / START, top, done) if rising else _along_cosine(top, top / END, done)
    warm = min(1.0, (step + 1) / (recipe.warmup_steps + 1))
    if recipe.schedule == "constant":
        return top * warm
    return top * warm * cosine_rate(max(0, step - recipe.warmup_steps) / max(1, steps - recipe.warmup_steps))


def momentum_at(recipe: Finetuning, step: int, steps: int) -> float:
    """Return the momentum of a step: the recipe's, or cycled against the rate."""
    if not recipe.cycle_momentum:
        return recipe.momentum
    low, high = MOMENTA
    rising, done = _one_cycle_phase(recipe, step, steps)
    return _along_cosine(high, low, done) if rising else _along_cosine(low, high, done)


def _one_cycle_phase(recipe: Finetuning, step: int, steps: int) -> tuple[bool, float]:
    """Return whether the cycle still rises, and how much of that half of it is done, in [0, 1]."""
    peak = min(max(recipe.warmup_steps - 1, 0), steps - 1)
    if step <= peak and peak > 0:
        return True, step / peak
    return False, (step - peak) / max(1, steps - 1 - peak)


def _along_cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * cosine_rate(done)
