"""The oracle: from what is known of a prediction to the logit of trusting it."""

# Annotations are not postponed here: the command line reads them, and resolving them would import torch.
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, require_known
from steepslope.evidence import EVIDENCE, columns, parts_of
from steepslope.evidence.fitting import BLOCK_ROWS, ERRORS, Errors, evidence_of
from steepslope.evidence.states import State
from steepslope.evidence.storage import flattened, load_states, save_arrays
from steepslope.oracle.base import (
    CARD,
    IMAGES,
    STATES,
    WEIGHTS,
    TrustLogits,
    bound_loss,
    check_errors,
    check_settings,
    target_of,
    warn_of_few,
)
from steepslope.outputs import ClassifierOutputs, require_classes
from steepslope.utilities.blocks import BLOCK_ROWS as DEFAULT_ROWS
from steepslope.utilities.blocks import blocks
from steepslope.utilities.files import field as json_field
from steepslope.utilities.files import positive, read_json, staged_folder, write_json

if TYPE_CHECKING:  # torch is slow to import, and `steepslope --help` must not wait for it
    from steepslope.oracle.fused import FusedOracle
    from steepslope.oracle.net import OracleNet


@dataclass(frozen=True)
class FittedOracle:
    """What fitting leaves: the net, the number of classes it was fitted for, and what the evidence learnt."""

    net: "OracleNet"
    num_classes: int
    states: dict[str, State] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """The number of columns that the net takes."""
        return len(self.net.mean)


@dataclass
class Oracle(TrustLogits):
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
        What the oracle sees, names in ``steepslope.evidence.EVIDENCE`` (features, logits, neighbors, views, dropout,
        auxiliary_neighbors, second_opinion, joint_opinion, or a score), as a tuple or with commas between them.
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
    errors
        Where inputs that learn from a reference have it from: ``holdout``, the classifier's training outputs;
        ``crossfit``, the fit set itself, each fifth of it seen from the rest; ``train``, the same, where the fit set
        are the training outputs, as in the paper.
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
    errors: Errors = "holdout"
    seed: int = 0
    fitted_: FittedOracle | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.inputs, self.hidden = self.input_names, self.widths
        _check(self)

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

    @staticmethod
    def fused(loss: str = "steep_slope", seed: int = 0, **settings: Any) -> "FusedOracle":
        """Return the best default, :class:`steepslope.oracle.fused.FusedOracle`: all evidence that the outputs hold."""
        from steepslope.oracle.fused import FusedOracle

        return FusedOracle(loss=loss, seed=seed, **settings)

    def fit(self, outputs: ClassifierOutputs, reference: ClassifierOutputs | None = None) -> Self:
        """Fit on the outputs in which errors are seen, best ones of rows new to the classifier.

        ``reference`` are the classifier's training outputs, for inputs that look up neighbours or learn from labels.

        Raises
        ------
        SteepslopeError
            If no prediction is wrong, or none correct, or the outputs lack an input.
        """
        from steepslope.oracle.net import OracleNet, Rows, Schedule, fit_net

        check_errors(outputs)
        read, states = self._reader(outputs, reference)
        width = read(slice(0, 1)).shape[1]
        rows = Rows(len(outputs), read, target_of(self.loss, outputs))
        schedule = Schedule(self.epochs, self.batch_size, self.learning_rate, self.weight_decay, self.seed)
        loss = bound_loss(self.settings(), outputs)
        net = fit_net(lambda: OracleNet(width, self.widths, self.head), rows, loss, schedule)
        self.fitted_ = FittedOracle(net.double(), outputs.num_classes, states)
        warn_of_few(outputs)
        return self

    def _reader(
        self, outputs: ClassifierOutputs, reference: ClassifierOutputs | None
    ) -> tuple[Callable[[slice], NDArray[np.float32]], dict[str, State]]:
        """Return what reads a slice of the columns: from the outputs, or from memory where they are costly to make."""
        names = self.input_names
        if all(EVIDENCE[name].learning is None for name in names):
            return lambda rows: columns(outputs, names, rows), {}
        parts, states = evidence_of(outputs, names, reference, self.errors, self.seed)
        whole = np.concatenate(parts, axis=1)
        return lambda rows: whole[rows], states

    def trust_logit(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return z of each prediction, (n,): to rank by, and trusted where z > 0."""
        import torch

        fitted = self._checked(outputs)
        parts = []
        with torch.inference_mode():
            for rows in blocks(len(outputs), BLOCK_ROWS if fitted.states else DEFAULT_ROWS):
                part = columns(outputs, self.input_names, rows, fitted.states)
                parts.append(fitted.net(torch.from_numpy(part).double()).numpy())
        return np.concatenate(parts)

    def explain(self, outputs: ClassifierOutputs) -> dict[str, NDArray[np.float64]]:
        """Return what each input, and the bias, add to the trust logit: name -> (n,); only for a linear oracle."""
        if self.widths:
            raise SteepslopeError("explain: expected a linear oracle, without hidden layers")
        fitted = self._checked(outputs)
        weights, bias = _direction(fitted.net)
        mean = fitted.net.mean.numpy()
        sums = []
        for rows in blocks(len(outputs), BLOCK_ROWS):
            parts = parts_of(outputs, self.input_names, rows, fitted.states)
            edges = np.cumsum([0, *(part.shape[1] for part in parts[:-1])])
            sums.append(np.add.reduceat((np.concatenate(parts, axis=1) - mean) * weights, edges, axis=1))
        shares = np.concatenate(sums)
        named = {name: shares[:, index] for index, name in enumerate(self.input_names)}
        return {**named, "bias": np.full(len(outputs), bias)}

    def save(self, folder: str | Path) -> None:
        """Write weights as safetensors and settings as JSON; an earlier oracle there is replaced."""
        from steepslope.utilities.weights import save_weights

        fitted = self._fitted()
        shape = {"num_classes": fitted.num_classes, "width": fitted.width}
        with staged_folder(folder, last=CARD) as staging:
            save_weights(fitted.net.state_dict(), staging / WEIGHTS)
            if fitted.states:
                save_arrays(flattened(fitted.states), staging / STATES)
            write_json(staging / CARD, {"settings": self.settings(), "fitted": shape})

    @classmethod
    def load(cls, folder: str | Path) -> "Oracle | FusedOracle":
        """Read what :meth:`save` of this or of a fused oracle wrote; an error names the file and the field."""
        from steepslope.oracle.fused import KIND, FusedOracle
        from steepslope.oracle.net import OracleNet
        from steepslope.utilities.weights import load_weights

        path = Path(folder) / CARD
        card = read_json(path, "a fitted oracle")
        if card.get("kind") == KIND:
            return FusedOracle.load(folder)
        if card.get("kind") == IMAGES:
            raise SteepslopeError(f"{path}: an oracle on images: load it with steepslope.oracle.on_images.ImageOracle")
        shape = json_field(card, "fitted", dict, path)
        num_classes, width = (positive(shape, name, path) for name in ("num_classes", "width"))
        try:
            oracle = cls(**json_field(card, "settings", dict, path))
        except (ValueError, TypeError, AttributeError) as error:
            raise SteepslopeError(f"{path}: {error}") from error
        try:
            net = OracleNet(width, oracle.widths, oracle.head).double()
        except RuntimeError as error:  # of a width for which there is no memory
            raise SteepslopeError(f"{path}: width: expected that of an oracle, found {width}") from error
        load_weights(net, Path(folder) / WEIGHTS)
        learning = any(EVIDENCE[name].learning is not None for name in oracle.input_names)
        states = load_states(Path(folder) / STATES, oracle.input_names, num_classes) if learning else {}
        oracle.fitted_ = FittedOracle(net.eval(), num_classes, states)
        return oracle

    def settings(self) -> dict[str, Any]:
        """Return the parameters, as :class:`Oracle` takes them."""
        return {parameter.name: getattr(self, parameter.name) for parameter in fields(self) if parameter.init}

    def _fitted(self) -> FittedOracle:
        if self.fitted_ is None:
            raise SteepslopeError("this oracle is not fitted: call fit(outputs) or Oracle.load(folder) first")
        return self.fitted_

    def _checked(self, outputs: ClassifierOutputs) -> FittedOracle:
        fitted = self._fitted()
        require_classes("the oracle", outputs, fitted.num_classes)
        width = columns(outputs, self.input_names, slice(0, 1), fitted.states).shape[1]
        if width != fitted.width:
            names = ", ".join(self.input_names)
            raise SteepslopeError(f"{names}: expected the fit set's {fitted.width} columns, found {width}")
        return fitted


def _direction(net: "OracleNet") -> tuple[NDArray[np.float64], float]:
    """Return weights (w,) on centred columns and bias of a net without hidden layers, read off its own values."""
    import torch

    with torch.inference_mode():
        bias = net.trust_logit(torch.zeros(1, len(net.mean), dtype=torch.float64))[0]
        weights = (net.trust_logit(torch.eye(len(net.mean), dtype=torch.float64)) - bias) / net.scale
    return weights.numpy(), float(bias)


def _check(oracle: Oracle) -> None:
    from steepslope.heads import HEADS

    require_known("head", oracle.head, HEADS)
    require_known("errors", oracle.errors, ERRORS)
    for name in oracle.input_names:
        require_known("input", name, EVIDENCE)
    check_settings(oracle.settings())
    counts = {"epochs": 1 if oracle.epochs is None else oracle.epochs, "batch_size": oracle.batch_size}
    for name, count in [*counts.items(), *(("hidden", width) for width in oracle.widths)]:
        if not isinstance(count, int) or count < 1:
            raise SteepslopeError(f"{name}: expected a whole number >= 1, found {count!r}")
    names = oracle.input_names
    if not names or len(set(names)) < len(names):
        raise SteepslopeError(f"inputs: expected at least one, each once, found {', '.join(names) or 'none'}")
