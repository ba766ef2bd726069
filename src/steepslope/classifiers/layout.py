"""The layout of images in memory: channels last is faster, for nets that can run so."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def takes_channels_last(net: nn.Module, run: Callable[[Tensor], object], images: Tensor) -> bool:
    """Lay a net's weights out channels last, unless it cannot run so, as with a ``view`` after a layer.

    ``run`` runs the net on images (n, C, H, W), and whatever else has to work with them.
    """
    try:
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        with torch.no_grad():
            run(images.contiguous(memory_format=torch.channels_last))
    except RuntimeError:
        net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        return False
    return True
