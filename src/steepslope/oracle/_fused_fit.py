"""The fit of a fused oracle: opinions by folds, a pool for each budget, and the choice among them.

At each budget, MCP competes with averages and a pool of the opinions that the budget allows, all out of fold. The
chosen budget is the cheapest that is as good as the best.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

import numpy as np

from steepslope.errors import SteepslopeError
from steepslope.files import bar
from steepslope.metrics import aurc, auroc
from steepslope.numerics import Bools, Counts, Floats, fit_calibration, fit_shrunken_regression, single_thread
from steepslope.oracle._answer_scale import fit_answer_scales, on_answer_scales, require_scale_of_fit_set
from steepslope.oracle._baselines import baselines_without_oracle, signals_alone
from steepslope.oracle._handover import FEATURES, NEIGHBOR, FeatureHandover, Handover, mixed_by_handovers
from steepslope.oracle._pooling import (
    MCP_ALONE,
    MCP_OF_KNOWN,
    OWN,
    Candidate,
    Opinions,
    Pool,
    best_pool,
    inputs_of_pools,
    surely_worse_aurc,
)
from steepslope.oracle.evidence import (
    EVIDENCE,
    MOST_WEIGHTS,
    SIGNALS,
    FitSet,
    State,
    arrays_of_evidence,
    evidence_of_all_rows,
    evidence_opinions,
    kind_of_evidence,
    origin_of_copies,
    signals_name,
    stack_name,
    stacked_arrays,
)
from steepslope.outputs import GRADES, ClassifierOutputs, is_opinion_array, is_signal_array, opinion_of_array

_FREE = "free"
OPINIONS = "opinions"
_AUXILIARY = "auxiliary"
_OF_CLASSIFIER = ("logits", "features", SIGNALS)
LEVELS: dict[str, tuple[str, ...] | None] = {
    _FREE: _OF_CLASSIFIER,
    OPINIONS: (*_OF_CLASSIFIER, OPINIONS),
    _AUXILIARY: (*_OF_CLASSIFIER, OPINIONS, "auxiliary"),
    "all": None,
}  # the arrays that evidence may need at each budget, cheapest first; None: any

# In rows: how much an adapted fit is shrunk to what it was, in its log-odds, the classifier's own, and the offset.
_ADAPTED_STRENGTHS = np.array([10.0, 10.0, 1.0])
_PATIENCE = 2.0  # seconds, after which a fit shows its progress
_TOO_MANY_CLASSES = f"too many classes for at most {MOST_WEIGHTS:,} weights"
_UNJUDGED = "no copies of the images to judge it by (extract --augment 1, or --budget auxiliary)"


@dataclass(frozen=True)
class Gain:
    """What a budget gains over MCP, by out-of-fold log-odds on the fit set.

    ``auc`` is the AUC minus MCP's, ``aurc_ratio`` the AURC over MCP's. ``cost`` says which further forward passes a
    prediction needs. ``rival`` is MCP, or a random order if answers have no confidence.
    """

    auc: float
    aurc_ratio: float
    cost: str
    rival: str = "MCP"

    def __str__(self) -> str:
        return f"{100 * self.auc:+.2f} AUC points, AURC × {self.aurc_ratio:.3f} against {self.rival}; {self.cost}"


def _cheapest_budget(odds: Mapping[str, Floats], is_correct: Bools, seed: int) -> str:
    """Return the cheapest budget whose AURC is within one standard error of the least; budgets are cheapest first."""
    risks = {name: aurc(values, is_correct) for name, values in odds.items()}
    best = min(risks, key=risks.__getitem__)
    for name, values in odds.items():
        if name == best or not surely_worse_aurc(values, odds[best], is_correct, seed):
            return name
    return best


@dataclass(frozen=True, eq=False)
class FusedFit:
    """The pool of the chosen budget, the states of its evidence, and the calibration of its log-odds.

    - ``pool``, ``fallbacks`` and ``handovers``: if features look unfamiliar, each hand-over moves up to three quarters
      of the log-odds from one pool to the next. A pool without an auxiliary backbone comes after the one with it, and a
      steady average comes last.
    - ``usual_handover``: how far the fit set's rows are handed over on average.
    - ``surroundings``: tells how far a row's features lie from known ones, even if no pool uses features; None without
      features.
    - ``slope`` and ``offset``: calibrate the log-odds.
    - ``gains``: what each budget gains on the fit set. ``left_out``: why other evidence is not available.
    - ``copies``: where the augmented copies of the fit set and the reference come from.
    - ``advice``: what would be gained without an oracle.
    - ``unknown``: whether the fit set has out-of-class rows, so that "out-of-class" is one more candidate.
    - ``scales``: the scales of the arrays of answers, by name.
    - ``own_slope``: the weight of the classifier's own log-odds next to the pool's, in an adapted fit.
    """

    budget: str
    pool: Pool
    fallbacks: tuple[Pool, ...]
    handovers: tuple[Handover | FeatureHandover, ...]
    states: dict[str, State]
    slope: float
    offset: float
    num_classes: int
    gains: dict[str, Gain] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    usual_handover: float | None = None
    surroundings: FeatureHandover | None = None
    copies: dict[str, str] = field(default_factory=dict)
    advice: tuple[str, ...] = ()
    unknown: bool = False
    scales: dict[str, State] = field(default_factory=dict)
    own_slope: float = 0.0

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of all evidence that a prediction needs."""
        return inputs_of_pools(self.pools)

    @property
    def pools(self) -> tuple[Pool, ...]:
        """The pool, and the pools to which rows are handed over."""
        return self.pool, *self.fallbacks

    @property
    def summary(self) -> str:
        """What each budget gains on the fit set, each on a line, and what the pool holds."""
        lines = []
        for name, gain in self.gains.items():
            chosen = " (chosen)" if name == self.budget else ""
            lines.append(f"budget {name}{chosen}: {gain}")
        lines.append(self.pool.summary)
        if self.own_slope:
            lines.append(f"adapted: the classifier's own log-odds count {self.own_slope:.3g} more")
        return "\n".join([*lines, *self.advice])

    @property
    def missing(self) -> dict[str, list[str]]:
        """The names of evidence that is not available, by the reason."""
        by_reason: dict[str, list[str]] = {}
        for name, reason in self.left_out.items():
            by_reason.setdefault(reason, []).append(name)
        return by_reason

    def opinions(self, outputs: ClassifierOutputs) -> dict[str, Floats]:
        """Return the opinions of each kind of evidence on the candidate classes, log-probabilities (n, V, C) each."""
        require_scale_of_fit_set(outputs, self.scales)
        scaled = _on_scales_of_answers(outputs, self.scales)
        read = partial(evidence_opinions, unknown=self.unknown)
        *parts, _ = evidence_of_all_rows(scaled, self.inputs, self.states, read)
        opinions = dict(zip(self.inputs, parts, strict=True))
        for pool in self.pools:
            for name, width in zip(pool.inputs, pool.widths, strict=True):
                count = opinions[name].shape[1]
                if count != width:
                    raise SteepslopeError(f"expected the fit set's {width} opinions, found {count}", name)
        return opinions

    def mixed_log_odds(self, opinions: Mapping[str, Floats], outputs: ClassifierOutputs) -> Floats:
        """Return the log-odds of the pool, mixed with the fallbacks' where rows are handed over, float64 (n,)."""
        odds = self.pool.log_odds(opinions)
        weights = [handover.weight(outputs) for handover in self.handovers]
        if weights:
            far = weights[0] > 0
            of_far = {name: part[far] for name, part in opinions.items()}
            of_fallbacks = [pool.log_odds(of_far) for pool in self.fallbacks]
            far_weights = [weight[far] for weight in weights]
            odds[far] = mixed_by_handovers([odds[far], *of_fallbacks], far_weights)
        return odds

    @single_thread()
    def log_odds(self, outputs: ClassifierOutputs) -> Floats:
        """Return the calibrated log-odds that each prediction is correct, float64 (n,)."""
        return self._log_odds_by(self.opinions(outputs), outputs)

    def _log_odds_by(self, opinions: Mapping[str, Floats], outputs: ClassifierOutputs) -> Floats:
        odds = self.slope * self.mixed_log_odds(opinions, outputs) + self.offset
        if self.own_slope:
            odds = odds + self.own_slope * self.own.log_odds(opinions)
        return odds

    @property
    def own(self) -> Pool:
        """The classifier's own opinion as a pool: MCP."""
        if self.unknown:
            return MCP_OF_KNOWN
        return MCP_ALONE

    @single_thread()
    def adapted(self, outputs: ClassifierOutputs) -> Self:
        """Return the fit whose log-odds, with the classifier's own, tell best which of these rows are correct.

        The classifier's own log-odds are brought to the same mean and standard deviation first. They count alone if
        they rank these rows better by more than one standard error: after a drift, the pool may even mislead.
        """
        is_correct = outputs.is_correct
        opinions = self.opinions(outputs)
        odds = self._log_odds_by(opinions, outputs)
        own = self.own.log_odds(opinions)
        scale = odds.std() / own.std() if own.std() else 0.0
        start = odds.mean() - scale * own.mean()
        columns = np.stack([odds, scale * own + start], axis=1)
        slope, share, offset = fit_shrunken_regression(columns, is_correct, _ADAPTED_STRENGTHS).tolist()
        if surely_worse_aurc(columns @ [slope, share], own, is_correct, seed=0):
            slope = 0.0
            share, offset = fit_calibration(columns[:, 1], is_correct)
        return replace(
            self,
            slope=slope * self.slope,
            own_slope=float(slope * self.own_slope + share * scale),
            offset=float(slope * self.offset + share * start + offset),
        )


def _on_scales_of_answers(outputs: ClassifierOutputs, scales: Mapping[str, State]) -> ClassifierOutputs:
    """Return outputs with their answers on the learnt scales."""
    if not scales:
        return outputs
    return outputs.changed(**on_answer_scales(outputs.arrays, scales))


@single_thread()
def fit_fused(
    outputs: ClassifierOutputs, reference: ClassifierOutputs | None, budget: str, seed: int, codes: Counts
) -> tuple[FusedFit, Floats]:
    """Fit a pool for each requested budget; return the fit of the chosen one, and its log-odds of the judged rows.

    Rows that belong together have the same number in ``codes`` (n,).
    """
    scales = fit_answer_scales(outputs)
    fit_set = FitSet.of(_on_scales_of_answers(outputs, scales), reference, seed, codes)
    outputs = fit_set.outputs
    pooled, left_out = _kinds_to_pool(fit_set, budget)
    names = [name for name in pooled if name not in left_out]
    levels = _wanted_budgets(budget, names, left_out)
    opinions = Opinions(fit_set, fit_set.classes())
    states = _learn_opinions(opinions, _evidence_at_budget(levels[-1], names))
    surroundings = _surroundings_of_features(opinions)
    candidates = _candidates_by_budget(opinions, levels, surroundings)
    level = levels[-1]
    if budget == "auto":
        level = _chosen_budget(candidates, outputs.is_correct, seed)
    mcp = opinions.mcp().held_out
    chosen = candidates[level]
    slope, offset = fit_calibration(chosen.held_out, outputs.is_correct)
    with_scales = {OWN, *arrays_of_evidence(chosen.inputs)}
    fitted = FusedFit(
        budget=level,
        pool=chosen.pool,
        fallbacks=chosen.fallbacks,
        handovers=chosen.handovers,
        states={name: states[name] for name in states if name in chosen.inputs},
        slope=slope,
        offset=offset,
        num_classes=outputs.num_classes,
        gains={name: _gain_of_budget(candidate, mcp, outputs) for name, candidate in candidates.items()},
        left_out=left_out,
        usual_handover=chosen.usual_handover,
        surroundings=surroundings,
        copies=_origins_of_copies(fit_set, reference),
        unknown=fit_set.unknown,
        scales={name: scales[name] for name in scales if name in with_scales},
        advice=(*baselines_without_oracle(opinions.parts, opinions.classes, outputs), *signals_alone(outputs)),
    )
    return fitted, slope * chosen.held_out + offset


def _kinds_to_pool(fit_set: FitSet, budget: str) -> tuple[list[str], dict[str, str]]:
    """Return the names of all kinds of evidence with opinions, and why some are left out."""
    arrays = fit_set.outputs.arrays
    opinions = [*filter(is_opinion_array, arrays)]
    signals = [*filter(is_signal_array, arrays)]
    names = [*EVIDENCE, *opinions]
    too_wide = {}
    if fit_set.outputs.classes != GRADES:  # which are no classes to tell apart
        for others in dict.fromkeys([(), tuple(opinions)]):
            stacked = stacked_arrays(fit_set.rows, others)
            if stacked:
                names.append(stack_name(stacked))
            else:
                too_wide[stack_name((OWN, *others))] = _TOO_MANY_CLASSES
    if signals:
        names.append(signals_name(signals))
    kinds = {name: kind_of_evidence(name) for name in names}
    pooled = [name for name in names if kinds[name].opinions is not None]
    lacking = {name: fit_set.lacking(kinds[name]) for name in pooled}
    left_out = {name: why for name, why in lacking.items() if why} | too_wide
    if budget == "auto" and fit_set.outputs.is_extracted and "augmented_logits" not in arrays:
        for name in pooled:
            if _AUXILIARY in kinds[name].arrays:
                left_out.setdefault(name, _UNJUDGED)
    return pooled, left_out


def _learn_opinions(opinions: Opinions, names: Sequence[str]) -> dict[str, State]:
    """Fill in the opinions of some kinds of evidence, and return what they have learnt."""
    states = {}
    with bar("fitting the oracle", len(names), delay=_PATIENCE) as progress:
        for name in names:
            opinions.parts[name], state = opinions.fit_set.opinions(name)
            progress.update()
            if state is not None:
                states[name] = state
    return states


def _origins_of_copies(fit_set: FitSet, reference: ClassifierOutputs | None) -> dict[str, str]:
    """Return where the augmented copies of the fit set, and of the reference, come from."""
    origins = {"fit set": origin_of_copies(fit_set.outputs, len(fit_set.rows) - fit_set.num_clean)}
    if reference is not None and fit_set.reference is not None:
        origins["reference"] = origin_of_copies(reference, len(fit_set.reference) - fit_set.num_references)
    return origins


def _wanted_budgets(budget: str, names: Sequence[str], left_out: Mapping[str, str]) -> list[str]:
    """Return the budgets to fit, cheapest first: those up to the requested one that each add some evidence."""
    order = list(LEVELS)
    wanted = [_FREE]
    for level in order[1:]:
        if _evidence_at_budget(level, names) != _evidence_at_budget(wanted[-1], names):
            wanted.append(level)
    if budget == "auto":
        return wanted
    if budget == _AUXILIARY and _AUXILIARY not in wanted:
        reasons = left_out.get("joint_opinion", "none")
        raise SteepslopeError(f"expected features of an auxiliary backbone (extract --auxiliary): {reasons}", "budget")
    if budget == OPINIONS and OPINIONS not in wanted:
        remedy = "found none: give some (with_opinion, --opinion NAME=FILE)"
        raise SteepslopeError(f"expected opinions of other classifiers, {remedy}", "budget")
    affordable = order[: order.index(budget) + 1]
    return [level for level in wanted if level in affordable]


def _chosen_budget(candidates: Mapping[str, Candidate], is_correct: Bools, seed: int) -> str:
    """Return the cheapest budget that is as good as the best."""
    odds = {name: candidate.held_out for name, candidate in candidates.items()}
    is_agreement = OPINIONS in odds and candidates[OPINIONS].pool.form == "agreement"
    if is_agreement and candidates[_FREE].pool.inputs == (OWN,):
        del odds[_FREE]  # the regression was held against that
    return _cheapest_budget(odds, is_correct, seed)


def _surroundings_of_features(opinions: Opinions) -> FeatureHandover | None:
    """Return what tells how far features lie from known ones; None without features, or for too few rows."""
    fit_set = opinions.fit_set
    known, _ = fit_set.known_rows()
    if FEATURES not in fit_set.outputs.arrays or len(known) <= NEIGHBOR:
        return None
    if fit_set.reference is None and fit_set.learnt is None:
        return FeatureHandover.from_outputs(fit_set.outputs, None)
    return FeatureHandover.from_outputs(fit_set.outputs, known)


def _candidates_by_budget(
    opinions: Opinions, levels: Sequence[str], surroundings: FeatureHandover | None
) -> dict[str, Candidate]:
    """Return the best candidate at each budget, cheapest first.

    A pool with a second backbone hands over to the best one without, and a pool on the classifier's own features to a
    steady average.
    """
    outputs = opinions.fit_set.outputs
    candidates: dict[str, Candidate] = {}
    cheaper = None
    for level in levels:
        best = best_pool(opinions, _evidence_at_budget(level, list(opinions.parts)))
        if cheaper is not None and set(best.pool.inputs) <= set(cheaper.pool.inputs):
            best = cheaper
        elif surroundings and set(arrays_of_evidence(best.pool.inputs)) - {OWN} == {FEATURES}:
            steady = opinions.steady(best.pool)
            best = best.with_handover(steady, surroundings, surroundings.weight(outputs))
        candidates[level] = best
        cheaper = best
    known, copies = opinions.fit_set.known_rows()
    if _AUXILIARY not in levels or len(known) <= NEIGHBOR:
        return candidates
    fallback = candidates[levels[levels.index(_AUXILIARY) - 1]]
    handover = Handover.from_outputs(outputs, known, copies)
    weight = handover.weight(outputs)
    for level, best in candidates.items():
        if _AUXILIARY in arrays_of_evidence(best.pool.inputs):
            mixed = best.with_handover(fallback, handover, weight)
            is_better = fallback.risk > mixed.risk
            candidates[level] = mixed if is_better else fallback
    return candidates


def _evidence_at_budget(level: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds of evidence among ``names`` that a budget allows."""
    allowed = LEVELS[level]
    if allowed is None:
        return tuple(names)
    return tuple([name for name in names if _budgeted_arrays(name).issubset(allowed)])


def _budgeted_arrays(name: str) -> set[str]:
    """Return the arrays that a kind of evidence needs, all signals as one, and all opinions."""
    needed = set()
    for array in kind_of_evidence(name).arrays:
        if is_signal_array(array):
            array = SIGNALS
        elif is_opinion_array(array):
            array = OPINIONS
        needed.add(array)
    return needed


def _gain_of_budget(candidate: Candidate, mcp: Floats, outputs: ClassifierOutputs) -> Gain:
    """Return what a candidate gains over MCP's log-odds, and its cost in passes besides the classifier's own."""
    odds = candidate.held_out
    is_correct = outputs.is_correct
    return Gain(
        auc=auroc(odds, is_correct) - auroc(mcp, is_correct),
        aurc_ratio=candidate.risk / aurc(mcp, is_correct),
        cost=_cost_of_evidence(arrays_of_evidence(candidate.inputs), outputs),
        rival="MCP" if np.ptp(mcp) > 0 else "a random order",
    )


def _cost_of_evidence(needed: Sequence[str], outputs: ClassifierOutputs) -> str:
    """Return which passes a prediction needs whose evidence needs some arrays."""
    others = [opinion_of_array(array) for array in sorted(needed) if is_opinion_array(array)]
    further = []
    if others:
        noun = "opinion" if len(others) == 1 else "opinions"
        further.append(f"the {noun} of {', '.join(others)}")
    if _AUXILIARY in needed:
        further.append("a second backbone")
    if "views" in needed:
        further.append(f"{outputs.require('views').shape[1]} views")
    if "dropout" in needed:
        further.append("passes with dropout")
    if further:
        return f"1 forward pass and {', '.join(further)}"
    return "1 forward pass"
