"""What a gate does if inputs change: it goes on where another class mix explains it, and else accepts nothing."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from steepslope.checks import require
from steepslope.errors import ChangedWarning, SteepslopeError
from steepslope.gate.decisions import REVIEW, Decisions, names_of_classes
from steepslope.promise.certificate import EXACT, as_percent, shares_in_words
from steepslope.promise.change import CHANGED, HEALTHY, Change, Judged, change_of_batch
from steepslope.promise.objectives import REVIEW_ALL, WHEN_CHANGED
from steepslope.promise.target import Target, holds_on_target

if TYPE_CHECKING:
    from steepslope.gate.gate import Gate

OTHER_MIX = (
    "If only the class mix has changed, `for_mix` or `calibrate --target` makes a gate for it without labels, and none "
    "if more has changed."
)
GOING_ON = (
    "To go on, label 50 to 500 of these rows, drawn at random, and adapt the gate to them: `adapted`, or `steepslope "
    "adapt`."
)
NO_CHANGE = (
    "HEALTHY: there is not enough evidence of a change. Errors that leave no trace in what is watched cannot be seen "
    "without labels."
)
CHANGE_UNKNOWN = "Whether inputs have changed is unknown, because this gate has no calibration rows to compare with."


@dataclass(frozen=True)
class Verdict:
    """Whether predictions are ``healthy`` or ``changed``, what to say about it, and whether nothing is accepted."""

    health: str = HEALTHY
    sentence: str = ""
    stops: bool = False


def verdict_on_batch(gate: Gate, rows: Judged, when_changed: str, order: NDArray[np.int64] | None = None) -> Verdict:
    """Return the verdict of a gate on some predictions (m,), which are judged as a whole.

    Their ``order`` is as in :func:`~steepslope.promise.change.change_of_batch`.
    """
    require("when_changed", when_changed, WHEN_CHANGED)
    known = gate.calibration_rows
    if known is None or not known.accepted.any() or not rows.compared.any():
        return Verdict()
    change = change_of_batch(known, rows, order)
    if not change:
        return Verdict()
    mix = _mix_that_keeps_promise(gate, rows)
    if mix is not None:
        return Verdict(CHANGED, _sentence_of_mix(gate, change, mix))
    stops = when_changed == REVIEW_ALL
    consequence = "So nothing is accepted." if stops else "So the promise cannot be relied on."
    lines = [change.sentence(), consequence, GOING_ON]
    return Verdict(CHANGED, " ".join(lines if gate.has_groups else [*lines, OTHER_MIX]), stops)


def _mix_that_keeps_promise(gate: Gate, rows: Judged) -> dict[str, float] | None:
    """Return the estimated class mix of some predictions if it explains them, and the promise holds for it as well.

    The gate goes on with the same threshold, so this is one test at the promise's own delta.
    """
    known = gate.calibration_rows
    if known is None or known.true is None or known.predicted is None or rows.predicted is None or gate.has_groups:
        return None
    compared = rows.compared
    labels = known.true, known.predicted, rows.predicted[compared]
    try:
        target = Target.of(*(names_of_classes(each, gate.class_names) for each in labels))
        target.require_explained(known.p_correct, rows.p_correct[compared])
        if known.distance is not None and rows.distance is not None:
            target.require_explained(known.distance, rows.distance[compared])
        delta = gate.promises[0].delta
        holds = holds_on_target(target, known.accepted, known.is_correct, gate.promised_risk, delta)
    except SteepslopeError:  # too few rows, or no mix explains them
        return None
    return target.mix if holds else None


def _sentence_of_mix(gate: Gate, change: Change, mix: dict[str, float]) -> str:
    promised = as_percent(gate.promised_risk, EXACT)
    return (
        f"{change.sentence()} Another class mix explains this (estimated: {shares_in_words(mix)}), and the promise "
        f"of at most {promised} wrong also holds for that mix. So the gate goes on accepting."
    )


def judged_together(gate: Gate, decisions: Decisions, when_changed: str, stacklevel: int = 3) -> Decisions:
    """Return decisions as the verdict on all of them leaves them; a rejected prediction stays rejected.

    A change gives a :class:`~steepslope.errors.ChangedWarning`, by default to the caller's caller.
    """
    verdict = verdict_on_batch(gate, decisions, when_changed)
    if verdict.sentence:
        warnings.warn(verdict.sentence, ChangedWarning, stacklevel=stacklevel)
    if when_changed != REVIEW_ALL:
        return replace(decisions, change=verdict.sentence)
    stopped = decisions.accepted & verdict.stops
    decision = np.where(stopped, REVIEW, decisions.decision)
    return replace(decisions, decision=decision, stopped=stopped, change=verdict.sentence)
