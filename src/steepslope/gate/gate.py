"""The gate: a confidence, a threshold, and what is promised of the predictions that it accepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.checks import SEED, require, whole
from steepslope.errors import SteepslopeError
from steepslope.gate.confidence_source import UNKNOWN, ConfidenceSource, LoadOracle, Origin
from steepslope.gate.decisions import PREDICTED, REVIEW, Decisions, groups_by, likeliest, most_probable
from steepslope.gate.promises import Promises
from steepslope.gate.storage import read_gate, write_gate
from steepslope.gate.target_rows import Importance, TargetRows, require_mix
from steepslope.metrics.curves import checked
from steepslope.oracle import BaseOracle, Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.arrays import require_same_names
from steepslope.outputs.copies import once_each, predictions_once, rows_together, warn_of_copies
from steepslope.outputs.table import require_ids_once
from steepslope.promise.aims import Aims
from steepslope.promise.calibration import (
    CalibrationRows,
    ProbabilityMap,
    all_certificates,
    checked_unknown,
    group_names,
    neglected_class,
)
from steepslope.promise.certificate import Certificate
from steepslope.promise.certify import checked_sequence, threshold_sequence
from steepslope.scores import Score

__all__ = ["Aims", "Certificate", "Gate", "threshold_sequence"]  # what is promised is part of what a gate shows
FEW = 50  # rows as those to come, of which a monitor makes nothing
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Gate(Promises):
    """Which predictions to use: those with a confidence of at least a threshold that comes with a promise.

    :meth:`calibrate` makes one of confidences alone, :meth:`of` one that has its own oracle or score.

    What it promises, and decides by confidences alone, is in its base class.
    """

    @classmethod
    def calibrate(
        cls,
        confidence: ArrayLike,
        is_correct: ArrayLike,
        max_risk: float | tuple[float, ...] = 0.05,
        delta: float = 0.05,
        thresholds: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        coverage: float | None = None,
        costs: tuple[float, ...] | None = None,
        reject: float | None = None,
        max_class_risk: float | None = None,
        true_classes: ArrayLike | None = None,
        of_log_odds: bool = False,
        is_unknown: ArrayLike | None = None,
        class_mix: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> Self:
        """Return the gate of largest coverage such that P(risk of the accepted <= max_risk) >= 1 − delta.

        The probability is over the draw of the rows (n,), which nothing may have been fitted on, and which have to be
        drawn independently, as those to come are. The test of each threshold is the exact binomial tail (of another
        mix of classes, a bet), and ties are accepted as a whole.

        Parameters
        ----------
        confidence
            Floats (n,) on any scale, higher for what is more trustworthy.
        is_correct
            Booleans (n,).
        max_risk, delta, coverage, costs, reject, max_class_risk
            As in :class:`~steepslope.gate.Aims`.
        thresholds
            Floats (t,), highest first, fixed without the labels of these rows, such as
            :func:`~steepslope.gate.threshold_sequence` of the confidences of others. Without these, or with a
            ``class_mix``, 2√n of the rows, drawn by the seed, are not calibrated on: they fix the thresholds, or bets.
        groups
            Groups (n,), such as the predicted classes: each gets a threshold of its own, and delta is shared.
        true_classes
            The true class of each row, (n,), by name or number, where each is promised something
            (``max_class_risk``), or comes as often as a ``class_mix`` says.
        of_log_odds
            Whether the confidences are log-odds of being correct, such as an oracle's trust logits.
        is_unknown
            Booleans (n,): which rows are of none of the classes, so that the certificate counts them. All are wrong.
        class_mix
            The share of each true class among the predictions to come, by name, where it is another than among these
            rows, such as ``{"fraud": 0.05, "fine": 0.95}``. The promise is then about that mix (docs/gate.md).
        seed
            Seed of what is drawn.

        Raises
        ------
        SteepslopeError
            If an option is out of range or a shape is another. Where nothing can be promised, there is no error: the
            threshold is ∞, and ``advice`` gives the reason.

        >>> rows = np.arange(2_000)
        >>> gate = Gate.calibrate(-rows / 2_000, rows % 10 * (rows > 1_000) < 9, 0.02, thresholds=-rows[::20] / 2_000)
        >>> gate.threshold, gate.coverage, round(gate.risk_bound, 4)
        (-0.57, 0.5705, 0.0191)
        >>> gate.accepts([-0.2, -0.9])
        array([ True, False])
        """
        aims = Aims(
            max_risk=max_risk,  # type: ignore[arg-type]
            delta=delta, coverage=coverage, costs=costs, reject=reject, max_class_risk=max_class_risk,
        )  # fmt: skip
        rows, importance = (confidence, is_correct, is_unknown), Importance.of(aims, groups, class_mix)
        return cls._calibrated(*rows, aims, thresholds, groups, true_classes, of_log_odds, importance, seed)

    @classmethod
    def _calibrated(
        cls,
        confidence: ArrayLike,
        is_correct: ArrayLike,
        is_unknown: ArrayLike | None,
        aims: Aims,
        thresholds: ArrayLike | None,
        groups: ArrayLike | None,
        true_classes: ArrayLike | None,
        of_log_odds: bool,
        importance: Importance,
        seed: int,
        beside: Mapping[str, NDArray[Any]] | None = None,
    ) -> Self:
        require("seed", seed, SEED)
        values, correct = checked(confidence, is_correct)
        unknown = checked_unknown(is_unknown, correct)
        names = group_names(groups, len(values))
        truths = group_names(true_classes, len(values), "true_classes")
        once = predictions_once(values, correct, seed)
        kept = np.intersect1d(importance.counted_rows(truths, len(values)), once)
        fixing, counted = importance.split(kept, truths, seed, thresholds is not None)
        sequence = threshold_sequence(values[fixing]) if thresholds is None else checked_sequence(thresholds)
        weights = importance.weights(truths, values, counted)
        if weights is not None and truths is not None and importance.mix is not None:
            weights = weights.learning(truths[fixing], values[fixing], correct[fixing], sequence)
        certificates, of_classes, rejection = all_certificates(
            values[counted], correct[counted], None if names is None else names[counted], sequence, aims, seed,
            of_log_odds, unknown[counted], None if truths is None else truths[counted], weights,
        )  # fmt: skip
        learnt = drawn = once
        if weights is not None:  # rows as those to come
            learnt, drawn = counted[weights.resampled(seed)], counted[weights.thinned(seed)]
        probability_map = ProbabilityMap.from_rows(values[learnt], correct[learnt], of_log_odds)
        values, correct = values[drawn], correct[drawn]
        gate = cls(certificates, probability_map, np.sort(values[~correct]), len(values), aims, of_classes, rejection)
        accepted = gate.accepts(values, None if names is None else names[drawn])
        known = {name: array[drawn] for name, array in (beside or {}).items()}
        rows = CalibrationRows(gate.p_correct(values), correct, accepted, **known)
        return replace(gate, calibration_rows=rows if weights is None or len(rows) >= FEW else None)

    @classmethod
    def of(
        cls,
        model: BaseOracle | Score | ConfidenceSource,
        outputs: ClassifierOutputs,
        max_risk: float | tuple[float, ...] = 0.05,
        delta: float = 0.05,
        *,
        by: str | None = None,
        groups: ArrayLike | None = None,
        coverage: float | None = None,
        costs: tuple[float, ...] | None = None,
        reject: float | None = None,
        max_class_risk: float | None = None,
        class_mix: Mapping[str, float] | None = None,
        target: ClassifierOutputs | None = None,
        origin: Origin = UNKNOWN,
        seed: int = 0,
    ) -> Self:
        """Return the gate of an oracle or a score, calibrated on outputs that nothing was fitted on.

        Thresholds come from the oracle's trust logits on its fit set, those of a fused one cross-validated; without
        these, from some of the rows. Under a ``class_mix``, bets on it are chosen by some of the rows, too.

        Parameters
        ----------
        model
            An oracle, or a score that is fitted where it has to be.
        outputs
            Outputs with labels, of rows that neither the classifier nor the oracle was fitted on. Rows of none of the
            classes (label −1) are wrong whatever is predicted: with as many of them as will come, the promise includes
            them, and the certificate says how many are accepted.
        max_risk, delta, coverage, costs, reject, max_class_risk
            As in :class:`~steepslope.gate.Aims`.
        by
            ``predicted``: a threshold for each predicted class, without ``groups``. With these, (n,), their name.
        class_mix
            As in :meth:`calibrate`; classes without names are called by their numbers, ``"0"``, and rows of none of the
            classes ``"unknown"``.
        target
            Outputs without labels, of rows that are drawn as those to come. The promise is about the mix of the classes
            among these, which is estimated.
        origin
            The classifier, as an extraction recorded it (``Origin.from_folder``), so that the gate can run it.
        seed
            Seed of what is drawn.

        Raises
        ------
        SteepslopeError
            If the oracle was fitted on some of the rows, or for other classes or another classifier.

        >>> from steepslope.scores import MCP
        >>> draw = np.random.default_rng(0)
        >>> labels = draw.integers(3, size=5_000)
        >>> outputs = ClassifierOutputs(draw.normal(size=(5_000, 3)) + 3 * np.eye(3)[labels], labels)
        >>> gate = Gate.of(MCP(), outputs.subset(slice(0, 4_000)), max_risk=0.02)
        >>> decisions = gate.decide(outputs.subset(slice(4_000, None)))
        >>> round(gate.coverage, 2), round(decisions.coverage, 2)
        (0.97, 0.98)
        """
        source = (
            model if isinstance(model, ConfidenceSource) else ConfidenceSource.from_model(model, outputs.num_classes)
        )
        source.require_new(outputs)
        if outputs.ids is not None:
            require_ids_once(outputs.ids, "outputs")
        names = group_names(groups_by(by, groups, outputs, outputs.classes), len(outputs))
        codes = rows_together(outputs)
        if by is not None and names is None:
            raise SteepslopeError(f"expected predicted, or groups that it is the name of, found {by!r} alone", "by")
        warn_of_copies(codes)
        whole, of_whole = _some(outputs, names, once_each(codes, seed))
        source = source.taking(whole)
        # rows that lack an opinion go to review, so only others are accepted
        outputs, names = _some(whole, of_whole, np.flatnonzero(~source.lacking(whole.arrays)))
        origin.require_classifier(outputs.classifier)
        nets = {name: net for name, net in origin.opinions.items() if name in source.opinions}  # others do not matter
        aims = Aims(
            max_risk=max_risk,  # type: ignore[arg-type]
            delta=delta, coverage=coverage, costs=costs, reject=reject, max_class_risk=max_class_risk,
        )  # fmt: skip
        thresholds = None if source.reference is None else threshold_sequence(source.reference)
        confidence = source.confidence(outputs)
        labels = np.array(outputs.label_names)
        truths, predicted = labels[outputs.require_labels()], labels[outputs.predictions]
        truth = outputs.is_correct, outputs.is_unknown
        if class_mix is not None:
            class_mix = require_mix(class_mix, outputs.label_names)
        rows_to_come = TargetRows.of(source, outputs, target)
        importance = Importance.of(aims, names, class_mix, target=rows_to_come)
        beside = {**likeliest(outputs), "true": outputs.require_labels()}
        gate = cls._calibrated(
            confidence, *truth, aims, thresholds, names, truths, source.of_log_odds, importance, seed, beside
        )
        accepted = gate.accepts(confidence, names)
        accepted[np.setdiff1d(np.arange(len(outputs)), importance.counted_rows(truths, len(outputs)))] = False
        neglected = neglected_class(predicted, truths, accepted, aims.max_class_risk)
        caution = "\n".join([*([neglected] if neglected else []), *source.cautions(outputs)])
        named = by if by is not None or names is None else "group"
        known = replace(origin, opinions=nets)
        gate = replace(gate, source=source, by=named, classes=outputs.classes, origin=known, caution=caution)
        if len(outputs) == len(whole) or class_mix is not None or target is not None:
            return gate
        return gate._remembering(whole, None if by == PREDICTED else of_whole)

    def _remembering(self, outputs: ClassifierOutputs, groups: NDArray[np.str_] | None) -> Self:
        """Return the same gate, which remembers all of these rows: a monitor also meets those that lack an opinion."""
        judged = self.decide(outputs, groups)
        beside = {**likeliest(outputs), "true": outputs.require_labels()}
        rows = CalibrationRows(judged.p_correct, outputs.is_correct, judged.accepted, **beside)
        return replace(self, calibration_rows=rows)

    def decide(
        self, outputs: ClassifierOutputs, groups: ArrayLike | None = None, *, top: int = 1, explain: bool = False
    ) -> Decisions:
        """Return what to do with each prediction of some outputs, with or without labels.

        Parameters
        ----------
        outputs
            Outputs of the classifier that the gate was calibrated for, with the arrays that its oracle needs.
        groups
            Groups (m,), where the gate was calibrated by others than the predicted classes.
        top
            How many of the most probable classes are given.
        explain
            Whether it is also given what each kind of evidence adds to the trust logit.

        Raises
        ------
        SteepslopeError
            If the outputs are another classifier's or of other classes, or lack an array.
        """
        require("top", top, whole(1))
        source = self.require_source()
        self.require_outputs(outputs)
        if explain:
            source.require_explainable()
        confidence, oracle = source.confidence(outputs), source.oracle
        lacking = source.lacking(outputs.arrays)
        decision = self.decisions(confidence, groups_by(self.by, groups, outputs, self.classes))
        top_labels, top_probability = most_probable(outputs, top)
        return Decisions(
            p_correct=self.p_correct(confidence),
            trust_logit=confidence,
            decision=np.where(lacking, REVIEW, decision),
            top_labels=top_labels,
            top_probability=top_probability,
            ids=outputs.ids,
            classes=outputs.classes or self.classes,
            handed_over=None if oracle is None else oracle.handed_over(outputs),
            explained=oracle.explain(outputs) if explain and oracle is not None else {},
            groups=group_names(groups, len(outputs)),
            lacking=lacking if source.needed else None,
        )

    def require_outputs(self, outputs: ClassifierOutputs) -> None:
        """Raise if outputs are of other classes than it was calibrated for, or known to be another classifier's."""
        source = self.require_source()
        if outputs.num_classes != source.num_classes:
            expected = f"expected {source.num_classes} classes, as the gate was calibrated for"
            raise SteepslopeError(f"{expected}, found {outputs.num_classes}", "outputs")
        require_same_names("the gate", self.classes, outputs.classes)
        self.origin.require_classifier(outputs.classifier)

    def require_source(self) -> ConfidenceSource:
        """Return its oracle or score; raise where it is of confidences alone."""
        if self.source is None:
            found = "found one of confidences alone: give them to accepts, or make it with Gate.of"
            raise SteepslopeError(f"expected a gate with an oracle or a score of its own, {found}", "gate")
        return self.source

    def save(self, folder: str | Path, made: Mapping[str, Any] | None = None) -> None:
        """Write a folder with all that decisions need but the classifier's weights; an earlier gate is replaced."""
        write_gate(Path(folder), self, made)

    @classmethod
    def load(cls, folder: str | Path, load_oracle: LoadOracle = Oracle.load) -> Self:
        """Read what :meth:`save` wrote; an error names the file and the field.

        ``folder`` may also be one that ``steepslope push`` wrote, or the name of a repository on the Hugging Face Hub,
        ``hub:user/name`` or ``hub:user/name@revision``. ``load_oracle`` reads its oracle from a folder. To decide on
        images, load a :class:`steepslope.nets.ImageGate`.
        """
        return cls(**read_gate(folder, load_oracle))


def _some(
    outputs: ClassifierOutputs, names: NDArray[np.str_] | None, rows: NDArray[np.int64]
) -> tuple[ClassifierOutputs, NDArray[np.str_] | None]:
    """Return some rows of outputs with their groups; the same where these are all, which may be memory-mapped."""
    if len(rows) == len(outputs):
        return outputs, names
    return outputs.subset(rows), None if names is None else names[rows]
