"""The oracle: from what is known of a prediction to the logit of trusting it."""

# Annotations are not postponed here: the command line reads them, and resolving them would import torch.
import inspect
import math
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import FewErrorsWarning, SteepslopeError, require_seed, unknown_name
from steepslope.evidence import EVIDENCE, columns
from steepslope.files import field as json_field
from steepslope.files import positive, read_json, staged_folder, write_json
from steepslope.outputs import ClassifierOutputs, blocks

if TYPE_CHECKING:  # torch is slow to import, and `steepslope --help` must not wait for it
    from torch import Tensor

    from steepslope.training.fit import OracleNet

CARD = "oracle.json"
WEIGHTS = "oracle.safetensors"
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


@dataclass(frozen=True)
class FittedOracle:
    """What fitting leaves: the net, and the number of classes that it was fitted for."""

    net: "OracleNet"
    num_classes: int

    @property
    def width(self) -> int:
        """The number of columns that the net takes."""
        return len(self.net.mean)


@dataclass
class Oracle:
    """Learn from a classifier's errors which of its predictions to trust.

    Parameters
    ----------
    loss
        A name in ``steepslope.losses.LOSSES``: cross_entropy, focal, true_class_probability, steep_slope or
        class_balanced.
    alpha_pos, alpha_neg
        Slopes of the steep slope loss for correct and wrong predictions, > 0.
    gamma
        Exponent of the focal loss, >= 0.
    beta
        Of the class-balanced loss, in [0, 1).
    inputs
        What the oracle sees, names in ``steepslope.evidence.EVIDENCE`` (features, logits), as a tuple or with
        commas between them.
    head
        ``hyperplane`` (signed distance, paper Eq. 7) or ``linear``.
    hidden
        Widths of ReLU layers before the head, as a number, a tuple or with commas between them; none makes the
        oracle linear in its inputs.
    epochs
        Passes over the fit set; by default as many as make about 3,000 steps.
    batch_size
        Predictions a step.
    learning_rate
        Highest learning rate of the cycle (AdamW).
    weight_decay
        Of AdamW.
    seed
        Fixes initial weights and order; the same seed gives the same oracle.
    """

    loss: str = "steep_slope"
    alpha_pos: float = 1.0
    alpha_neg: float = 3.0
    gamma: float = 2.0
    beta: float = 0.999
    inputs: tuple[str, ...] | str = ("features",)
    head: str = "hyperplane"
    hidden: tuple[int, ...] | int | str = ()
    epochs: int | None = None
    batch_size: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    seed: int = 0
    fitted_: FittedOracle | None = field(default=None, init=False, repr=False, compare=False)

    scale = "logit"  # of the trust logit: trusted above 0

    def __post_init__(self) -> None:
        self.inputs, self.hidden = self.input_names, self.widths
        _check_settings(self)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The inputs, one by one."""
        names = self.inputs.split(",") if isinstance(self.inputs, str) else self.inputs
        return tuple(name.strip() for name in names)

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths of the ReLU layers, one by one."""
        if isinstance(self.hidden, str):
            try:
                return tuple(int(width) for width in self.hidden.split(","))
            except ValueError:
                raise SteepslopeError(f"hidden: expected whole numbers, found {self.hidden!r}") from None
        return (self.hidden,) if isinstance(self.hidden, int) else tuple(self.hidden)

    def fit(self, outputs: ClassifierOutputs, reference: ClassifierOutputs | None = None) -> Self:
        """Fit on the outputs in which errors are seen, best ones of rows new to the classifier.

        ``reference`` are the classifier's training outputs, for inputs that look up neighbours; no input does
        so far.

        Raises
        ------
        SteepslopeError
            If no prediction is wrong, or none correct, or the outputs lack an input.
        """
        from steepslope.training.fit import OracleNet, Rows, Schedule, fit_net

        _check_errors(outputs)
        names = self.input_names
        width = columns(outputs, names, slice(0, 1)).shape[1]
        rows = Rows(len(outputs), lambda rows: columns(outputs, names, rows), self._target(outputs))
        schedule = Schedule(self.epochs, self.batch_size, self.learning_rate, self.weight_decay, self.seed)
        net = fit_net(lambda: OracleNet(width, self.widths, self.head), rows, self._bound_loss(outputs), schedule)
        self.fitted_ = FittedOracle(net.double(), outputs.num_classes)
        _warn_of_few(outputs)
        return self

    def trust_logit(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return z of each prediction, (n,): to rank by, and trusted where z > 0."""
        import torch

        net = self._checked_net(outputs)
        with torch.inference_mode():
            parts = [
                net(torch.from_numpy(columns(outputs, self.input_names, rows)).double()).numpy()
                for rows in blocks(len(outputs))
            ]
        return np.concatenate(parts)

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return sigmoid(z) of each prediction, (n,), in [0, 1]; far from 0.5 it saturates."""
        z = self.trust_logit(outputs)
        return np.asarray(np.exp(-np.logaddexp(0, -z)))

    def trusts(self, outputs: ClassifierOutputs) -> NDArray[np.bool_]:
        """Return whether each prediction is trusted, (n,): z > 0, that is a confidence above one half."""
        return self.trust_logit(outputs) > 0

    def save(self, folder: str | Path) -> None:
        """Write weights as safetensors and settings as JSON; an earlier oracle there is replaced."""
        from steepslope.weights import save_weights

        fitted = self._fitted()
        shape = {"num_classes": fitted.num_classes, "width": fitted.width}
        with staged_folder(folder, last=CARD) as staging:
            save_weights(fitted.net.state_dict(), staging / WEIGHTS)
            write_json(staging / CARD, {"settings": self.settings(), "fitted": shape})

    @classmethod
    def load(cls, folder: str | Path) -> "Oracle":
        """Read what :meth:`save` wrote; an error names the file and the field."""
        from steepslope.training.fit import OracleNet
        from steepslope.weights import load_weights

        path = Path(folder) / CARD
        card = read_json(path, "a fitted oracle")
        shape = json_field(card, "fitted", dict, path)
        num_classes, width = (positive(shape, name, path) for name in ("num_classes", "width"))
        try:
            oracle = cls(**json_field(card, "settings", dict, path))
        except (ValueError, TypeError, AttributeError) as error:
            raise SteepslopeError(f"{path}: {error}") from error
        net = OracleNet(width, oracle.widths, oracle.head).double()
        load_weights(net, Path(folder) / WEIGHTS)
        oracle.fitted_ = FittedOracle(net.eval(), num_classes)
        return oracle

    def settings(self) -> dict[str, Any]:
        """Return the parameters, as :class:`Oracle` takes them."""
        return {parameter.name: getattr(self, parameter.name) for parameter in fields(self) if parameter.init}

    def _target(self, outputs: ClassifierOutputs) -> NDArray[np.float32] | NDArray[np.bool_]:
        from steepslope.losses import PROBABILITY_TARGETS

        if self.loss in PROBABILITY_TARGETS:
            return outputs.true_class_probability.astype(np.float32)
        return outputs.is_correct

    def _bound_loss(self, outputs: ClassifierOutputs) -> "Callable[[Tensor, Tensor], Tensor]":
        """Give the loss those of its parameters that the settings hold, and the fit set's class counts."""
        from functools import partial

        from steepslope.losses import LOSSES

        correct = int(outputs.is_correct.sum())
        known = {**self.settings(), "class_counts": (len(outputs) - correct, correct)}
        accepted = inspect.signature(LOSSES[self.loss]).parameters
        return partial(LOSSES[self.loss], **{name: known[name] for name in accepted if name in known})

    def _fitted(self) -> FittedOracle:
        if self.fitted_ is None:
            raise SteepslopeError("this oracle is not fitted: call fit(outputs) or Oracle.load(folder) first")
        return self.fitted_

    def _checked_net(self, outputs: ClassifierOutputs) -> "OracleNet":
        fitted = self._fitted()
        if outputs.num_classes != fitted.num_classes:
            raise SteepslopeError(
                f"logits: the oracle was fitted for {fitted.num_classes} classes, found {outputs.num_classes}"
            )
        width = columns(outputs, self.input_names, slice(0, 1)).shape[1]
        if width != fitted.width:
            names = ", ".join(self.input_names)
            raise SteepslopeError(f"{names}: expected the fit set's {fitted.width} columns, found {width}")
        return fitted.net


def _check_settings(oracle: Oracle) -> None:
    from steepslope.heads import HEADS
    from steepslope.losses import LOSSES

    _require_known("loss", oracle.loss, LOSSES)
    _require_known("head", oracle.head, HEADS)
    for name in oracle.input_names:
        _require_known("input", name, EVIDENCE)
    for name, (low, high) in LIMITS.items():
        value = getattr(oracle, name)
        if not isinstance(value, int | float) or not low <= value <= high:
            raise SteepslopeError(f"{name}: expected a number from {low:g} to {high:g}, found {value!r}")
    counts = {"epochs": 1 if oracle.epochs is None else oracle.epochs, "batch_size": oracle.batch_size}
    for name, count in [*counts.items(), *(("hidden", width) for width in oracle.widths)]:
        if not isinstance(count, int) or count < 1:
            raise SteepslopeError(f"{name}: expected a whole number >= 1, found {count!r}")
    require_seed(oracle.seed)
    if not oracle.input_names:
        raise SteepslopeError("inputs: expected at least one, found none")


def _require_known(kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise unknown_name(kind, str(name), known)


def _check_errors(outputs: ClassifierOutputs) -> None:
    errors = int(len(outputs) - outputs.is_correct.sum())
    if errors in (0, len(outputs)):
        which = "no prediction is wrong" if errors == 0 else "no prediction is correct"
        raise SteepslopeError(
            f"an oracle learns from errors beside correct predictions, but {which} among the {len(outputs)}: "
            "fit on outputs that the classifier was not fitted to, or on more of them"
        )


def _warn_of_few(outputs: ClassifierOutputs) -> None:
    correct = int(outputs.is_correct.sum())
    rare, side = min((len(outputs) - correct, "errors"), (correct, "correct predictions"))
    if rare < FEW_ERRORS:
        warnings.warn(
            f"the oracle is fitted on only {rare} {side}; below about {FEW_ERRORS} it depends on luck",
            FewErrorsWarning,
            stacklevel=3,
        )
