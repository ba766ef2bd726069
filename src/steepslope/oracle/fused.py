"""The fused oracle: a logarithmic pool of the opinions that a budget pays for, fitted on the fit data alone."""

import math
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.evidence.registry import EVIDENCE
from steepslope.files.folders import field as json_field
from steepslope.oracle.base import BaseOracle, check_errors, loss_of, not_fitted, warn_of_few
from steepslope.oracle.fit_record import FitRecord
from steepslope.oracle.fused_fit import HANDOVER, FusedFit, read_fit, write_fit
from steepslope.oracle.fusing import fit_fused
from steepslope.oracle.settings import FusedSettings
from steepslope.oracle.storage import CARD
from steepslope.outputs import ClassifierOutputs

Floats = NDArray[np.float64]


class FusedOracle(BaseOracle):
    """Learn which predictions to trust from all evidence that a budget pays for.

    The classifier, nets and probes, and the labels of neighbours have opinions on the classes: log-probabilities. A
    logarithmic opinion pool weighs each by one number >= 0, learnt from the labels of the fit set and shrunk to the
    classifier's own opinion where errors are few. The log-odds of the prediction in the pool are the trust.

    All is learnt from rows as they are and from augmented copies of them (``extract --augment``, or else made of the
    features), so that it holds for images that look different. Where an auxiliary backbone finds an image unlike all
    that it knows, most of the log-odds come from what needs no such backbone.

    Five-fold cross-validation on the fit set chooses by AURC between the pool and MCP, and how much is shrunk; no row's
    own label has a say in what is thought of it. The log-odds are calibrated on the same folds, and the loss sets at
    which probability of being correct the trust logit is 0; it does not change the ranking.

    Parameters
    ----------
    loss
        A name in ``steepslope.losses.LOSSES``.
    settings
        Parameters of the loss by name, such as ``alpha_neg=3.0``, and ``budget``, ``errors`` and ``seed`` of
        :class:`~steepslope.oracle.settings.FusedSettings`.
    """

    explains = True

    def __init__(self, loss: str = "steep_slope", **settings: Any) -> None:
        given = FusedSettings.of(loss=loss, **settings)
        self.loss_settings = loss_of(given)
        self.settings = replace(given, parameters=self.loss_settings.parameters)
        self.fitted_: FusedFit | None = None

    def fit(self, outputs: ClassifierOutputs, reference: ClassifierOutputs | None = None) -> Self:
        """Fit on the outputs in which errors are seen; ``reference`` are the classifier's training outputs.

        Neighbours and nets learn from the reference, and from those rows of the fit set that lie in other folds.

        Raises
        ------
        SteepslopeError
            If no prediction is wrong, or none correct, a row is in both fit set and reference, or the budget names what
            the outputs do not hold.
        """
        check_errors(outputs)
        if self.settings.errors == "crossfit" and reference is not None:
            raise SteepslopeError("expected none with errors='crossfit': the fit set is its own reference", "reference")
        self.fitted_, held_out = fit_fused(outputs, reference, self.settings)
        self.record_ = FitRecord.of(outputs, held_out - self._offset)
        warn_of_few(outputs)
        return self

    def trust_logit(self, outputs: ClassifierOutputs) -> Floats:
        """Return z of each prediction, (n,): to rank by, and trusted where z > 0."""
        return self._checked(outputs).log_odds(outputs) - self._offset

    def p_correct(self, outputs: ClassifierOutputs) -> Floats:
        """Return the calibrated probability that each prediction is right, (n,), in [0, 1].

        It is calibrated for outputs such as the fit set's; elsewhere it tends to be too high.
        """
        return np.asarray(np.exp(-np.logaddexp(0, -self._checked(outputs).log_odds(outputs))))

    @property
    def arrays(self) -> tuple[str, ...]:
        """The arrays that outputs must hold to be judged: those of all opinions in its pools, and of the hand-over."""
        if self.fitted_ is None:
            raise not_fitted()
        needed = [array for name in self.fitted_.inputs for array in EVIDENCE[name].arrays]
        handover = () if self.fitted_.handover is None else self.fitted_.handover.arrays
        return tuple(dict.fromkeys(["logits", *needed, *handover]))

    @property
    def usual_handover(self) -> float | None:
        """The mean of :meth:`handed_over` on the fit set, in [0, 1]; None where that is never or not known."""
        return None if self.fitted_ is None else self.fitted_.usual_handover

    def handed_over(self, outputs: ClassifierOutputs) -> Floats | None:
        """Return how far each row is handed over, (n,) in [0, 1]: 0 familiar, 1 unlike the fit set; None if never."""
        fitted = self._checked(outputs)
        return None if fitted.handover is None else fitted.handover.weight(outputs)

    def standardised(self, outputs: ClassifierOutputs) -> ClassifierOutputs:
        """Return the outputs with auxiliary features of the fit set's mean and deviation; the same if none are seen.

        It undoes what shifts and scales a feature of all rows alike, as another camera does. It needs 64 rows or more
        with the fit set's mix of classes: of a batch of two classes, the mean differs for that reason, and the ranking
        gets worse. So it is never done by itself.

        Raises
        ------
        SteepslopeError
            If there are fewer than 64 rows, or another number of features.

        Examples
        --------
        >>> import warnings
        >>> import numpy as np
        >>> draw = np.random.default_rng(0)
        >>> labels = draw.integers(3, size=600)
        >>> logits, auxiliary = (draw.normal(size=(600, 3)) + k * np.eye(3)[labels] for k in (2, 3))
        >>> outputs = ClassifierOutputs(logits, labels, draw.normal(size=(600, 4)), auxiliary=auxiliary)
        >>> oracle = FusedOracle(budget="auxiliary").fit(outputs)
        >>> shifted = outputs.changed(auxiliary=5 * auxiliary + 2)
        >>> again = oracle.trust_logit(oracle.standardised(shifted))
        >>> bool(np.allclose(again, oracle.trust_logit(outputs), atol=1e-2))
        True
        """
        fitted = self._checked(outputs)
        if fitted.handover is None:
            return outputs
        if fitted.moments is None:
            raise SteepslopeError("the oracle lacks the fit set's mean and deviation: fit it again", "standardise")
        return fitted.moments.restored_on(outputs)

    def explain(self, outputs: ClassifierOutputs) -> dict[str, Floats]:
        """Return what each kind of evidence adds to the trust logit: name -> (n,); together they are the logit.

        An opinion counts by how much more probable it finds the predicted class than the pool's runner-up. ``others``
        is what all further classes take away, ``handover`` what changes where rows are handed over, and ``cut`` the
        offset of calibration and loss.
        """
        fitted = self._checked(outputs)
        by_name = fitted.opinions(outputs)
        opinions, pool = fitted.pool.side_by_side(by_name), fitted.pool.pool
        utilities, odds = pool.utilities(opinions), pool.log_odds(opinions)
        rival = 1 + utilities[:, 1:].argmax(axis=1)[:, None]
        gaps = opinions[:, :, 0] - np.take_along_axis(opinions, rival[:, None], axis=2)[:, :, 0]
        edges = np.cumsum([0, *fitted.pool.widths[:-1]])
        parts = fitted.slope * np.add.reduceat(gaps * pool.weights, edges, axis=1)
        explained = dict(zip(fitted.pool.inputs, parts.T, strict=True))
        explained["others"] = fitted.slope * odds - parts.sum(axis=1)
        if fitted.handover is not None:
            explained[HANDOVER] = fitted.slope * (fitted.mixed(by_name, outputs) - odds)
        return {**explained, "cut": np.full(len(outputs), fitted.offset - self._offset)}

    @property
    def _offset(self) -> float:
        """The log-odds at which the loss cuts."""
        return math.log(self.cut / (1 - self.cut))

    def _checked(self, outputs: ClassifierOutputs) -> FusedFit:
        if self.fitted_ is None:
            raise not_fitted()
        self._require_fitted_for(outputs, self.fitted_.num_classes)
        return self.fitted_

    def save(self, folder: str | Path) -> None:
        """Write weights and what evidence learnt as safetensors, settings as JSON; replace an earlier oracle."""
        if self.fitted_ is None:
            raise not_fitted()
        write_fit(Path(folder), self.fitted_, self.settings.as_json(), self.record_)

    @classmethod
    def from_card(cls, folder: Path, card: dict[str, Any], _: Collection[str] = ()) -> Self:
        """Return the oracle that :meth:`save` wrote, from its card and the files beside it."""
        fitted = read_fit(folder, card)
        try:
            oracle = cls(**json_field(card, "settings", dict, folder / CARD))
        except (ValueError, TypeError) as error:
            raise SteepslopeError(str(error), folder / CARD) from error
        oracle.fitted_, oracle.record_ = fitted, FitRecord.read(folder, card, folder / CARD)
        return oracle
