"""Which predictions to label of those a gate accepts: each with a known probability, never 0, the doubtful more often.

Once these are labelled, they tell of all that is accepted without a bias, whatever drifts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steepslope.gate.decisions import REVIEW
from steepslope.outputs.table_files import Frame

Floats = NDArray[np.float64]
AUDIT, CHANCE = "audit", "audit_probability"
LIMIT = "limit"  # on P(correct), in the key of a file; a file that was made with another limit is complete
EVEN = 0.5  # the part of the labels that is spread evenly, so that no probability is tiny where P(correct) is mistaken


@dataclass(frozen=True)
class Audit:
    """How many of the predictions in a file that a gate accepts are to be labelled, on average, and what it promises.

    ``gate`` is its digest: another gate draws others, so that what one has learnt from drawn rows tells nothing of the
    draws of the next. ``limit`` is the P(correct) that an accepted prediction must also reach. Rows below
    it can be drawn too, so that labels show when a lower limit would do.
    """

    labels: int
    max_risk: float
    gate: str
    limit: float = 0.0

    def chances(self, chunks: Iterable[Frame]) -> list[Floats]:
        """Return, of each row of each chunk of decisions, the probability of being drawn; 0 if it is not accepted.

        It is accepted by the gate alone, whatever the limit.
        """
        columns = [_audited_columns(chunk) for chunk in chunks]
        p_correct, accepted = (np.concatenate(column) for column in zip(*columns, strict=True))
        found = np.zeros(len(accepted))
        found[accepted] = audit_chances(p_correct[accepted], self.max_risk, self.labels)
        return np.split(found, np.cumsum([len(rows) for rows, _ in columns])[:-1])

    def marked(self, table: Frame, chance: Floats) -> Frame:
        """Return decisions with whether each is drawn, and with what probability (m,).

        What is below the limit is left to review.
        """
        is_drawn = drawn_for_audit(table["id"].tolist(), chance, self.gate)
        limited = self._limited(table) if self.limit and "p_correct" in table else {}
        return {**table, **limited, AUDIT: is_drawn, CHANCE: chance}

    def _limited(self, table: Frame) -> Frame:
        """Return what was accepted and decided, with what is below the limit left to review."""
        reaches = reaches_audit_limit(np.ma.filled(table["p_correct"], np.nan), self.limit)
        accepted = np.asarray(table["accepted"])
        return {
            "accepted": accepted & reaches,
            "decision": np.where(accepted & ~reaches, REVIEW, np.asarray(table["decision"])),
        }


def audit_chances(p_correct: Floats, max_risk: float, labels: int) -> Floats:
    """Return the probability with which each accepted prediction is to be drawn, in (0, 1], (m,).

    Their sum is ``labels``, or m where that is less. A half is spread evenly. The other half goes as the root of the
    mean square of what a label adds to risk − max_risk, p(1 − max_risk)² + (1 − p)max_risk² with p = 1 − P(correct),
    which makes the variance of the estimated risk least if P(correct) is right (Neyman 1934).

    >>> audit_chances(np.array([1.0, 1.0, 0.9, 0.5]), max_risk=0.05, labels=2).round(2)
    array([0.3 , 0.3 , 0.53, 0.87])
    """
    doubts = audit_doubt(p_correct, max_risk)
    wanted = EVEN / max(1, len(doubts)) + (1 - EVEN) * doubts / doubts.sum()
    if labels >= len(wanted):
        return np.ones(len(wanted))
    largest = np.sort(wanted)[::-1]
    rest = np.cumsum(largest[::-1])[::-1]  # of these and all smaller ones
    factors = (labels - np.arange(labels)) / rest[:labels]  # if so many are drawn for sure
    factor = factors[np.argmax(factors * largest[:labels] <= 1)]
    return np.asarray(np.minimum(1.0, factor * wanted))


def audit_doubt(p_correct: Floats, max_risk: float) -> Floats:
    """Return the root of the mean square of what the label of each prediction adds to risk − max_risk, (m,)."""
    return np.asarray(np.sqrt((1 - p_correct) * (1 - max_risk) ** 2 + p_correct * max_risk**2))


def drawn_for_audit(ids: Sequence[str], chance: Floats, gate: str) -> NDArray[np.bool_]:
    """Draw rows by their coins, each with its probability (m,); the same rows each time."""
    return np.asarray(audit_coins(ids, gate) < chance)


def audit_coins(ids: Sequence[str], gate: str) -> Floats:
    """Return a number in [0, 1) for each row, (m,), by a hash of its id and the gate's digest."""
    hashes = (hashlib.blake2b(f"{gate}/{id_}".encode(), digest_size=8, person=AUDIT.encode()).digest() for id_ in ids)
    return np.array([int.from_bytes(one, "little") for one in hashes], np.float64) / 2.0**64


def reaches_audit_limit(p_correct: Floats, limit: float) -> NDArray[np.bool_]:
    """Return whether each P(correct) is at a limit or above, (m,); a state has both in single precision."""
    return np.asarray(p_correct.astype(np.float32) >= np.float32(limit))


def _audited_columns(chunk: Frame) -> tuple[Floats, NDArray[np.bool_]]:
    """Return P(correct) and whether each row was accepted, (m,); of images that could not be read, none is."""
    accepted = np.asarray(chunk["accepted"])
    return np.ma.filled(chunk.get("p_correct", np.zeros(len(accepted))), np.nan), accepted
