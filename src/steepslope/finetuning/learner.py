"""What of an oracle's net learns: which weights, in which modes, by which optimizer."""

from collections.abc import Callable

import torch
from timm.layers import DropPath
from torch import nn
from torchvision.ops import StochasticDepth

from steepslope.extraction.engine import dropout_layers
from steepslope.finetuning.recipe import Finetuning
from steepslope.oracle.on_images import ImageOracleNet

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


def freeze(net: ImageOracleNet, recipe: Finetuning) -> None:
    """Freeze the backbone where the recipe trains the head alone."""
    for parameter in net.backbone.parameters():
        parameter.requires_grad_(parameter.requires_grad and recipe.trainable == "all")


def set_modes(net: ImageOracleNet, recipe: Finetuning) -> None:
    """Set which layers train, which only serve, and which drop units."""
    net.train()
    if recipe.trainable == "head":
        net.backbone.eval()
    for layer in net.backbone.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and recipe.batch_norm == "frozen":
            layer.eval()
    for layer in [*dropout_layers(net.backbone), *path_layers(net.backbone)]:
        layer.training = recipe.frozen_dropout if recipe.trainable == "head" else recipe.dropout


def path_layers(net: nn.Module) -> list[nn.Module]:
    """Return the layers that leave out whole paths at random: timm's and torchvision's."""
    return [layer for layer in net.modules() if isinstance(layer, DropPath | StochasticDepth)]


def optimizer_of(recipe: Finetuning, learner: nn.Module) -> torch.optim.Optimizer:
    """Return the recipe's optimizer of what can be trained."""
    parameters = [parameter for parameter in learner.parameters() if parameter.requires_grad]
    momentum = {"momentum": recipe.momentum} if has_momentum(recipe) else {}
    kind = OPTIMIZERS[recipe.optimizer]
    return kind(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, **momentum)


def has_momentum(recipe: Finetuning) -> bool:
    """Return whether the optimizer has a momentum that can be set."""
    return recipe.optimizer == "sgd"
