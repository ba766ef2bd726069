"""The luck of the fit: how much an oracle's metrics depend on the rows that it happened to be fitted on.

The bootstrap's intervals hold the fitted oracle still, and tell the luck of the test rows alone.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from steepslope.checks import SEED, require, whole
from steepslope.errors import FewErrorsWarning, SteepslopeError
from steepslope.metrics import evaluate
from steepslope.metrics.curves import rank_rows
from steepslope.metrics.intervals import Estimate, values_of
from steepslope.metrics.measures import measures_at
from steepslope.oracle.base import BaseOracle
from steepslope.outputs import ClassifierOutputs


class Fittable(Protocol):
    """An oracle that can be fitted to outputs."""

    def fit(self, outputs: ClassifierOutputs, reference: ClassifierOutputs | None = None) -> Any:
        """Fit on the outputs in which errors are seen, and return the oracle itself."""

    def trust_logit(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return z of each prediction, (n,)."""


@dataclass(frozen=True)
class Stability:
    """One metric of an oracle on the test set.

    ``estimate`` is that of the fit to all rows, with the interval from resampled test rows. ``deviation`` is the
    standard deviation over the refits, which estimates that of the fit to all rows; ``least`` and ``most`` are the
    range over the refits. All are NaN where the metric is undefined.
    """

    estimate: Estimate
    deviation: float
    least: float
    most: float


def stability(
    oracle: BaseOracle | Callable[[], Fittable],
    outputs: ClassifierOutputs,
    reference: ClassifierOutputs | None,
    test: ClassifierOutputs,
    *,
    refits: int = 10,
    bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Stability]:
    """Return how each metric on ``test`` varies when the oracle is fitted again on random halves of the fit rows.

    Halves are drawn without replacement, since a row drawn twice would be in two folds of an oracle that
    cross-validates. Halves of n rows vary around their mean by (1/(n/2) − 1/n) σ² = σ²/n, as fits to n fresh rows do
    (the delete-half jackknife; Shao and Wu 1989). The reference stays whole. TPR and TNR are taken at z = 0.

    Parameters
    ----------
    oracle
        An oracle, of which the settings alone are used, or a function that returns a new one.
    outputs, reference
        What :meth:`fit` takes: the outputs in which errors are seen, and the classifier's training outputs.
    test
        Outputs of other rows, on which the metrics are taken.
    refits
        Number of halves, at least 2; each takes about half the time of a fit.
    bootstrap
        Number of resamples of the test rows for the intervals.
    seed
        Seed of the halves and of the resamples; the oracle keeps its own.

    Raises
    ------
    SteepslopeError
        If the oracle is one on images, an argument is out of range, or a half has no error or no correct prediction.
    """
    refits, seed = require("refits", refits, whole(2)), require("seed", seed, SEED)
    new = _factory(oracle)
    z = new().fit(outputs, reference).trust_logit(test)
    estimates = evaluate(z, test.is_correct, positive_threshold=0, negative_threshold=0, bootstrap=bootstrap, seed=seed)
    refitted = [_values(new(), half, reference, test) for half in _halves(outputs, refits, seed)]
    return {name: _stability(estimate, [values[name] for values in refitted]) for name, estimate in estimates.items()}


def _factory(oracle: BaseOracle | Callable[[], Fittable]) -> Callable[[], Fittable]:
    if not isinstance(oracle, BaseOracle):
        return oracle
    settings = getattr(oracle, "settings", None)
    if settings is None or oracle.is_image_oracle:
        raise SteepslopeError(f"expected an oracle on cached outputs, found {type(oracle).__name__}", "oracle")
    return lambda: type(oracle)(**settings.as_json())  # type: ignore[return-value]


def _halves(outputs: ClassifierOutputs, refits: int, seed: int) -> Iterator[ClassifierOutputs]:
    """Draw half of the rows without replacement, in their order, so many times."""
    rng = np.random.default_rng(seed)
    n = len(outputs)
    for _ in range(refits):
        yield outputs.subset(np.sort(rng.permutation(n)[: n // 2]))


def _values(
    oracle: Fittable, half: ClassifierOutputs, reference: ClassifierOutputs | None, test: ClassifierOutputs
) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewErrorsWarning)  # half of the rows have half of the errors by design
        z = oracle.fit(half, reference).trust_logit(test)
    return values_of(measures_at(0, 0), rank_rows(z, test.is_correct).ranking())


def _stability(estimate: Estimate, values: list[float]) -> Stability:
    return Stability(estimate, float(np.std(values, ddof=1)), float(np.min(values)), float(np.max(values)))
