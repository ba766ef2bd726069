"""The two heads."""

from __future__ import annotations

import pytest
import torch

from steepslope.heads import HEADS, linear_head, signed_distance
from steepslope.nets.training._columns import _Head


def test_signed_distance_ignores_the_length_of_the_normal() -> None:
    x, w, b = torch.randn(5, 3), torch.randn(3), torch.randn(())
    torch.testing.assert_close(signed_distance(x, w, b), signed_distance(x, 10 * w, 10 * b))
    torch.testing.assert_close(signed_distance(x, w, b) * w.norm(), linear_head(x, w, b))


def test_signed_distance_survives_a_zero_normal() -> None:
    weight = torch.zeros(3, requires_grad=True)
    z = signed_distance(torch.ones(2, 3), weight, torch.tensor(1.0))
    (gradient,) = torch.autograd.grad(z.sum(), weight)
    assert z.isfinite().all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("kind", HEADS)
def test_every_head_gives_one_logit_a_row(kind: str) -> None:
    assert _Head(kind, 4)(torch.randn(7, 4)).shape == (7,)
