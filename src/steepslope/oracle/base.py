"""What all oracles have: a trust logit and what follows from it, a loss, settings, and a record of their fit set."""

from __future__ import annotations

import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field as member, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import CautionWarning, FewErrorsWarning, SteepslopeError, located, require_known
from steepslope.files.artifact import MADE
from steepslope.files.folders import field
from steepslope.files.weights import load_arrays, save_arrays
from steepslope.losses import LOSSES, LossSettings, loss_parameters
from steepslope.oracle.baselines import truths_among
from steepslope.oracle.evidence.fitting import flattened_states
from steepslope.oracle.evidence.states import State
from steepslope.oracle.settings import LossOptions
from steepslope.oracle.storage import FIT_ROWS, ORACLE, RECORD, STATES, WEIGHTS
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.arrays import CLASSES, OF_COPIES, require_same_class_names
from steepslope.outputs.classifier_outputs import require_classes
from steepslope.outputs.labels import UNKNOWN
from steepslope.outputs.row_hashes import RowHashes

FEW_ERRORS = 50
PERCENTILES = "trust_logit_percentiles"


@dataclass(frozen=True, eq=False)
class FitRecord:
    """The rows of a fit set, the digest of their classifier, None where it is not known, and what made the oracle.

    ``rows`` is what is kept of the rows, by which evaluated rows are recognised. ``classes`` are the names of the
    classes by label, None where they have none. ``made`` is empty where it was made in Python; see
    :mod:`steepslope.files.artifact`. ``percentiles`` are the 0th to the 100th of the trust logits of the fit set, each
    as seen from the other folds where the oracle is cross-validated: thresholds for gates, fixed before any calibration
    rows are seen. None where they are not known. ``shapes`` are those of a row of each array. ``errors`` are how many
    rows of the fit set are wrong, and how many there are.
    """

    rows: RowHashes
    classifier: str | None = None
    made: Mapping[str, Any] = member(default_factory=dict)
    classes: tuple[str, ...] | None = None
    percentiles: tuple[float, ...] | None = None
    shapes: Mapping[str, Sequence[int]] = member(default_factory=dict)
    errors: tuple[int, int] | None = None

    @classmethod
    def from_outputs(
        cls, outputs: ClassifierOutputs, trust_logit: NDArray[np.float64], reference: ClassifierOutputs | None = None
    ) -> FitRecord:
        """Return the record of the outputs that an oracle is fitted on, with their trust logits (n,).

        Rows of the ``reference`` are known again, too: the classifier and the neighbours have seen their labels.
        """
        percentiles = tuple(float(f"{value:.8g}") for value in np.percentile(trust_logit, np.arange(101)))
        shapes = {name: array.shape[1:] for name, array in outputs.arrays.items() if not name.startswith(OF_COPIES)}
        rows, classes = RowHashes.of(outputs), outputs.classes
        others = RowHashes.unknown() if reference is None else RowHashes.of(reference)
        if (rows.ids is None) == (others.ids is None):  # else the ids of those that have some would be lost
            rows = rows.joined(others)
        errors = int((~outputs.is_correct).sum()), len(outputs)
        return cls(rows, outputs.classifier, {}, classes, percentiles, shapes, errors)

    def shared_with(self, outputs: ClassifierOutputs) -> int:
        """Return how many of these outputs are rows of the fit set."""
        return int(self.seen(outputs).sum())

    def seen(self, outputs: ClassifierOutputs) -> NDArray[np.bool_]:
        """Return which of these outputs are rows of the fit set, (n,); see :mod:`steepslope.outputs.row_hashes`."""
        return self.rows.known(RowHashes.of(outputs))

    def require_classifier(self, outputs: ClassifierOutputs) -> None:
        """Raise if the outputs are known to be another classifier's, or of classes of other names or order."""
        require_same_class_names("the oracle", self.classes, outputs.classes)
        if self.classifier is not None and outputs.classifier not in (None, self.classifier):
            raise SteepslopeError(
                f"expected outputs of the classifier that it was fitted for (digest {self.classifier[:12]}), found "
                f"those of another ({str(outputs.classifier)[:12]}): fit an oracle on that one's outputs",
                "the oracle",
            )

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the hashes, and return what the card holds of the record."""
        save_arrays(self.rows.arrays, folder / FIT_ROWS)
        card: dict[str, Any] = {
            "rows": len(self.rows), "classifier": self.classifier,
            "shapes": {name: list(shape) for name, shape in self.shapes.items()}, "errors": self.errors,
        }  # fmt: skip
        if self.classes is not None:
            card[CLASSES] = list(self.classes)
        if self.percentiles is not None:
            card[PERCENTILES] = list(self.percentiles)
        return {RECORD: card}

    @classmethod
    def read(cls, folder: Path, card: Mapping[str, Any], path: Path) -> FitRecord | None:
        """Read what :meth:`write` wrote; None of an oracle that remembers no rows."""
        if RECORD not in card:
            return None
        record = field(card, RECORD, dict, path)
        classifier = field(record, "classifier", (str, type(None)), path)
        with located(folder / FIT_ROWS):
            rows = RowHashes.from_arrays(load_arrays(folder / FIT_ROWS))
        classes = tuple(map(str, field(record, CLASSES, list, path))) if CLASSES in record else None
        percentiles = None
        if PERCENTILES in record:
            values = np.asarray(record[PERCENTILES])
            numbers = values.dtype.kind in "fi" and values.shape == (101,) and np.isfinite(values).all()
            if not numbers or (np.diff(values) < 0).any():
                raise SteepslopeError(f"expected 101 rising numbers in {PERCENTILES}, found others", path)
            percentiles = tuple(values.tolist())
        shapes, errors = field(record, "shapes", dict, path), field(record, "errors", (list, type(None)), path)
        counts = None if errors is None else tuple(map(int, errors))
        return cls(rows, classifier, card.get(MADE) or {}, classes, percentiles, shapes, counts)  # type: ignore[arg-type]


class BaseOracle(ABC):
    """An oracle: its trust logit z ranks predictions, and those with z > 0 are trusted.

    ``loss_settings`` are the loss that it was fitted with, and its parameters; ``loss`` is its name. ``explains`` is
    whether :meth:`explain` can split its trust logits. ``record_`` is what is remembered of the fit set, None of an
    oracle whose rows are not known.
    """

    loss_settings: LossSettings
    scale: ClassVar[str] = "logit"
    record_: FitRecord | None = None

    @property
    def loss(self) -> str:
        """The name of the loss that it was fitted with."""
        return self.loss_settings.name

    @property
    def cut(self) -> float:
        """The probability of being correct that z = 0 stands for, by the loss, in (0, 1)."""
        return self.loss_settings.cut

    @property
    @abstractmethod
    def explains(self) -> bool:
        """Whether :meth:`explain` can split its trust logits."""

    @abstractmethod
    def trust_logit(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return z of each prediction, (n,): to rank by, and trusted where z > 0."""

    @abstractmethod
    def explain(self, outputs: ClassifierOutputs) -> dict[str, NDArray[np.float64]]:
        """Return what each kind of evidence adds to the trust logit: name -> (n,)."""

    @property
    @abstractmethod
    def arrays(self) -> tuple[str, ...]:
        """The arrays that outputs must hold, such as logits and features."""

    @property
    def usual_handover(self) -> float | None:
        """The mean of :meth:`handed_over` on the fit set, in [0, 1]; None where that is never."""
        return None

    def handed_over(self, outputs: ClassifierOutputs) -> NDArray[np.float64] | None:
        """Return how far each row is handed over to evidence that needs less, (n,) in [0, 1]; None if never."""
        return None

    @abstractmethod
    def save(self, folder: str | Path) -> None:
        """Write weights as safetensors and a card as JSON; an earlier oracle there is replaced."""

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return sigmoid(z) of each prediction, (n,), in [0, 1]; far from 0.5 it saturates."""
        z = self.trust_logit(outputs)
        return np.asarray(np.exp(-np.logaddexp(0, -z)))

    def trusts(self, outputs: ClassifierOutputs) -> NDArray[np.bool_]:
        """Return whether each prediction is trusted, (n,): z > 0, that is a confidence above one half."""
        return np.asarray((self.trust_logit(outputs) > 0) & (outputs.predictions != UNKNOWN))

    def rows_fitted_on(self, outputs: ClassifierOutputs) -> int:
        """Return how many of these outputs are rows that the oracle was fitted on, as far as that is known."""
        return 0 if self.record_ is None else self.record_.shared_with(outputs)

    def _require_fitted_for(self, outputs: ClassifierOutputs, num_classes: int) -> None:
        """Raise if the outputs have another number of classes, or are another classifier's."""
        require_classes("the oracle", outputs, num_classes)
        if self.record_ is not None:
            self.record_.require_classifier(outputs)

    def _write(
        self,
        folder: str | Path,
        card: Mapping[str, Any],
        weights: Mapping[str, NDArray[Any]],
        states: Mapping[str, State] | None = None,
    ) -> None:
        """Write weights, what the evidence learnt, the record of the fit set and, last, the card."""
        with ORACLE.staged(folder) as staging:
            save_arrays(weights, staging / WEIGHTS)
            if states is not None:
                save_arrays(flattened_states(states), staging / STATES)
            record = {} if self.record_ is None else self.record_.write(staging)
            ORACLE.seal(staging, {**card, **record}, None if self.record_ is None else self.record_.made)


class ConfigurableOracle(BaseOracle):
    """An oracle with settings, which scikit-learn can clone and change as those of its own estimators.

    A subclass names all settings, and all parameters of the losses, in the signature of its ``__init__``, and gives
    them to :meth:`_configure`. ``options`` is the class that checks the settings.
    """

    options: ClassVar[type[LossOptions]]

    def _configure(self, given: Mapping[str, Any]) -> None:
        """Keep settings as they were given, and check them; what was fitted with others is forgotten.

        ``given`` are the arguments of ``__init__``, with parameters of further losses under ``loss_parameters``.
        """
        flat = {name: value for name, value in given.items() if name not in ("self", "loss_parameters")}
        self._given = {**flat, **given.get("loss_parameters", {})}
        settings = self.options.from_flat(**self._given)
        self.loss_settings = loss_of_settings(settings)
        self.settings: Any = replace(settings, parameters=self.loss_settings.parameters)
        self.fitted_: Any = None
        self.record_ = None

    def _fitted(self) -> Any:
        """Return what fitting left; raise where there is nothing."""
        if self.fitted_ is None:
            raise SteepslopeError("this oracle is not fitted: call fit(outputs) or Oracle.load(folder) first")
        return self.fitted_

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return all settings by name, as they were given."""
        return dict(self._given)

    def set_params(self, **params: Any) -> Self:
        """Change some settings; then the oracle has to be fitted again."""
        self._configure({**self._given, **params})
        return self

    def __repr__(self) -> str:
        defaults = {name: one.default for name, one in inspect.signature(type(self)).parameters.items()}
        changed = {name: value for name, value in self._given.items() if value != defaults.get(name)}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})"


def loss_of_settings(settings: LossOptions) -> LossSettings:
    """Return the loss of some settings; a parameter that no loss has is answered with the closest setting."""
    names = {one.name for one in fields(settings)} - {"parameters"}
    names |= {name for loss in LOSSES for name in loss_parameters(loss)}
    for name in settings.parameters:
        require_known("setting", name, names)
    return LossSettings(settings.loss, settings.parameters)


def require_errors(outputs: ClassifierOutputs) -> None:
    """Raise unless there are errors, and correct predictions."""
    errors = int(len(outputs) - outputs.is_correct.sum())
    if errors in (0, len(outputs)):
        which = "no prediction is wrong" if errors == 0 else "no prediction is correct"
        raise SteepslopeError(
            f"an oracle learns from errors and from correct predictions, but {which} among the {len(outputs)}: "
            "fit on outputs that the classifier was not fitted to, or on more of them"
        )


def warn_of_fit_set(outputs: ClassifierOutputs) -> None:
    """Warn if opinions seem to be the truth, or if errors or correct predictions are so few that luck decides."""
    for caution in truths_among(outputs, outputs.arrays):
        warnings.warn(caution, CautionWarning, stacklevel=3)
    correct = int(outputs.is_correct.sum())
    rare, side = min((len(outputs) - correct, "errors"), (correct, "correct predictions"))
    if rare < FEW_ERRORS:
        warnings.warn(
            f"the oracle is fitted on only {rare} {side}; below about {FEW_ERRORS} it depends on luck",
            FewErrorsWarning,
            stacklevel=3,
        )
