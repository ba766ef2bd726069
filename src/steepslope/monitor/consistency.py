"""Whether a file agrees with the decisions of a gate and the draw of its audit, up to the rounding of its numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.gate.change import ACCEPT_NOTHING
from steepslope.gate.decisions import ACCEPT, GROUP, PREDICTED, REJECT, REVIEW, names_of_classes
from steepslope.monitor.predictions import DECISION, TRUST, Batch
from steepslope.numerics.types import Bools, Counts, Floats
from steepslope.outputs.labels import UNKNOWN
from steepslope.predict.audit import AUDIT, CHANCE, audit_chances, audit_coins, audit_doubt
from steepslope.promise.rows import checked_numbers

Counts = Counts
ORDER = (REJECT, REVIEW, ACCEPT)
MIDDLE, HIGHEST = 1, 2  # ranks in that order
LEAST = 1e-6  # relative rounding that is always allowed: of single precision, or of another machine
DIGITS, LARGEST = 15, 1e200  # digits of a double; the largest size whose products do not overflow


def rounding_in_file(values: Floats) -> Floats:
    """Return by how much each number (m,) may be rounded; the number of digits of all of them tells.

    Digits after the point count, or significant digits, whichever allow more.

    >>> rounding_in_file(np.array([0.123, 2.5])).round(6).tolist()
    [0.0005, 0.005002]
    """
    finite = np.clip(values, -LARGEST, LARGEST)
    sizes = 10.0 ** np.floor(np.log10(np.maximum(np.abs(finite), 1 / LARGEST)))
    steps = np.maximum(10.0 ** -_digits_in_file(finite), sizes * 10.0 ** -_digits_in_file(finite / sizes))
    return np.asarray(steps / 2 + LEAST * np.abs(finite))


def _digits_in_file(values: Floats) -> int:
    return next((digits for digits in range(DIGITS) if np.allclose(values.round(digits), values, 1e-12, 0)), DIGITS)


def require_consistent_decisions(gate: Gate, batch: Batch, limit: float | None = 0.0) -> None:
    """Raise unless P(correct) and the decisions of a file follow from its trust logits and the gate.

    ``limit`` is the limit on P(correct) of a gate that follows its audit, 0 if it does not follow, and None if it is
    not known, so that any is allowed. Where there are no trust logits, decisions have to follow from P(correct).
    """
    slack = rounding_in_file(batch.p_correct)
    low, high = _consistent_confidences(gate, batch, slack)
    p_low, p_high = gate.p_correct(low) - slack, gate.p_correct(high) + slack
    is_other = (batch.p_correct < p_low) | (batch.p_correct > p_high)
    _refuse_inconsistent(batch, is_other, "p_correct", p_high, batch.p_correct)
    least, most = _consistent_ranks(gate, batch, low, high)
    ranks = _ranks_in_file(batch, most)
    if batch.stopped is not None:
        both = batch.accepted & batch.stopped
        _refuse_inconsistent(batch, both, "accepted", ~both, both, "a change that stops it")
    by_gate = batch.by_gate
    if limit is None:
        limit = float(batch.p_correct[batch.accepted].min(initial=ACCEPT_NOTHING))
    stopped = np.zeros(len(batch), np.bool_) if batch.stopped is None else batch.stopped
    below = (by_gate & (batch.p_correct + by < limit) for by in (-slack, slack))
    cuts = (np.where(stopped | each, MIDDLE, HIGHEST) for each in below)
    _refuse_inconsistent_ranks(batch, ranks, DECISION, *map(np.minimum, (least, most), cuts))
    _refuse_inconsistent_ranks(batch, np.where(by_gate, HIGHEST, np.minimum(ranks, MIDDLE)), CHANCE, least, most)


def _consistent_confidences(gate: Gate, batch: Batch, slack: Floats) -> tuple[Floats, Floats]:
    """Return the least and the largest possible confidences, (m,) each, from P(correct) if there is no trust logit."""
    if TRUST in batch.columns:
        trust = checked_numbers(batch.columns[TRUST], TRUST)
        width = rounding_in_file(trust)
        return trust - width, trust + width
    p_correct = batch.p_correct
    least, most = gate.p_correct([-np.inf, np.inf])
    low, high = (gate.probability.inverse(np.clip(p_correct + by, least, most)) for by in (-slack, slack))
    return np.where(p_correct - slack <= least, -np.inf, low), np.where(p_correct + slack >= most, np.inf, high)


def _consistent_ranks(gate: Gate, batch: Batch, low: Floats, high: Floats) -> tuple[Counts, Counts]:
    """Return the ranks of the least and the most trusting decisions that the gate may have made, (m,) each.

    A row that lacks an opinion, or an answer, goes to review. Where groups are not known, a row may be of any group,
    also of one that is never accepted.
    """
    groups, predicted = batch.columns.get(GROUP), batch.predicted
    highest = HIGHEST
    if gate.by == PREDICTED and predicted is not None:
        groups = names_of_classes(predicted, gate.classes)
    if gate.has_groups and groups is None:
        groups = np.full(len(low), min(gate.thresholds, key=gate.thresholds.__getitem__))
        highest = MIDDLE
    at_work = replace(gate, stopped=None)
    least, most = (
        _rank_of_decision(at_work.decisions(values, groups if gate.has_groups else None)) for values in (low, high)
    )
    judged = batch.compared if predicted is None else batch.compared & (predicted != UNKNOWN)
    return np.where(judged, np.minimum(least, highest), MIDDLE), np.where(judged, most, MIDDLE)


def _rank_of_decision(decision: NDArray[Any]) -> Counts:
    return np.asarray((decision != REJECT).astype(np.int64) + (decision == ACCEPT))


def _ranks_in_file(batch: Batch, most: Counts) -> Counts:
    """Return the ranks of the decisions in a file, (m,); without that column, a row not accepted may be rejected."""
    accepted, decision = batch.accepted, batch.columns.get(DECISION)
    if decision is None:
        return np.where(accepted, HIGHEST, np.minimum(most, MIDDLE))
    _refuse_inconsistent(batch, accepted != (decision == ACCEPT), "accepted", ~accepted, accepted)
    return _rank_of_decision(decision)


def _refuse_inconsistent_ranks(batch: Batch, found: Counts, column: str, least: Counts, most: Counts) -> None:
    names = np.array(ORDER)
    _refuse_inconsistent(
        batch, (found < least) | (found > most), column, names[np.clip(found, least, most)], names[found]
    )


def _refuse_inconsistent(
    batch: Batch, wrong: Bools, column: str, expected: NDArray[Any], found: NDArray[Any], by: str = "the gate"
) -> None:
    """Raise if any row is ``wrong`` (m,), with what is expected and found in a column of the first such row."""
    if not wrong.any():
        return
    row, known = int(wrong.argmax()), {"p_correct": batch.p_correct, **batch.columns}
    facts = ", ".join(f"{name} {known[name][row]:.6g}" for name in ("p_correct", TRUST) if name in known)
    told = [f"{one:.6g}" if isinstance(one, float) else str(one) for one in (expected[row], found[row])]
    which = f"{batch.ids[row]!r} ({facts}), by {by}, found {told[1]}"
    raise SteepslopeError(f"expected {told[0]} for {which}; {wrong.sum():,} of {len(wrong):,} rows contradict", column)


def require_consistent_audit(batch: Batch, max_risk: float, gate: str) -> None:
    """Raise unless the accepted rows of a file have the probabilities of one audit, and are marked by their hashes.

    ``gate`` is the gate's digest. The sum of the probabilities is how many rows were to be labelled.
    """
    assert batch.chance is not None
    whole = batch.chance
    in_audit, width = whole > 0, rounding_in_file(whole)
    rows = batch.subset(in_audit)
    p_correct, chance = rows.p_correct, whole[in_audit]
    expected = audit_chances(p_correct, max_risk, max(1, round(chance.sum())))
    slack = rounding_in_file(p_correct)
    low, high = (audit_doubt(np.clip(p_correct + by, 0, 1), max_risk) for by in (slack, -slack))
    allowed = 2 * (expected * (high / low - 1).max() + width[in_audit])
    _refuse_inconsistent(
        rows, np.abs(chance - expected) > allowed, CHANCE, expected, chance, "an audit of the whole file"
    )
    coin, marked = audit_coins(batch.ids.tolist(), gate), batch.columns[AUDIT]
    wrong = np.where(marked, coin >= whole + width, coin < whole - width)
    _refuse_inconsistent(batch, wrong, AUDIT, ~marked, marked, "the hash of its id and the gate")
