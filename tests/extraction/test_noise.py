"""Estimates of the images' noise: what they are of, and which outputs keep them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch.nn.functional import avg_pool2d

from steepslope.data.benchmark_sets import load_digits
from steepslope.errors import SteepslopeError
from steepslope.extraction.engine import noise_of
from steepslope.outputs import ClassifierOutputs
from tests.conftest import make_complete
from tests.images import extract_folder


@pytest.mark.parametrize(("sigma", "channels"), [(0.05, 3), (1.0, 1)])
def test_the_estimates_are_1_for_white_noise_and_0_for_a_ramp(sigma: float, channels: int) -> None:
    noise = sigma * torch.randn((2, channels, 150, 150), generator=torch.Generator().manual_seed(1))
    assert noise_of(noise).numpy() == pytest.approx(1, rel=0.02)
    ramp = torch.linspace(-3, 3, 150).expand(2, channels, 150, 150) + 5
    assert noise_of(ramp).numpy() == pytest.approx(0, abs=1e-4)
    assert noise_of(torch.full((1, channels, 9, 9), sigma)).tolist() == [[0, 0]]


def test_they_tell_noise_and_blur_whatever_the_contrast() -> None:
    images = torch.from_numpy(load_digits("", "test").pixels[:300]).float()[:, None].repeat_interleave(3, 2)
    plain = noise_of(images.repeat_interleave(3, 3))
    images = images.repeat_interleave(3, 3)
    torch.testing.assert_close(noise_of(0.4 * images + 3), plain, rtol=1e-4, atol=1e-5)
    blurred = avg_pool2d(images, 3, 1)
    assert (noise_of(blurred)[:, 0] < plain[:, 0].quantile(0.02)).float().mean() > 0.95
    noisy = images + 20 * torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    assert (noise_of(noisy) > plain.quantile(0.98, dim=0)).any(dim=1).float().mean() > 0.95


def test_they_follow_immerkaers_formula() -> None:
    """Mask and scale as in the paper, by explicit loops, over the mean difference as a deviation."""
    image = np.random.default_rng(0).normal(size=(6, 8))
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    responses = [abs((image[i : i + 3, j : j + 3] * mask).sum()) for i in range(4) for j in range(6)]
    differences = (np.abs(np.diff(image, axis=0)).mean() + np.abs(np.diff(image, axis=1)).mean()) / 2
    deviation = differences * np.sqrt(np.pi) / 2
    by_mean = np.sqrt(np.pi / 2) * sum(responses) / (6 * 6 * 4) / deviation
    by_median = sorted(responses)[11] / 6 / norm.ppf(0.75) / deviation  # the lower of the two in the middle
    found = noise_of(torch.from_numpy(image)[None, None])[0]
    assert found.tolist() == pytest.approx([by_mean, by_median], rel=1e-5)


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (np.zeros(400), "noise: expected float16, float32 or float64 of shape"),
        (np.zeros((399, 2)), "noise: expected 400 rows"),
        (np.full((400, 1), np.nan), "noise: expected finite values"),
    ],
)
def test_noise_that_cannot_be_is_named(noise: np.ndarray, message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        make_complete(400).changed(noise=noise)


def test_images_below_the_mask_are_named() -> None:
    with pytest.raises(SteepslopeError, match="noise: expected images of at least 3 × 3 pixels, found 2 × 5"):
        noise_of(torch.zeros(1, 1, 2, 5))


def test_noise_is_kept_unless_it_is_not_wanted(home: Path, images: Path, tmp_path: Path) -> None:
    assert extract_folder(images, tmp_path / "without", "--evidence", "features") == 0
    assert ClassifierOutputs.load(tmp_path / "without").noise is None
    outputs = ClassifierOutputs.load(home / "outputs" / "test")
    pixels = load_digits("", "test").pixels
    expected = noise_of(torch.from_numpy(pixels[:, None].astype(np.float32)))  # whatever the normalisation
    np.testing.assert_allclose(outputs.require("noise"), expected, rtol=1e-3)
