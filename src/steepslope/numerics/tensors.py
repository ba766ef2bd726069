"""Formulas on tensors: each is written once, for NumPy's arrays, for PyTorch, and for ONNX graphs that are traced.

In a graph some things cost other than in memory, or are lacking. What a formula does about them stands here.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.overrides import TorchFunctionMode


def tensor(array: NDArray[Any]) -> Tensor:
    """Return an array as a tensor, in the same memory where that may be written to; float16 becomes float32."""
    found = torch.from_numpy(np.require(array, requirements=["C", "W"]))
    return found.float() if found.dtype == torch.float16 else found


def on_arrays(formula: Callable[..., Any]) -> Callable[..., Any]:
    """Let a formula on tensors take NumPy arrays as well; then it returns such, too.

    >>> on_arrays(lambda values, power: values.pow(power))(np.array([1.0, 2.0]), 2)
    array([1., 4.])
    """

    @wraps(formula)
    def either(*given: Any, **options: Any) -> Any:
        if any(isinstance(value, Tensor) for value in given):
            return formula(*given, **options)
        found = formula(*(tensor(value) if isinstance(value, np.ndarray) else value for value in given), **options)
        return tuple(part.numpy() for part in found) if isinstance(found, tuple) else found.numpy()

    return either


def in_graph() -> bool:
    """Return whether a formula is being traced for a graph, and not computed."""
    return bool(torch.compiler.is_exporting())


class ExactNumbers(TorchFunctionMode):
    """While a formula on float64 is traced, its numbers stay float64: the exporter writes bare ones in float32."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function with tensors in place of the numbers that float32 does not hold."""
        if any(isinstance(value, Tensor) and value.dtype == torch.float64 for value in args):
            args = tuple(map(_exact_number, args))
        return function(*args, **(kwargs or {}))


def _exact_number(value: Any) -> Any:
    rounded = isinstance(value, float) and float(np.float32(value)) != value
    return torch.tensor(value, dtype=torch.float64) if rounded else value


def in_order(values: Tensor) -> Tensor:
    """Return each row's values (m, K) ascending, so that sums do not depend on how the classes are numbered.

    In a graph they stay as they are: to sort takes longer there than all else.
    """
    return values if in_graph() else torch.from_numpy(np.sort(values.numpy(), axis=1))


def highest_places(values: Tensor, count: int) -> Tensor:
    """Return the places of each row's highest values, highest first, (m, K) -> (m, min(count, K)).

    Of equal ones the first comes first, as in a graph's own search.
    """
    if in_graph():
        return values.topk(min(count, values.shape[1]), dim=1).indices
    return torch.from_numpy(np.argsort(-values.numpy(), axis=1, kind="stable")[:, :count])


def log1p(x: Tensor) -> Tensor:
    """Return ln(1 + x) for x >= −1, exact for small x: ONNX has the logarithm alone.

    What 1 + x rounds away is divided out again (Kahan).
    """
    whole = 1 + x
    return torch.where(whole == 1, x, torch.log(whole) * (x / (whole - 1)))
