"""How a fused oracle is fitted: opinions by folds, a pool for each budget, and the choice among them.

At each budget, MCP competes with a pool of all opinions that the budget pays for, each as seen from the other folds.
The budget is the cheapest that is as good as the best.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from steepslope.errors import SteepslopeError
from steepslope.evidence.fit_set import FitSet, origin_of_copies
from steepslope.evidence.fitting import all_parts
from steepslope.evidence.folds import FOLDS
from steepslope.evidence.registry import EVIDENCE
from steepslope.evidence.states import State
from steepslope.evidence.values import opinions_of
from steepslope.files.folders import field as json_field
from steepslope.metrics import aurc, auroc
from steepslope.metrics.intervals import compare
from steepslope.numerics.linear import fit_calibration
from steepslope.numerics.opinion_pool import OpinionPool, fit_opinion_pool
from steepslope.oracle.handover import NEIGHBOR, Handover, Moments, mixed
from steepslope.outputs import ClassifierOutputs

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
RESAMPLES = 200
LEVEL_OF_ONE_ERROR = 0.6827  # the central part of a normal distribution within one standard error
STRENGTHS = (1.0, 10.0, 100.0)  # in rows: how much a pool is shrunk to the classifier's own opinion
LEAST_WEIGHT = 1e-3  # of all weights: an opinion with less is left out
OWN = "logits"  # the classifier's own opinion
FREE, AUXILIARY, ALL = "free", "auxiliary", "all"
LEVELS: dict[str, tuple[str, ...] | None] = {
    FREE: ("logits", "features"),
    AUXILIARY: ("logits", "features", "auxiliary"),
    ALL: None,
}  # the arrays that evidence may need at each budget; None: any


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
    def from_json(cls, card: dict[str, Any], path: Path) -> Self:
        """Return the gain that a card at ``path`` holds."""
        auc, ratio = (float(json_field(card, name, (int, float), path)) for name in ("auc", "aurc_ratio"))
        return cls(auc, ratio, json_field(card, "cost", str, path))


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


@dataclass(frozen=True, eq=False)
class Pool:
    """A pool of the opinions of some kinds of evidence, which have ``widths`` opinions each."""

    inputs: tuple[str, ...]
    widths: tuple[int, ...]
    pool: OpinionPool

    def side_by_side(self, opinions: Mapping[str, Floats]) -> Floats:
        """Return the opinions of its kinds, (n, V, C) each, as one array."""
        return np.concatenate([opinions[name] for name in self.inputs], axis=1)

    def log_odds(self, opinions: Mapping[str, Floats]) -> Floats:
        """Return the log-odds that each prediction is right, (n,)."""
        odds: Floats = self.pool.log_odds(self.side_by_side(opinions))
        return odds


def inputs_of(pool: Pool, fallback: Pool | None) -> tuple[str, ...]:
    """Return all evidence that a prediction by a pool needs, and by that to which rows are handed over."""
    return tuple(dict.fromkeys([*pool.inputs, *(() if fallback is None else fallback.inputs)]))


MCP_ALONE = Pool((OWN,), (1,), OpinionPool(np.ones(1), np.zeros(1)))


@dataclass(frozen=True, eq=False)
class Opinions:
    """The opinions of each kind on the rows of a fit set, or on its clean rows alone, and the candidate ``classes``."""

    fit_set: FitSet
    classes: NDArray[np.int64]
    parts: dict[str, Floats] = field(default_factory=dict)

    def mcp(self) -> Floats:
        """Return MCP of the clean rows, as log-odds, (n,)."""
        part = self.parts[OWN][: self.fit_set.clean, 0]
        return np.asarray(part[:, 0] - logsumexp(part[:, 1:], axis=1))

    def pool(self, inputs: Sequence[str], strength: float, without: int | None = None) -> Pool:
        """Return the pool of some kinds, fitted without one fold, where one is given."""
        rows, fold, weights = self.fit_set.rows, self.fit_set.fold, self.fit_set.weights
        n = min(len(self.parts[name]) for name in inputs)
        kept = np.flatnonzero(fold[:n] != (FOLDS if without is None else without))
        opinions = np.concatenate([self.parts[name][kept] for name in inputs], axis=1)
        widths = tuple(self.parts[name].shape[1] for name in inputs)
        penalty = strength / np.sum(kept < self.fit_set.clean)
        classes, labels = self.classes[kept], rows.require_labels()[kept]
        found = fit_opinion_pool(opinions, classes, labels, rows.num_classes, penalty, weights[kept])
        return Pool(tuple(inputs), widths, found)

    def held_out(self, inputs: Sequence[str], strength: float) -> Floats:
        """Return the log-odds of the clean rows, each by a pool that was fitted without its fold."""
        clean = self.fit_set.clean
        odds, some = np.empty(clean), {name: self.parts[name][:clean] for name in inputs}
        for number in range(FOLDS):
            inside = self.fit_set.fold[:clean] == number
            pool = self.pool(inputs, strength, number)
            odds[inside] = pool.log_odds({name: part[inside] for name, part in some.items()})
        return odds


@dataclass(frozen=True, eq=False)
class Candidate:
    """A pool, and the log-odds of the clean rows as seen from the other folds (n,).

    With a ``handover``, rows are handed over to the pool ``fallback``, by ``usual_handover`` on average.
    """

    pool: Pool
    held_out: Floats
    fallback: Pool | None = None
    handover: Handover | None = None
    usual_handover: float | None = None


@dataclass(frozen=True, eq=False)
class FusedFit:
    """The pool of the chosen budget, what its evidence learnt, and how log-odds are calibrated.

    With a ``handover``, rows that look unfamiliar to the auxiliary backbone hand up to three quarters of their
    log-odds over to the ``fallback``, the pool of what is free. ``slope`` and ``offset`` calibrate the log-odds.
    ``gains`` has what each budget gains on the fit set, ``left_out`` why other evidence could not be had.
    ``usual_handover`` is how far the fit set's rows are handed over on average, and ``moments`` are those of its
    auxiliary features, None where none are seen. ``copies`` says where the augmented copies of the fit set and the
    reference come from.
    """

    budget: str
    pool: Pool
    fallback: Pool | None
    handover: Handover | None
    states: dict[str, State]
    slope: float
    offset: float
    num_classes: int
    gains: dict[str, Gain] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    usual_handover: float | None = None
    moments: Moments | None = None
    copies: dict[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[str, ...]:
        """All evidence that a prediction needs."""
        return inputs_of(self.pool, self.fallback)

    @property
    def summary(self) -> str:
        """What each budget gains on the fit set, a line each, and what the pool holds."""
        lines = [
            f"budget {name}{' (chosen)' if name == self.budget else ''}: {one}" for name, one in self.gains.items()
        ]
        names = ", ".join(self.pool.inputs)
        what = f"a pool of {names}" if len(self.inputs) > 1 else "no pool ranks better than MCP, so that is this oracle"
        return "\n".join([*lines, what])

    @property
    def missing(self) -> dict[str, list[str]]:
        """The evidence that could not be had, by the reason."""
        reasons = dict.fromkeys(self.left_out.values())
        return {reason: [name for name, why in self.left_out.items() if why == reason] for reason in reasons}

    def opinions(self, outputs: ClassifierOutputs) -> dict[str, Floats]:
        """Return what each kind of evidence thinks of the candidate classes, (n, V, C) each."""
        *parts, _ = all_parts(outputs, self.inputs, self.states, opinions_of)
        found = dict(zip(self.inputs, parts, strict=True))
        for pool in (self.pool, self.fallback):
            for name, width in () if pool is None else zip(pool.inputs, pool.widths, strict=True):
                if found[name].shape[1] != width:
                    raise SteepslopeError(
                        f"expected the fit set's {width} opinions, found {found[name].shape[1]}", name
                    )
        return found

    def mixed(self, opinions: Mapping[str, Floats], outputs: ClassifierOutputs) -> Floats:
        """Return the log-odds of the pool, or some of the fallback's where rows are handed over, (n,)."""
        odds = self.pool.log_odds(opinions)
        if self.handover is None or self.fallback is None:
            return odds
        return mixed(odds, self.fallback.log_odds(opinions), self.handover.weight(outputs))

    def log_odds(self, outputs: ClassifierOutputs) -> Floats:
        """Return the calibrated log-odds that each prediction is right, (n,)."""
        return self.slope * self.mixed(self.opinions(outputs), outputs) + self.offset


def fit_fused(
    outputs: ClassifierOutputs, reference: ClassifierOutputs | None, budget: str, seed: int
) -> tuple[FusedFit, Floats]:
    """Fit a pool for each budget that is wanted, and keep the chosen one; return its log-odds of held-out rows, too."""
    fit_set, is_correct = FitSet.of(outputs, reference, seed), outputs.is_correct
    pooled = {name: kind for name, kind in EVIDENCE.items() if kind.opinions is not None}
    left_out = {name: why for name, kind in pooled.items() if (why := fit_set.lacking(kind))}
    names = [name for name in pooled if name not in left_out]
    wanted = _wanted(budget, names, left_out)
    (classes,) = all_parts(fit_set.rows, (), {}, opinions_of)
    opinions, states = Opinions(fit_set, classes), dict[str, State]()
    for name in inputs_at(wanted[-1], names):
        opinions.parts[name], state = fit_set.opinions(name)
        if state is not None:
            states[name] = state
    candidates, mcp = _candidates(opinions, wanted, outputs), opinions.mcp()
    level = wanted[-1]
    if budget == "auto":
        level = cheapest({name: candidate.held_out for name, candidate in candidates.items()}, is_correct, seed)
    chosen = candidates[level]
    slope, offset = fit_calibration(chosen.held_out, is_correct)
    needed = inputs_of(chosen.pool, chosen.fallback)
    fitted = FusedFit(
        budget=level,
        pool=chosen.pool,
        fallback=chosen.fallback,
        handover=chosen.handover,
        states={name: state for name, state in states.items() if name in needed},
        slope=slope,
        offset=offset,
        num_classes=outputs.num_classes,
        gains={name: gain_of(candidate, mcp, outputs) for name, candidate in candidates.items()},
        left_out=left_out,
        usual_handover=chosen.usual_handover,
        moments=None if chosen.handover is None else Moments.from_outputs(outputs),
        copies=_copies(fit_set, outputs, reference),
    )
    return fitted, slope * chosen.held_out + offset


def _copies(fit_set: FitSet, outputs: ClassifierOutputs, reference: ClassifierOutputs | None) -> dict[str, str]:
    """Return where the augmented copies of the fit set, and of the reference, come from."""
    origins = {"fit set": origin_of_copies(outputs, len(fit_set.rows) - fit_set.clean)}
    if reference is not None and fit_set.reference is not None:
        origins["reference"] = origin_of_copies(reference, len(fit_set.reference) - fit_set.known)
    return origins


def _wanted(budget: str, names: Sequence[str], left_out: Mapping[str, str]) -> list[str]:
    """Return the budgets to look at, the cheapest first: those up to the one in question at which more can be had."""
    order = list(LEVELS)
    wanted = [FREE]
    for level in order[1:]:
        if len(inputs_at(level, names)) > len(inputs_at(wanted[-1], names)):
            wanted.append(level)
    if budget == "auto":
        return wanted
    if budget == AUXILIARY and AUXILIARY not in wanted:
        reasons = left_out.get("joint_opinion", "none")
        raise SteepslopeError(f"expected features of an auxiliary backbone (extract --auxiliary): {reasons}", "budget")
    return [level for level in wanted if order.index(level) <= order.index(budget)]


def _candidates(opinions: Opinions, wanted: Sequence[str], outputs: ClassifierOutputs) -> dict[str, Candidate]:
    """Return the best at each budget; what needs more than the classifier hands over to what is free."""
    names, is_correct = list(opinions.parts), outputs.is_correct
    candidates = {level: best_pool(opinions, inputs_at(level, names), is_correct) for level in wanted}
    known, copies = opinions.fit_set.known_rows()
    if AUXILIARY not in wanted or len(known) <= NEIGHBOR:
        return candidates
    free, handover = candidates[FREE], Handover.from_outputs(outputs, known, copies)
    weight = handover.weight(outputs)
    for level, best in candidates.items():
        if any("auxiliary" in EVIDENCE[name].arrays for name in best.pool.inputs):
            odds = mixed(best.held_out, free.held_out, weight)
            candidates[level] = replace(
                best, held_out=odds, fallback=free.pool, handover=handover, usual_handover=float(weight.mean())
            )
    return candidates


def level_of(name: str) -> str:
    """Return the cheapest budget at which a kind of evidence can be had."""
    needed = set(EVIDENCE[name].arrays)
    return next(level for level, arrays in LEVELS.items() if arrays is None or needed <= set(arrays))


def inputs_at(level: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds of evidence among ``names`` that a budget pays for."""
    order = list(LEVELS)
    return tuple(name for name in names if order.index(level_of(name)) <= order.index(level))


def best_pool(opinions: Opinions, inputs: Sequence[str], is_correct: NDArray[np.bool_]) -> Candidate:
    """Return MCP, or the pool of these inputs, by the AURC of held-out rows; what has no weight in it is left out.

    Nothing else competes: with few errors, a single score that seems best is often so by luck.
    """
    alone = Candidate(MCP_ALONE, opinions.mcp())
    if len(inputs) == 1:
        return alone
    held_out = {strength: opinions.held_out(inputs, strength) for strength in STRENGTHS}
    risks = {strength: aurc(odds, is_correct) for strength, odds in held_out.items()}
    best = min(risks, key=lambda strength: risks[strength])
    if aurc(alone.held_out, is_correct) <= risks[best]:
        return alone
    return Candidate(_with_weight(opinions.pool(inputs, best)), held_out[best])


def _with_weight(found: Pool) -> Pool:
    """Return a pool without those inputs that have next to no weight; the classifier's own opinion stays."""
    edges = np.cumsum([0, *found.widths[:-1]])
    sums, weights = np.add.reduceat(found.pool.weights, edges), found.pool.weights
    kept = (sums > LEAST_WEIGHT * weights.sum()) | (np.array(found.inputs) == OWN)
    rows = np.repeat(kept, found.widths)
    inputs, widths = tuple(itertools.compress(found.inputs, kept)), tuple(itertools.compress(found.widths, kept))
    return Pool(inputs, widths, OpinionPool(weights[rows], found.pool.others))


def gain_of(candidate: Candidate, mcp: Floats, outputs: ClassifierOutputs) -> Gain:
    """Return what a candidate gains over MCP's log-odds, and its cost in passes beside the classifier's own."""
    odds, is_correct = candidate.held_out, outputs.is_correct
    needed = {array for name in candidate.pool.inputs for array in EVIDENCE[name].arrays}
    costs = {
        "auxiliary": "a second backbone",
        "views": f"{outputs.require('views').shape[1]} views" if "views" in outputs.arrays else "",
        "dropout": "passes with dropout",
    }
    further = ", ".join(cost for array, cost in costs.items() if array in needed)
    cost = f"1 forward pass and {further}" if further else "1 forward pass"
    difference = auroc(odds, is_correct) - auroc(mcp, is_correct)
    return Gain(difference, aurc(odds, is_correct) / aurc(mcp, is_correct), cost)
