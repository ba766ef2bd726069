"""From names of scores to rows: metrics with intervals, differences to MCP, and what a gate would do."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from steepslope.gate import Gate
from steepslope.metrics import (
    BOUNDS,
    METRICS,
    SEPARABILITY,
    Bools,
    Confusion,
    Difference,
    Estimate,
    Floats,
    GroupRisk,
    Groups,
    Measure,
    OperatingPoint,
    Ranking,
    Resampled,
    RiskCoverage,
    auroc,
    confusion,
    group_risks,
    measures_at,
    rank_rows,
    resample_all,
    risk_coverage_curve,
    threshold_at_risk_of,
    values_of_measures,
)
from steepslope.numerics import Brief, Counts
from steepslope.outputs import ClassifierOutputs
from steepslope.report._confidences import BASELINE, NOTHING, Resources, Scored, confidences_of_scores
from steepslope.theory import decision_probability

COVERAGES = tuple(OperatingPoint("coverage", percent) for percent in range(50, 100, 5))
RISKS = tuple(OperatingPoint("risk", percent) for percent in (1, 2, 5, 10))
_PAPER_CUT = decision_probability(1.0, 3.0)
_CURVE_POINTS = 2_000
VS_BEST = ("auc", "aurc")
KNOWN_COVERAGE = 90  # percent of the rows of known classes that are accepted where unknown ones are counted
_NEARLY_ALL = 0.99  # of a gate's own rows are among some others, by what it makes of them, where all are
_AT_ONCE = 4  # scores that share the drawing of resamples; each needs some 40 bytes a row meanwhile
Drawn = Resampled[str | OperatingPoint]


class _BestSingle(NamedTuple):
    """The best of the single scores in a table, by AURC, and an oracle's paired differences to it, by metric."""

    score: str
    differences: dict[str, Difference]


@dataclass(frozen=True)
class _UnknownRows:
    """What becomes of out-of-class rows, n many, a ``share`` of all; values are NaN where undefined.

    ``accepted`` is the fraction of them that a threshold accepts which accepts at least 90 % of the rows of known
    classes. ``auc_known`` is the AUC among the known rows alone, ``auc_unknown`` that of the known rows that are
    correct against the unknown ones.
    """

    n: int
    share: float
    accepted: float
    auc_known: float
    auc_unknown: float

    @classmethod
    def from_rows(cls, confidence: Floats, is_correct: Bools, is_unknown: Bools) -> _UnknownRows | None:
        """Count on rows (n,); None where no row is unknown.

        >>> correct, unknown = np.array([True, True, False, False]), np.array([False, False, False, True])
        >>> _UnknownRows.from_rows(np.array([0.9, 0.8, 0.5, 0.6]), correct, unknown)
        _UnknownRows(n=1, share=0.25, accepted=1.0, auc_known=1.0, auc_unknown=1.0)
        """
        n = int(is_unknown.sum())
        if n == 0:
            return None
        known = np.sort(confidence[~is_unknown])[::-1]
        accepted = np.nan
        if len(known):
            least = known[math.ceil(KNOWN_COVERAGE * len(known) / 100) - 1]
            accepted = float((confidence[is_unknown] >= least).mean())
        auc_known = _auc_among(~is_unknown, confidence, is_correct)
        auc_unknown = _auc_among(is_correct | is_unknown, confidence, is_correct)
        return cls(n, n / len(is_unknown), accepted, auc_known, auc_unknown)

    def as_json(self) -> dict[str, Any]:
        """Return the numbers as JSON holds them; what is undefined is null."""
        numbers = {
            "n": self.n,
            "share": self.share,
            f"accepted_at_{KNOWN_COVERAGE}_of_known": self.accepted,
            "auc_known": self.auc_known,
            "auc_correct_vs_unknown": self.auc_unknown,
        }
        return nan_to_none(numbers)


def _auc_among(rows: Bools, confidence: Floats, is_correct: Bools) -> float:
    """Return the AUC of some rows, NaN where they are all correct or all wrong."""
    right = is_correct[rows]
    if right.all() or not right.any():
        return np.nan
    return auroc(confidence[rows], right)


class Gated(NamedTuple):
    """What a gate with one threshold for all rows does: how many it accepts, how many of these are wrong.

    ``promised`` is the risk that it promises, None where it promises nothing; ``own`` is whether its threshold was
    found on these very rows; ``weighted`` is whether it promises that of rows in another mix.
    """

    accepted: int
    wrong: int
    promised: float | None
    own: bool
    weighted: bool = False

    @property
    def is_broken(self) -> bool:
        """Whether more of these very rows are wrong than was promised of new rows."""
        return self.promised is not None and not self.weighted and self.wrong > self.promised * self.accepted

    @classmethod
    def of(cls, gate: Gate, confidence: Floats, is_correct: Bools, predictions: ClassifierOutputs) -> Gated:
        """Return it for the confidences of some rows (n,), and which of these are correct."""
        if gate.source is not None:
            is_complete = ~gate.source.lacking(predictions.arrays)
            confidence = confidence[is_complete]
            is_correct = is_correct[is_complete]
        accepted = gate.accepts(confidence)
        promise = gate.promises[0]
        return cls(
            accepted=int(accepted.sum()),
            wrong=int((accepted & ~is_correct).sum()),
            promised=promise.max_risk if promise.is_given else None,
            own=_was_found_on(gate, confidence, is_correct),
            weighted=promise.weighted is not None,
        )


def _was_found_on(gate: Gate, confidence: Floats, is_correct: Bools) -> bool:
    """Return whether a gate's threshold was found on these rows, by what it makes of them."""
    calibration = gate.calibration_rows
    weighted = gate.promises[0].weighted is not None  # then it holds some of its rows alone
    if calibration is None or not (weighted or len(calibration) == len(confidence)):
        return False
    rows = 2 * is_correct + gate.p_correct(confidence)
    ours = 2 * calibration.is_correct + calibration.p_correct
    if weighted:
        return bool(np.isin(ours.round(6), rows.round(6)).mean() > _NEARLY_ALL)
    return np.allclose(np.sort(rows), np.sort(ours))


@dataclass(frozen=True, eq=False, kw_only=True)
class Row(Scored):
    """A score with all that is known of its confidences: the metrics, and what a gate would do.

    ``resampled`` are all measures on the n rows and on their resamples. ``vs_mcp`` has the metrics' paired differences
    to MCP, None where MCP is not known. ``vs_best_single`` compares an oracle with the best single score, None where
    there is none but MCP. ``risk_at_coverage``, ``coverage_at_risk`` and ``threshold_at_risk``, from which confidence
    on that coverage accepts (NaN where it accepts nothing), have percents as keys. ``cuts`` maps each probability cut
    to {"tpr", "tnr"}; it is empty, and ``confusion`` None, where the score only ranks. ``separability`` maps
    names of metrics to values, NaN where undefined; ``groups`` is empty where they were not wanted.
    ``unknown`` is None where no row is out-of-class. ``gated`` is what each gate does that ranks by it, but
    for those with groups.
    """

    n: int
    resampled: Drawn
    metrics: dict[str, Estimate]
    vs_mcp: dict[str, Difference] | None
    risk_at_coverage: dict[int, Estimate]
    coverage_at_risk: dict[int, Estimate]
    threshold_at_risk: dict[int, float]
    curve: RiskCoverage
    separability: dict[str, float]
    confusion: Confusion | None
    cuts: dict[float, dict[str, float]]
    groups: list[GroupRisk]
    vs_best_single: _BestSingle | None = None
    unknown: _UnknownRows | None = None
    gated: tuple[Gated, ...] = ()

    @property
    def wrong(self) -> int:
        """The number of wrong predictions."""
        return round(self.n * (1 - self.metrics["accuracy"]["value"]))

    @property
    def delta_auc(self) -> Difference:
        """The paired difference of the AUC to MCP's."""
        if self.vs_mcp is None:
            return Difference(value=np.nan, low=np.nan, high=np.nan, p=np.nan)
        return self.vs_mcp["auc"]

    def as_json(self) -> dict[str, Any]:
        """Return the row as ``metrics.json`` holds it; what is undefined is null."""
        content: dict[str, Any] = {"score": self.name, "loss": self.loss, "n": self.n}
        for name, estimate in (*self.metrics.items(), ("delta_auc_vs_mcp", self.delta_auc)):
            content[name] = {bound: estimate[bound] for bound in BOUNDS}
        best = self.vs_best_single
        content |= {
            "replicates_lacking_a_class": self.resampled.lacking,
            "vs_mcp": self.vs_mcp or {},
            "vs_best_single": best and {"score": best.score, **best.differences},
            "handed_over": self.handed_over and self.handed_over.part,
            "unknown": self.unknown and self.unknown.as_json(),
            "gates": [gated._asdict() for gated in self.gated],
        }
        return nan_to_none(content)

    def details_as_json(self) -> dict[str, Any]:
        """Return the row as ``details.json`` holds it; what is undefined is null."""
        details = {
            "score": self.name,
            "risk_at_coverage": self.risk_at_coverage,
            "coverage_at_risk": self.coverage_at_risk,
            "threshold_at_risk": {risk: _json_number(at) for risk, at in self.threshold_at_risk.items()},
            "confusion": self.confusion,
            "natural_cut": self.natural_cut,
            "cuts": {f"{cut:.3f}": rates for cut, rates in self.cuts.items()},
            "separability": self.separability,
            "groups": [nan_to_none(asdict(group)) for group in self.groups],
        }
        return nan_to_none(details)


def nan_to_none(values: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the same, and what is within, with None for NaN, which JSON does not have."""
    defined = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            value = nan_to_none(value)
        defined[name] = None if value != value else value
    return defined


def _json_number(value: float) -> float | str | None:
    """Return what JSON can hold of a number: None for NaN, and text for what is infinite.

    >>> _json_number(0.5), _json_number(float("nan")), _json_number(float("-inf"))
    (0.5, None, '-inf')
    """
    if math.isnan(value):
        return None
    if math.isfinite(value):
        return value
    return str(value)


def evaluated_rows(
    scored: Sequence[Scored],
    predictions: ClassifierOutputs,
    *,
    groups: Groups | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    clusters: ArrayLike | None = None,
) -> list[Row]:
    """Evaluate all on the same resamples of the rows; if MCP is the first, the others are compared with it.

    Oracles are also compared with the best single score among those given.

    TPR and TNR are also taken at the cuts of :func:`_cuts_of`. Whole ``clusters``, labels (n,), are resampled
    where they are given.
    """
    rows = []
    cuts = _cuts_of(scored)
    baseline: Drawn | None = None
    for score, ranking, resampled in _resampled(scored, predictions, bootstrap, seed, clusters):
        arrays = score.confidence, predictions.is_correct
        estimates = resampled.estimates()
        if score.name == BASELINE:
            baseline = resampled
        vs_mcp = None
        if baseline is not None:
            to_mcp = resampled.minus(baseline)
            vs_mcp = {name: to_mcp[name] for name in METRICS}
        at_cuts: dict[str, Any] = {"confusion": None, "cuts": {}, "groups": []}
        if not score.only_ranks:
            at_cuts["confusion"] = confusion.of(ranking, score.cut())
            at_cuts["cuts"] = {cut: _rates(ranking, score.cut(cut)) for cut in cuts}
            if groups:
                at_cuts["groups"] = group_risks(*arrays, groups.codes, score.cut(), names=groups.names)
        row = Row(
            **vars(score),
            **at_cuts,
            n=ranking.n,
            resampled=resampled,
            metrics={name: estimates[name] for name in METRICS},
            vs_mcp=vs_mcp,
            risk_at_coverage={point.percent: estimates[point] for point in COVERAGES},
            coverage_at_risk={point.percent: estimates[point] for point in RISKS},
            threshold_at_risk={point.percent: threshold_at_risk_of(ranking, point.percent / 100) for point in RISKS},
            curve=risk_coverage_curve.of(ranking).thinned(_CURVE_POINTS),
            separability=values_of_measures({name: metric.function for name, metric in SEPARABILITY.items()}, *arrays),
            unknown=_UnknownRows.from_rows(*arrays, predictions.is_unknown),
            gated=tuple(Gated.of(gate, *arrays, predictions) for gate in score.gates if not gate.has_groups),
        )
        rows.append(row)
    return _compared_with_best_single(rows)


def _resampled(
    scored: Sequence[Scored], predictions: ClassifierOutputs, bootstrap: int, seed: int, clusters: ArrayLike | None
) -> Iterator[tuple[Scored, Ranking, Drawn]]:
    """Yield each with its ranking and resamples, which are drawn once for so many scores as are ranked at once."""
    for start in range(0, len(scored), _AT_ONCE):
        batch = scored[start : start + _AT_ONCE]
        tables = []
        for score in batch:
            measures = dict[str | OperatingPoint, Measure](measures_at(score.cut(), score.cut()).items())
            measures.update((point, point.measure) for point in (*COVERAGES, *RISKS))
            tables.append((rank_rows(score.confidence, predictions.is_correct), measures))
        for score, resampled in zip(batch, resample_all(tables, bootstrap, seed, clusters), strict=True):
            rows, _ = tables.pop(0)  # what is not kept gives its memory to the next
            yield score, rows.ranking(), resampled


def _cuts_of(scored: Sequence[Scored]) -> list[float]:
    """Return the probabilities at which all are cut: ½, and where any oracle's loss cuts, to three decimals.

    The steep slope loss cuts at η = α⁻/(α⁺+α⁻). Where no oracle has a cut of its own, there is that of α⁺ = 1, α⁻ = 3.
    """
    natural = [score.natural_cut for score in scored if score.natural_cut is not None] or [_PAPER_CUT]
    return sorted({round(cut, 3): cut for cut in (*natural, 0.5)}.values())


def _compared_with_best_single(rows: Sequence[Row]) -> list[Row]:
    """Compare oracles, which have a loss, with the single score of least AURC; not if MCP is the only one."""
    singles = [row for row in rows if row.loss is None]
    if all(row.name == BASELINE for row in singles):
        return list(rows)
    best = min(singles, key=lambda row: row.metrics["aurc"]["value"])
    compared = []
    for row in rows:
        if row.loss is not None:
            differences = row.resampled.minus(best.resampled)
            to_best = _BestSingle(best.name, {name: differences[name] for name in VS_BEST})
            row = replace(row, vs_best_single=to_best)
        compared.append(row)
    return compared


def _rates(ranking: Ranking, threshold: float) -> dict[str, float]:
    return values_of_measures({name: METRICS[name].at(threshold, threshold) for name in ("tpr", "tnr")}, ranking)


Ids = Callable[[Counts], list[str]]


def _evaluation_row_numbers(rows: Counts) -> list[str]:
    """Name rows by their numbers."""
    return [str(row) for row in rows]


def ids_of_evaluated(outputs: ClassifierOutputs) -> Ids:
    """Return what names rows of outputs: by their ids, or else by their numbers."""
    ids = outputs.ids
    if ids is None:
        return _evaluation_row_numbers
    return lambda rows: ids[rows].tolist()


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Brief):
    """Predictions, and a row for each score.

    ``ids`` names some of the predictions. ``clusters`` (n,) are the labels of those that were resampled as a whole.
    ``grouped_by`` is what the groups of the rows are grouped by, if there are any; ``notes`` and ``cautions`` are what
    else a reader has to know of these rows, the latter where it makes numbers doubtful. ``described`` says in a line
    what some of the inputs are, where that is known.
    """

    predictions: ClassifierOutputs
    rows: Sequence[Row]
    title: str = ""
    ids: Ids = _evaluation_row_numbers
    clusters: ArrayLike | None = None
    grouped_by: str = ""
    notes: Sequence[str] = ()
    cautions: Sequence[str] = ()
    described: Callable[[Counts], list[str]] | None = None


def evaluate_predictions(
    predictions: ClassifierOutputs,
    names: Sequence[str],
    resources: Resources = NOTHING,
    *,
    groups: Groups | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    clusters: ArrayLike | None = None,
) -> Evaluation:
    """Score predictions by names of scores and folders of oracles, and evaluate each score.

    ``groups`` adds coverage and risk by group. The seed fixes the ``bootstrap`` resamples, of rows or of whole
    ``clusters``, labels (n,). What may be wrong is what :func:`confidences_of_scores` and :func:`evaluated_rows` name.
    """
    scored = confidences_of_scores(names, predictions, resources)
    rows = evaluated_rows(scored, predictions, groups=groups, bootstrap=bootstrap, seed=seed, clusters=clusters)
    return Evaluation(predictions, rows, clusters=clusters, grouped_by="" if groups is None else groups.by)
