"""What the training of a stylizer may be set to."""

from __future__ import annotations

from typing import Any

import pytest

from steepslope.errors import SteepslopeError
from steepslope.shifts.options import STYLIZER_CHECKS, StylizerTraining


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps: expected a whole number >= 1, found 0"),
        ({"batch_size": 2.5}, "batch_size: expected a whole number >= 1, found 2.5"),
        ({"learning_rate": 0}, "learning_rate: expected a number from 1e-12 to 1, found 0"),
        ({"style_weight": float("nan")}, "style_weight: expected a number from 0 to 1000000, found nan"),
        ({"reduction": 3}, "reduction: expected 2, 4, 8 or 16, found 3"),
        ({"crop": 102}, "crop: expected a multiple of the reduction, 4, at least twice as large, found 102"),
        ({"crop": 16, "reduction": 16}, "crop: expected a multiple of the reduction, 16, at least twice as large"),
        ({"device": "tpu"}, "device: expected auto or cpu or cuda, found 'tpu'"),
        ({"seed": -1}, "seed: expected a whole number from 0 to 2147483647, found -1"),
    ],
)
def test_other_values_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        StylizerTraining(**changes)


def test_every_option_has_a_check_and_a_description() -> None:
    described = (StylizerTraining.__doc__ or "").splitlines()
    for name in vars(StylizerTraining()):
        assert name in STYLIZER_CHECKS
        assert f"    {name}" in described
