"""The gate: a confidence, a threshold, and what is promised of the predictions that it accepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.errors import SteepslopeError
from steepslope.gate._adapting import gate_for_new_source, split_to_adapt
from steepslope.gate._change import judged_together
from steepslope.gate._confidence_source import UNRECORDED, ConfidenceSource, LoadOracle, Model, Origin
from steepslope.gate._decisions import ACCEPT, REJECT, REVIEW, Decisions, groups_to_decide_by, most_probable_classes
from steepslope.gate._mix import Mix, MixRows, checked_class_mix
from steepslope.gate._preparing import PreparedRows, decided_rows
from steepslope.gate._storage import read_gate, write_gate
from steepslope.numerics import Bools, Floats
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.promise import (
    CROSS,
    REVIEW_ALL,
    AnyGroups,
    CalibrationRows,
    Certificate,
    Certificates,
    LabelledRows,
    Names,
    Objectives,
    OtherObjectives,
    ProbabilityMap,
    WhenChanged,
    assumptions_of_promise,
    calibrate_all,
    checked_groups,
    checked_numbers,
    cost_sentences,
    crossed_groups,
    names_of_crossed,
)

_MOST_ADVICE = 3  # groups that the advice names


@dataclass(frozen=True, eq=False)
class Gate:
    """A gate accepts predictions whose confidence is at least a threshold, and makes a promise about their errors.

    :meth:`of` makes a gate with its own oracle or score, :meth:`calibrate` one from confidences alone.

    - ``certificates``: the promises about accepted predictions, one for each risk and group; ``of_classes``: those
      about true classes; ``rejection``: the one about rejected predictions, or None.
    - ``probability``: turns a confidence into P(correct).
    - ``n`` and ``wrong``: the numbers of calibration rows and of errors among them. For another class mix, they are
      those of rows drawn as in the mix.
    - ``objectives``: what the gate was calibrated for.
    - ``caution``: a line for each true class that is accepted only under other labels, and for whatever looks too good
      to be true; empty if there is nothing.
    - ``source``: the oracle or score; None for confidences alone.
    - ``by``: what the groups are, "predicted" for the predicted classes, "sex × race" for overlapping ones; None
      without groups.
    - ``classes``: the names of the classes, or None. ``origin``: which classifier made the predictions, if known.
    - ``calibration_rows``: the gate's decisions on these rows, one of each thing. None if a copy leaves them out, if
      too few could be drawn, and for another of several risks (:meth:`at`).
    - ``costs_of_errors``: the mean cost of an error for each predicted class, if costs depend on the classes.
    - ``stopped``: why ``steepslope stop`` sends all predictions to review; None if it does not. It is not saved.
    """

    certificates: tuple[Certificate, ...]
    probability: ProbabilityMap
    wrong: int
    n: int
    objectives: Objectives
    of_classes: tuple[Certificate, ...] = ()
    rejection: Certificate | None = None
    caution: str = ""
    source: ConfidenceSource | None = None
    by: str | None = None
    classes: tuple[str, ...] | None = None
    origin: Origin = UNRECORDED
    calibration_rows: CalibrationRows | None = field(default=None, repr=False)
    costs_of_errors: Mapping[str, float] = field(default_factory=dict)
    stopped: str | None = None

    @classmethod
    def calibrate(
        cls,
        confidence: ArrayLike,
        is_correct: ArrayLike,
        max_risk: float | tuple[float, ...] = 0.05,
        delta: float = 0.05,
        thresholds: ArrayLike | None = None,
        *,
        groups: AnyGroups | None = None,
        true_classes: ArrayLike | None = None,
        of_log_odds: bool = False,
        is_unknown: ArrayLike | None = None,
        class_mix: Mapping[str, float] | None = None,
        seed: int = 0,
        **others: Unpack[OtherObjectives],
    ) -> Self:
        """Return the gate of largest coverage such that P(risk of the accepted <= max_risk) >= 1 − delta.

        The probability is over random calibration rows (n,). Nothing may have been fitted on them, and they have to be
        drawn independently, as later predictions will be. Each threshold is tested by the exact binomial tail, or by a
        bet for another class mix. Ties are accepted as a whole.

        Parameters
        ----------
        confidence
            Floats (n,) on any scale; higher is more trustworthy.
        is_correct
            Booleans (n,).
        max_risk, delta, coverage, costs, reject, max_class_risk
            As in :class:`~steepslope.promise.Objectives`.
        thresholds
            Floats (t,), highest first, fixed without the labels of these rows, such as
            :func:`~steepslope.promise.threshold_sequence` of the confidences of other rows. Without them, or
            with a ``class_mix``, 2√n of the rows are drawn to fix the thresholds, or the bets, and are not calibrated
            on.
        groups
            Groups (n,), such as the predicted classes. Each gets its own threshold, and those with enough rows share
            delta. Overlapping groups are arrays by name, such as ``{"sex": sex, "race": race}``: each combination gets
            its own threshold, so the promise also holds for each sex and each race.
        true_classes
            The true class of each row, (n,), by name or number, for ``max_class_risk`` and ``class_mix``.
        of_log_odds
            Whether the confidences are log-odds of being correct, such as an oracle's trust logits.
        is_unknown
            Booleans (n,): which rows are out-of-class. The certificate counts them; all of them are wrong.
        class_mix
            The share of each true class among the target rows, by name, such as ``{"fraud": 0.05, "fine": 0.95}``, if
            it differs from that among these rows. The promise is then about that mix (docs/gate.md).
        seed
            Seed of all random draws.

        Raises
        ------
        SteepslopeError
            If an option is out of range, or a shape does not fit. If nothing can be promised, there is no error: the
            threshold is ∞, and ``advice`` gives the reason.

        >>> rows = np.arange(2_000)
        >>> gate = Gate.calibrate(-rows / 2_000, rows % 10 * (rows > 1_000) < 9, 0.02, thresholds=-rows[::20] / 2_000)
        >>> gate.threshold, gate.coverage, round(gate.risk_bound, 4)
        (-0.57, 0.5705, 0.0191)
        >>> gate.accepts([-0.2, -0.9])
        array([ True, False])
        """
        objectives = Objectives(max_risk=max_risk, delta=delta, **others)  # type: ignore[arg-type]
        if objectives.error_costs is not None:
            raise SteepslopeError("expected none: Gate.of takes them, since it knows the classes", "error_costs")
        mix = Mix(None if class_mix is None else checked_class_mix(class_mix))
        mix.require_risk_alone(objectives, groups is not None)
        rows = LabelledRows.of(confidence, is_correct, is_unknown, groups, true_classes, of_log_odds=of_log_odds)
        used = mix.prepare(rows, thresholds, seed)
        made = calibrate_all(used.counted, used.thresholds, objectives, seed, used.weights)
        return replace(cls._from_certificates(made, objectives, used), by=names_of_crossed(groups))

    @classmethod
    def of(
        cls,
        model: Model | ConfidenceSource,
        outputs: ClassifierOutputs,
        max_risk: float | tuple[float, ...] = 0.05,
        delta: float = 0.05,
        *,
        by: str | None = None,
        groups: AnyGroups | None = None,
        together: NDArray[np.generic] | None = None,
        class_mix: Mapping[str, float] | None = None,
        target: ClassifierOutputs | None = None,
        origin: Origin = UNRECORDED,
        seed: int = 0,
        **others: Unpack[OtherObjectives],
    ) -> Self:
        """Return the gate of an oracle or a score, calibrated on outputs that nothing was fitted on.

        The thresholds come from the oracle's trust logits on its fit set; those of a fused oracle are cross-validated.
        Without a fit set, some of the rows are set aside to fix them. With a ``class_mix``, some rows choose the bets.

        Parameters
        ----------
        model
            An oracle, or a score, fitted if it has to be.
        outputs
            Outputs with labels, of rows that neither the classifier nor the oracle was fitted on. Out-of-class rows
            (label −1) are always wrong. If they are as frequent here as later, the promise includes them, and the
            certificate says how many are accepted.
        max_risk, delta, coverage, costs, reject, max_class_risk
            As in :class:`~steepslope.promise.Objectives`.
        by, groups
            ``by="predicted"`` gives each predicted class its own threshold. For other ``groups`` (n,), ``by`` is their
            name. Overlapping groups are arrays by name, as in :meth:`calibrate`.
        together
            Names or numbers (n,) of rows that belong together, such as the images of one patient: one of each counts,
            or one of each in every group. Without it, copies of a row belong together.
        class_mix
            As in :meth:`calibrate`. Classes without names go by their numbers, ``"0"``, and out-of-class rows by
            ``"unknown"``.
        target
            Outputs of target rows, without labels. The promise is about their class mix, which is estimated.
        origin
            The classifier, as an extraction recorded it (``Origin.from_folder``), so that the gate can run it.
        seed
            Seed of all random draws but one: how a target is split does not depend on it.

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
        objectives = Objectives(max_risk=max_risk, delta=delta, **others)  # type: ignore[arg-type]
        source = ConfidenceSource.from_model(model, outputs.num_classes)
        prepared = PreparedRows.of(source, outputs, objectives, origin, by, groups, together, seed)
        return cls.from_prepared(prepared, Mix.of(class_mix, target, prepared))

    @classmethod
    def from_prepared(cls, prepared: PreparedRows, mix: Mix) -> Self:
        """Return the gate for prepared rows and the mix that its promise is about, as :meth:`of` does."""
        rows = prepared.calibrating
        objectives = prepared.objectives
        source = prepared.source
        mix.require_risk_alone(objectives, rows.groups is not None)
        used = mix.prepare(rows, source.thresholds, prepared.seed)
        made = calibrate_all(used.counted, used.thresholds, objectives, prepared.seed, used.weights)
        gate = cls._from_certificates(made, objectives, used)
        if not mix.is_other:
            gate = replace(gate, calibration_rows=decided_rows(gate, prepared.remembered))
        accepted = gate.accepts(rows.confidence, rows.groups) & mix.counts(rows)
        return replace(
            gate,
            source=source,
            by=prepared.by,
            classes=prepared.outputs.classes,
            origin=prepared.origin,
            caution=prepared.caution(accepted),
        )

    @classmethod
    def _from_certificates(cls, made: Certificates, objectives: Objectives, used: MixRows) -> Self:
        """Return the gate with these certificates, and with its decisions on the rows; it has no source yet."""
        learnt = used.learnt
        gate = cls(
            made.accepted,
            ProbabilityMap.from_rows(learnt.confidence, learnt.is_correct, learnt.of_log_odds),
            wrong=int((~used.drawn.is_correct).sum()),
            n=len(used.drawn),
            objectives=objectives,
            of_classes=made.of_classes,
            rejection=made.rejection,
            costs_of_errors=made.costs_of_errors,
        )
        if used.are_too_few:
            return gate
        return replace(gate, calibration_rows=decided_rows(gate, used.drawn))

    def at(self, max_risk: float) -> Self:
        """Return the gate for another of the risks that were promised together."""
        risks = [certificate.max_risk for certificate in self.certificates]
        if max_risk not in risks:
            promised = ", ".join(map(str, dict.fromkeys(risks)))
            raise SteepslopeError(f"expected a risk that was promised: {promised}, found {max_risk}", "max_risk")
        ordered = sorted(self.certificates, key=lambda certificate: certificate.max_risk != max_risk)
        return replace(self, certificates=tuple(ordered), calibration_rows=None)  # its decisions on them are others

    @property
    def promises(self) -> tuple[Certificate, ...]:
        """The certificates of the gate's own risk, one for each group."""
        return tuple(each for each in self.certificates if each.max_risk == self.certificates[0].max_risk)

    @property
    def promised_risk(self) -> float:
        """The promised risk of the accepted, in (0, 1); for a coverage or costs, the upper bound of the risk."""
        risk = self.promises[0].max_risk
        if risk is None:
            return self.risk_bound
        return risk

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the classes, or their numbers without names; None for a gate from confidences alone."""
        if self.classes or self.source is None:
            return self.classes
        return tuple(map(str, range(self.source.num_classes)))

    @property
    def has_groups(self) -> bool:
        """Whether each group has its own threshold."""
        return self.certificates[0].group is not None

    @property
    def thresholds(self) -> dict[str | None, float]:
        """The threshold of each group; without groups, the one threshold under None."""
        return {each.group: each.threshold for each in self.promises}

    @property
    def threshold(self) -> float:
        """The least confidence that is accepted; ∞ if nothing can be promised."""
        if self.has_groups:
            raise SteepslopeError("this gate has one for each of its groups: see thresholds", "threshold")
        return self.promises[0].threshold

    @property
    def coverage(self) -> float:
        """The fraction of calibration rows that are accepted, in [0, 1]."""
        n = sum(each.n for each in self.promises)
        return sum(each.coverage * each.n for each in self.promises) / max(1, n)

    @property
    def risk_bound(self) -> float:
        """The upper bound of the risk of the accepted, in [0, 1]: the highest of all groups, 1 if none is accepted."""
        return max((each.risk_bound for each in self.promises if each.accepted), default=1.0)

    @property
    def advice(self) -> str:
        """Why nothing can be promised, at least to some groups, and what to do about it; else empty.

        It names the first of many groups.
        """
        reasons = []
        for each in self.promises:
            if each.advice:
                reasons.append(each.advice if each.group is None else f"{each.group}: {each.advice}")
        others = len(reasons) - _MOST_ADVICE
        if others > 0:
            reasons[_MOST_ADVICE:] = [f"{others:,} other groups likewise"]
        return "; ".join(reasons)

    def accepts(self, confidence: ArrayLike, groups: AnyGroups | None = None) -> Bools:
        """Return whether each prediction is accepted, booleans (m,): its confidence reaches its group's threshold.

        A group that was not among the calibration rows is never accepted, and nothing is by a gate that is stopped.
        """
        values = checked_numbers(confidence, "confidence")
        if self.stopped is not None:
            return np.zeros(len(values), np.bool_)
        names = crossed_groups(groups, len(values), self.by)
        if self.has_groups != (names is not None):
            found = "found none" if names is None else "found some, but the gate has one threshold for all"
            raise SteepslopeError(f"expected groups where the gate was calibrated by groups, {found}", "groups")
        if names is None:
            return _reaches_threshold(values, self.threshold)
        distinct, index = np.unique(names, return_inverse=True)
        thresholds = np.array([self.thresholds.get(str(name), np.inf) for name in distinct])
        return _reaches_threshold(values, thresholds[index])

    def decisions(self, confidence: ArrayLike, groups: AnyGroups | None = None) -> Names:
        """Return accept, review or reject for each prediction, (m,); none is rejected unless ``reject`` was set."""
        accepted = self.accepts(confidence, groups)
        decided = np.where(accepted, ACCEPT, REVIEW)
        if self.rejection is not None:
            values = checked_numbers(confidence, "confidence")
            rejected = _reaches_threshold(-values, -self.rejection.threshold)
            decided[rejected & ~accepted] = REJECT
        return decided

    def p_correct(self, confidence: ArrayLike) -> Floats:
        """Return the estimated probability that each prediction is correct, float64 (m,), in [0, 1].

        It is an estimate, not a promise.
        """
        return np.asarray(self.probability(checked_numbers(confidence, "confidence")))

    def sentences(self) -> str:
        """Return the promises, each on a line, and what they assume if there are any."""
        certificates = [*self.certificates, *self.of_classes]
        if self.rejection is not None:
            certificates.append(self.rejection)
        lines = [certificate.sentences() for certificate in certificates]
        if self.objectives.costs is not None:
            share = self.wrong / self.n
            lines += cost_sentences(self.objectives.costs, self.promises, share, self.costs_of_errors)
        count = sum(certificate.is_given for certificate in certificates)
        if count > 1:
            counted = "Both" if count == 2 else f"All {count}"
            lines.append(f"{counted} promises hold together with {100 * (1 - self.objectives.delta):g} % confidence.")
        lines += [*self.of_overlapping, *self.cautions]
        if self.source is not None and self.source.opinions:
            lines.append(f"It counts the opinions of others on each prediction: {', '.join(self.source.opinions)}.")
            lines += self.source.sentences()
        if count:
            lines.append("This assumes that\n- " + ";\n- ".join(self.assumptions) + ".")
        return "\n".join(lines)

    @property
    def of_overlapping(self) -> list[str]:
        """A sentence on overlapping groups, such as each sex and each race; empty without such, or without a risk."""
        names = (self.by or "").split(CROSS)
        if len(names) == 1 or self.objectives.risks == (None,) or not any(each.is_given for each in self.promises):
            return []
        each = " and for each ".join(names)
        return [f"So the promise also holds for each {each}, since they are made up of these groups."]

    @property
    def cautions(self) -> list[str]:
        """Sentences on what may make the promise worthless."""
        lines = self.caution.splitlines()
        return [f"Caution: {line}" if line.endswith("?") else f"Caution: {line}." for line in lines]

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the promises assume, each a clause."""
        return assumptions_of_promise(self.certificates[0].weighted)

    def decide(
        self,
        outputs: ClassifierOutputs,
        groups: AnyGroups | None = None,
        *,
        top: int = 1,
        explain: bool = False,
        when_changed: WhenChanged = REVIEW_ALL,
        together: ArrayLike | None = None,
    ) -> Decisions:
        """Return what to do with each prediction in some outputs, with or without labels.

        All rows are first judged together. If they are clearly not drawn as the calibration rows were, a
        ``ChangedWarning`` says so, and nothing is accepted. If another class mix explains the change, and the promise
        holds for that mix as well, the gate goes on. Without a change, this happens with a probability of at most
        2.5 %, whatever ``delta`` and the number of rows. A gate without its calibration rows notices no change.

        Parameters
        ----------
        outputs
            Outputs (m rows) of the classifier that the gate was calibrated for, with the arrays that its oracle needs.
        groups
            Groups (m,), if the gate has groups other than the predicted classes; overlapping ones by name.
        top
            How many of the most probable classes to return.
        explain
            Whether to return what each kind of evidence adds to the trust logit, too.
        when_changed
            ``review``: a change sends all rows to review. ``warn``: it only gives the warning.
        together
            Names or numbers (m,) of rows that belong together, such as the images of one patient: one of each tells of
            a change.

        Raises
        ------
        SteepslopeError
            If the outputs are from another classifier or have other classes, or lack an array.
        """
        decisions = self.decide_rows(outputs, groups, top=top, explain=explain)
        return judged_together(self, decisions, when_changed, together)

    def decide_rows(
        self, outputs: ClassifierOutputs, groups: AnyGroups | None = None, *, top: int = 1, explain: bool = False
    ) -> Decisions:
        """Return what :meth:`decide` does if each row is judged alone, so that no change is noticed.

        ``stopped`` does not count here: :func:`judged_together` applies it, to the decisions of a whole call.
        """
        top_labels, top_probability = most_probable_classes(outputs, top)
        source = self.require_source()
        self.require_outputs(outputs)
        if explain:
            source.require_explainable()
        confidence = source.confidence(outputs)
        lacking = source.lacking(outputs.arrays)
        groups = groups_to_decide_by(self.by, groups, outputs, self.classes)
        decision = replace(self, stopped=None).decisions(confidence, groups)
        handed_over = None
        explained: dict[str, Floats] = {}
        oracle = source.oracle
        if oracle is not None:
            handed_over = oracle.handed_over(outputs)
            explained = oracle.explain(outputs) if explain else {}
        return Decisions(
            p_correct=self.p_correct(confidence),
            trust_logit=confidence,
            decision=np.where(lacking, REVIEW, decision),
            top_labels=top_labels,
            top_probability=top_probability,
            ids=outputs.ids,
            classes=outputs.classes or self.classes,
            handed_over=handed_over,
            explained=explained,
            groups=crossed_groups(groups, len(outputs), self.by),
            lacking=lacking & (top_labels[:, 0] >= 0) if source.needed else None,
            distance=source.distance(outputs),
        )

    def adapted(
        self,
        outputs: ClassifierOutputs,
        max_risk: float | None = None,
        *,
        together: ArrayLike | None = None,
        seed: int = 0,
    ) -> Self:
        """Return a gate for a new source, such as after a change, from 50 to 500 labelled rows of it.

        A quarter of the rows, at most 100, adapts the ranking (:meth:`steepslope.FusedOracle.adapted`). The others
        calibrate. The new gate promises the lowest of several risks that they support: the gate's own, or 2, 4, 8 …
        times that, up to 50 %. Other objectives than a risk are not taken over. ``sentences()`` also says how many
        more labels the next lower risk would take. This gate stays unchanged.

        Parameters
        ----------
        outputs
            Labelled outputs of the same classifier for rows of the new source, drawn at random, not chosen by the gate.
        max_risk
            The one risk to promise, in (0, 1); None to try several.
        together
            As in :meth:`of`: all rows adapt, and one of each calibrates.
        seed
            Seed of the split.

        Raises
        ------
        SteepslopeError
            If a row has no label, there are fewer than 20 rows, the gate has groups, or an oracle was fitted on some of
            the rows.
        """
        self.require_outputs(outputs)
        adapting, calibrating = split_to_adapt(outputs, checked_groups(together, len(outputs)), seed)
        return gate_for_new_source(self, outputs.subset(adapting), outputs.subset(calibrating), max_risk, seed)

    def require_outputs(self, outputs: ClassifierOutputs) -> None:
        """Raise if outputs have other classes than the gate was calibrated for, or another classifier made them."""
        self.require_source().require_classes(outputs, self.classes)
        self.origin.require_classifier(outputs.classifier)

    def require_source(self) -> ConfidenceSource:
        """Return the gate's oracle or score; raise for a gate from confidences alone."""
        if self.source is None:
            found = "found one from confidences alone: pass these to accepts, or make the gate with Gate.of"
            raise SteepslopeError(f"expected a gate with its own oracle or score, {found}", "gate")
        return self.source

    def save(self, folder: str | Path, made: Mapping[str, Any] | None = None) -> None:
        """Write a folder with all that decisions need, except the classifier; an earlier gate is replaced."""
        write_gate(Path(folder), self, made)

    @classmethod
    def load(cls, folder: str | Path, load_oracle: LoadOracle = Oracle.load) -> Self:
        """Read what :meth:`save` wrote; an error names the file and the field.

        ``folder`` may also be one that ``steepslope push`` wrote, or a repository on the Hugging Face Hub,
        ``hub:user/name`` or ``hub:user/name@revision``. ``load_oracle`` reads the oracle from its folder. To decide on
        images, load a :class:`steepslope.nets.ImageGate`.
        """
        return cls(**read_gate(folder, load_oracle))


def _reaches_threshold(values: Floats, threshold: float | Floats) -> Bools:
    """Return which values reach a threshold; none reaches ∞, not even ∞ itself, because nothing is promised there."""
    return (values >= threshold) & (np.asarray(threshold) < np.inf)
