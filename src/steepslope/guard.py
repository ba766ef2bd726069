"""A guard against noise: where an image is noisier than those of the fit set, the classifier alone is asked.

Noise misleads whatever knows clean images, such as neighbours, probes and a foreign backbone, more than it misleads the
classifier about itself; and the features do not tell it, since noisy images lie near clean ones there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steepslope.training.consensus import Consensus

Floats = NDArray[np.float64]
QUANTILES = 0.95, 0.999


@dataclass(frozen=True, eq=False)
class Guard:
    """``limits`` (2,): the noise up to which all opinions count, and from which only the classifier's ``own`` does."""

    limits: Floats
    own: Consensus

    @classmethod
    def of(cls, noise: NDArray[np.floating], own: Consensus) -> Guard:
        """Take the limits from the noise of the fit set's images."""
        return cls(np.quantile(np.asarray(noise, dtype=np.float64), QUANTILES), own)

    def mixed(self, odds: Floats, own: Floats, noise: NDArray[np.floating]) -> Floats:
        """Return the log-odds of all opinions and of the classifier's own, (m,) each, mixed by the images' noise."""
        low, high = self.limits
        above = np.asarray(noise, dtype=np.float64) - low
        share = np.clip(above / (high - low), 0, 1) if high > low else above > 0
        return np.asarray((1 - share) * odds + share * own)
