"""What all oracles share: the loss and its limits, the errors to learn from, and what a trust logit gives."""

# Annotations are not postponed here, as in the oracles themselves.
import inspect
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from steepslope.checks import SEED, require
from steepslope.errors import FewErrorsWarning, SteepslopeError, require_known
from steepslope.outputs import ClassifierOutputs
from steepslope.utilities.files import read_json

if TYPE_CHECKING:
    from torch import Tensor

CARD = "oracle.json"
WEIGHTS = "oracle.safetensors"
STATES = "evidence.safetensors"
IMAGES = "images"  # the kind of an oracle on images
CODE = "module:"  # what specs of one's own code begin with
FEW_ERRORS = 50

# Smallest and largest allowed values. The slope of the steep slope loss reaches alpha * exp(alpha) in float32.
LIMITS: dict[str, tuple[float, float]] = {
    "alpha_pos": (1e-6, 80),
    "alpha_neg": (1e-6, 80),
    "gamma": (0, 100),
    "beta": (0, 1 - 1e-12),
    "learning_rate": (1e-12, math.inf),
    "weight_decay": (0, math.inf),
}


class TrustLogits(ABC):
    """An oracle: its trust logit z ranks predictions, and those with z > 0 are trusted."""

    scale: ClassVar[str] = "logit"

    @abstractmethod
    def trust_logit(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return z of each prediction, (n,): to rank by, and trusted where z > 0."""

    @abstractmethod
    def explain(self, outputs: ClassifierOutputs) -> dict[str, NDArray[np.float64]]:
        """Return what each kind of evidence adds to the trust logit: name -> (n,)."""

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return sigmoid(z) of each prediction, (n,), in [0, 1]; far from 0.5 it saturates."""
        z = self.trust_logit(outputs)
        return np.asarray(np.exp(-np.logaddexp(0, -z)))

    def trusts(self, outputs: ClassifierOutputs) -> NDArray[np.bool_]:
        """Return whether each prediction is trusted, (n,): z > 0, that is a confidence above one half."""
        return self.trust_logit(outputs) > 0


def looks_at_images(folder: Path) -> bool:
    """Say whether the oracle in a folder is one on images."""
    return read_json(folder / CARD, "a fitted oracle").get("kind") == IMAGES


def require_allowed(folder: Path, backbones: Collection[str]) -> None:
    """Raise if an oracle's backbone is code of one's own but none of these specs: no file gets to name code to run."""
    spec = str(read_json(folder / CARD, "a fitted oracle").get("backbone"))
    if spec.startswith(CODE) and spec not in backbones:
        raise SteepslopeError(
            f"{folder / CARD}: its backbone is code of your own: say so by its spec, {spec} (--backbones)"
        )


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise unless the loss is known, and its parameters and the seed are within their limits."""
    from steepslope.losses import LOSSES

    require_known("loss", settings["loss"], LOSSES)
    for name in LIMITS.keys() & settings.keys():
        (low, high), value = LIMITS[name], settings[name]
        if not isinstance(value, int | float) or not low <= value <= high:
            raise SteepslopeError(f"{name}: expected a number from {low:g} to {high:.12g}, found {value!r}")
    require("seed", settings["seed"], SEED)


def target_of(loss: str, outputs: ClassifierOutputs) -> NDArray[np.float32] | NDArray[np.bool_]:
    """Return what the loss compares trust logits with: who is right, or the true class's probability."""
    from steepslope.losses import PROBABILITY_TARGETS

    if loss in PROBABILITY_TARGETS:
        return outputs.true_class_probability.astype(np.float32)
    return outputs.is_correct


def bound_loss(settings: Mapping[str, Any], outputs: ClassifierOutputs | None) -> "Callable[[Tensor, Tensor], Tensor]":
    """Give the loss those of its parameters that the settings hold, and the fit set's class counts, where known."""
    from steepslope.losses import LOSSES

    known = dict(settings)
    if outputs is not None:
        correct = int(outputs.is_correct.sum())
        known["class_counts"] = len(outputs) - correct, correct
    loss = LOSSES[settings["loss"]]
    accepted = inspect.signature(loss).parameters
    return partial(loss, **{name: known[name] for name in accepted if name in known})


def check_errors(outputs: ClassifierOutputs) -> None:
    """Raise unless there are errors beside correct predictions."""
    errors = int(len(outputs) - outputs.is_correct.sum())
    if errors in (0, len(outputs)):
        which = "no prediction is wrong" if errors == 0 else "no prediction is correct"
        raise SteepslopeError(
            f"an oracle learns from errors beside correct predictions, but {which} among the {len(outputs)}: "
            "fit on outputs that the classifier was not fitted to, or on more of them"
        )


def warn_of_few(outputs: ClassifierOutputs) -> None:
    """Warn where the rarer of errors and correct predictions are so few that the oracle depends on luck."""
    correct = int(outputs.is_correct.sum())
    rare, side = min((len(outputs) - correct, "errors"), (correct, "correct predictions"))
    if rare < FEW_ERRORS:
        warnings.warn(
            f"the oracle is fitted on only {rare} {side}; below about {FEW_ERRORS} it depends on luck",
            FewErrorsWarning,
            stacklevel=3,
        )
