"""What an oracle is taught of each example: whether the classifier was right, from its outputs or live."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from steepslope.finetuning.examples import Example
from steepslope.losses import LossSettings
from steepslope.outputs import ClassifierOutputs


@dataclass(frozen=True, eq=False)
class CachedTargets:
    """The classifier's outputs are known: ``is_correct`` (n,) and the ``target`` (n,) of the loss, by place."""

    is_correct: Tensor
    target: Tensor

    @classmethod
    def of(cls, outputs: ClassifierOutputs, loss: LossSettings, device: torch.device) -> CachedTargets:
        """Take them from outputs."""
        known = outputs.is_correct, loss.target(outputs)
        return cls(*(torch.from_numpy(array.copy()).to(device) for array in known))

    def __call__(self, example: Example) -> tuple[Tensor, Tensor, Tensor]:
        """Return is_correct, target, and whether the logits are finite, (m,) each."""
        right = self.is_correct[example.places]
        return right, self.target[example.places], torch.ones_like(right)


@dataclass(frozen=True, eq=False)
class LiveTargets:
    """The classifier is run on each example as it is augmented, without a gradient, in evaluation mode."""

    net: nn.Module
    labels: Tensor
    loss: LossSettings
    fabric: Fabric

    def __call__(self, example: Example) -> tuple[Tensor, Tensor, Tensor]:
        """Return is_correct, target, and whether the logits are finite, (m,) each."""
        images = example.classifier if example.classifier.numel() else example.oracle
        with torch.inference_mode(), self.fabric.autocast():
            logits = self.net(images)[1].float()
        labels = self.labels[example.places.to(self.labels.device)]
        is_correct = logits.argmax(dim=1) == labels
        target = is_correct
        if self.loss.takes_probability:
            target = logits.double().softmax(dim=1).gather(1, labels[:, None])[:, 0].float()
        return is_correct.clone(), target.clone(), logits.isfinite().all(dim=1).clone()


Targets = CachedTargets | LiveTargets
