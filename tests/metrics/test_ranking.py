"""The one sort, and the curve that is read off it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from steepslope import metrics
from steepslope.errors import SteepslopeError
from steepslope.metrics._ranking import MOST, Sums


def test_risk_coverage_curve_by_hand() -> None:
    curve = metrics.risk_coverage_curve([3, 2, 2, 1], [True, False, True, False])
    assert curve.coverage.tolist() == [0.25, 0.75, 1]
    assert curve.risk.tolist() == pytest.approx([0, 1 / 3, 1 / 2])
    assert curve.threshold.tolist() == [3, 2, 1]
    assert metrics.risk_coverage_curve([2, 1], [False, True]).risk.tolist() == [1, 0.5]  # a single one, and wrong


@pytest.mark.parametrize(
    ("confidence", "is_correct", "message"),
    [
        ([0.1, np.nan], [True, False], "found NaN in row 1"),
        ([0.1, 0.2], [True], "of one shape"),
        ([], [], "n >= 1"),
        (["a", "b"], [True, False], "expected numbers and booleans"),
        ([0.1, 0.2], [0.0, 0.4], "is_correct: expected booleans"),
    ],
)
def test_bad_input_is_named(confidence: Any, is_correct: Any, message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        metrics.auroc(confidence, is_correct)


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
