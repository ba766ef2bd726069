"""What a practitioner asks beyond the table: working points, cuts, groups, separability, the paper's variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import UndefinedMetricError
from steepslope.evaluation import Scored, nan_to_none
from steepslope.metrics import confusion, measures, paper, separability
from steepslope.metrics.groups import GroupRisk, group_risks
from steepslope.metrics.intervals import Estimate, resample
from steepslope.metrics.measures import Measure
from steepslope.metrics.selective import Confusion, coverage_at_risk_of, risk_at_coverage_of
from steepslope.theory import decision_probability

COVERAGES = tuple(range(50, 100, 5))  # percent
RISKS = (1, 2, 5, 10)  # percent
PAPER_ALPHAS = (1.0, 3.0)


@dataclass(frozen=True)
class Details:
    """All of it for one score. Shares are in [0, 1]; the keys of the working points are percents.

    ``cuts`` maps each probability cut to {"tpr", "tnr"}; it is empty where the score only ranks.
    """

    score: str
    risk_at_coverage: dict[int, Estimate]
    coverage_at_risk: dict[int, Estimate]
    confusion: Confusion | None
    cuts: dict[float, dict[str, float]]
    separability: dict[str, float]
    groups: list[GroupRisk]
    paper: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return it as ``details.json`` holds it; what is undefined is null."""
        return {
            **asdict(self),
            "risk_at_coverage": {key: nan_to_none(one) for key, one in self.risk_at_coverage.items()},
            "coverage_at_risk": {key: nan_to_none(one) for key, one in self.coverage_at_risk.items()},
            "cuts": {f"{cut:.3f}": nan_to_none(one) for cut, one in self.cuts.items()},
            "separability": nan_to_none(self.separability),
            "groups": [nan_to_none(asdict(one)) for one in self.groups],
            "paper": nan_to_none(self.paper),
        }


@dataclass(frozen=True, eq=False)
class Context:
    """What all scores of one evaluation share: who is right, the groups, and what to compute."""

    is_correct: NDArray[np.bool_]
    num_classes: int | None
    groups: NDArray[Any] | None
    group_names: Sequence[str] | None
    bootstrap: int
    seed: int
    paper: bool


def all_details(scored: Sequence[Scored], context: Context) -> list[Details]:
    """Return the details of each score; all are cut at ½ and at the steep slope loss's probability."""
    alphas = next((one.alphas for one in scored if one.alphas), PAPER_ALPHAS)
    return [_details(one, context, (0.5, decision_probability(*alphas))) for one in scored]


def _details(scored: Scored, context: Context, cuts: tuple[float, float]) -> Details:
    confidence, is_correct = scored.confidence, context.is_correct
    threshold, ranks_only = scored.cut(), bool(np.isnan(scored.cut()))
    points = resample(confidence, is_correct, _working_points(), context.bootstrap, context.seed).estimates()
    return Details(
        score=scored.name,
        risk_at_coverage={coverage: points[f"coverage {coverage}"] for coverage in COVERAGES},
        coverage_at_risk={risk: points[f"risk {risk}"] for risk in RISKS},
        confusion=None if ranks_only else confusion(confidence, is_correct, threshold),
        cuts={} if ranks_only else {cut: _rates(scored, is_correct, cut) for cut in cuts},
        separability=_separability(scored, is_correct),
        groups=[] if ranks_only or context.groups is None else _groups(scored, context, context.groups),
        paper=_paper(scored, context) if context.paper else {},
    )


def _working_points() -> dict[str, Measure]:
    points: dict[str, Measure] = {f"coverage {c}": partial(risk_at_coverage_of, coverage=c / 100) for c in COVERAGES}
    return points | {f"risk {r}": partial(coverage_at_risk_of, risk=r / 100) for r in RISKS}


def _rates(scored: Scored, is_correct: NDArray[np.bool_], probability: float) -> dict[str, float]:
    threshold = scored.cut(probability)
    return {name: _or_nan(getattr(measures, name), scored.confidence, is_correct, threshold) for name in ("tpr", "tnr")}


def _separability(scored: Scored, is_correct: NDArray[np.bool_]) -> dict[str, float]:
    return {
        name: _or_nan(getattr(separability, name), scored.confidence, is_correct)
        for name in ("average_kl", "bhattacharyya_distance")
    }


def _groups(scored: Scored, context: Context, groups: NDArray[Any]) -> list[GroupRisk]:
    return group_risks(scored.confidence, context.is_correct, groups, scored.cut(), names=context.group_names)


def _paper(scored: Scored, context: Context) -> dict[str, float]:
    """Return the paper's variants, on float32 sigmoids where the score is a logit."""
    confidence = scored.confidence
    if scored.scale == "logit":
        confidence = paper.float32_sigmoid(confidence)
    variants = ("auroc", "aupr_error", "fpr_at_95tpr", "average_kl")
    values = {name: _or_nan(getattr(paper, name), confidence, context.is_correct) for name in variants}
    if scored.scale != "rank" and context.num_classes is not None:
        values["tnr"] = paper.tnr(confidence, context.is_correct, loss=scored.loss, num_classes=context.num_classes)
    return values


def _or_nan(metric: Any, *arguments: Any) -> float:
    try:
        return float(metric(*arguments))
    except UndefinedMetricError:
        return float("nan")
