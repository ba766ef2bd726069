"""A guard against noise and blur: far more or less noise than usual leaves the classifier's opinion alone to count.

Both mislead whatever knows clean images, such as neighbours, probes and an auxiliary backbone, more than they mislead
the classifier about itself; and the features do not tell, since noisy images lie near clean ones there. Estimates of
the noise tell both: a blurred or enlarged image has less of it than nearly all others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.estimators.opinion_pool import OpinionPool

Floats = NDArray[np.float64]
QUANTILES = 0.001, 0.02, 0.98, 0.999


@dataclass(frozen=True, eq=False)
class Guard:
    """``limits`` (4, s) of each estimate: inside the inner two all opinions count, outside the outer two ``own`` alone.

    The estimate that lies furthest out decides.
    """

    limits: Floats
    own: OpinionPool

    @classmethod
    def of(cls, noise: NDArray[np.floating], own: OpinionPool) -> Guard:
        """Take the limits from the noise (n, s) of the fit set's images."""
        return cls(np.quantile(np.asarray(noise, dtype=np.float64), QUANTILES, axis=0), own)

    def mixed(self, odds: Floats, own: Floats, noise: NDArray[np.floating]) -> Floats:
        """Return the log-odds of all opinions and of the classifier's own, (m,) each, mixed by the noise (m, s).

        Raises
        ------
        SteepslopeError
            If there are not as many estimates as in the fit set.
        """
        least, low, high, most = self.limits
        if noise.shape[1] != len(low):
            raise SteepslopeError(f"expected the fit set's {len(low)} estimates, found {noise.shape[1]}", "noise")
        values = np.asarray(noise, dtype=np.float64)
        below, above = (low - values) / _widths(low - least), (values - high) / _widths(most - high)
        weight = np.maximum(below, above).max(axis=1).clip(0, 1)
        return np.asarray((1 - weight) * odds + weight * own)


def _widths(gaps: Floats) -> Floats:
    """Return over which width each estimate hands over: the widest gap for all, since they are on one scale.

    An estimate that hardly varies in the fit set does not tell how far is far; one that does not vary has no influence.
    """
    return np.where(gaps > 0, gaps.max(), np.inf)
