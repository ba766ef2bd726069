"""What all oracles have in common: a trust logit and what follows from it, a loss, and errors to learn from."""

import warnings
from abc import ABC, abstractmethod
from dataclasses import fields
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.data.images import Dataset
from steepslope.errors import FewErrorsWarning, SteepslopeError, require_known
from steepslope.losses import LOSSES, LossSettings, parameters_of
from steepslope.oracle.fit_record import FitRecord
from steepslope.oracle.settings import LossOptions
from steepslope.outputs import ClassifierOutputs, require_classes

FEW_ERRORS = 50


class BaseOracle(ABC):
    """An oracle: its trust logit z ranks predictions, and those with z > 0 are trusted.

    ``loss_settings`` are the loss that it was fitted with, and its parameters. ``explains`` is whether :meth:`explain`
    can split its trust logits, ``is_image_oracle`` whether it needs the images. ``record_`` is what is remembered of
    the fit set, None where it was fitted before that was kept.
    """

    loss_settings: LossSettings
    scale: ClassVar[str] = "logit"
    is_image_oracle: ClassVar[bool] = False
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
        """The arrays that outputs must hold to be judged, such as logits and features."""

    @property
    def usual_handover(self) -> float | None:
        """The mean of :meth:`handed_over` on the fit set, in [0, 1]; None where that is never or not known."""
        return None

    def handed_over(self, outputs: ClassifierOutputs) -> NDArray[np.float64] | None:
        """Return how far each row is handed over to evidence that needs less, (n,) in [0, 1]; None if never."""
        return None

    def standardised(self, outputs: ClassifierOutputs) -> ClassifierOutputs:
        """Return the outputs as they are to be judged where all rows are shifted alike: the same, but for some."""
        return outputs

    def on(self, images: Dataset, workers: int = 0, device: str | None = None) -> Self:
        """Return the same oracle with the images of the outputs, for one that needs them."""
        return self

    @abstractmethod
    def save(self, folder: str | Path) -> None:
        """Write weights as safetensors and a card as JSON; an earlier oracle there is replaced."""

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return sigmoid(z) of each prediction, (n,), in [0, 1]; far from 0.5 it saturates."""
        z = self.trust_logit(outputs)
        return np.asarray(np.exp(-np.logaddexp(0, -z)))

    def trusts(self, outputs: ClassifierOutputs) -> NDArray[np.bool_]:
        """Return whether each prediction is trusted, (n,): z > 0, that is a confidence above one half."""
        return self.trust_logit(outputs) > 0

    def rows_fitted_on(self, outputs: ClassifierOutputs) -> int:
        """Return how many of these outputs are rows that the oracle was fitted on, as far as that is known."""
        return 0 if self.record_ is None else self.record_.shared_with(outputs)

    def _require_fitted_for(self, outputs: ClassifierOutputs, num_classes: int) -> None:
        """Raise if the outputs have another number of classes, or are another classifier's."""
        require_classes("the oracle", outputs, num_classes)
        if self.record_ is not None:
            self.record_.require_classifier(outputs)


def loss_of(settings: LossOptions) -> LossSettings:
    """Return the loss of some settings; a parameter that no loss has is answered with the closest setting."""
    own = {one.name for one in fields(settings)} - {"parameters"}
    known = own | {name for loss in LOSSES for name in parameters_of(loss)}
    for name in settings.parameters:
        require_known("setting", name, known)
    return LossSettings(settings.loss, settings.parameters)


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


def not_fitted() -> SteepslopeError:
    """Return the error of an oracle that has not been fitted."""
    return SteepslopeError("this oracle is not fitted: call fit(outputs) or Oracle.load(folder) first")
