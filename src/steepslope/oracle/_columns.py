"""The oracle on columns: a small net from the evidence about a prediction to its trust logit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained, located, require_known
from steepslope.files import field as json_field, folder_or_hub_snapshot, load_arrays, positive
from steepslope.heads import HEADS
from steepslope.numerics import Floats, blocks, float64
from steepslope.oracle._base import BaseOracle, ConfigurableOracle, FitRecord, require_errors, warn_of_fit_set
from steepslope.oracle._column_net import ColumnNet, FitRows
from steepslope.oracle._fused import FusedOracle
from steepslope.oracle._settings import Errors, OracleSettings
from steepslope.oracle._storage import CARD, COLUMNS, FUSED, IMAGES, ORACLE, STATES, WEIGHTS, kind_of_oracle_card
from steepslope.oracle.evidence import (
    BLOCK_ROWS,
    State,
    arrays_of_evidence,
    columns_by_input,
    columns_of_fit_set,
    evidence_columns,
    is_stack,
    kind_of_evidence,
    learning_of_inputs,
    load_states,
)
from steepslope.outputs import ClassifierOutputs, require_same_class_names

_TRAINERS = "steepslope.trainers"  # the group of entry points


@dataclass(frozen=True)
class _FittedOracle:
    """A fit: the net, the number of classes it was fitted for, and the states of the evidence."""

    net: ColumnNet
    num_classes: int
    states: dict[str, State] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """The number of columns that the net takes."""
        return len(self.net.arrays["mean"])


class Oracle(ConfigurableOracle):
    """Learn from a classifier's errors which of its predictions to trust.

    Parameters
    ----------
    loss
        A name in ``steepslope.losses.LOSSES``: cross_entropy, focal, true_class_probability, steep_slope or
        class_balanced. ``alpha_pos`` to ``beta`` are parameters of losses; those of other losses are left out.
    alpha_pos, alpha_neg
        Slopes of the steep slope loss for correct and for wrong predictions, > 0.
    gamma
        Exponent of the focal loss, >= 0.
    beta
        How much the class-balanced loss weights the rarer class, in [0, 1).
    inputs
        The evidence that the oracle sees, as a name, several, or text with commas: features, logits, neighbors,
        feature_opinion, views, dropout, auxiliary_neighbors, second_opinion, joint_opinion, familiar_opinion, or a
        score such as trust_score.
    head
        The last step: hyperplane (signed distance, paper Eq. 7) or linear.
    hidden
        Widths of ReLU layers before the head, as one, several, or text with commas; none makes the oracle linear.
    epochs
        Passes over the fit set; by default as many as make about 3,000 steps.
    learning_rate
        Highest learning rate of the cycle (AdamW).
    errors
        Where references come from. ``holdout``: the classifier's training outputs, and the fit set is new to the
        classifier. ``crossfit``: the fit set itself, each fifth of it seen from the others. ``train``: the same, but
        the fit set has the training outputs, as in the paper.
    seed
        Seed of all random draws, such as folds and initial weights; the same seed gives the same oracle.
    loss_parameters
        Parameters of losses that were added to ``LOSSES``.

    Raises
    ------
    SteepslopeError
        If a loss, head, input or setting is unknown or out of range.

    Examples
    --------
    >>> oracle = Oracle(alpha_neg=5, inputs="features,logits", hidden=64)
    >>> oracle
    Oracle(alpha_neg=5, inputs='features,logits', hidden=64)
    >>> oracle.loss_settings.parameters, oracle.settings.inputs, oracle.settings.hidden
    ({'alpha_pos': 1.0, 'alpha_neg': 5}, ('features', 'logits'), (64,))
    >>> draw = np.random.default_rng(0)
    >>> labels = draw.integers(3, size=600)
    >>> outputs = ClassifierOutputs(draw.normal(size=(600, 3)) + 2 * np.eye(3)[labels], labels)
    >>> trusted = Oracle(inputs="logits", epochs=20).fit(outputs).trusts(outputs)
    >>> bool(outputs.is_correct[trusted].mean() > outputs.is_correct.mean())
    True
    """

    options = OracleSettings
    settings: OracleSettings
    fitted_: _FittedOracle | None
    fused = FusedOracle  # the best default: an oracle on all evidence that the outputs hold

    def __init__(
        self,
        loss: str = "steep_slope",
        *,
        alpha_pos: float = 1.0,
        alpha_neg: float = 3.0,
        gamma: float = 2.0,
        beta: float = 0.999,
        inputs: str | Sequence[str] = ("features",),
        head: str = "hyperplane",
        hidden: int | str | Sequence[int] = (),
        epochs: int | None = None,
        learning_rate: float = 3e-3,
        errors: Errors = "holdout",
        seed: int = 0,
        **loss_parameters: float,
    ) -> None:
        self._configure(
            loss=loss,
            alpha_pos=alpha_pos,
            alpha_neg=alpha_neg,
            gamma=gamma,
            beta=beta,
            inputs=inputs,
            head=head,
            hidden=hidden,
            epochs=epochs,
            learning_rate=learning_rate,
            errors=errors,
            seed=seed,
            **loss_parameters,
        )

    def _configure(self, **settings: Any) -> None:
        super()._configure(**settings)
        require_known("head", self.settings.head, HEADS)
        for name in self.settings.inputs:
            kind_of_evidence(name)
            if is_stack(name):
                problem = "expected inputs with columns, found one that only has opinions on the classes"
                raise SteepslopeError(problem, name)

    @property
    def explains(self) -> bool:
        """Whether the oracle is linear in its inputs."""
        return not self.settings.hidden

    @property
    def arrays(self) -> tuple[str, ...]:
        """The arrays that outputs must hold: those of its inputs."""
        return tuple(dict.fromkeys(["logits", *arrays_of_evidence(self.settings.inputs)]))

    def fit(self, outputs: ClassifierOutputs, reference: ClassifierOutputs | None = None) -> Self:
        """Fit on outputs with labels (n rows), preferably unseen by the classifier, whose errors the oracle learns.

        ``reference`` has the classifier's training outputs, for inputs that look up neighbours or learn from labels.

        Raises
        ------
        SteepslopeError
            If no prediction is wrong, or none is correct, or the outputs lack an input.
        """
        require_errors(outputs)
        if reference is not None:
            require_same_class_names("reference", outputs.classes, reference.classes)
        read, states = self._reader(outputs, reference)
        halves = None
        if self.settings.inputs == ("features",) and outputs.require_features().dtype == np.float16:
            halves = outputs.require_features()
        rows = FitRows(len(outputs), read, self.loss_settings.target(outputs), halves)
        weights = _trainer()(rows, self.loss_settings.bind(outputs), self.settings)
        net = ColumnNet(weights, self.settings.head, len(self.settings.hidden))
        self.fitted_ = _FittedOracle(net, outputs.num_classes, states)
        record = FitRecord.from_outputs(outputs, self.trust_logit(outputs), reference)
        warn_of_fit_set(outputs, record)
        if self.settings.errors == "train":  # there are fewer errors than on new rows
            record = record.without_counts()
        self.record_ = record
        return self

    def _reader(
        self, outputs: ClassifierOutputs, reference: ClassifierOutputs | None
    ) -> tuple[Callable[[slice], NDArray[np.floating[Any]]], dict[str, State]]:
        """Return a function that reads a slice of the columns from the outputs, or from memory if they are costly."""
        names = self.settings.inputs
        if not learning_of_inputs(names):
            return lambda rows: evidence_columns(outputs, names, rows), {}
        parts, states = columns_of_fit_set(outputs, names, reference, self.settings.errors, self.settings.seed)
        everything = np.concatenate(parts, axis=1)
        return lambda rows: everything[rows], states

    def trust_logit(self, outputs: ClassifierOutputs) -> Floats:
        """Return the trust logit z of each prediction, float64 (n,): higher is surer, and z > 0 is trusted."""
        fitted = self._checked(outputs)
        logits = []
        for rows in blocks(len(outputs), BLOCK_ROWS):
            columns = evidence_columns(outputs, self.settings.inputs, rows, fitted.states)
            logits.append(fitted.net(float64(columns)))
        return np.concatenate(logits)

    def explain(self, outputs: ClassifierOutputs) -> dict[str, Floats]:
        """Return what each input, and the bias, add to the trust logit: name -> float64 (n,); for a linear oracle."""
        if not self.explains:
            raise SteepslopeError("expected a linear oracle, without hidden layers", "explain")
        fitted = self._checked(outputs)
        weights, bias = _weights_of_columns(fitted.net)
        mean = fitted.net.arrays["mean"]
        sums = []
        for rows in blocks(len(outputs), BLOCK_ROWS):
            parts = columns_by_input(outputs, self.settings.inputs, rows, fitted.states)
            starts = np.cumsum([0] + [part.shape[1] for part in parts[:-1]])
            weighted = (np.concatenate(parts, axis=1) - mean) * weights
            sums.append(np.add.reduceat(weighted, starts, axis=1))
        named = dict(zip(self.settings.inputs, np.concatenate(sums).T, strict=True))
        return {**named, "bias": np.full(len(outputs), bias)}

    def save(self, folder: str | Path) -> None:
        """Write weights as safetensors and settings as JSON; an earlier oracle in the folder is replaced."""
        fitted: _FittedOracle = self._fitted()
        shape = {"num_classes": fitted.num_classes, "width": fitted.width}
        card = {"kind": COLUMNS, "settings": self.settings.as_json(), "fitted": shape}
        self._write(folder, card, fitted.net.arrays, fitted.states or None)

    @staticmethod
    def load(folder: str | Path) -> BaseOracle:
        """Read an oracle on outputs, of any kind; an error names the file and the field.

        ``folder`` is one that :meth:`save` or ``steepslope push`` wrote, or a repository on the Hugging Face Hub,
        ``hub:user/name`` or ``hub:user/name@revision``.
        """
        local = folder_or_hub_snapshot(folder)

        def loaded(card: dict[str, Any]) -> BaseOracle:
            kind = kind_of_oracle_card(card, local)
            require_known(f"kind of oracle in {local / CARD}:", kind, [*LOADERS, IMAGES])
            if kind == IMAGES:
                remedy = "load it with steepslope.nets.ImageOracle, or a gate of it with steepslope.nets.ImageGate"
                raise SteepslopeError(f"expected an oracle on outputs, found one on images: {remedy}", local / CARD)
            return LOADERS[kind].from_card(local, card)

        return ORACLE.read(local, loaded)

    @classmethod
    def from_card(cls, folder: Path, card: dict[str, Any]) -> Self:
        """Return the oracle that :meth:`save` wrote, from its card and the files next to it."""
        path = folder / CARD
        shape = json_field(card, "fitted", dict, path)
        num_classes = positive(shape, "num_classes", path)
        width = positive(shape, "width", path)
        settings = json_field(card, "settings", dict, path)
        wrong = (ValueError, TypeError, AttributeError, RuntimeError)  # such as a width that no memory holds
        with explained("expected the settings of an oracle", path, wrong):
            oracle = cls(**settings)
        inputs = oracle.settings.inputs
        with located(folder / WEIGHTS):
            weights = load_arrays(folder / WEIGHTS)
            net = ColumnNet.from_arrays(weights, width, oracle.settings.hidden, oracle.settings.head)
        states = load_states(folder / STATES, inputs, num_classes) if learning_of_inputs(inputs) else {}
        oracle.fitted_ = _FittedOracle(net, num_classes, states)
        oracle.record_ = FitRecord.read(folder, card, path)
        return oracle

    def _checked(self, outputs: ClassifierOutputs) -> _FittedOracle:
        fitted: _FittedOracle = self._fitted()
        self._require_fitted_for(outputs, fitted.num_classes)
        width = evidence_columns(outputs, self.settings.inputs, slice(0, 1), fitted.states).shape[1]
        if width != fitted.width:
            names = ", ".join(self.settings.inputs)
            raise SteepslopeError(f"expected the fit set's {fitted.width} columns, found {width}", names)
        return fitted


def _weights_of_columns(net: ColumnNet) -> tuple[Floats, float]:
    """Return the weights (w,) on centred columns, and the bias, of a net without hidden layers, from its own values."""
    width = len(net.arrays["mean"])
    bias = net.of_standardised(np.zeros((1, width)))[0]
    return (net.of_standardised(np.eye(width)) - bias) / net.arrays["scale"], float(bias)


def _trainer() -> Callable[..., dict[str, Floats]]:
    """Return the function that trains a :class:`ColumnNet`: the entry point ``columns``, which needs PyTorch.

    Raises
    ------
    SteepslopeError
        If PyTorch is not installed.
    """
    (entry,) = entry_points(group=_TRAINERS, name="columns")
    try:
        return entry.load()  # type: ignore[no-any-return]
    except ImportError as error:
        remedy = "pip install 'steepslope[nets]', or fit FusedOracle, which needs none"
        raise SteepslopeError(f"the paper's oracle is trained with PyTorch: {remedy}") from error


LOADERS: dict[str, type[Oracle] | type[FusedOracle]] = {COLUMNS: Oracle, FUSED: FusedOracle}  # by kind
