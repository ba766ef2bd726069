"""Sums of the first counts of a long array of small ones, at those places alone where they are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WORD = 8  # bytes
SHIFT = 3  # of a place, to the number of its word
ONES = np.uint64(0x0101010101010101)
LAST_BYTE = np.uint64(8 * (WORD - 1))
MOST = 255 // WORD  # so that the sum of a word's counts is a byte


@dataclass(frozen=True, eq=False)
class Sums:
    """The sums of the first 0, 1, … of n counts: those inside words of eight, and those before each word.

    One multiplication adds up the eight bytes of a word, so that only an eighth of all sums is made one by one. Where a
    count is too large for that, each place is a word of its own.
    """

    inside: NDArray[np.uint8]
    before: NDArray[np.float64]
    shift: int

    @classmethod
    def of(cls, counts: NDArray[np.uint8], rows: NDArray[np.intp]) -> Sums:
        """Return the sums of the counts of some rows, in the order of these (n,).

        >>> sums = Sums.of(np.array([3, 0, 1, 2], dtype=np.uint8), np.array([2, 0, 3]))
        >>> sums.take(np.arange(4)).tolist(), sums.at(2)
        ([0.0, 1.0, 4.0, 6.0], 4)
        """
        n = len(rows)
        padded = np.zeros((n // WORD + 1) * WORD, dtype=np.uint8)
        np.take(counts, rows, out=padded[1 : n + 1], mode="clip")  # other modes take into a copy
        if counts.max(initial=0) > MOST:
            return cls(np.zeros(n + 1, dtype=np.uint8), np.cumsum(padded[: n + 1], dtype=np.float64), 0)
        words = padded.view("<u8") * ONES
        before = np.zeros(len(words))
        np.cumsum(words[:-1] >> LAST_BYTE, out=before[1:])
        return cls(words.astype("<u8", copy=False).view(np.uint8), before, SHIFT)

    def take(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the sums of the first so many counts, in the shape of the places."""
        return self.before.take(places >> self.shift) + self.inside.take(places)

    def at(self, place: int) -> int:
        """Return the sum of the first so many counts."""
        return int(self.before[place >> self.shift]) + int(self.inside[place])
