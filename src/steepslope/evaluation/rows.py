"""From names of scores and oracles to rows of a table: each with intervals and its difference to MCP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, unknown_name
from steepslope.evidence.fitting import require_other_rows
from steepslope.metrics.curves import Ranking, RiskCoverage, rank_rows
from steepslope.metrics.intervals import Difference, Estimate, Resampled, measure, measures_at, resample
from steepslope.metrics.measures import Measure, tnr_of, tpr_of
from steepslope.metrics.scales import SCALES
from steepslope.metrics.selective import Confusion, confusion_of, coverage_at_risk_of, risk_at_coverage_of
from steepslope.oracle import Oracle
from steepslope.oracle.storage import CARD, is_image_oracle
from steepslope.outputs import ClassifierOutputs, Confidences
from steepslope.scores import SCORES
from steepslope.theory import decision_probability

BASELINE = "mcp"
COVERAGES = tuple(range(50, 100, 5))  # percent
RISKS = (1, 2, 5, 10)  # percent
WORKING_POINTS: dict[str, Measure] = {
    **{f"coverage {c}": partial(risk_at_coverage_of, coverage=c / 100) for c in COVERAGES},
    **{f"risk {r}": partial(coverage_at_risk_of, risk=r / 100) for r in RISKS},
}
PAPER_ALPHAS = (1.0, 3.0)
CURVE_POINTS = 2_000
BOUNDS: tuple[Literal["value", "low", "high"], ...] = ("value", "low", "high")


@dataclass(frozen=True, eq=False)
class Scored:
    """What one score or oracle gave: confidences that do not saturate, and the scale that they are on.

    ``alphas`` are those of a steep slope oracle; ``explain`` splits the trust logits of outputs by their evidence.
    """

    name: str
    loss: str | None
    confidence: NDArray[np.float64]
    scale: str
    alphas: tuple[float, float] | None = None
    explain: Callable[[ClassifierOutputs], dict[str, NDArray[np.float64]]] | None = None

    def cut(self, probability: float = 0.5) -> float:
        """Return the confidence above which it trusts, NaN where it only ranks."""
        return SCALES[self.scale].cut(probability)

    @property
    def unit_confidence(self) -> NDArray[np.float64]:
        """The confidences in [0, 1], for pictures; saturated."""
        return SCALES[self.scale].unit(self.confidence)


@dataclass(frozen=True, eq=False)
class Row:
    """All that one sort of one score's confidences tells: the metrics, and what a gate would do.

    ``vs_mcp`` has the metrics' paired differences to MCP, None where MCP is not known; ``lacking`` is the number
    of bootstrap replicates without an error, or without a correct prediction. ``risk_at_coverage`` and
    ``coverage_at_risk`` have percents as keys. ``cuts`` maps each probability cut to {"tpr", "tnr"}; it is empty,
    and ``confusion`` None, where the score only ranks.
    """

    name: str
    loss: str | None
    n: int
    metrics: dict[str, Estimate]
    vs_mcp: dict[str, Difference] | None
    lacking: int
    risk_at_coverage: dict[int, Estimate]
    coverage_at_risk: dict[int, Estimate]
    confusion: Confusion | None
    cuts: dict[float, dict[str, float]]
    curve: RiskCoverage

    @property
    def delta_auc(self) -> Difference:
        """The paired difference of the AUC to MCP's."""
        undefined = Difference(value=np.nan, low=np.nan, high=np.nan, p=np.nan)
        return undefined if self.vs_mcp is None else self.vs_mcp["auc"]

    def as_json(self) -> dict[str, Any]:
        """Return the row as ``metrics.json`` holds it; what is undefined is null."""
        delta: dict[str, Estimate] = {"delta_auc_vs_mcp": self.delta_auc}
        estimates = {**self.metrics, **delta}
        return {
            "score": self.name,
            "loss": self.loss,
            "n": self.n,
            **{name: nan_to_none({key: one[key] for key in BOUNDS}) for name, one in estimates.items()},
            "replicates_lacking_a_class": self.lacking,
            "vs_mcp": {name: nan_to_none(one) for name, one in (self.vs_mcp or {}).items()},
        }


def nan_to_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same with None for NaN, which JSON does not have."""
    return {name: None if value != value else value for name, value in values.items()}


OpenImages = Callable[[ClassifierOutputs], Any]  # a steepslope.data.images.Dataset


@dataclass(frozen=True, eq=False)
class Resources:
    """What scores and oracles need beside the outputs that they judge.

    Scores that learn are fitted on ``errors``, rows new to the classifier, or on its training ``reference``. Oracles
    that look at images have them from ``open_images``; ``backbones`` are specs of one's own code that they may run.
    """

    errors: ClassifierOutputs | None = None
    reference: ClassifierOutputs | None = None
    open_images: OpenImages | None = None
    backbones: Sequence[str] = ()


def score_predictions(
    names: Sequence[str],
    predictions: ClassifierOutputs | Confidences,
    resources: Resources | None = None,
) -> list[Scored]:
    """Apply post-hoc scores (by name) and oracles (by folder); MCP comes first, asked for or not.

    An oracle is called by its folder's name, or by its whole path where two have the same name. Predictions that come
    with a confidence alone are scored by it and nothing else.
    """
    resources = resources or Resources()
    if isinstance(predictions, Confidences):
        return [_given(names, predictions)]
    folders = {name: str(Path(name).resolve()) for name in names if name not in SCORES}
    wanted = {folders.get(name, name): name for name in (BASELINE, *names)}
    labels = [Path(key).name for key in wanted]
    return [
        _score(name, label if labels.count(label) == 1 else name, predictions, resources)
        for name, label in zip(wanted.values(), labels, strict=True)
    ]


def _given(names: Sequence[str], predictions: Confidences) -> Scored:
    others = [name for name in names if name != BASELINE]
    if others:
        raise SteepslopeError(f"{others[0]} needs logits, but the predictions come with a confidence alone")
    confidence = predictions.confidence
    within = bool(((confidence >= 0) & (confidence <= 1)).all())
    return Scored("confidence", None, confidence, "probability" if within else "rank")


def _score(name: str, label: str, outputs: ClassifierOutputs, resources: Resources) -> Scored:
    if name in SCORES:
        try:
            score = SCORES[name]().fit(_fit_set(name, outputs, resources))
            return Scored(name, None, _known(score.confidence(outputs)), score.scale)
        except SteepslopeError as error:
            raise error if str(error).startswith(name) else SteepslopeError(f"{name}: {error}") from error
    if (Path(name) / CARD).exists():
        return _score_by_oracle(name, label, outputs, resources)
    if Path(name).exists() or "/" in name:
        raise SteepslopeError(f"{name}: expected the folder of a fitted oracle with {CARD}, found none")
    raise unknown_name("score", name, SCORES)


def _known(confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return confidences that are all numbers."""
    if np.isnan(confidence).any():
        row = int(np.isnan(confidence).argmax())
        raise SteepslopeError(f"expected a confidence of each prediction, found NaN in row {row}")
    return confidence


def _fit_set(name: str, outputs: ClassifierOutputs, resources: Resources) -> ClassifierOutputs:
    need = SCORES[name].fits_on
    if need == "nothing":
        return outputs
    found: ClassifierOutputs | None = getattr(resources, need)
    if found is None:
        wanted = {"errors": "outputs of held-out rows (--fit)", "reference": "its training outputs (--reference)"}[need]
        raise SteepslopeError(f"{name} learns from the classifier: expected {wanted}, found none")
    if found.num_classes != outputs.num_classes:
        raise SteepslopeError(f"{name}: expected {outputs.num_classes} classes to fit on, found {found.num_classes}")
    require_other_rows(name, outputs, found)
    return found


def _score_by_oracle(folder: str, label: str, outputs: ClassifierOutputs, resources: Resources) -> Scored:
    if is_image_oracle(Path(folder)):
        return _score_by_looking(folder, label, outputs, resources)
    oracle = Oracle.load(folder)
    explain = oracle.explain if oracle.explains else None
    try:
        z = _known(oracle.trust_logit(outputs))
        return Scored(label, oracle.loss, z, oracle.scale, _alphas(oracle), explain)
    except SteepslopeError as error:
        raise SteepslopeError(f"oracle {folder}: {error}") from error


def _alphas(oracle: Any) -> tuple[float, float] | None:
    known = oracle.loss_settings.parameters
    return (known["alpha_pos"], known["alpha_neg"]) if oracle.loss == "steep_slope" else None


def _score_by_looking(folder: str, label: str, outputs: ClassifierOutputs, resources: Resources) -> Scored:
    import torch

    from steepslope.oracle.on_images import ImageOracle  # with torch and its vision libraries, which take seconds

    oracle = ImageOracle.load(folder, resources.backbones)
    oracle.net.to("cuda" if torch.cuda.is_available() else "cpu")
    try:
        looking = oracle if resources.open_images is None else oracle.on(resources.open_images(outputs))
        return Scored(label, oracle.loss, _known(looking.trust_logit(outputs)), oracle.scale, _alphas(oracle))
    except SteepslopeError as error:
        raise SteepslopeError(f"oracle {folder}: {error}") from error


def table_rows(
    scored: Sequence[Scored], is_correct: NDArray[np.bool_], bootstrap: int = 1000, seed: int = 0
) -> list[Row]:
    """Evaluate all on the same resamples of the rows; if MCP is the first, the others are compared with it.

    TPR and TNR are also shown at the cut of the first steep slope oracle, or else of α⁺ = 1, α⁻ = 3.
    """
    cuts = 0.5, decision_probability(*next((one.alphas for one in scored if one.alphas), PAPER_ALPHAS))
    rows: list[Row] = []
    baseline: Resampled | None = None
    for one in scored:
        ranked = rank_rows(one.confidence, is_correct)
        own = resample(ranked, measures_at(one.cut(), one.cut()) | WORKING_POINTS, bootstrap, seed)
        baseline = own if one.name == BASELINE else baseline
        rows.append(_row(one, own, baseline, ranked.ranking(), cuts))
    return rows


def _row(scored: Scored, own: Resampled, baseline: Resampled | None, ranking: Ranking, cuts: Sequence[float]) -> Row:
    estimates = own.estimates()
    points = {name: estimates.pop(name) for name in WORKING_POINTS}
    differences = None if baseline is None else own.minus(baseline)
    ranks_only = bool(np.isnan(scored.cut()))
    return Row(
        name=scored.name,
        loss=scored.loss,
        n=ranking.n,
        metrics=estimates,
        vs_mcp=None if differences is None else {name: differences[name] for name in estimates},
        lacking=own.lacking,
        risk_at_coverage={coverage: points[f"coverage {coverage}"] for coverage in COVERAGES},
        coverage_at_risk={risk: points[f"risk {risk}"] for risk in RISKS},
        confusion=None if ranks_only else confusion_of(ranking, scored.cut()),
        cuts={} if ranks_only else {cut: _rates(ranking, scored.cut(cut)) for cut in cuts},
        curve=RiskCoverage.of(ranking).thinned(CURVE_POINTS),
    )


def _rates(ranking: Ranking, threshold: float) -> dict[str, float]:
    return measure(ranking, {"tpr": partial(tpr_of, threshold=threshold), "tnr": partial(tnr_of, threshold=threshold)})


def verdicts(rows: Sequence[Row]) -> list[str]:
    """Say in words whether each row beats MCP at ranking."""
    if rows[0].name != BASELINE:
        return [f"{rows[0].name} cannot be compared with MCP: that needs logits."]
    return [verdict(row) for row in rows[1:]]


def verdict(row: Row) -> str:
    """Say in words whether the row beats MCP at ranking.

    A difference counts if its interval excludes 0.
    """
    delta = row.delta_auc
    value, low, high = (f"{100 * delta[bound]:+.1f}" for bound in BOUNDS)
    points = f"{value} AUC points, 95 % interval {low} to {high}"
    if np.isnan(delta["value"]):
        return f"{row.name} cannot be compared with MCP: AUC needs both errors and correct predictions."
    if np.isnan(delta["low"]):
        return f"{row.name} differs from MCP by {value} AUC points; without resamples nobody can say if by luck."
    if delta["low"] > 0:
        return f"{row.name} ranks better than MCP ({points})."
    if delta["high"] < 0:
        return f"{row.name} does NOT beat MCP: it ranks worse ({points})."
    return f"{row.name} does not beat MCP: no significant difference ({points})."
