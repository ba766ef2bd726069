"""The gate: a confidence, a threshold, and what is promised of the predictions that it accepts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from steepslope.checks import SEED, require, whole
from steepslope.data.images import Dataset
from steepslope.errors import SteepslopeError
from steepslope.gate.aims import Aims
from steepslope.gate.calibration import CalibrationRows, ProbabilityMap, all_certificates, group_names
from steepslope.gate.certificate import ASSUMPTIONS, Certificate
from steepslope.gate.certify import (
    checked_sequence,
    conformal_p_values,
    numbers,
    selected,
    split_rows,
    threshold_sequence,
)
from steepslope.gate.confidence_source import UNKNOWN, ConfidenceSource, Origin
from steepslope.gate.decisions import ACCEPT, REJECT, REVIEW, Decisions, groups_by, most_probable
from steepslope.gate.storage import read_gate, write_gate
from steepslope.metrics.curves import checked
from steepslope.oracle import BaseOracle
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.arrays import require_same_names
from steepslope.scores import Score

if TYPE_CHECKING:
    from steepslope.gate.nets import GateNets, Given

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
MOST_ADVICE = 3  # groups of which it is told why nothing can be promised


@dataclass(frozen=True, eq=False)
class Gate:
    """Which predictions to use: those with a confidence of at least a threshold that comes with a promise.

    :meth:`calibrate` makes one of confidences alone, :meth:`of` one that has its own oracle or score.

    ``certificates`` are of what is accepted, a risk and a group each; ``rejection`` that of what is rejected.
    ``probability`` turns a confidence into P(correct). ``of_errors`` are the confidences of the wrong rows among the
    ``n`` to calibrate on, (e,), in ascending order. ``source`` is the gate's oracle or score, None where it is of
    confidences alone; ``by`` names what its groups are: ``predicted``, the predicted classes, or others. ``classes``
    are the names of the classes, and ``origin`` tells which classifier made the predictions, as far as it is known.
    ``calibration_rows`` is what it makes of the rows to calibrate on, None where a copy leaves them out, and for
    another of several risks (:meth:`at`). ``nets`` are its nets, None until they are loaded.
    """

    certificates: tuple[Certificate, ...]
    probability: ProbabilityMap
    of_errors: Floats
    n: int
    aims: Aims
    rejection: Certificate | None = None
    source: ConfidenceSource | None = None
    by: str | None = None
    classes: tuple[str, ...] | None = None
    origin: Origin = UNKNOWN
    calibration_rows: CalibrationRows | None = None
    nets: GateNets | None = None

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
        of_log_odds: bool = False,
        seed: int = 0,
    ) -> Self:
        """Return the gate of largest coverage such that P(risk of the accepted <= max_risk) >= 1 − delta.

        The probability is over the draw of the rows (n,), which nothing may have been fitted on, and which have to be
        drawn independently, as those to come are. The test of each threshold is the exact binomial tail, and ties are
        accepted as a whole.

        Parameters
        ----------
        confidence
            Floats (n,) on any scale, higher for what is more trustworthy.
        is_correct
            Booleans (n,).
        max_risk, delta, coverage, costs, reject
            As in :class:`~steepslope.gate.Aims`.
        thresholds
            Floats (t,), highest first, fixed without the labels of these rows, such as
            :func:`~steepslope.gate.threshold_sequence` of the confidences of others. Without, 2√n of the rows, drawn by
            the seed, fix them and are not calibrated on.
        groups
            Groups (n,), such as the predicted classes: each gets a threshold of its own, and delta is shared.
        of_log_odds
            Whether the confidences are log-odds of being correct, such as an oracle's trust logits.
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
        aims = Aims(max_risk=max_risk, delta=delta, coverage=coverage, costs=costs, reject=reject)  # type: ignore[arg-type]
        require("seed", seed, SEED)
        values, correct = checked(confidence, is_correct)
        names = group_names(groups, len(values))
        if thresholds is None:
            fixing, counted = split_rows(len(values), seed)
            sequence = threshold_sequence(values[fixing])
        else:
            sequence, counted = checked_sequence(thresholds), np.arange(len(values))
        members = None if names is None else names[counted]
        certificates, rejection = all_certificates(
            values[counted], correct[counted], members, sequence, aims, seed, of_log_odds
        )
        probability = ProbabilityMap.from_rows(values, correct, of_log_odds)
        gate = cls(certificates, probability, np.sort(values[~correct]), len(values), aims, rejection)
        rows = CalibrationRows(gate.p_correct(values), correct, gate.accepts(values, names))
        return replace(gate, calibration_rows=rows)

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
        origin: Origin = UNKNOWN,
        seed: int = 0,
    ) -> Self:
        """Return the gate of an oracle or a score, calibrated on outputs that nothing was fitted on.

        Thresholds come from the oracle's trust logits on its fit set, those of a fused one cross-validated; without
        these, from some of the rows.

        Parameters
        ----------
        model
            An oracle, or a score that is fitted where it has to be.
        outputs
            Outputs with labels, of rows that neither the classifier nor the oracle was fitted on.
        max_risk, delta, coverage, costs, reject
            As in :class:`~steepslope.gate.Aims`.
        by
            ``predicted``: a threshold for each predicted class, without ``groups``. With these, (n,), their name.
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
        source = source.taking(outputs)
        groups = groups_by(by, groups, outputs, outputs.classes)
        if by is not None and groups is None:
            raise SteepslopeError(f"expected predicted, or groups that it is the name of, found {by!r} alone", "by")
        origin.require_classifier(outputs.classifier)
        gate = cls.calibrate(
            source.confidence(outputs),
            outputs.is_correct,
            max_risk,
            delta,
            None if source.reference is None else threshold_sequence(source.reference),
            groups=groups,
            coverage=coverage,
            costs=costs,
            reject=reject,
            of_log_odds=source.of_log_odds,
            seed=seed,
        )
        assert gate.calibration_rows is not None
        rows = replace(gate.calibration_rows, probability=most_probable(outputs, 1)[1][:, 0])
        named = by if by is not None or groups is None else "group"
        return replace(gate, source=source, by=named, classes=outputs.classes, origin=origin, calibration_rows=rows)

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
        return Decisions.from_confidences(
            outputs,
            confidence,
            self.p_correct(confidence),
            self.decisions(confidence, groups_by(self.by, groups, outputs, self.classes)),
            top=top,
            classes=self.classes,
            handed_over=None if oracle is None else oracle.handed_over(outputs),
            explained=oracle.explain(outputs) if explain and oracle is not None else None,
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

    def predict(
        self, images: Any, groups: ArrayLike | None = None, *, top: int = 1, explain: bool = False
    ) -> Decisions:
        """Run the classifier, and what else the gate needs, on images, and return what to do with each prediction.

        Parameters
        ----------
        images
            One image or several: PIL images, arrays (H, W) or (H, W, C), or an array of several (m, H, W) or
            (m, H, W, C), of uint8, uint16 or floats in [0, 1], which are resized and normalised as the gate's
            classifier needs it. Tensors (C, H, W) or (m, C, H, W) are taken as they are, as the classifier takes them;
            a gate with a second backbone, or an oracle on images, cannot use these.
        groups, top, explain
            As in :meth:`decide`.

        Raises
        ------
        SteepslopeError
            If the gate does not know its classifier, or an image cannot be used.
        """
        nets = self.nets or self.load_nets()
        given = nets.in_memory(images)
        seeing = self if isinstance(given, Tensor) else self.seeing(given)
        return seeing.decide(nets.outputs_of(given), groups, top=top, explain=explain)

    def save(self, folder: str | Path, made: Mapping[str, Any] | None = None) -> None:
        """Write a folder with all that decisions need but the classifier's weights; an earlier gate is replaced."""
        stored = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "nets"}
        write_gate(Path(folder), self.sentences(), made, **stored)

    @classmethod
    def load(
        cls, folder: str | Path, classifier: Given = None, auxiliary: Given = None, backbones: Collection[str] = ()
    ) -> Self:
        """Read what :meth:`save` wrote; an error names the file and the field.

        ``folder`` may also be one that ``steepslope push`` wrote, or the name of a repository on the Hugging Face Hub,
        ``hub:user/name`` or ``hub:user/name@revision``.

        The classifier is loaded where it is needed, by the spec that was recorded, or else is ``classifier``: a spec, a
        :class:`~steepslope.classifiers.classifier.Classifier`, or a net from images to logits. So is the ``auxiliary``
        backbone. Either has to have the recorded digest. Code of one's own, ``module:…``, is never run because a file
        names it: it has to be given, or to be one of the ``backbones`` where it is an oracle's on images.
        """
        gate = cls(**read_gate(folder, backbones))
        return gate if classifier is None and auxiliary is None else gate.on(classifier, auxiliary)

    def on(self, classifier: Given = None, auxiliary: Given = None) -> Self:
        """Return the same gate with its nets loaded, as :meth:`load` does it."""
        return replace(self, nets=self.load_nets(classifier, auxiliary))

    def load_nets(self, classifier: Given = None, auxiliary: Given = None) -> GateNets:
        """Return its classifier, and its auxiliary backbone where it needs one, as :meth:`load` loads them."""
        from steepslope.gate.nets import GateNets  # with timm, which what decides on outputs can do without

        return GateNets.load(self.origin, self.require_source().arrays, self.classes, classifier, auxiliary)

    def seeing(self, images: Dataset) -> Self:
        """Return the same gate with the images of what it will judge, for an oracle that needs them."""
        return self if self.source is None else replace(self, source=self.source.seeing(images))

    def at(self, max_risk: float) -> Self:
        """Return the gate of another of the risks that were promised together."""
        chosen = [certificate for certificate in self.certificates if certificate.max_risk == max_risk]
        if not chosen:
            promised = ", ".join(map(str, dict.fromkeys(certificate.max_risk for certificate in self.certificates)))
            raise SteepslopeError(f"expected a risk that was promised: {promised}, found {max_risk}", "max_risk")
        others = [certificate for certificate in self.certificates if certificate.max_risk != max_risk]
        return replace(self, certificates=(*chosen, *others), calibration_rows=None)  # it accepts others of these rows

    @property
    def promises(self) -> tuple[Certificate, ...]:
        """The certificates of the gate's own risk, one a group."""
        return tuple(one for one in self.certificates if one.max_risk == self.certificates[0].max_risk)

    @property
    def has_groups(self) -> bool:
        """Whether each group has a threshold of its own."""
        return self.certificates[0].group is not None

    @property
    def thresholds(self) -> dict[str | None, float]:
        """The threshold of each group; of all predictions under None, where there are no groups."""
        return {one.group: one.threshold for one in self.promises}

    @property
    def threshold(self) -> float:
        """The confidence from which on (>=) predictions are accepted; ∞ where nothing can be promised."""
        if self.has_groups:
            raise SteepslopeError("this gate has one for each of its groups: see thresholds", "threshold")
        return self.promises[0].threshold

    @property
    def coverage(self) -> float:
        """The fraction of calibration rows that are accepted, in [0, 1]."""
        return sum(one.accepted for one in self.promises) / max(1, sum(one.n for one in self.promises))

    @property
    def risk_bound(self) -> float:
        """The upper bound of the risk of what is accepted, in [0, 1]; of groups, the highest; 1 if none is accepted."""
        return max((one.risk_bound for one in self.promises if one.accepted), default=1.0)

    @property
    def advice(self) -> str:
        """Why nothing, or nothing of some groups, can be promised, and what to do about it; empty where all is.

        Of many groups, the first are named.
        """
        given = [one for one in self.promises if one.advice]
        parts = [one.advice if one.group is None else f"{one.group}: {one.advice}" for one in given[:MOST_ADVICE]]
        others = len(given) - len(parts)
        return "; ".join([*parts, *([f"{others:,} other groups likewise"] if others else [])])

    def accepts(self, confidence: ArrayLike, groups: ArrayLike | None = None) -> Bools:
        """Return whether each prediction is accepted, (m,): its confidence is at least its group's threshold.

        A group that was not among the calibration rows is never accepted.
        """
        values = _numbers(confidence)
        names = group_names(groups, len(values))
        if self.has_groups != (names is not None):
            found = "found none" if names is None else "found some, but the gate has one threshold for all"
            raise SteepslopeError(f"expected groups where the gate was calibrated by groups, {found}", "groups")
        if names is None:
            return _at_least(values, self.threshold)
        distinct, index = np.unique(names, return_inverse=True)
        known = self.thresholds
        return _at_least(values, np.array([known.get(str(name), np.inf) for name in distinct])[index])

    def decisions(self, confidence: ArrayLike, groups: ArrayLike | None = None) -> NDArray[np.str_]:
        """Return accept, review or reject of each prediction, (m,); none is rejected unless the aims want that."""
        accepted, values = self.accepts(confidence, groups), _numbers(confidence)
        lowest = -np.inf if self.rejection is None else self.rejection.threshold
        rejected = _at_least(-values, -lowest)
        return np.where(accepted, ACCEPT, np.where(rejected, REJECT, REVIEW))

    def selects(self, confidence: ArrayLike, max_risk: float = 0.05) -> Bools:
        """Return which predictions of one batch are accepted, (m,), such that on average at most max_risk are wrong.

        It is the expected fraction of errors among the accepted, over calibration rows and batch, that is at most
        ``max_risk``: a promise that is weaker than the gate's, and so accepts more. The batch has to be judged at
        once, and to be drawn as the calibration rows were.
        """
        risk = Aims(max_risk=(max_risk,)).max_risk[0]
        return selected(conformal_p_values(_numbers(confidence), self.of_errors, self.n), risk)

    def p_correct(self, confidence: ArrayLike) -> Floats:
        """Return the probability that each prediction is correct, (m,), in [0, 1]: an estimate, nothing promised."""
        found: Floats = self.probability(_numbers(confidence))
        return found

    def sentences(self) -> str:
        """Return what is promised, a line each, and what that assumes."""
        given = [*self.certificates, *([] if self.rejection is None else [self.rejection])]
        lines = [certificate.sentences() for certificate in given]
        if self.aims.costs is not None:
            error, review = self.aims.costs
            n, accepted, errors = (
                sum(getattr(one, name) for one in self.promises) for name in ("n", "accepted", "errors")
            )
            cost = (errors * error + (n - accepted) * review) / max(1, n)
            all_of_them = f"accepting all {len(self.of_errors) / self.n * error:.4g}, reviewing all {review:.4g}"
            lines.append(f"Cost of a prediction: {cost:.4g}; {all_of_them}.")
        if len(given) > 1:
            lines.append(f"All {len(given)} promises hold together with a confidence of {1 - self.aims.delta:g}.")
        return "\n".join([*lines, ASSUMPTIONS])


def _numbers(confidence: ArrayLike) -> Floats:
    return numbers(confidence, "confidence")


def _at_least(values: Floats, threshold: float | Floats) -> Bools:
    """Return whether values reach a threshold; none reaches ∞, where nothing is promised, be it ∞ itself."""
    return (values >= threshold) & (np.asarray(threshold) < np.inf)
