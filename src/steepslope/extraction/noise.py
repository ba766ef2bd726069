"""How noisy an image is, by Immerkær's second difference ("Fast Noise Variance Estimation", 1996)."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from steepslope.errors import SteepslopeError
from steepslope.utilities.blocks import blocks

ESTIMATES = ("mean", "median")  # the columns of noise_of
SIDE = 3  # of the mask
MASK_NORM = 6.0  # of the mask's response to white noise of deviation 1
NORMAL_MEDIAN = 0.67449  # of a standard normal's absolute value
TINY = 1e-12


def noise_of(images: Tensor) -> Tensor:
    """Estimate how much of each image's differences between neighbours is noise: (n, C, H, W) -> float32 (n, 2).

    The deviation of white noise, over the deviation that the neighbours' mean difference would stand for: 1 where all
    is white noise, near 0 where all is smooth, whatever the contrast. The former comes from the mean, and from the
    median, of the absolute second difference in both directions, which hardly sees what is smooth or straight. The mean
    counts all texture as noise, the median what covers half of the image.

    >>> noise = 0.3 * torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(0))
    >>> noise_of(noise).round(decimals=1).tolist(), noise_of(torch.arange(16.0).reshape(1, 1, 4, 4)).tolist()
    ([[1.0, 1.0]], [[0.0, 0.0]])
    """
    height, width = images.shape[-2:]
    if min(height, width) < SIDE:
        raise SteepslopeError(f"noise: expected images of at least {SIDE} × {SIDE} pixels, found {height} × {width}")
    size = 1 if images.device.type == "cpu" else len(images)  # single images stay in a core's cache
    return torch.cat([noise_estimates(images[rows].float(), _medians) for rows in blocks(len(images), size)])


def noise_estimates(images: Tensor, medians: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the estimates of :func:`noise_of`, with a function for the lower medians of rows, (n, w) -> (n,)."""
    down = images[..., :-2, :] - 2 * images[..., 1:-1, :] + images[..., 2:, :]
    both = (down[..., :-2] - 2 * down[..., 1:-1] + down[..., 2:]).abs().flatten(1) / MASK_NORM
    deviations = torch.stack([both.mean(dim=1) * math.sqrt(math.pi / 2), medians(both) / NORMAL_MEDIAN], 1)
    differences = (images.diff(dim=2).abs().mean(dim=(1, 2, 3)) + images.diff(dim=3).abs().mean(dim=(1, 2, 3))) / 2
    return deviations / (differences * math.sqrt(math.pi) / 2).clamp_min(TINY)[:, None]


def _medians(rows: Tensor) -> Tensor:
    """Return the lower median of each row, as torch does; on the CPU by NumPy, which needs a ninth of the time."""
    if rows.device.type != "cpu":
        return rows.median(dim=1).values
    middle = (rows.shape[1] - 1) // 2
    return torch.from_numpy(np.partition(rows.numpy(), middle, axis=1)[:, middle])
