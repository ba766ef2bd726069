"""Colour maps: interpolation against SciPy and NumPy, both limits at once at every pixel, gradients, roughness."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy.interpolate import RegularGridInterpolator
from torch import Tensor

from steepslope.shifts.colour_map import ColourMap, grey_of, lightness_of, luv_of, rgb_of, roughness

BOUND = 0.06


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def all_sorts(seed: int = 0) -> Tensor:
    """Return four images: of any colours, dark ones, saturated ones and greys, with black and white."""
    images = draws(4, 3, 30, 40, seed=seed)
    images[1] **= 6
    images[2] = images[2].round() * images[2, :1]
    images[3] = images[3, :1].clone()
    images[:, :, 0, :20], images[:, :, 0, 20:] = 0, 1
    return images


def test_offsets_of_colours_are_interpolated_as_scipy_has_it() -> None:
    images = draws(2, 3, 5, 7) * 0.3 + 0.35  # far from the border
    colour_map = ColourMap.of(images)
    knots = 0.02 * draws(*colour_map.identity().shape, seed=1)
    changed = luv_of(colour_map(knots)).double()
    axes = [np.linspace(0, 1, size) for size in knots.shape[2:]]
    for image, own, values in zip(changed, luv_of(images), knots.double(), strict=True):
        places = own.flatten(1).T.double().numpy()
        expected = places + RegularGridInterpolator(axes, values.movedim(0, 3).numpy())(places)
        np.testing.assert_allclose(image.flatten(1).T.numpy(), expected, atol=2e-5)


def test_offsets_of_greys_are_interpolated_as_numpy_has_it() -> None:
    images = draws(2, 1, 5, 7) * 0.5 + 0.25
    colour_map = ColourMap.of(images)
    knots = BOUND * (2 * draws(*colour_map.identity().shape, seed=1) - 1)
    for image, own, values in zip(lightness_of(colour_map(knots)), lightness_of(images), knots, strict=True):
        expected = own.numpy() + np.interp(own.numpy(), np.linspace(0, 1, 16), values.flatten().numpy())
        np.testing.assert_allclose(image.numpy(), expected, atol=2e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_no_offsets_leave_every_bit(channels: int) -> None:
    images = all_sorts()[:, :channels]
    colour_map = ColourMap.of(images)
    assert torch.equal(colour_map(colour_map.identity()), images)


@pytest.mark.parametrize("kind", ["any", "corners"])
@pytest.mark.parametrize("seed", range(3))
def test_every_pixel_is_within_the_bound_and_within_srgb(kind: str, seed: int) -> None:
    images = all_sorts(seed)
    colour_map = ColourMap.of(images)
    shape = colour_map.identity().shape if kind == "any" else (4, 3, 2, 2, 2)
    knots = BOUND * (2 * draws(*shape, seed=seed + 9) - 1)
    knots = knots if kind == "any" else knots.sign() * BOUND
    changed = colour_map(knots)
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert (luv_of(changed) - luv_of(images)).abs().max() <= BOUND + 1e-4
    assert (changed - images).abs().mean() > 0.01


def test_clipping_alone_would_leave_the_bound() -> None:
    own = luv_of(all_sorts())
    knots = BOUND * (2 * draws(4, 3, 2, 2, 2, seed=9) - 1).sign()
    offsets = torch.nn.functional.interpolate(knots, (1, 30, 40), mode="nearest").squeeze(2)
    clipped = luv_of(rgb_of(own + offsets).clamp(0, 1))
    assert (clipped - own).abs().max() > BOUND + 0.01


def test_greys_are_within_the_bound_and_within_range() -> None:
    images = all_sorts()[:, :1]
    changed = ColourMap.of(images)(BOUND * (2 * draws(4, 1, 1, 16) - 1).sign())
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert (lightness_of(changed) - lightness_of(images)).abs().max() <= BOUND + 1e-6


@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_are_finite_for_all_sorts_of_colours(channels: int) -> None:
    colour_map = ColourMap.of(all_sorts()[:, :channels])
    for knots in (colour_map.identity(), BOUND * (2 * draws(*colour_map.identity().shape) - 1).sign()):
        knots.requires_grad_()
        colour_map(knots).square().sum().backward()  # type: ignore[no-untyped-call]
        assert knots.grad is not None
        assert bool(knots.grad.isfinite().all())
        assert knots.grad.abs().max() > 0


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_gradient_is_the_slope_also_at_black_and_white(channels: int, level: float) -> None:
    colour_map = ColourMap.of(torch.full((1, channels, 1, 1), level))
    knots = torch.zeros(1, 1, 1, 2) if channels == 1 else torch.zeros(1, 3, 2, 2, 2)
    knots.requires_grad_()
    colour_map(knots).sum().backward()  # type: ignore[no-untyped-call]
    assert knots.grad is not None
    step = -0.01 if level == 1 else 0.01
    with torch.no_grad():
        lightness_only = torch.zeros_like(knots)
        lightness_only[:, :1] = step
        slope = (colour_map(lightness_only) - colour_map(knots)).sum() / step
    torch.testing.assert_close(knots.grad[:, 0].sum(), slope, rtol=0.05, atol=0)


def test_a_grey_colour_image_goes_the_way_of_a_grey_one() -> None:
    grey = draws(1, 1, 4, 4) * 0.8 + 0.1
    curve = 0.03 * draws(1, 1, 1, 16, seed=1)
    cube = torch.zeros(1, 3, 16, 2, 2)
    cube[:, 0] = curve.view(16, 1, 1)
    coloured = ColourMap.of(grey.expand(1, 3, 4, 4).contiguous())(cube)
    torch.testing.assert_close(coloured, ColourMap.of(grey)(curve).expand_as(coloured), atol=1e-4, rtol=0)
    torch.testing.assert_close(grey_of(lightness_of(grey)), grey)


def test_roughness_sums_the_distances_to_all_neighbours() -> None:
    knots = draws(2, 3, 3, 4, 2).double()
    offsets = knots.movedim(1, 4).numpy()
    expected = np.zeros(2)
    for image, *place in product(range(2), range(3), range(4), range(2)):
        for axis, way in product(range(3), (-1, 1)):
            other = list(place)
            other[axis] += way
            if 0 <= other[axis] < offsets.shape[1 + axis]:
                expected[image] += np.linalg.norm(offsets[(image, *place)] - offsets[(image, *other)])
    np.testing.assert_allclose(roughness(knots).numpy(), expected, rtol=1e-3)


def test_roughness_of_equal_knots_is_0_with_a_finite_gradient() -> None:
    knots = torch.full((2, 3, 16, 32, 32), 0.03).requires_grad_()
    total = roughness(knots)
    total.sum().backward()  # type: ignore[no-untyped-call]
    assert total.tolist() == [0, 0]
    assert knots.grad is not None
    assert bool((knots.grad == 0).all())
