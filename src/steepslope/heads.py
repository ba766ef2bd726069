"""The last step of an oracle, from a representation to the trust logit."""

from collections.abc import Callable

from steepslope.numerics import Array, namespace_of

_HeadFunction = Callable[[Array, Array, Array], Array]


def linear_head(representation: Array, weight: Array, bias: Array) -> Array:
    """Return w·x + b: (n, d), (d,), () -> (n,)."""
    return representation @ weight + bias


def signed_distance(representation: Array, weight: Array, bias: Array) -> Array:
    """Return the signed distance to the hyperplane, (w·x + b) / ‖w‖ (paper, Eq. 7): (n, d), (d,), () -> (n,).

    As in the authors' code, 1e-7 is added to the norm, so the value is finite for a zero weight.

    >>> import numpy as np
    >>> signed_distance(np.array([[3.0, 4.0]]), np.array([3.0, 4.0]), np.array(-5.0)).round(5)
    array([4.])
    """
    norm = namespace_of(weight).linalg.vector_norm(weight)
    return linear_head(representation, weight, bias) / (norm + 1e-7)


HEADS: dict[str, _HeadFunction] = {"hyperplane": signed_distance, "linear": linear_head}
