"""What a gate does if inputs change: it goes on where another class mix explains it, and else accepts nothing."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from steepslope.errors import ChangedWarning, SteepslopeError, require
from steepslope.gate._decisions import REVIEW, Decisions, names_of_classes
from steepslope.gate._switch import stopped_sentence
from steepslope.promise import (
    CHANGED,
    EXACT,
    HEALTHY,
    REVIEW_ALL,
    WHEN_CHANGED,
    JudgedRows,
    LabelledRows,
    Target,
    as_percent,
    change_of_batch,
    last_passing_on_target,
    shares_in_words,
)

if TYPE_CHECKING:
    from steepslope.gate._gate import Gate

OTHER_MIX = (
    "If only the class mix has changed, `TrustedClassifier.for_mix` or `calibrate --target` makes a gate for it "
    "without labels. Both refuse groups, and a change of anything else."
)
GOING_ON = (
    "To go on, label 50 to 500 of these rows, drawn at random, and adapt the gate to them (`adapted`, or `steepslope "
    "adapt`); a gate with groups, or of confidences alone, has to be calibrated again on such rows."
)
NO_CHANGE = (
    "HEALTHY: there is not enough evidence of a change. Errors that leave no trace in what is watched cannot be seen "
    "without labels."
)
ACCEPT_NOTHING = 2.0  # a limit that no P(correct) reaches
CHANGE_UNKNOWN = "Whether inputs have changed is unknown, because this gate has no calibration rows to compare with."


@dataclass(frozen=True)
class Verdict:
    """Whether predictions are ``healthy`` or ``changed``, what to say about it, and what goes to review for that.

    These are the predictions with a P(correct) below the ``limit``: all of them if it is ``ACCEPT_NOTHING``.
    """

    health: str = HEALTHY
    sentence: str = ""
    limit: float = 0.0


def verdict_on_batch(gate: Gate, rows: JudgedRows, when_changed: str) -> Verdict:
    """Return the verdict of a gate on some predictions (m,), judged as a whole; their order has to tell nothing."""
    require("when_changed", when_changed, WHEN_CHANGED)
    if gate.stopped is not None:
        return Verdict(sentence=stopped_sentence(gate.stopped), limit=ACCEPT_NOTHING)
    known = gate.calibration_rows
    if known is None or not known.accepted.any() or not len(rows):
        return Verdict()
    change = change_of_batch(known, rows)
    if not change:
        return Verdict()
    if when_changed != REVIEW_ALL:
        return Verdict(CHANGED, f"{change.sentence()} So the promise cannot be relied on. {GOING_ON}")
    explained = _promise_for_other_mix(gate, rows)
    if explained is None:
        sentence = f"{change.sentence()} So nothing is accepted. {GOING_ON} {OTHER_MIX}"
        return Verdict(CHANGED, sentence, ACCEPT_NOTHING)
    mix, limit = explained
    promised = as_percent(gate.promised_risk, EXACT)
    shares = shares_in_words(mix)
    return Verdict(
        CHANGED,
        f"{change.sentence()} Another class mix explains this (estimated: {shares}). For that mix, the promise of at "
        f"most {promised} wrong holds from a P(correct) of {limit:.4g} on, so only such predictions are accepted.",
        limit,
    )


def _promise_for_other_mix(gate: Gate, rows: JudgedRows) -> tuple[dict[str, float], float] | None:
    """Return the estimated class mix of some predictions if it explains them, and the limit of a promise for it.

    The limit on P(correct) is found as a gate's threshold is, but the gate accepts no more than before. None if no mix
    explains the predictions, there are too few of them, or nothing can be promised for the mix.
    """
    known = gate.calibration_rows
    thresholds = None if gate.source is None else gate.source.thresholds
    if known is None or thresholds is None or gate.has_groups:
        return None
    if known.true is None or known.predicted is None or rows.predicted is None:
        return None
    limits = gate.p_correct(thresholds)
    possible = int((limits >= gate.p_correct(gate.threshold)).sum())
    names = gate.class_names
    true = names_of_classes(known.true, names)
    predicted = names_of_classes(known.predicted, names)
    try:
        target = Target.of(true, predicted, names_of_classes(rows.predicted, names))
        target.require_explained(known.p_correct, rows.p_correct)
        if known.distance is not None and rows.distance is not None:
            target.require_explained(known.distance, rows.distance)
        counted = LabelledRows.of(known.p_correct, known.is_correct)
        delta = gate.promises[0].delta
        place, _ = last_passing_on_target(counted, target, limits, gate.promised_risk, delta, possible)
    except SteepslopeError:  # too few rows, or no mix explains them
        return None
    if place is None:
        return None
    return (target.mix, float(limits[place]))


def judged_together(
    gate: Gate, decisions: Decisions, when_changed: str, together: ArrayLike | None = None
) -> Decisions:
    """Return decisions as the verdict on all of them leaves them; a rejected prediction stays rejected.

    Of rows that belong ``together`` (m,), one tells of a change. A change gives a
    :class:`~steepslope.errors.ChangedWarning`, to the caller's caller.
    """
    verdict = verdict_on_batch(gate, decisions.judged(together), when_changed)
    if verdict.sentence:
        warnings.warn(verdict.sentence, ChangedWarning, stacklevel=3)
    if when_changed != REVIEW_ALL and gate.stopped is None:
        return replace(decisions, change=verdict.sentence)
    stopped = decisions.accepted & (decisions.p_correct < verdict.limit)
    decision = np.where(stopped, REVIEW, decisions.decision)
    return replace(decisions, decision=decision, stopped=stopped, change=verdict.sentence)
