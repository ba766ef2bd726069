"""The fit of a fused oracle: opinions by folds, a pool for each budget, and the choice among them.

At each budget, MCP competes with averages and a pool of the opinions that the budget allows, all out of fold. The
chosen budget is the cheapest that is as good as the best.
"""

from collections.abc import Iterable, Mapping, Sequence
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
    Evidence,
    FitSet,
    State,
    evidence_of_all_rows,
    evidence_opinions,
    kind_of_evidence,
    origin_of_copies,
    signals_name,
    stack_name,
    stacked_arrays,
)
from steepslope.outputs import GRADES, ClassifierOutputs, is_opinion_array, is_signal_array, opinion_of_array

_FREE, OPINIONS, _AUXILIARY, ALL = "free", "opinions", "auxiliary", "all"
LEVELS: dict[str, tuple[str, ...] | None] = {
    _FREE: ("logits", "features", SIGNALS),
    OPINIONS: ("logits", "features", SIGNALS, OPINIONS),
    _AUXILIARY: ("logits", "features", SIGNALS, OPINIONS, "auxiliary"),
    ALL: None,
}  # the arrays that evidence may need at each budget; None: any

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


def cheapest_budget(odds: Mapping[str, Floats], is_correct: Bools, seed: int) -> str:
    """Return the cheapest budget whose AURC is within one standard error of the least; budgets are cheapest first."""
    risks = {name: aurc(values, is_correct) for name, values in odds.items()}
    best = min(risks, key=lambda name: risks[name])
    for name, values in odds.items():
        if name == best:
            break
        if not surely_worse_aurc(values, odds[best], is_correct, seed):
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
        lines = [
            f"budget {name}{' (chosen)' if name == self.budget else ''}: {one}" for name, one in self.gains.items()
        ]
        adapted = [f"adapted: the classifier's own log-odds count {self.own_slope:.3g} more"] if self.own_slope else []
        return "\n".join([*lines, self.pool.summary, *adapted, *self.advice])

    @property
    def missing(self) -> dict[str, list[str]]:
        """The names of evidence that is not available, by the reason."""
        reasons = dict.fromkeys(self.left_out.values())
        return {reason: [name for name, why in self.left_out.items() if why == reason] for reason in reasons}

    def opinions(self, outputs: ClassifierOutputs) -> dict[str, Floats]:
        """Return the opinions of each kind of evidence on the candidate classes, log-probabilities (n, V, C) each."""
        require_scale_of_fit_set(outputs, self.scales)
        scaled = _on_scales_of_answers(outputs, self.scales)
        *parts, _ = evidence_of_all_rows(
            scaled, self.inputs, self.states, partial(evidence_opinions, unknown=self.unknown)
        )
        found = dict(zip(self.inputs, parts, strict=True))
        for pool in self.pools:
            for name, width in zip(pool.inputs, pool.widths, strict=True):
                if found[name].shape[1] != width:
                    raise SteepslopeError(
                        f"expected the fit set's {width} opinions, found {found[name].shape[1]}", name
                    )
        return found

    def mixed_log_odds(self, opinions: Mapping[str, Floats], outputs: ClassifierOutputs) -> Floats:
        """Return the log-odds of the pool, mixed with the fallbacks' where rows are handed over, float64 (n,)."""
        odds = self.pool.log_odds(opinions)
        weights = [handover.weight(outputs) for handover in self.handovers]
        if weights:
            far = weights[0] > 0
            some = {name: part[far] for name, part in opinions.items()}
            of_pools = [odds[far], *(pool.log_odds(some) for pool in self.fallbacks)]
            odds[far] = mixed_by_handovers(of_pools, [weight[far] for weight in weights])
        return odds

    @single_thread()
    def log_odds(self, outputs: ClassifierOutputs) -> Floats:
        """Return the calibrated log-odds that each prediction is correct, float64 (n,)."""
        opinions = self.opinions(outputs)
        odds = self.slope * self.mixed_log_odds(opinions, outputs) + self.offset
        return odds + self.own_slope * self.own.log_odds(opinions) if self.own_slope else odds

    @property
    def own(self) -> Pool:
        """The classifier's own opinion as a pool: MCP."""
        return MCP_OF_KNOWN if self.unknown else MCP_ALONE

    @single_thread()
    def adapted(self, outputs: ClassifierOutputs) -> Self:
        """Return the fit whose log-odds, with the classifier's own, tell best which of these rows are correct.

        The classifier's own log-odds are brought to the same mean and standard deviation first. They count alone if
        they rank these rows better by more than one standard error: after a drift, the pool may even mislead.
        """
        odds, own = self.log_odds(outputs), self.own.log_odds(self.opinions(outputs))
        scale = odds.std() / own.std() if own.std() else 0.0
        start = odds.mean() - scale * own.mean()
        columns = np.stack([odds, scale * own + start], axis=1)
        slope, share, offset = fit_shrunken_regression(columns, outputs.is_correct, _ADAPTED_STRENGTHS).tolist()
        if surely_worse_aurc(columns @ [slope, share], own, outputs.is_correct, seed=0):
            slope = 0.0
            share, offset = fit_calibration(columns[:, 1], outputs.is_correct)
        return replace(
            self,
            slope=slope * self.slope,
            own_slope=float(slope * self.own_slope + share * scale),
            offset=float(slope * self.offset + share * start + offset),
        )


def _on_scales_of_answers(outputs: ClassifierOutputs, scales: Mapping[str, State]) -> ClassifierOutputs:
    """Return outputs with their answers on the learnt scales."""
    return outputs.changed(**on_answer_scales(outputs.arrays, scales)) if scales else outputs


@single_thread()
def fit_fused(
    outputs: ClassifierOutputs, reference: ClassifierOutputs | None, budget: str, seed: int, codes: Counts
) -> tuple[FusedFit, Floats]:
    """Fit a pool for each requested budget; return the fit of the chosen one, and its log-odds of the judged rows.

    Rows that belong together have the same number in ``codes`` (n,).
    """
    scales = fit_answer_scales(outputs)
    outputs = _on_scales_of_answers(outputs, scales)
    fit_set = FitSet.of(outputs, reference, seed, codes)
    outputs, is_correct = fit_set.outputs, fit_set.outputs.is_correct
    pooled, left_out = _kinds_to_pool(fit_set)
    if budget == "auto" and outputs.is_extracted and "augmented_logits" not in outputs.arrays:
        left_out |= {
            name: _UNJUDGED for name, kind in pooled.items() if _AUXILIARY in kind.arrays and name not in left_out
        }
    names = [name for name in pooled if name not in left_out]
    wanted = _wanted_budgets(budget, names, left_out)
    opinions, states = Opinions(fit_set, fit_set.classes()), dict[str, State]()
    allowed = evidence_at_budget(wanted[-1], names)
    with bar("fitting the oracle", len(allowed), delay=_PATIENCE) as progress:
        for name in allowed:
            opinions.parts[name], state = fit_set.opinions(name)
            progress.update()
            if state is not None:
                states[name] = state
    surroundings = _surroundings_of_features(opinions, outputs)
    candidates = _candidates_by_budget(opinions, wanted, outputs, surroundings)
    mcp = opinions.mcp().held_out
    level = wanted[-1]
    if budget == "auto":
        odds = {name: candidate.held_out for name, candidate in candidates.items()}
        if (
            OPINIONS in odds
            and candidates[OPINIONS].pool.form == "agreement"
            and candidates[_FREE].pool.inputs == (OWN,)
        ):
            del odds[_FREE]  # the regression was held against that
        level = cheapest_budget(odds, is_correct, seed)
    chosen = candidates[level]
    slope, offset = fit_calibration(chosen.held_out, is_correct)
    needed = chosen.inputs
    fitted = FusedFit(
        budget=level,
        pool=chosen.pool,
        fallbacks=chosen.fallbacks,
        handovers=chosen.handovers,
        states={name: state for name, state in states.items() if name in needed},
        slope=slope,
        offset=offset,
        num_classes=outputs.num_classes,
        gains={name: gain_of_budget(candidate, mcp, outputs) for name, candidate in candidates.items()},
        left_out=left_out,
        usual_handover=chosen.usual_handover,
        surroundings=surroundings,
        copies=_origins_of_copies(fit_set, outputs, reference),
        unknown=fit_set.unknown,
        scales={name: scale for name, scale in scales.items() if name in {OWN, *_arrays_of_evidence(needed)}},
        advice=(*baselines_without_oracle(opinions.parts, opinions.classes, outputs), *signals_alone(outputs)),
    )
    return fitted, slope * chosen.held_out + offset


def _kinds_to_pool(fit_set: FitSet) -> tuple[dict[str, Evidence], dict[str, str]]:
    """Return all kinds of evidence with opinions by name, and why some are left out."""
    opinions = [*filter(is_opinion_array, fit_set.outputs.arrays)]
    signals = [*filter(is_signal_array, fit_set.outputs.arrays)]
    of_stackers = {some: stacked_arrays(fit_set.rows, some) for some in ((), (*opinions,))}
    if fit_set.outputs.classes == GRADES:  # which are no classes to tell apart
        of_stackers = {}
    kinds = [*EVIDENCE, *opinions, *(stack_name(arrays) for arrays in of_stackers.values() if arrays)]
    if signals:
        kinds.append(signals_name(signals))
    pooled = {name: kind for name in kinds if (kind := kind_of_evidence(name)).opinions is not None}
    left_out = {name: why for name, kind in pooled.items() if (why := fit_set.lacking(kind))}
    left_out |= {stack_name((OWN, *some)): _TOO_MANY_CLASSES for some, arrays in of_stackers.items() if not arrays}
    return pooled, left_out


def _origins_of_copies(
    fit_set: FitSet, outputs: ClassifierOutputs, reference: ClassifierOutputs | None
) -> dict[str, str]:
    """Return where the augmented copies of the fit set, and of the reference, come from."""
    origins = {"fit set": origin_of_copies(outputs, len(fit_set.rows) - fit_set.clean)}
    if reference is not None and fit_set.reference is not None:
        origins["reference"] = origin_of_copies(reference, len(fit_set.reference) - fit_set.known)
    return origins


def _wanted_budgets(budget: str, names: Sequence[str], left_out: Mapping[str, str]) -> list[str]:
    """Return the budgets to fit, cheapest first: those up to the requested one that each add some evidence."""
    order = list(LEVELS)
    wanted = [_FREE]
    for level in order[1:]:
        if len(evidence_at_budget(level, names)) > len(evidence_at_budget(wanted[-1], names)):
            wanted.append(level)
    if budget == "auto":
        return wanted
    if budget == _AUXILIARY and _AUXILIARY not in wanted:
        reasons = left_out.get("joint_opinion", "none")
        raise SteepslopeError(f"expected features of an auxiliary backbone (extract --auxiliary): {reasons}", "budget")
    if budget == OPINIONS and OPINIONS not in wanted:
        found = "found none: give some (with_opinion, --opinion NAME=FILE)"
        raise SteepslopeError(f"expected opinions of other classifiers, {found}", "budget")
    return [level for level in wanted if order.index(level) <= order.index(budget)]


def _surroundings_of_features(opinions: Opinions, outputs: ClassifierOutputs) -> FeatureHandover | None:
    """Return what tells how far features lie from known ones; None without features, or for too few rows."""
    known, _ = opinions.fit_set.known_rows()
    if FEATURES not in outputs.arrays or len(known) <= NEIGHBOR:
        return None
    is_own = opinions.fit_set.reference is None and opinions.fit_set.learnt is None
    return FeatureHandover.from_outputs(outputs, None if is_own else known)


def _candidates_by_budget(
    opinions: Opinions, wanted: Sequence[str], outputs: ClassifierOutputs, surroundings: FeatureHandover | None
) -> dict[str, Candidate]:
    """Return the best candidate at each budget.

    A pool with a second backbone hands over to the best one without, and a pool on the classifier's own features to a
    steady average.
    """
    names, is_correct = list(opinions.parts), outputs.is_correct
    known, copies = opinions.fit_set.known_rows()
    candidates: dict[str, Candidate] = {}
    for level in wanted:
        best = best_pool(opinions, evidence_at_budget(level, names), is_correct)
        cheaper = [*candidates.values()][-1:]
        same = [one for one in cheaper if set(best.pool.inputs) <= set(one.pool.inputs)]
        if not same and surroundings and _arrays_of_evidence(best.pool.inputs) - {OWN} == {FEATURES}:
            weight = surroundings.weight(outputs)
            best = best.with_handover(opinions.steady(best.pool), surroundings, weight, is_correct)
        candidates[level] = same[0] if same else best
    if _AUXILIARY not in wanted or len(known) <= NEIGHBOR:
        return candidates
    fallback = candidates[wanted[wanted.index(_AUXILIARY) - 1]]
    handover = Handover.from_outputs(outputs, known, copies)
    weight = handover.weight(outputs)
    for level, best in candidates.items():
        if _AUXILIARY in _arrays_of_evidence(best.pool.inputs):
            mixed = best.with_handover(fallback, handover, weight, is_correct)
            worse = aurc(fallback.held_out, is_correct) > aurc(mixed.held_out, is_correct)
            candidates[level] = mixed if worse else fallback
    return candidates


def _arrays_of_evidence(inputs: Iterable[str]) -> set[str]:
    """Return the arrays that some kinds of evidence need."""
    return {array for name in inputs for array in kind_of_evidence(name).arrays}


def _budget_of_evidence(name: str) -> str:
    """Return the cheapest budget that allows a kind of evidence."""
    needed = {_array_at_budget(array) for array in kind_of_evidence(name).arrays}
    return next(level for level, arrays in LEVELS.items() if arrays is None or needed <= set(arrays))


def _array_at_budget(array: str) -> str:
    if is_signal_array(array):
        return SIGNALS
    return OPINIONS if is_opinion_array(array) else array


def evidence_at_budget(level: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds of evidence among ``names`` that a budget allows."""
    order = list(LEVELS)
    return tuple(name for name in names if order.index(_budget_of_evidence(name)) <= order.index(level))


def gain_of_budget(candidate: Candidate, mcp: Floats, outputs: ClassifierOutputs) -> Gain:
    """Return what a candidate gains over MCP's log-odds, and its cost in passes besides the classifier's own."""
    odds, is_correct = candidate.held_out, outputs.is_correct
    needed = _arrays_of_evidence(candidate.inputs)
    others = [opinion_of_array(array) for array in sorted(needed) if is_opinion_array(array)]
    costs = {
        "auxiliary": "a second backbone",
        "views": f"{outputs.require('views').shape[1]} views" if "views" in outputs.arrays else "",
        "dropout": "passes with dropout",
    }
    opinions = [f"the opinion{'s'[: len(others) > 1]} of {', '.join(others)}"] if others else []
    further = ", ".join([*opinions, *(cost for array, cost in costs.items() if array in needed)])
    cost = f"1 forward pass and {further}" if further else "1 forward pass"
    difference = auroc(odds, is_correct) - auroc(mcp, is_correct)
    ratio = aurc(odds, is_correct) / aurc(mcp, is_correct)
    return Gain(difference, ratio, cost, "MCP" if np.ptp(mcp) > 0 else "a random order")
