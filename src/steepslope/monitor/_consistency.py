"""Whether a file agrees with the decisions of a gate and the draw of its audit, up to the rounding of its numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from steepslope.errors import SteepslopeError
from steepslope.gate import ACCEPT, ACCEPT_NOTHING, GROUP, PREDICTED, REJECT, REVIEW, Gate, names_of_classes
from steepslope.monitor._predictions import DECISION, TRUST, Batch
from steepslope.numerics import Bools, Counts, Floats, Values
from steepslope.outputs import UNKNOWN
from steepslope.predict import AUDIT, CHANCE, audit_chances, audit_coins, audit_doubt
from steepslope.promise import checked_numbers

_ORDER = (REJECT, REVIEW, ACCEPT)
_MIDDLE = 1  # a rank in that order
_HIGHEST = 2
_LEAST = 1e-6  # relative rounding that is always allowed: of single precision, or of another machine
_DIGITS = 15  # of a double
_LARGEST = 1e200  # the largest size whose products do not overflow


def _rounding_in_file(values: Floats) -> Floats:
    """Return by how much each number (m,) may be rounded; the number of digits of all of them tells.

    Digits after the point count, or significant digits, whichever allow more.

    >>> _rounding_in_file(np.array([0.123, 2.5])).round(6).tolist()
    [0.0005, 0.005002]
    """
    finite = np.clip(values, -_LARGEST, _LARGEST)
    sizes = 10.0 ** np.floor(np.log10(np.maximum(np.abs(finite), 1 / _LARGEST)))
    absolute = 10.0 ** -_digits_in_file(finite)
    relative = 10.0 ** -_digits_in_file(finite / sizes)
    steps = np.maximum(absolute, sizes * relative)
    return np.asarray(steps / 2 + _LEAST * np.abs(finite))


def _digits_in_file(values: Floats) -> int:
    for digits in range(_DIGITS):
        if np.allclose(values.round(digits), values, 1e-12, 0):
            return digits
    return _DIGITS


def require_consistent_decisions(gate: Gate, batch: Batch, limit: float | None = 0.0) -> None:
    """Raise unless P(correct) and the decisions of a file follow from its trust logits and the gate.

    ``limit`` is the limit on P(correct) of a gate that follows its audit, 0 if it does not follow, and None if it is
    not known, so that any is allowed. Where there are no trust logits, decisions have to follow from P(correct).
    """
    slack = _rounding_in_file(batch.p_correct)
    low, high = _consistent_confidences(gate, batch, slack)
    p_low = gate.p_correct(low) - slack
    p_high = gate.p_correct(high) + slack
    is_other = (batch.p_correct < p_low) | (batch.p_correct > p_high)
    _refuse_inconsistent(batch, is_other, "p_correct", p_high, batch.p_correct)
    least, most = _consistent_ranks(gate, batch, low, high)
    ranks = _ranks_in_file(batch, most)
    stopped = np.zeros(len(batch), np.bool_)
    if batch.stopped is not None:
        stopped = batch.stopped
        both = batch.accepted & stopped
        _refuse_inconsistent(batch, both, "accepted", ~both, both, "a change that stops it")
    if limit is None:
        limit = float(batch.p_correct[batch.accepted].min(initial=ACCEPT_NOTHING))
    by_gate = batch.by_gate
    surely_stopped = stopped | (by_gate & (batch.p_correct + slack < limit))
    maybe_stopped = stopped | (by_gate & (batch.p_correct - slack < limit))
    least_now = np.where(maybe_stopped, np.minimum(least, _MIDDLE), least)
    most_now = np.where(surely_stopped, np.minimum(most, _MIDDLE), most)
    _refuse_inconsistent_ranks(batch, ranks, DECISION, least_now, most_now)
    ranks_of_gate = np.where(by_gate, _HIGHEST, np.minimum(ranks, _MIDDLE))
    _refuse_inconsistent_ranks(batch, ranks_of_gate, CHANCE, least, most)


def _consistent_confidences(gate: Gate, batch: Batch, slack: Floats) -> tuple[Floats, Floats]:
    """Return the least and the largest possible confidences, (m,) each, from P(correct) if there is no trust logit."""
    if TRUST in batch.columns:
        trust = checked_numbers(batch.columns[TRUST], TRUST)
        width = _rounding_in_file(trust)
        return trust - width, trust + width
    least, most = gate.p_correct([-np.inf, np.inf])
    p_low = batch.p_correct - slack
    p_high = batch.p_correct + slack
    low = gate.probability.inverse(np.clip(p_low, least, most))
    high = gate.probability.inverse(np.clip(p_high, least, most))
    return np.where(p_low <= least, -np.inf, low), np.where(p_high >= most, np.inf, high)


def _consistent_ranks(gate: Gate, batch: Batch, low: Floats, high: Floats) -> tuple[Counts, Counts]:
    """Return the ranks of the least and the most trusting decisions that the gate may have made, (m,) each.

    A row that lacks an opinion, or an answer, goes to review. Where groups are not known, a row may be of any group,
    also of one that is never accepted.
    """
    groups = batch.columns.get(GROUP)
    predicted = batch.predicted
    highest = _HIGHEST
    if gate.by == PREDICTED and predicted is not None:
        groups = names_of_classes(predicted, gate.classes)
    if not gate.has_groups:
        groups = None
    elif groups is None:
        groups = np.full(len(low), min(gate.thresholds, key=gate.thresholds.__getitem__))
        highest = _MIDDLE
    at_work = replace(gate, stopped=None)
    least = _rank_of_decision(at_work.decisions(low, groups))
    most = _rank_of_decision(at_work.decisions(high, groups))
    is_decided = batch.compared
    if predicted is not None:
        is_decided = is_decided & (predicted != UNKNOWN)
    return np.where(is_decided, np.minimum(least, highest), _MIDDLE), np.where(is_decided, most, _MIDDLE)


def _rank_of_decision(decision: Values) -> Counts:
    return np.asarray((decision != REJECT).astype(np.int64) + (decision == ACCEPT))


def _ranks_in_file(batch: Batch, most: Counts) -> Counts:
    """Return the ranks of the decisions in a file, (m,); without that column, a row not accepted may be rejected."""
    accepted = batch.accepted
    decision = batch.columns.get(DECISION)
    if decision is None:
        return np.where(accepted, _HIGHEST, np.minimum(most, _MIDDLE))
    _refuse_inconsistent(batch, accepted != (decision == ACCEPT), "accepted", ~accepted, accepted)
    return _rank_of_decision(decision)


def _refuse_inconsistent_ranks(batch: Batch, found: Counts, column: str, least: Counts, most: Counts) -> None:
    names = np.array(_ORDER)
    expected = names[np.clip(found, least, most)]
    _refuse_inconsistent(batch, (found < least) | (found > most), column, expected, names[found])


def _refuse_inconsistent(
    batch: Batch, wrong: Bools, column: str, expected: Values, found: Values, by: str = "the gate"
) -> None:
    """Raise if any row is ``wrong`` (m,), with what is expected and found in a column of the first such row."""
    if not wrong.any():
        return
    row = int(wrong.argmax())
    facts = f"p_correct {batch.p_correct[row]:.6g}"
    if TRUST in batch.columns:
        facts += f", {TRUST} {batch.columns[TRUST][row]:.6g}"
    raise SteepslopeError(
        f"expected {_as_told(expected[row])} for {batch.ids[row]!r} ({facts}), by {by}, found {_as_told(found[row])}; "
        f"{wrong.sum():,} of {len(wrong):,} rows contradict",
        column,
    )


def _as_told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def require_consistent_audit(batch: Batch, max_risk: float, gate: str) -> None:
    """Raise unless the accepted rows of a file have the probabilities of one audit, and are marked by their hashes.

    ``gate`` is the gate's digest. The sum of the probabilities is how many rows were to be labelled.
    """
    assert batch.chance is not None
    width = _rounding_in_file(batch.chance)
    in_audit = batch.chance > 0
    rows = batch.subset(in_audit)
    p_correct = rows.p_correct
    chance = batch.chance[in_audit]
    expected = audit_chances(p_correct, max_risk, max(1, round(chance.sum())))
    slack = _rounding_in_file(p_correct)
    low = audit_doubt(np.clip(p_correct + slack, 0, 1), max_risk)
    high = audit_doubt(np.clip(p_correct - slack, 0, 1), max_risk)
    allowed = 2 * (expected * (high / low - 1).max() + width[in_audit])
    is_other = np.abs(chance - expected) > allowed
    _refuse_inconsistent(rows, is_other, CHANCE, expected, chance, "an audit of the whole file")
    coin = audit_coins(batch.ids.tolist(), gate)
    marked = batch.columns[AUDIT]
    wrong = np.where(marked, coin >= batch.chance + width, coin < batch.chance - width)
    _refuse_inconsistent(batch, wrong, AUDIT, ~marked, marked, "the hash of its id and the gate")
