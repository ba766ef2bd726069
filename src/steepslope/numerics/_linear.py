"""Linear solvers.

These are principal components, standardised columns, linear models by L-BFGS, to convergence or for some iterations,
and the calibration of log-odds by a slope and an offset (Platt, 1999).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike
from scipy.linalg import eigh
from scipy.optimize import minimize
from scipy.special import expit

from steepslope.numerics._blocks import blocks
from steepslope.numerics._formulas import log_softmax
from steepslope.numerics._threads import in_slices
from steepslope.numerics._types import Bools, Counts, Floats, Singles, Values

Softmax = tuple[Singles, Singles]  # weights (w, K) and bias (K,)


def principal_components(rows: Values, count: int) -> tuple[Floats, Floats, Floats]:
    """Return the mean (w,) of rows (n, w), the directions (w, c) in which they vary most, and their variances (c,).

    ``c`` is ``count``, or less if there are fewer rows or columns. The largest variance is last.

    >>> mean, directions, variances = principal_components(np.array([[0.0, 1.0], [4.0, 1.0]]), 1)
    >>> mean.tolist(), np.abs(directions).round(6).tolist(), variances.tolist()
    ([2.0, 1.0], [[1.0], [0.0]], [8.0])
    """
    values = np.asarray(rows, dtype=np.float64)
    mean = values.mean(axis=0)
    centred = values - mean
    products = in_slices(lambda some: centred[some].T @ centred[some], len(centred), centred.shape[1] * centred.size)
    covariance = sum(products) / (len(values) - 1)
    width = len(covariance)
    components = min(count, len(values) - 1, width)
    variances, directions = eigh(covariance, subset_by_index=(width - components, width - 1))
    return mean, directions, variances


_Bounds = Sequence[tuple[float | None, float | None]]
# A deviation below this fraction of the mean is rounding; of float64, CONSTANT_DOUBLE.
_CONSTANT = 1e-6
_CONSTANT_DOUBLE = 1e-14
COMPONENT_ROWS = 10_000


@dataclass(frozen=True, eq=False)
class Standardised:
    """Standardised ``columns``, float32 (n, w), and the ``mean`` and ``scale`` (w,) of the originals.

    With ``directions`` (w, c), the columns are principal components (n, c), which are not scaled one by one.
    """

    columns: Singles
    mean: Floats
    scale: Floats
    directions: Singles | None = None

    def for_originals(self, weights: Values, bias: Values) -> tuple[Singles, Floats]:
        """Return weights (w, K) and bias (K,) for the originals, given those for the standardised columns.

        The weights are float32. The bias is float64, and compensates for their rounding, which grows with the mean.
        """
        if self.directions is not None:
            weights = self.directions.astype(np.float64) @ weights
        own = (weights / self.scale[:, None]).astype(np.float32, order="C")
        return own, bias - self.mean @ own.astype(np.float64)


def standardised(columns: Values, components: int | None = None) -> Standardised:
    """Standardise columns (n, w); a constant one becomes 0.

    More columns than ``components`` are reduced to that many principal components, which are learnt from at most 10,000
    rows, evenly spread over their order.
    """
    mean = columns.mean(axis=0, dtype=np.float64)
    changed = np.empty(columns.shape, dtype=np.float32)
    squares = np.zeros(len(mean))
    for rows in blocks(len(columns), 4_096):
        changed[rows] = columns[rows] - mean
        squares += np.square(changed[rows], dtype=np.float64).sum(axis=0)
    scale = scale_of_columns(mean, np.sqrt(squares / len(columns)), columns.dtype)
    changed /= scale.astype(np.float32)
    if components is None or len(mean) <= components:
        return Standardised(changed, mean, scale)
    some = np.linspace(0, len(changed) - 1, min(len(changed), COMPONENT_ROWS)).round().astype(np.int64)
    directions = principal_components(changed[some], components)[1].astype(np.float32)
    return Standardised(changed @ directions, mean, scale, directions)


def scale_of_columns(mean: Floats, deviation: Floats, dtype: DTypeLike = np.float32) -> Floats:
    """Return the divisor of each column; 1 if the column is constant apart from rounding, which would be magnified."""
    rounding = _CONSTANT_DOUBLE if dtype == np.float64 else _CONSTANT
    return np.where(deviation > rounding * np.abs(mean), deviation, 1.0)


def minimise_by_lbfgs(
    objective: Callable[[Floats], tuple[float, Floats]], start: Floats, bounds: _Bounds | None = None, **options: float
) -> Floats:
    """Return the parameters (p,) where the objective is least, by L-BFGS-B from ``start`` (p,).

    The objective returns its value and its gradient (p,); ``options`` are those of scipy's L-BFGS-B, such as
    ``maxiter``.

    >>> minimise_by_lbfgs(lambda x: (float(np.square(x - 3).sum()), 2 * (x - 3)), np.zeros(2)).round(3)
    array([3., 3.])
    """
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(found.x)


def fit_standardised_softmax(
    columns: Values | Standardised, labels: Counts, num_classes: int, penalty: float, start: Softmax | None = None
) -> tuple[Singles, Floats]:
    """Return weights (w, K) and bias (K,) for columns, fitted by :func:`fit_softmax` on the standardised columns."""
    inputs = columns if isinstance(columns, Standardised) else standardised(columns)
    return inputs.for_originals(*fit_softmax(inputs.columns, labels, num_classes, penalty, start))


def fit_softmax(
    columns: Singles, labels: Counts, num_classes: int, penalty: float, start: Softmax | None = None
) -> Softmax:
    """Return weights (w, K) and bias (K,) of a multinomial logistic regression with a ridge.

    It begins at 0, or at ``start``. It stops after 100 iterations, or earlier if the loss falls by less than 10⁻⁷ of
    itself. With fewer rows than columns, the columns are first rotated into as many as there are rows: the weights
    lie in the span of the rows.
    """
    if len(columns) < columns.shape[1]:
        basis, triangle = np.linalg.qr(columns.T)
        if start is not None:
            start = basis.T @ start[0], start[1]
        rotated, offsets = fit_softmax(np.ascontiguousarray(triangle.T), labels, num_classes, penalty, start)
        return basis @ rotated, offsets
    width = columns.shape[1]
    rows = np.arange(len(labels))

    def objective(parameters: Floats) -> tuple[float, Floats]:
        singles = parameters.astype(np.float32)
        bias = singles[:num_classes]
        weights = singles[num_classes:].reshape(num_classes, width)
        logs = log_softmax(columns @ weights.T + bias)
        loss = -logs[rows, labels].mean(dtype=np.float64)
        residual = np.exp(logs, out=logs)
        residual[rows, labels] -= 1
        residual /= len(labels)
        slope = residual.T @ columns + penalty * weights
        gradient = np.append(residual.sum(axis=0), slope.ravel())
        ridge = penalty / 2 * np.square(weights).sum(dtype=np.float64)
        return float(loss + ridge), gradient.astype(np.float64)

    weights, bias = start or (np.zeros((width, num_classes)), np.zeros(num_classes))
    first = np.append(bias, weights.T.ravel()).astype(np.float64)
    found = minimise_by_lbfgs(objective, first, maxiter=100, ftol=1e-7).astype(np.float32)
    return found[num_classes:].reshape(num_classes, width).T, found[:num_classes]


LEAST_SLOPE = 1e-3  # a slope below 0 would reverse the ranking
PRIOR = 1.0  # in rows: the weight of the prior that the log-odds are calibrated already
_PRIOR_MEAN = np.array([1.0, 0.0])
_MOST_STEPS = 100
_CONVERGED = 1e-16  # of the loss
ROUNDING = 1e-14  # of the loss


def fit_calibration(log_odds: Floats, is_correct: Bools) -> tuple[float, float]:
    """Return the slope > 0 and the offset with which slope · log-odds + offset are the log-odds of being correct.

    They minimise the mean cross entropy over the rows (n,), with a ridge around slope 1 and offset 0, so few rows
    change little.

    >>> odds = np.log([3.0, 3.0, 3.0, 3.0] * 100)
    >>> slope, offset = fit_calibration(odds, np.array([True, True, True, False] * 100))
    >>> float(np.round(1 / (1 + np.exp(-slope * odds[0] - offset)), 2))
    0.75
    """
    inputs = np.asarray(log_odds, dtype=np.float64)
    slope, offset = _calibration_by_newton(inputs, is_correct, _PRIOR_MEAN, np.eye(2))
    if slope < LEAST_SLOPE:  # the objective is convex, so its minimum lies on the bound
        slope, offset = _calibration_by_newton(inputs, is_correct, np.array([LEAST_SLOPE, 0.0]), np.eye(2)[1:])
    return float(slope), float(offset)


def _calibration_by_newton(inputs: Floats, is_correct: Bools, parameters: Floats, free: Floats) -> Floats:
    """Return the slope and offset (2,) with the least loss, by damped Newton steps in directions ``free`` (k, 2)."""
    columns = np.stack([inputs, np.ones(len(inputs))])
    ridge = PRIOR / len(inputs)

    def loss_of(parameters: Floats) -> float:
        logits = parameters[0] * inputs + parameters[1]
        loss = np.logaddexp(0, np.where(is_correct, -logits, logits)).mean()
        return float(loss + ridge / 2 * np.square(parameters - _PRIOR_MEAN).sum())

    for _ in range(_MOST_STEPS):
        before = loss_of(parameters)
        p = expit(parameters[0] * inputs + parameters[1])
        slopes = ((p - is_correct) * columns).mean(axis=1)
        gradient = free @ (slopes + ridge * (parameters - _PRIOR_MEAN))
        curvature = np.einsum("in,jn->ij", p * (1 - p) * columns, columns) / len(p)
        curvature += ridge * np.eye(2)
        step = np.linalg.solve(free @ curvature @ free.T, gradient) @ free
        if not gradient @ free @ step > _CONVERGED * before:  # also where log-odds are not finite
            break
        while loss_of(parameters - step) > (1 + ROUNDING) * before:
            step = step / 2
        parameters = parameters - step
    return parameters
