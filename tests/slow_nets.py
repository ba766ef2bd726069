"""A net of one's own that takes its time, and one that ends its process, for tests of runs that are killed."""

from __future__ import annotations

import os
import time

import torch
from torch import nn

PAUSE = 0.15  # seconds a batch; a run is to be met while it works
DEADLY = "STEEPSLOPE_TEST_DEADLY"


class Slow(nn.Module):
    """A fixed linear net for 8x8 colour images of three classes, made by `tests.slow_nets:slow`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.last = nn.Conv2d(3, 2, 3), nn.Linear(72, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > 2:  # as the tests' batches have, and what is run to look at the net has not
            time.sleep(PAUSE)
            if DEADLY in os.environ:
                os._exit(1)
        logits: torch.Tensor = self.last(self.stem(images).flatten(1))
        return logits


def slow() -> nn.Module:
    torch.manual_seed(0)
    return Slow()
