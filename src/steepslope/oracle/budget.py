"""What each budget gains on the fit set, and which is the cheapest that is as good as the best."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.metrics import aurc, auroc
from steepslope.metrics.intervals import compare
from steepslope.utilities.files import field as json_field

RESAMPLES = 200
LEVEL_OF_ONE_ERROR = 0.6827  # the central part of a normal distribution within one standard error


@dataclass(frozen=True)
class Gain:
    """What a budget gains over MCP, by log-odds of held-out rows of the fit set.

    ``auc`` is the difference of the AUC, ``aurc_ratio`` the AURC over MCP's; ``cost`` says which further forward passes
    a prediction needs.
    """

    auc: float
    aurc_ratio: float
    cost: str

    def __str__(self) -> str:
        return f"{100 * self.auc:+.2f} AUC points, AURC × {self.aurc_ratio:.3f} against MCP; {self.cost}"

    @classmethod
    def of(cls, card: dict[str, Any], path: Path) -> Self:
        """Return the gain that a card at ``path`` holds."""
        auc, ratio = (float(json_field(card, name, (int, float), path)) for name in ("auc", "aurc_ratio"))
        return cls(auc, ratio, json_field(card, "cost", str, path))


def gain(odds: NDArray[np.float64], mcp: NDArray[np.float64], is_correct: NDArray[np.bool_], cost: str) -> Gain:
    """Return what some log-odds gain over MCP's."""
    difference = auroc(odds, is_correct) - auroc(mcp, is_correct)
    return Gain(difference, aurc(odds, is_correct) / aurc(mcp, is_correct), cost)


def cheapest(odds: Mapping[str, NDArray[np.float64]], is_correct: NDArray[np.bool_], seed: int) -> str:
    """Return the first budget, in the order of their price, whose AURC is within one standard error of the least."""
    risks = {name: aurc(values, is_correct) for name, values in odds.items()}
    best = min(risks, key=lambda name: risks[name])
    for name, values in odds.items():
        if name == best:
            break
        against = compare(values, odds[best], is_correct, bootstrap=RESAMPLES, seed=seed, level=LEVEL_OF_ONE_ERROR)
        if against["aurc"]["low"] <= 0:
            return name
    return best
