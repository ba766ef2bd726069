"""What all oracles share: a trust logit and what follows from it, a loss, settings, and a record of the fit set."""

from __future__ import annotations

import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field as member, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from steepslope.errors import CautionWarning, FewErrorsWarning, SteepslopeError, located, read_fields, require_known
from steepslope.files import MADE, field, load_arrays, save_arrays
from steepslope.losses import LOSSES, LossSettings, loss_parameters
from steepslope.numerics import Arrays, Bools, Counts, Floats
from steepslope.oracle._cautions import RowCounts, cautions_on_better_opinions
from steepslope.oracle._settings import LossOptions
from steepslope.oracle._storage import FIT_ROWS, ORACLE, RECORD, STATES, WEIGHTS
from steepslope.oracle.evidence import State, flattened_states
from steepslope.outputs import (
    CLASSES,
    OF_COPIES,
    UNKNOWN,
    ClassifierOutputs,
    RowHashes,
    is_opinion_array,
    maker_in_words,
    one_of_each_copy,
    require_classes,
    require_same_class_names,
    rows_together,
)

FEW_ERRORS = 50
_PERCENTILES = "trust_logit_percentiles"


@dataclass(frozen=True, eq=False)
class FitRecord:
    """The record of a fit set.

    - ``rows``: hashes of the rows, by which evaluated rows are recognised.
    - ``classifier``: the digest of the classifier; None if unknown.
    - ``made``: what made the oracle; empty if it was made in Python (:mod:`steepslope.files._artifact`).
    - ``classes``: the names of the classes by label; None without names.
    - ``percentiles``: the 0th to the 100th of the fit set's trust logits, out of fold if the oracle is cross-validated.
      They become thresholds of gates, fixed before any calibration rows are seen. None if unknown.
    - ``shapes``: the shape of a row of each array.
    - ``counts``: the errors in the fit set and what its opinions say; a copy, or a row of a group, counts once.
    """

    rows: RowHashes
    classifier: str | None = None
    made: Mapping[str, Any] = member(default_factory=dict)
    classes: tuple[str, ...] | None = None
    percentiles: tuple[float, ...] | None = None
    shapes: Mapping[str, Sequence[int]] = member(default_factory=dict)
    counts: RowCounts | None = None

    @classmethod
    def from_outputs(
        cls,
        outputs: ClassifierOutputs,
        trust_logit: Floats,
        reference: ClassifierOutputs | None = None,
        codes: Counts | None = None,
    ) -> FitRecord:
        """Return the record of the outputs that an oracle is fitted on, with their trust logits.

        Rows that belong together have the same number in ``codes`` (n,), as ``rows_together`` gives it, the default.
        Rows of the ``reference`` are recognised, too: the classifier and the neighbours have seen their labels.
        """
        percentiles = tuple(float(f"{value:.8g}") for value in np.percentile(trust_logit, np.arange(101)))
        shapes = {name: array.shape[1:] for name, array in outputs.arrays.items() if not name.startswith(OF_COPIES)}
        rows = RowHashes.of(outputs)
        others = RowHashes.unknown()
        if reference is not None:
            others = RowHashes.of(reference)
        if (rows.ids is None) == (others.ids is None):  # otherwise one side's ids would be lost
            rows = rows.joined(others)
        if codes is None:
            codes = rows_together(outputs)
        once = one_of_each_copy(codes)
        uncounted = [name for name in outputs.arrays if name not in ("logits", "labels") and not is_opinion_array(name)]
        counted = outputs.changed(**dict.fromkeys(uncounted)).subset(once)
        return cls(
            rows,
            outputs.classifier,
            classes=outputs.classes,
            percentiles=percentiles,
            shapes=shapes,
            counts=RowCounts.of(counted, outputs.arrays),
        )

    def without_counts(self) -> FitRecord:
        """Return the record without counts, because they say nothing about other rows."""
        return replace(self, counts=RowCounts())

    def shared_with(self, outputs: ClassifierOutputs) -> int:
        """Return how many of these rows are in the fit set."""
        return int(self.seen(outputs).sum())

    def seen(self, outputs: ClassifierOutputs) -> Bools:
        """Return which rows are in the fit set, booleans (n,); see :mod:`steepslope.outputs._row_hashes`."""
        return self.rows.known(RowHashes.of(outputs))

    def require_classifier(self, outputs: ClassifierOutputs) -> None:
        """Raise if another classifier made the outputs, or their classes have other names or another order."""
        require_same_class_names("the oracle", self.classes, outputs.classes)
        if self.classifier is not None and outputs.classifier not in (None, self.classifier):
            raise SteepslopeError(
                f"expected {maker_in_words(self.classifier)}, for which it was fitted, found "
                f"{maker_in_words(str(outputs.classifier))}: fit an oracle on these outputs",
                "the oracle",
            )

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the hashes, and return the record's part of the card."""
        save_arrays(self.rows.arrays, folder / FIT_ROWS)
        card: dict[str, Any] = {
            "rows": len(self.rows),
            "classifier": self.classifier,
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
            "counts": asdict(self.counts) if self.counts else None,
        }
        if self.classes is not None:
            card[CLASSES] = list(self.classes)
        if self.percentiles is not None:
            card[_PERCENTILES] = list(self.percentiles)
        return {RECORD: card}

    @classmethod
    def read(cls, folder: Path, card: Mapping[str, Any], path: Path) -> FitRecord | None:
        """Read what :meth:`write` wrote; None for an oracle without a record."""
        if RECORD not in card:
            return None
        record = field(card, RECORD, dict, path)
        classifier = field(record, "classifier", (str, type(None)), path)
        with located(folder / FIT_ROWS):
            rows = RowHashes.from_arrays(load_arrays(folder / FIT_ROWS))
        classes = None
        if CLASSES in record:
            classes = tuple(map(str, field(record, CLASSES, list, path)))
        percentiles = _read_percentiles(record, path)
        shapes = field(record, "shapes", dict, path)
        counted = field(record, "counts", (dict, type(None)), path)
        counts = None if counted is None else read_fields(RowCounts, counted, path)
        made = card.get(MADE) or {}
        return cls(rows, classifier, made, classes, percentiles, shapes, counts)


def _read_percentiles(record: Mapping[str, Any], path: Path) -> tuple[float, ...] | None:
    """Return the percentiles in a record; raise if they are no percentiles."""
    if _PERCENTILES not in record:
        return None
    values = np.asarray(record[_PERCENTILES])
    are_numbers = values.dtype.kind in "fi" and values.shape == (101,) and np.isfinite(values).all()
    if not are_numbers or (np.diff(values) < 0).any():
        raise SteepslopeError(f"expected 101 rising numbers in {_PERCENTILES}, found others", path)
    return tuple(values.tolist())


class BaseOracle(ABC):
    """An oracle: its trust logit z ranks predictions, and those with z > 0 are trusted.

    ``loss_settings`` has the loss that it was fitted with, and its parameters. ``record_`` is the record of the fit
    set, None if its rows are unknown.
    """

    loss_settings: LossSettings
    scale: ClassVar[str] = "logit"
    record_: FitRecord | None = None

    @property
    def loss(self) -> str:
        """The name of the loss that the oracle was fitted with."""
        return self.loss_settings.name

    @property
    def cut(self) -> float:
        """The probability of being correct at z = 0, which follows from the loss, in (0, 1)."""
        return self.loss_settings.cut

    @property
    @abstractmethod
    def explains(self) -> bool:
        """Whether :meth:`explain` can split its trust logits."""

    @abstractmethod
    def trust_logit(self, outputs: ClassifierOutputs) -> Floats:
        """Return the trust logit z of each prediction, float64 (n,): higher is surer, and z > 0 is trusted."""

    @abstractmethod
    def explain(self, outputs: ClassifierOutputs) -> dict[str, Floats]:
        """Return what each kind of evidence adds to the trust logit: name -> float64 (n,)."""

    @property
    @abstractmethod
    def arrays(self) -> tuple[str, ...]:
        """The arrays that outputs must hold, such as logits and features."""

    @property
    def usual_handover(self) -> float | None:
        """The mean of :meth:`handed_over` on the fit set, in [0, 1]; None if no row is ever handed over."""
        return None

    def handed_over(self, outputs: ClassifierOutputs) -> Floats | None:
        """Return how far each row is handed over to a plainer pool, float64 (n,), in [0, 1]; None if never."""
        return None

    def distance(self, outputs: ClassifierOutputs) -> Floats | None:
        """Return how far each row's features lie from known ones, float64 (n,), in (0, 1); None if it cannot be told.

        Only the order of these numbers means something.
        """
        return None

    @abstractmethod
    def save(self, folder: str | Path) -> None:
        """Write weights as safetensors and a card as JSON; an earlier oracle in the folder is replaced."""

    def confidence(self, outputs: ClassifierOutputs) -> Floats:
        """Return sigmoid(z) of each prediction, float64 (n,), in [0, 1]; far from 0.5 it saturates."""
        z = self.trust_logit(outputs)
        return np.asarray(np.exp(-np.logaddexp(0, -z)))

    def trusts(self, outputs: ClassifierOutputs) -> Bools:
        """Return whether each prediction is trusted, booleans (n,): z > 0, so its confidence is above one half."""
        return np.asarray((self.trust_logit(outputs) > 0) & (outputs.predictions != UNKNOWN))

    def rows_fitted_on(self, outputs: ClassifierOutputs) -> int:
        """Return how many of these rows the oracle is known to be fitted on."""
        if self.record_ is None:
            return 0
        return self.record_.shared_with(outputs)

    def _require_fitted_for(self, outputs: ClassifierOutputs, num_classes: int) -> None:
        """Raise if the outputs have another number of classes, or another classifier made them."""
        require_classes("the oracle", outputs, num_classes)
        if self.record_ is not None:
            self.record_.require_classifier(outputs)

    def _write(
        self, folder: str | Path, card: Mapping[str, Any], weights: Arrays, states: Mapping[str, State] | None = None
    ) -> None:
        """Write the weights, the states of the evidence, the record of the fit set and, last, the card."""
        with ORACLE.staged(folder) as staging:
            save_arrays(weights, staging / WEIGHTS)
            if states is not None:
                save_arrays(flattened_states(states), staging / STATES)
            if self.record_ is None:
                ORACLE.seal(staging, card, None)
            else:
                ORACLE.seal(staging, {**card, **self.record_.write(staging)}, self.record_.made)


class ConfigurableOracle(BaseOracle):
    """An oracle whose settings scikit-learn can clone and change, as those of its own estimators.

    A subclass names all settings, and all parameters of the losses, in the signature of its ``__init__``, and passes
    each of them to :meth:`_configure`. ``options`` is the class that checks the settings.
    """

    options: ClassVar[type[LossOptions]]

    def _configure(self, **settings: Any) -> None:
        """Keep settings unchanged, and check them; an earlier fit is forgotten."""
        self._passed = settings
        options = self.options.from_flat(**settings)
        self.loss_settings = loss_of_settings(options)
        self.settings: Any = replace(options, parameters=self.loss_settings.parameters)
        self.fitted_: Any = None
        self.record_ = None

    def _fitted(self) -> Any:
        """Return what fitting left; raise if the oracle is not fitted."""
        if self.fitted_ is None:
            raise SteepslopeError("this oracle is not fitted: call fit(outputs) or Oracle.load(folder) first")
        return self.fitted_

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return all settings by name, as they were passed."""
        return dict(self._passed)

    def set_params(self, **params: Any) -> Self:
        """Change some settings; the oracle then has to be fitted again."""
        self._configure(**{**self._passed, **params})
        return self

    def __repr__(self) -> str:
        shown = []
        parameters = inspect.signature(type(self)).parameters
        for name, value in self._passed.items():
            if name not in parameters or value != parameters[name].default:
                shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


def loss_of_settings(settings: LossOptions) -> LossSettings:
    """Return the loss of some settings; the error for a parameter that no loss has names the closest setting."""
    names = {field.name for field in fields(settings)} - {"parameters"}
    names.update(*map(loss_parameters, LOSSES))
    for name in settings.parameters:
        require_known("setting", name, names)
    return LossSettings(settings.loss, settings.parameters)


def require_errors(outputs: ClassifierOutputs) -> None:
    """Raise unless there are both errors and correct predictions."""
    is_correct = outputs.is_correct
    if is_correct.all() or not is_correct.any():
        which = "no prediction is wrong" if is_correct.all() else "no prediction is correct"
        raise SteepslopeError(
            f"an oracle learns from errors and from correct predictions, but {which} among the {len(outputs)}: "
            "fit on outputs that the classifier was not fitted to, or on more of them"
        )


def warn_of_fit_set(outputs: ClassifierOutputs, record: FitRecord) -> None:
    """Warn if an opinion may know the truth, or if there are too few errors or correct predictions."""
    for caution in cautions_on_better_opinions(record.counts or RowCounts()):
        warnings.warn(caution, CautionWarning, stacklevel=3)
    correct = int(outputs.is_correct.sum())
    rare = len(outputs) - correct
    side = "errors"
    if correct <= rare:
        rare = correct
        side = "correct predictions"
    if rare < FEW_ERRORS:
        warnings.warn(
            f"the oracle is fitted on only {rare} {side}; below about {FEW_ERRORS} it depends on luck",
            FewErrorsWarning,
            stacklevel=3,
        )
