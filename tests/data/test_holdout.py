"""The hold-out split."""

from __future__ import annotations

import numpy as np
import pytest

from steepslope.data.holdout import holdout_split
from steepslope.errors import SteepslopeError


def test_holdout_is_a_partition_fixed_by_its_seed() -> None:
    fitted, held_out = holdout_split(1000, 300, seed=1)
    assert sorted([*fitted, *held_out]) == list(range(1000))
    np.testing.assert_array_equal(held_out, holdout_split(1000, 300, seed=1)[1])
    assert held_out.tolist() != holdout_split(1000, 300, seed=2)[1].tolist()
    assert len(holdout_split(1000, None, seed=1)[1]) == 500


@pytest.mark.parametrize("count", [0, 10, -1])
def test_holdout_must_leave_both_sides(count: int) -> None:
    with pytest.raises(SteepslopeError, match=f"expected 1 to 9 of the 10 training rows, found {count}"):
        holdout_split(10, count, seed=0)
