"""What a gate promises of confidences, and what it decides by them alone."""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.errors import SteepslopeError
from steepslope.gate.confidence_source import UNKNOWN, ConfidenceSource, Origin
from steepslope.gate.decisions import ACCEPT, REJECT, REVIEW
from steepslope.promise.aims import Aims
from steepslope.promise.calibration import CalibrationRows, ProbabilityMap, group_names
from steepslope.promise.certificate import Certificate, assumptions, in_lines
from steepslope.promise.certify import conformal_p_values, numbers, selected

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
MOST_ADVICE = 3  # groups of which it is told why nothing can be promised


@dataclass(frozen=True, eq=False)
class Promises:
    """All that a gate keeps on disk, and what of it needs confidences alone.

    ``certificates`` are of what is accepted, a risk and a group each; ``of_classes`` those of the true classes, if
    these are promised anything; ``rejection`` that of what is rejected. ``caution`` says, a line each, which true class
    is never predicted among the accepted, though its rows are accepted under other labels, and what looks too good to
    be true. It is empty where there is nothing of the kind.
    ``probability`` turns a confidence into P(correct). ``of_errors`` are the confidences of the wrong rows among the
    ``n`` to calibrate on, (e,), in ascending order; under another mix of classes, among n rows that are drawn as in it.
    ``source`` is the gate's oracle or score, None where it is of confidences alone; ``by`` names what its groups are:
    ``predicted``, the predicted classes, or others. ``classes`` are the names of the classes, and ``origin`` tells
    which classifier made the predictions, as far as it is known. ``calibration_rows`` is what it makes of these n rows,
    None where a copy leaves them out, where too few could be drawn, and for another of several risks (:meth:`at`).
    """

    certificates: tuple[Certificate, ...]
    probability: ProbabilityMap
    of_errors: Floats = field(repr=False)
    n: int
    aims: Aims
    of_classes: tuple[Certificate, ...] = ()
    rejection: Certificate | None = None
    caution: str = ""
    source: ConfidenceSource | None = None
    by: str | None = None
    classes: tuple[str, ...] | None = None
    origin: Origin = UNKNOWN
    calibration_rows: CalibrationRows | None = field(default=None, repr=False)

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
    def promised_risk(self) -> float:
        """The risk that is promised of the accepted; where a coverage is, the upper bound of its risk."""
        risk = self.promises[0].max_risk
        return self.risk_bound if risk is None else risk

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
        return sum(one.coverage * one.n for one in self.promises) / max(1, sum(one.n for one in self.promises))

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
        given = [*self.certificates, *self.of_classes, *([] if self.rejection is None else [self.rejection])]
        lines = [certificate.sentences() for certificate in given]
        if self.aims.costs is not None:
            error, review = self.aims.costs
            n, accepted, errors = (
                sum(getattr(one, name) for one in self.promises) for name in ("n", "accepted", "errors")
            )
            cost = (errors * error + (n - accepted) * review) / max(1, n)
            all_of_them = f"accepting all {len(self.of_errors) / self.n * error:.4g}, reviewing all {review:.4g}"
            lines.append(f"Cost of a prediction: {cost:.4g}; {all_of_them}.")
        count = sum(one.is_given for one in given)
        if count > 1:
            lines.append(f"All {count} promises hold together with a confidence of {1 - self.aims.delta:g}.")
        lines += self.cautions
        if self.source is not None and self.source.opinions:
            lines.append(f"It counts the opinions of others on each prediction: {', '.join(self.source.opinions)}.")
            lines += self.source.sentences()
        return "\n".join([*lines, in_lines(self.assumptions)])

    @property
    def cautions(self) -> list[str]:
        """What may make the promise worth nothing, a sentence each."""
        return [f"Caution: {one.rstrip('?')}{'?' if one.endswith('?') else '.'}" for one in self.caution.splitlines()]

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What its promises assume."""
        return assumptions(self.certificates[0].weighted)


def _numbers(confidence: ArrayLike) -> Floats:
    return numbers(confidence, "confidence")


def _at_least(values: Floats, threshold: float | Floats) -> Bools:
    """Return whether values reach a threshold; none reaches ∞, where nothing is promised, be it ∞ itself."""
    return (values >= threshold) & (np.asarray(threshold) < np.inf)
