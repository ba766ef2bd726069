"""All that one training works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from steepslope.finetuning.examples import Source
from steepslope.finetuning.recipe import Finetuning
from steepslope.finetuning.targets import Targets
from steepslope.finetuning.validation import Validation
from steepslope.oracle.on_images import ImageOracle


@dataclass(frozen=True, eq=False)
class Training:
    """An oracle, how it is trained and on what.

    ``source`` gives the examples, ``targets`` what to teach of them; ``key`` holds all that decides the result, as JSON
    does. Where the source gives features, only the net's top is run.
    """

    oracle: ImageOracle
    recipe: Finetuning
    source: Source
    targets: Targets
    loss: Callable[[Tensor, Tensor], Tensor]
    validation: Validation | None
    key: dict[str, Any]
    workers: int = 0
    tensorboard: bool = False
