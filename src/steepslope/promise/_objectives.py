"""What a gate is calibrated for. The module is quick to import, because the command line reads it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, get_args

from steepslope.errors import (
    Check,
    SteepslopeError,
    choice,
    explained,
    listed,
    number,
    optional,
    plain,
    require,
    require_all,
)

OPEN = 1e-9
INSIDE: Check = number(OPEN, 1 - OPEN)
OBJECTIVE_CHECKS: dict[str, Check] = {
    "delta": number(OPEN, 0.5),  # 0.95 is the confidence, 1 − delta
    "coverage": optional(number(OPEN, 1)),
    "reject": optional(INSIDE),
    "max_class_risk": optional(INSIDE),
}
PAIR = 2
_COST = number(0, 1e300)
PERCENT = 100
WhenChanged = Literal["review", "warn"]  # what a gate does if inputs are not drawn as the calibration rows were
WHEN_CHANGED = choice(*get_args(WhenChanged))
REVIEW_ALL: WhenChanged = "review"


class OtherObjectives(TypedDict, total=False):
    """The fields of :class:`Objectives` that are passed by name only."""

    coverage: float | None
    costs: tuple[float, ...] | None
    error_costs: Mapping[str, Mapping[str, float]] | None
    reject: float | None
    max_class_risk: float | None


@dataclass(frozen=True, kw_only=True)
class Objectives:
    """What is promised about the accepted predictions, or what else fixes the threshold.

    Parameters
    ----------
    max_risk
        Highest fraction of errors among the accepted predictions, in (0, 1). Of several, with commas, all are promised
        together, and the first is the gate's own.
    delta
        Probability, in (0, 1), over random calibration rows, that a promise does not hold; all groups, risks and the
        rejection share it.
    coverage
        Accept this fraction of predictions, in (0, 1], in place of a promised risk; the gate bounds their risk.
    costs
        Cost of an accepted error and of a review, such as 100,5, in place of a promised risk. Accept if the probability
        of being correct makes that the cheaper choice; the gate bounds the risk.
    reject
        Also reject predictions that are hardly worth a review, because at least this fraction of them, in (0, 1), is
        wrong.
    max_class_risk
        Also promise for each true class that at most this fraction of its rows, in (0, 1), is accepted under another
        label.
    error_costs
        With costs, the cost of particular errors in place of the usual one: by predicted class, then by true class.
        Each predicted class has its own threshold.
    """

    max_risk: tuple[float, ...] = (0.05,)
    delta: float = 0.05
    coverage: float | None = None
    costs: tuple[float, ...] | None = None
    reject: float | None = None
    max_class_risk: float | None = None
    error_costs: Mapping[str, Mapping[str, float]] | None = field(default=None, metadata={"is_option": False})

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_risk", _listed_objective("max_risk", self.max_risk))
        if self.costs is not None:
            object.__setattr__(self, "costs", _listed_objective("costs", self.costs))
        require_all(self, OBJECTIVE_CHECKS)
        for risk in self.max_risk:
            if 1 <= risk < PERCENT:  # it may be meant in percent
                meant = f"{risk:g} % is {risk / PERCENT:.12g}"
                raise SteepslopeError(f"expected {INSIDE.expected}, found {risk} ({meant})", "max_risk")
            require("max_risk", risk, INSIDE)
        if not self.max_risk or len(set(self.max_risk)) < len(self.max_risk):
            raise SteepslopeError(f"expected at least one, each once, found {self.max_risk}", "max_risk")
        if self.max_class_risk is not None and self.risks == (None,):
            raise SteepslopeError("expected none with a coverage or costs, which fix the threshold", "max_class_risk")
        self._require_costs()

    def _require_costs(self) -> None:
        if self.costs is None:
            if self.error_costs is not None:
                expected = "expected costs as well: the usual cost of an error, and that of a review"
                raise SteepslopeError(expected, "error_costs")
            return
        if self.coverage is not None:
            raise SteepslopeError("expected a coverage or costs, found both", "costs")
        if not (len(self.costs) == PAIR and 0 < self.costs[1] < self.costs[0] < math.inf):
            expected = "the cost of an error and the lower cost of a review, both > 0"
            raise SteepslopeError(f"expected {expected}, found {', '.join(map(str, self.costs))}", "costs")
        if self.error_costs is not None:
            _require_error_costs(self.error_costs)

    @property
    def risks(self) -> tuple[float | None, ...]:
        """The promised risks; (None,) for a coverage or costs."""
        if self.coverage is not None or self.costs is not None:
            return (None,)
        return self.max_risk

    @property
    def is_of_groups_alone(self) -> bool:
        """Whether each promise is about the rows of one group, so that rows of other groups may depend on them."""
        return self.reject is None and self.max_class_risk is None and self.costs is None

    def least_probability(self, cost_of_error: float) -> float:
        """Return the probability of being correct above which accepting is cheaper than a review, in (0, 1)."""
        assert self.costs is not None
        return max(OPEN, 1 - self.costs[1] / max(cost_of_error, OPEN))


def _require_error_costs(costs: Any) -> None:
    if not isinstance(costs, Mapping) or not all(isinstance(by_true, Mapping) for by_true in costs.values()):
        raise SteepslopeError(f"expected costs by predicted class, then by true class, found {costs!r}", "error_costs")
    for predicted, by_true in costs.items():
        for true, cost in by_true.items():
            require(f"error_costs {predicted} {true}", cost, _COST)
            if true == predicted and cost:
                raise SteepslopeError(f"expected no cost of what is right, found {cost}", f"error_costs {true}")


def _listed_objective(name: str, value: Any) -> tuple[float, ...]:
    with explained("expected a number, or several", name, (TypeError, ValueError)):
        return listed(plain(value), float)
