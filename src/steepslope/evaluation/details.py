"""What a practitioner asks beyond the metrics: groups, separability, and the paper's variants on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import UndefinedMetricError
from steepslope.evaluation.rows import Row, Scored, nan_to_none
from steepslope.metrics import average_kl, bhattacharyya_distance, paper
from steepslope.metrics.groups import GroupRisk, group_risks


@dataclass(frozen=True, eq=False)
class Context:
    """What all scores of one evaluation share: who is right, the groups, and whether to show the paper's variants."""

    is_correct: NDArray[np.bool_]
    num_classes: int | None = None
    groups: NDArray[Any] | None = None
    group_names: Sequence[str] | None = None
    paper: bool = False


@dataclass(frozen=True)
class Details:
    """The rest for one score; the dicts map names of metrics to values, NaN where undefined."""

    row: Row
    separability: dict[str, float]
    groups: list[GroupRisk]
    paper: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return it, with the row's working points, as ``details.json`` holds it; what is undefined is null."""
        return {
            "score": self.row.name,
            "risk_at_coverage": {key: nan_to_none(one) for key, one in self.row.risk_at_coverage.items()},
            "coverage_at_risk": {key: nan_to_none(one) for key, one in self.row.coverage_at_risk.items()},
            "confusion": self.row.confusion,
            "cuts": {f"{cut:.3f}": nan_to_none(one) for cut, one in self.row.cuts.items()},
            "separability": nan_to_none(self.separability),
            "groups": [nan_to_none(asdict(one)) for one in self.groups],
            "paper": nan_to_none(self.paper),
        }


def details(scored: Scored, row: Row, context: Context) -> Details:
    """Compute what one score's row does not hold."""
    metrics = {"average_kl": average_kl, "bhattacharyya_distance": bhattacharyya_distance}
    return Details(
        row=row,
        separability=_values(metrics, scored.confidence, context.is_correct),
        groups=_groups(scored, context),
        paper=_paper(scored, context) if context.paper else {},
    )


def _groups(scored: Scored, context: Context) -> list[GroupRisk]:
    if context.groups is None or np.isnan(scored.cut()):
        return []
    return group_risks(scored.confidence, context.is_correct, context.groups, scored.cut(), names=context.group_names)


def _paper(scored: Scored, context: Context) -> dict[str, float]:
    """Return the paper's variants, on float32 sigmoids where the score is a logit."""
    confidence = scored.confidence
    if scored.scale == "logit":
        confidence = paper.float32_sigmoid(confidence)
    variants = {
        "auroc": paper.auroc,
        "aupr_error": paper.aupr_error,
        "fpr_at_95tpr": paper.fpr_at_95tpr,
        "average_kl": paper.average_kl,
    }
    values = _values(variants, confidence, context.is_correct)
    if scored.scale != "rank" and context.num_classes is not None:
        values["tnr"] = paper.tnr(confidence, context.is_correct, loss=scored.loss, num_classes=context.num_classes)
    return values


def _values(
    metrics: dict[str, Callable[..., float]], confidence: NDArray[np.float64], is_correct: NDArray[np.bool_]
) -> dict[str, float]:
    """Return each metric, NaN where it is undefined."""
    values = {}
    for name, metric in metrics.items():
        try:
            values[name] = metric(confidence, is_correct)
        except UndefinedMetricError:
            values[name] = float("nan")
    return values
