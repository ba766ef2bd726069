"""Colour maps: interpolation against SciPy and NumPy, both limits at once at every pixel, gradients, roughness."""

import sys
from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from skimage.color.colorconv import luv2xyz, rgb2luv, xyz2luv
from torch import Tensor

from steepslope.errors import SteepslopeError
from steepslope_lab.shifts.colour_map import (
    HIGHEST,
    LOWEST,
    ColourMap,
    grey_of,
    lightness_of,
    luv_of,
    nearest_shown,
    rgb_of,
    roughness,
)

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


@pytest.mark.parametrize("shape", [(4, 3, 16, 32, 32), (4, 3, 2, 2, 2), (4, 1, 1, 16)])
def test_every_pixel_is_within_the_bound_and_within_srgb(shape: tuple[int, ...]) -> None:
    images = all_sorts()[:, : shape[1]]
    changed = ColourMap.of(images)(BOUND * (2 * draws(*shape, seed=9) - 1).sign())
    assert 0 <= changed.min() <= changed.max() <= 1
    colours = luv_of if shape[1] == 3 else lightness_of
    assert (colours(changed) - colours(images)).abs().max() <= BOUND + 1e-4
    assert (changed - images).abs().mean() > 0.01


@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_are_finite_for_all_sorts_of_colours(channels: int) -> None:
    colour_map = ColourMap.of(all_sorts()[:, :channels])
    for knots in (colour_map.identity(), BOUND * (2 * draws(*colour_map.identity().shape) - 1).sign()):
        knots.requires_grad_()
        colour_map(knots).square().sum().backward()  # type: ignore[no-untyped-call]
        assert knots.grad is not None
        assert bool(knots.grad.isfinite().all())
        assert knots.grad.abs().max() > 0


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


XYZ_OF_LINEAR = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)


def dense_colours(steps: int = 52) -> Tensor:
    """Return a grid of colours with black, white, greys and the saturated ones, (1, 3, steps², steps)."""
    axis = torch.linspace(0, 1, steps)
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")).view(1, 3, steps * steps, steps)


def distances_to_srgb(luv: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far scaled LUV (m, 3) is from that of its RGB, clipped: 0 where sRGB has the colour, (m,)."""
    lowest, width = np.array(LOWEST), np.array(HIGHEST) - LOWEST
    linear = luv2xyz(luv * width + lowest) @ np.linalg.inv(XYZ_OF_LINEAR).T
    clipped = (xyz2luv(linear.clip(0, 1) @ XYZ_OF_LINEAR.T) - lowest) / width
    return np.asarray(np.abs(clipped - luv).max(axis=1))


@pytest.mark.parametrize("colours", [dense_colours()])
def test_the_way_there_and_back_ends_where_it_began(colours: Tensor) -> None:
    luv = luv_of(colours)
    assert (rgb_of(luv) - colours).abs().max() <= 1e-4
    assert luv.min() >= 0
    assert luv.max() <= 1


def test_luv_is_that_of_scikit_image() -> None:
    colours = dense_colours(18)
    expected = rgb2luv(colours[0].movedim(0, 2).double().numpy())
    found = luv_of(colours)[0].movedim(0, 2).double().numpy() * (np.array(HIGHEST) - LOWEST) + LOWEST
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_lightness_is_that_of_kornia_and_comes_back() -> None:
    grey = torch.linspace(0, 1, 1001)
    lightness = lightness_of(grey)
    torch.testing.assert_close(lightness, luv_of(grey.expand(1, 3, 1, -1))[0, 0, 0], atol=1e-6, rtol=0)
    torch.testing.assert_close(grey_of(lightness), grey, atol=1e-6, rtol=0)


def _ways(seed: int, count: int = 300) -> tuple[Tensor, Tensor]:
    """Return colours and where they go, by up to .06 along each axis; a third of the colours is saturated."""
    generator = torch.Generator().manual_seed(seed)
    rgb = torch.rand(1, 3, 3, count // 3, generator=generator)
    rgb[:, :, 0] = rgb[:, :, 0].round()
    rgb[:, :, 1] = rgb[:, :, 1] ** 4
    own = luv_of(rgb)
    return own, own + 0.12 * torch.rand(own.shape, generator=generator) - 0.06


def test_projection_goes_as_far_as_srgb_does() -> None:
    own, target = _ways(0)
    ends = nearest_shown(own, target)
    start, way, end = (one.double().flatten(2)[0].T.numpy() for one in (own, target - own, ends))
    portions = np.linspace(0, 1, 2001)
    stopped = 0
    for begin, along, found in zip(start, way, end, strict=True):
        reached = float((found - begin) @ along / (along @ along))
        np.testing.assert_allclose(found, begin + reached * along, atol=4e-5)  # on the way
        distances = distances_to_srgb(begin + portions[:, None] * along)
        # the first border, and the last one but for what is almost in sRGB: a way may run along the border
        nearest = portions[max(0, int(np.argmax(distances > 1e-5)) - 1)] if distances.max() > 1e-5 else 1
        farthest = portions[distances < 4e-5].max()
        assert nearest - 2e-3 <= reached <= farthest + 2e-3
        stopped += reached < 0.99
    assert 50 < stopped < 290


def test_colours_within_srgb_are_left_and_black_stays_without_light() -> None:
    grey = luv_of(torch.full((1, 3, 1, 1), 0.5))
    target = grey + 0.02
    assert torch.equal(nearest_shown(grey, target), target)
    black = luv_of(torch.zeros(1, 3, 1, 1))
    for offset in ([0.0, 0.06, 0.0], [0.0, -0.06, 0.06], [-0.06, 0.0, 0.0]):
        assert torch.equal(nearest_shown(black, black + torch.tensor(offset).view(1, 3, 1, 1)), black)
    colourful = black + torch.tensor([1e-5, 0.06, 0.06]).view(1, 3, 1, 1)  # which kornia converts to black all the same
    assert rgb_of(colourful).abs().max() < 1e-3
    assert (nearest_shown(black, colourful) - black).abs().max() < 1e-4


def test_without_kornia_one_line_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia", None)
    with pytest.raises(SteepslopeError) as error:
        luv_of(torch.zeros(1, 3, 1, 1))
    assert str(error.value) == "recolouring of colour images needs kornia: pip install 'steepslope[lab]'"
    assert float(lightness_of(torch.ones(1))) == pytest.approx(1)
