"""How noisy an image is, by Immerkær's estimate ("Fast Noise Variance Estimation", 1996)."""

from __future__ import annotations

import math

from torch import Tensor


def noise_of(images: Tensor) -> Tensor:
    """Estimate the standard deviation of white noise in each image: (n, C, H, W) -> (n,), mean of the channels.

    It is the mean absolute value, scaled, of a second difference in both directions, which hardly sees what is smooth
    or straight; texture counts as noise.

    >>> import torch
    >>> noise = 0.3 * torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(0))
    >>> round(noise_of(noise).item(), 2), noise_of(torch.arange(16.0).reshape(1, 1, 4, 4)).item()
    (0.3, 0.0)
    """
    down = images[..., :-2, :] - 2 * images[..., 1:-1, :] + images[..., 2:, :]
    both = down[..., :-2] - 2 * down[..., 1:-1] + down[..., 2:]
    return both.abs().mean(dim=(1, 2, 3)) * math.sqrt(math.pi / 2) / 6
