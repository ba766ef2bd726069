"""The last step of an oracle: from a representation to one trust logit."""

from collections.abc import Callable

import torch
from torch import Tensor

HeadFunction = Callable[[Tensor, Tensor, Tensor], Tensor]


def linear_head(representation: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return w·x + b: (n, d), (d,), () -> (n,)."""
    return representation @ weight + bias


def signed_distance(representation: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the signed distance to the hyperplane, (w·x + b) / ‖w‖ (paper, Eq. 7): (n, d), (d,), () -> (n,).

    As in the authors' code, 1e-7 is added to the norm, so a zero weight gives a finite value.

    >>> signed_distance(torch.tensor([[3.0, 4.0]]), torch.tensor([3.0, 4.0]), torch.tensor(-5.0))
    tensor([4.])
    """
    norm: Tensor = torch.linalg.vector_norm(weight)
    return linear_head(representation, weight, bias) / (norm + 1e-7)


HEADS: dict[str, HeadFunction] = {"hyperplane": signed_distance, "linear": linear_head}


class Head(torch.nn.Module):
    """The weights of a head; ``kind`` is a name in :data:`HEADS`."""

    def __init__(self, kind: str, width: int) -> None:
        super().__init__()
        self.function = HEADS[kind]
        bound = width**-0.5
        self.weight = torch.nn.Parameter(torch.empty(width).uniform_(-bound, bound))
        self.bias = torch.nn.Parameter(torch.zeros(()))

    def forward(self, representation: Tensor) -> Tensor:
        """Map (n, width) to trust logits (n,)."""
        return self.function(representation, self.weight, self.bias)
