"""The state from which a killed training goes on, the best epoch's weights, and what becomes of both at the end."""

import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from steepslope.errors import SteepslopeError
from steepslope.extraction.machines import together
from steepslope.finetuning.history import Running
from steepslope.finetuning.prepare import Training
from steepslope.utilities.files import staged_folder
from steepslope.utilities.run_state import load_state, restore_optimizer, save_state
from steepslope.utilities.weights import load_weights, save_weights

UNFINISHED = "unfinished.safetensors"
BEST = "unfinished-best.safetensors"
LAST = "last"  # the folder of the last step's oracle, where another epoch's is kept


@dataclass
class Progress:
    """The steps that are done, the best validation score so far, and the sums of the epoch."""

    step: int = 0
    best: float = -math.inf
    running: Running = field(default_factory=Running)

    def as_json(self) -> dict[str, Any]:
        """Return the numbers as JSON holds them, which has no infinity."""
        return asdict(self) | {"best": self.best if math.isfinite(self.best) else None}


def load_progress(out: Path, net: nn.Module, optimizer: torch.optim.Optimizer, fabric: Fabric) -> Progress:
    """Restore the net and the optimizer as a killed run saved them; return how far it was."""
    state = load_state(out / UNFINISHED)
    if state is None:
        return Progress()
    weights, moments, about = state
    net.load_state_dict(weights)
    restore_optimizer(optimizer, moments)
    if about.get("precision"):  # of float16: by how much losses are scaled
        fabric.strategy.precision.load_state_dict(about["precision"])
    best = -math.inf if about["best"] is None else about["best"]
    return Progress(about["step"], best, Running(**about["running"]))


def save_progress(
    progress: Progress, out: Path, training: Training, optimizer: torch.optim.Optimizer, fabric: Fabric
) -> None:
    """Save all from which a killed run goes on; weights that are not finite are an error, and nothing is saved."""
    weights = training.oracle.net.state_dict()
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise not_finite(out, f"after step {progress.step}: {name}")
    about = progress.as_json() | {"key": training.key, "precision": fabric.strategy.precision.state_dict()}
    with together(fabric):
        if fabric.is_global_zero:
            save_state(out / UNFINISHED, weights, optimizer, about)


def not_finite(out: Path, what: str) -> SteepslopeError:
    """Build the error for a training that has diverged."""
    advice = "a lower learning rate or --clip may help; what was saved before stays"
    return SteepslopeError(f"{what} is not finite: {advice}", out)


def save_best(net: nn.Module, out: Path, fabric: Fabric) -> None:
    """Keep the weights of the best epoch so far."""
    with together(fabric):
        if fabric.is_global_zero:
            with staged_folder(out, last=BEST) as staging:
                save_weights(net.state_dict(), staging / BEST)


def finish(training: Training, out: Path) -> None:
    """Write the oracle that the recipe selects, with the last one beside it where that is another."""
    net = training.oracle.net.cpu().eval()
    oracle = replace(training.oracle, net=net)
    if training.recipe.select == "aupr_error" and (out / BEST).exists():
        oracle.save(out / LAST, training.key)
        load_weights(net, out / BEST)
    oracle.save(out, training.key)
    remove_states(out)


def remove_states(out: Path) -> None:
    """Delete what only an unfinished training needs."""
    for name in (UNFINISHED, BEST):
        (out / name).unlink(missing_ok=True)
