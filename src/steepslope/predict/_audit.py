"""An audit: which accepted predictions to label. Each is drawn with a known probability > 0, doubtful ones more often.

Their labels give an unbiased estimate of the risk of all accepted predictions, whatever drifts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steepslope.gate import REVIEW
from steepslope.outputs import Frame

Floats = NDArray[np.float64]
AUDIT, CHANCE = "audit", "audit_probability"
LIMIT = "limit"  # on P(correct), in the key of a file; a complete file stays so when the limit changes
EVEN = 0.5  # share of the labels that is spread evenly: no probability is tiny, even if P(correct) is wrong


@dataclass(frozen=True)
class Audit:
    """How many accepted predictions in a file to label, on average, and which risk the gate promises.

    ``gate`` is the gate's digest. Another gate draws other rows, so what was learnt from one gate's labels does not
    influence the next gate's draws. ``limit`` is a P(correct) that an accepted prediction must also reach. Rows below
    it can be drawn too, so labels show when a lower limit would suffice.
    """

    labels: int
    max_risk: float
    gate: str
    limit: float = 0.0

    def chances(self, chunks: Iterable[Frame]) -> list[Floats]:
        """Return each row's probability of being drawn, for each chunk of decisions; 0 if the gate does not accept it.

        The limit does not matter here.
        """
        columns = [_audited_columns(chunk) for chunk in chunks]
        p_correct, accepted = (np.concatenate(column) for column in zip(*columns, strict=True))
        chances = np.zeros(len(accepted))
        chances[accepted] = audit_chances(p_correct[accepted], self.max_risk, self.labels)
        return np.split(chances, np.cumsum([len(rows) for rows, _ in columns])[:-1])

    def marked(self, table: Frame, chance: Floats) -> Frame:
        """Return decisions (m,) with two more columns: whether each is drawn, and with which probability.

        Accepted rows below the limit go to review.
        """
        is_drawn = audit_coins(table["id"].tolist(), self.gate) < chance
        limited = self._limited(table) if self.limit and "p_correct" in table else {}
        return {**table, **limited, AUDIT: is_drawn, CHANCE: chance}

    def _limited(self, table: Frame) -> Frame:
        """Return the columns accepted and decision, with review for rows below the limit."""
        reaches = reaches_audit_limit(np.ma.filled(table["p_correct"], np.nan), self.limit)
        accepted = np.asarray(table["accepted"])
        return {
            "accepted": accepted & reaches,
            "decision": np.where(accepted & ~reaches, REVIEW, np.asarray(table["decision"])),
        }


def audit_chances(p_correct: Floats, max_risk: float, labels: int) -> Floats:
    """Return the probability with which to draw each accepted prediction, float64 (m,), in (0, 1].

    Their sum is ``labels``, or m if that is less. One half is spread evenly. The other half is proportional to the root
    mean square of what a label adds to risk − max_risk: the root of p(1 − max_risk)² + (1 − p)max_risk², with
    p = 1 − P(correct). This minimises the variance of the estimated risk if P(correct) is right (Neyman 1934).

    >>> audit_chances(np.array([1.0, 1.0, 0.9, 0.5]), max_risk=0.05, labels=2).round(2)
    array([0.3 , 0.3 , 0.53, 0.87])
    """
    doubts = audit_doubt(p_correct, max_risk)
    wanted = EVEN / max(1, len(doubts)) + (1 - EVEN) * doubts / doubts.sum()
    if labels >= len(wanted):
        return np.ones(len(wanted))
    largest = np.sort(wanted)[::-1]
    rest = np.cumsum(largest[::-1])[::-1]  # of these and all smaller ones
    factors = (labels - np.arange(labels)) / rest[:labels]  # by the number of rows that are drawn for sure
    factor = factors[np.argmax(factors * largest[:labels] <= 1)]
    return np.asarray(np.minimum(1.0, factor * wanted))


def audit_doubt(p_correct: Floats, max_risk: float) -> Floats:
    """Return the root mean square of what the label of each prediction adds to risk − max_risk, float64 (m,)."""
    return np.asarray(np.sqrt((1 - p_correct) * (1 - max_risk) ** 2 + p_correct * max_risk**2))


def audit_coins(ids: Sequence[str], gate: str) -> Floats:
    """Return a number in [0, 1) for each row, float64 (m,), by a hash of its id and the gate's digest.

    A row is drawn if its number is below its probability, so it is the same rows each time.
    """
    hashes = (hashlib.blake2b(f"{gate}/{id_}".encode(), digest_size=8, person=AUDIT.encode()).digest() for id_ in ids)
    return np.array([int.from_bytes(digest, "little") for digest in hashes], np.float64) / 2.0**64


def reaches_audit_limit(p_correct: Floats, limit: float) -> NDArray[np.bool_]:
    """Return whether each P(correct) reaches a limit, booleans (m,); a monitor's state has both as float32."""
    return np.asarray(p_correct.astype(np.float32) >= np.float32(limit))


def _audited_columns(chunk: Frame) -> tuple[Floats, NDArray[np.bool_]]:
    """Return P(correct) and whether each row is accepted, (m,) each; an image that could not be read is not."""
    accepted = np.asarray(chunk["accepted"])
    return np.ma.filled(chunk.get("p_correct", np.zeros(len(accepted))), np.nan), accepted
