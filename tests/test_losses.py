"""Losses: closed forms, derivatives, extremes, and the contract of the registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor

from steepslope.errors import SteepslopeError
from steepslope.losses import (
    LOSSES,
    PROBABILITY_TARGETS,
    LossSettings,
    class_balanced,
    class_balanced_weights,
    cross_entropy,
    focal,
    loss_parameters,
    steep_slope,
)
from steepslope.theory import loss_maximum
from tests.conftest import make_outputs

EXTREMES = [-torch.inf, -1e4, -1.0, 0.0, 1.0, 1e4, torch.inf]
ALPHAS = [(1.0, 3.0), (2.0, 5.0), (10.0, 6.0), (1.0, 1.0)]
IS_CORRECT = torch.tensor([True, False])


def equation_8(z: Tensor, is_correct: Tensor, alpha_pos: float, alpha_neg: float) -> Tensor:
    """Eq. 8 with its signs set right, as the formula is written."""
    s, o = z / (1 + z.abs()), is_correct.double()
    up, down = torch.tensor(alpha_pos).double(), torch.tensor(alpha_neg).double()
    return o * (torch.exp(-up * s) - torch.exp(-up)) + (1 - o) * (torch.exp(down * s) - torch.exp(-down))


@pytest.mark.parametrize(("alpha_pos", "alpha_neg"), ALPHAS)
@given(z=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), flip=st.booleans())
def test_steep_slope_is_equation_8(alpha_pos: float, alpha_neg: float, z: list[float], flip: bool) -> None:
    trust_logit = torch.tensor(z, dtype=torch.float64)
    is_correct = (torch.arange(len(z)) % 2 == 0) ^ flip
    found = steep_slope(trust_logit, is_correct, alpha_pos=alpha_pos, alpha_neg=alpha_neg)
    expected = equation_8(trust_logit, is_correct, alpha_pos, alpha_neg)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("alpha_pos", "alpha_neg"), ALPHAS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_steep_slope_spans_zero_to_the_bound(alpha_pos: float, alpha_neg: float, dtype: torch.dtype) -> None:
    z = torch.tensor([torch.inf, -torch.inf, torch.inf, -torch.inf], dtype=dtype)
    loss = steep_slope(z, torch.tensor([True, False, False, True]), alpha_pos=alpha_pos, alpha_neg=alpha_neg)
    assert loss[:2].tolist() == [0, 0]
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 1e-2}[dtype]
    assert loss.max().item() == pytest.approx(loss_maximum(alpha_pos, alpha_neg), rel=tolerance)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 3.0, 5.0])
def test_steep_slope_gradient_is_the_closed_form(alpha: float) -> None:
    z = torch.tensor([-1e4, -30.0, -1.5, -0.5, 0.0, 0.3, 2.0, 1e4], dtype=torch.float64, requires_grad=True)
    loss = steep_slope(z, torch.ones_like(z, dtype=torch.bool), alpha_pos=alpha)
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    with torch.no_grad():
        s = z / (1 + z.abs())
        expected = -alpha * torch.exp(-alpha * s) / (1 + z.abs()) ** 2
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("side", [True, False])
def test_gradients_are_right(name: str, side: bool) -> None:
    z = torch.tensor([-3.0, -0.7, 0.2, 1.9], dtype=torch.float64, requires_grad=True)
    target = torch.full((4,), 0.3, dtype=torch.float64) if name == "true_class_probability" else _side(4, side)
    assert torch.autograd.gradcheck(lambda z: LOSSES[name](z, target), z)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        *((name, {}) for name in LOSSES),
        ("focal", {"gamma": 0.0}),
        ("focal", {"gamma": 0.5}),
        ("steep_slope", {"alpha_pos": 10.0, "alpha_neg": 6.0}),
        ("class_balanced", {"beta": 0.0}),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_extremes_are_safe_and_unreduced(name: str, params: dict[str, float], dtype: torch.dtype) -> None:
    z = torch.tensor(EXTREMES * 2, dtype=dtype, requires_grad=True)
    target = torch.cat([_side(len(EXTREMES), True), _side(len(EXTREMES), False)])
    loss = LOSSES[name](z, target, **params)
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    assert loss.shape == z.shape
    assert loss.dtype == dtype
    assert not loss.isnan().any()
    assert not gradient.isnan().any()
    assert (loss >= 0).all()


@pytest.mark.parametrize("alpha", [20.0, 80.0])
def test_steep_slope_is_finite_in_float32_up_to_80(alpha: float) -> None:
    z = torch.tensor(EXTREMES, requires_grad=True)
    for side in (True, False):
        loss = steep_slope(z, _side(len(z), side), alpha_pos=alpha, alpha_neg=alpha)
        (gradient,) = torch.autograd.grad(loss.sum(), z)
        assert loss.isfinite().all()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("alphas", [(0.0, 1.0), (1.0, -1.0), (float("nan"), 1.0)])
def test_steep_slope_refuses_flat_slopes(alphas: tuple[float, float]) -> None:
    with pytest.raises(SteepslopeError, match="alpha_pos and alpha_neg must be > 0"):
        steep_slope(torch.zeros(1), IS_CORRECT[:1], alpha_pos=alphas[0], alpha_neg=alphas[1])


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (cross_entropy, [-torch.tensor(0.8).log().item(), -torch.tensor(0.2).log().item()]),
        (focal, [0.04 * -torch.tensor(0.8).log().item(), 0.64 * -torch.tensor(0.2).log().item()]),
    ],
)
def test_cross_entropy_and_focal_by_hand(loss: Callable[..., Tensor], expected: list[float]) -> None:
    z = torch.logit(torch.tensor([0.8, 0.8], dtype=torch.float64))
    assert loss(z, IS_CORRECT).tolist() == pytest.approx(expected, rel=1e-6)


def test_cross_entropy_is_exact_far_out() -> None:
    z = torch.tensor([21.0, 30.0], dtype=torch.float64)
    expected = torch.log1p(torch.exp(-z))
    torch.testing.assert_close(cross_entropy(z, torch.tensor([True, True])), expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_another_shape_is_refused(name: str) -> None:
    with pytest.raises(SteepslopeError, match=r"expected the shape of the trust logit, \(4,\), found \(4, 1\)"):
        LOSSES[name](torch.zeros(4), torch.ones(4, 1))


@pytest.mark.parametrize("name", sorted(set(LOSSES) - PROBABILITY_TARGETS))
def test_probabilities_are_no_correctness(name: str) -> None:
    with pytest.raises(SteepslopeError, match="expected is_correct, as booleans or 0 and 1"):
        LOSSES[name](torch.zeros(2), torch.tensor([0.3, 1.0]))
    torch.testing.assert_close(
        LOSSES[name](torch.ones(2), torch.tensor([0.0, 1.0])), LOSSES[name](torch.ones(2), torch.tensor([False, True]))
    )


def test_true_class_probability_is_a_squared_distance() -> None:
    loss = LOSSES["true_class_probability"](torch.zeros(2), torch.tensor([0.5, 0.9]))
    assert loss.tolist() == pytest.approx([0, 0.16])


def test_class_balanced_weights_are_those_of_effective_numbers() -> None:
    wrong, correct = class_balanced_weights((10, 90), beta=0.9)
    assert wrong / correct == pytest.approx((1 - 0.9**90) / (1 - 0.9**10))
    assert wrong + correct == pytest.approx(2)
    assert class_balanced_weights((10, 90), beta=0.0) == (1, 1)


def test_class_balanced_weighs_any_base() -> None:
    z, is_correct = torch.tensor([0.5, 0.5]), torch.tensor([False, True])
    loss = class_balanced(z, is_correct, class_counts=(10, 90), beta=0.9, base=focal, gamma=1.0)
    weights = torch.tensor(class_balanced_weights((10, 90), beta=0.9))
    torch.testing.assert_close(loss, focal(z, is_correct, gamma=1.0) * weights)


@pytest.mark.parametrize("name", LOSSES)
def test_settings_bind_a_loss_to_a_fit_set(name: str) -> None:
    """Its target is of the fit set, and so are the counts by which one loss weighs."""
    predictions, settings = make_outputs(60), LossSettings(name)
    is_probability = name == "true_class_probability"
    expected = predictions.true_class_probability if is_probability else predictions.is_correct
    target = torch.from_numpy(settings.target(predictions))
    torch.testing.assert_close(target, torch.from_numpy(expected), check_dtype=False)
    wrong = int((~predictions.is_correct).sum())
    given = {"class_counts": (wrong, 60 - wrong)} if name == "class_balanced" else {}
    z, batch = torch.linspace(-2, 2, 20), target[:20]
    torch.testing.assert_close(settings.bind(predictions)(z, batch), LOSSES[name](z, batch, **given))


def test_parameters_are_keywords_that_are_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def loss(z: Tensor, target: Tensor, slope: float = 2.0, *, power: int = 3, base: str = "focal") -> Tensor:
        return z

    monkeypatch.setitem(LOSSES, "mine", loss)
    assert {name: default for name, (default, _) in loss_parameters("mine").items()} == {"power": 3}
    LossSettings("mine", {"power": -7})
    with pytest.raises(SteepslopeError, match="power: expected a number, found 'x'"):
        LossSettings("mine", {"power": "x"})  # type: ignore[dict-item]
    with pytest.raises(SteepslopeError, match="gamma: expected a number from 0 to 100, found -1"):
        LossSettings("focal", {"gamma": -1})


@pytest.mark.parametrize("beta", [-0.1, 1.0])
def test_class_balanced_refuses_beta(beta: float) -> None:
    with pytest.raises(SteepslopeError, match=r"beta must be in \[0, 1\)"):
        class_balanced_weights((1, 1), beta)


def _side(n: int, side: bool) -> Tensor:
    return torch.full((n,), side)


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        (lambda trust_logit: trust_logit, "too many positional arguments"),
        (lambda trust_logit, target, *, sharp: trust_logit, "missing a required argument: 'sharp'"),
    ],
)
def test_a_loss_of_your_own_takes_two_arguments(own: Any, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOSSES, "own", own)
    with pytest.raises(SteepslopeError, match=f"loss own: expected a function of trust_logit and target.*{reason}"):
        LossSettings("own")


def test_a_loss_of_your_own_returns_a_value_for_each_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOSSES, "own", lambda z, target, *, sharp=1.0: (sharp * z).sum())
    with pytest.raises(SteepslopeError, match=r"one value for each prediction, .* \(3,\), found shape \(\)"):
        LossSettings("own").bind()(torch.zeros(3), torch.ones(3))
