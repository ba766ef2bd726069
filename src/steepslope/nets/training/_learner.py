"""What of an oracle's net learns: which weights, in which modes, by which optimizer, at which rate.

Learning rate and momentum are functions of the step: nothing to save, nothing to resume.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from timm.layers import DropPath
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torchvision.ops import StochasticDepth

from steepslope.errors import SteepslopeError
from steepslope.files import DIGEST, folder_or_hub_snapshot
from steepslope.nets import load_weights
from steepslope.nets.extraction import dropout_layers
from steepslope.nets.training._on_images import ImageOracle, ImageOracleNet
from steepslope.nets.training._request import Finetuning
from steepslope.numerics import cosine_rate
from steepslope.oracle import ORACLE, WEIGHTS

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
# As torch's OneCycleLR: it begins at a 25th of the highest rate, and ends at a 250,000th.
_START = 25
_END = 25e4
_LEAST_MOMENTUM = 0.85
_MOST_MOMENTUM = 0.95


def take_init_weights(oracle: ImageOracle, folder: Path) -> str:
    """Load the weights of a trained oracle of the same backbone and head; return what tells them from others."""
    card = ORACLE.sealed_card(folder_or_hub_snapshot(folder))
    expected = oracle.card()
    for name in ("kind", "backbone"):
        if card.get(name) != expected[name]:
            raise SteepslopeError(f"init {folder}: expected the {name} {expected[name]!r}, found {card.get(name)!r}")
    load_weights(oracle.net, folder_or_hub_snapshot(folder) / WEIGHTS)
    return str(card[DIGEST])


def freeze_backbone(net: ImageOracleNet, recipe: Finetuning) -> None:
    """Freeze the backbone where the recipe trains the head alone."""
    for parameter in net.backbone.parameters():
        parameter.requires_grad_(parameter.requires_grad and recipe.trainable == "all")


def set_layer_modes(net: ImageOracleNet, recipe: Finetuning) -> None:
    """Set which layers train, which only serve, and which drop units."""
    net.train()
    if recipe.trainable == "head":
        net.backbone.eval()
    if recipe.batch_norm == "frozen":
        for layer in net.backbone.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.eval()
    drops = recipe.dropout
    if recipe.trainable == "head":
        drops = recipe.frozen_dropout != "none"
    for layer in _dropping_layers(net.backbone):
        layer.training = drops


def features_stay(net: ImageOracleNet, recipe: Finetuning) -> bool:
    """Return whether the backbone gives the same features of an image each time, since nothing in it is dropped."""
    if not _can_drop(net.backbone):
        recipe = replace(recipe, frozen_dropout="none")
    return recipe.features_stay


def learns_of_dropped(net: ImageOracleNet, recipe: Finetuning) -> bool:
    """Return whether the targets are what a frozen backbone itself gets wrong with dropout."""
    return recipe.trainable == "head" and recipe.frozen_dropout == "predictions" and _can_drop(net.backbone)


def _can_drop(net: nn.Module) -> bool:
    """Return whether a net has layers that drop units or paths."""
    return bool(_dropping_layers(net))


def _dropping_layers(net: nn.Module) -> list[nn.Module]:
    return [*dropout_layers(net), *_drop_path_layers(net)]


def _drop_path_layers(net: nn.Module) -> list[nn.Module]:
    """Return the layers that leave out whole paths at random: timm's and torchvision's."""
    return [layer for layer in net.modules() if isinstance(layer, DropPath | StochasticDepth)]


def optimizer_of(recipe: Finetuning, learner: nn.Module) -> Optimizer:
    """Return the recipe's optimizer of what can be trained."""
    parameters = [parameter for parameter in learner.parameters() if parameter.requires_grad]
    settings = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
    if recipe.has_momentum:
        settings["momentum"] = recipe.momentum
    return OPTIMIZERS[recipe.optimizer](parameters, **settings)


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
        if rising:
            return _along_cosine(top / _START, top, done)
        return _along_cosine(top, top / _END, done)
    warm = min(1.0, (step + 1) / (recipe.warmup_steps + 1))
    if recipe.schedule == "constant":
        return top * warm
    return top * warm * cosine_rate(max(0, step - recipe.warmup_steps) / max(1, steps - recipe.warmup_steps))


def momentum_at(recipe: Finetuning, step: int, steps: int) -> float:
    """Return the momentum of a step: the recipe's, or cycled against the rate."""
    if not recipe.cycle_momentum:
        return recipe.momentum
    rising, done = _one_cycle_phase(recipe, step, steps)
    if rising:
        return _along_cosine(_MOST_MOMENTUM, _LEAST_MOMENTUM, done)
    return _along_cosine(_LEAST_MOMENTUM, _MOST_MOMENTUM, done)


def _one_cycle_phase(recipe: Finetuning, step: int, steps: int) -> tuple[bool, float]:
    """Return whether the cycle still rises, and how much of that half of it is done, in [0, 1]."""
    peak = min(max(recipe.warmup_steps - 1, 0), steps - 1)
    if step <= peak and peak > 0:
        return True, step / peak
    return False, (step - peak) / max(1, steps - 1 - peak)


def _along_cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * cosine_rate(done)
