"""What an oracle is taught of each example: whether the classifier was right, asked now or beforehand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from steepslope.finetuning.examples import Example
from steepslope.losses import PROBABILITY_TARGETS
from steepslope.outputs import ClassifierOutputs


@dataclass(frozen=True, eq=False)
class Cached:
    """The classifier's answers are known: ``is_correct`` (n,) and the ``target`` (n,) of the loss, by place."""

    is_correct: Tensor
    target: Tensor

    @classmethod
    def of(cls, outputs: ClassifierOutputs, loss: str, device: torch.device) -> Cached:
        """Take them from outputs."""
        right = torch.from_numpy(outputs.is_correct.copy()).to(device)
        probability = torch.from_numpy(outputs.true_class_probability.astype(np.float32)).to(device)
        return cls(right, probability if loss in PROBABILITY_TARGETS else right)

    def __call__(self, example: Example) -> tuple[Tensor, Tensor, Tensor]:
        """Return is_correct, target, and whether the logits are finite, (m,) each."""
        right = self.is_correct[example.places]
        return right, self.target[example.places], torch.ones_like(right)


@dataclass(frozen=True, eq=False)
class Live:
    """The classifier is run on each example as it is augmented, without a gradient, in evaluation mode."""

    net: nn.Module
    labels: Tensor
    loss: str
    fabric: Fabric

    def __call__(self, example: Example) -> tuple[Tensor, Tensor, Tensor]:
        """Return is_correct, target, and whether the logits are finite, (m,) each."""
        images = example.classifier if example.classifier.numel() else example.oracle
        with torch.inference_mode(), self.fabric.autocast():
            logits = self.net(images)[1].float()
        labels = self.labels[example.places.to(self.labels.device)]
        is_correct = logits.argmax(dim=1) == labels
        if self.loss not in PROBABILITY_TARGETS:
            return is_correct.clone(), is_correct.clone(), logits.isfinite().all(dim=1).clone()
        probability = logits.double().softmax(dim=1).gather(1, labels[:, None])[:, 0]
        return is_correct.clone(), probability.float().clone(), logits.isfinite().all(dim=1).clone()


Judge = Cached | Live
