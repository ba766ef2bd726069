"""Sums of counts, against one sum after the other."""

from __future__ import annotations

import numpy as np
import pytest

from steepslope.metrics.curves import MOST, Sums


@pytest.mark.parametrize("most", [1, 3, MOST, MOST + 1, 255])
@pytest.mark.parametrize("n", [1, 7, 8, 9, 16, 1000])
def test_sums_are_those_of_a_loop(n: int, most: int) -> None:
    """Counts as large as a byte holds too, of all rows or of some, in another order."""
    rng = np.random.default_rng(n)
    counts = rng.integers(most + 1, size=n).astype(np.uint8)
    counts[0] = most
    rows = rng.permutation(n)[: max(1, n - 2)]
    sums = Sums.of(counts, rows)
    expected = [sum(counts[rows[:place]].tolist()) for place in range(len(rows) + 1)]
    assert sums.take(np.arange(len(rows) + 1)).tolist() == expected
    assert [sums.at(place) for place in range(len(rows) + 1)] == expected


def test_no_rows_have_no_sum() -> None:
    assert Sums.of(np.ones(3, dtype=np.uint8), np.array([], dtype=np.intp)).at(0) == 0
