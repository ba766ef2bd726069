"""What each budget gains on the fit set, and which is the cheapest that is as good as the best.

Which opinions count in a fused oracle: MCP or a pool of them, each as seen from the other folds, level by level.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from steepslope.evidence.fit_set import FitSet
from steepslope.evidence.folds import FOLDS
from steepslope.evidence.registry import EVIDENCE
from steepslope.files.folders import field as json_field
from steepslope.metrics import aurc, auroc
from steepslope.metrics.intervals import compare
from steepslope.numerics.opinion_pool import OpinionPool, fit_opinion_pool

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


STRENGTHS = (1.0, 10.0, 100.0)  # in rows: how much a pool is shrunk to the classifier's own opinion
LEAST_WEIGHT = 1e-3  # of all weights: an opinion with less is left out
OWN = "logits"  # the classifier's own opinion
FREE, AUXILIARY, ALL = "free", "auxiliary", "all"
LEVELS: dict[str, tuple[str, ...] | None] = {
    FREE: ("logits", "features"),
    AUXILIARY: ("logits", "features", "auxiliary"),
    ALL: None,
}  # the arrays that evidence may need at each budget; None: any
Floats = NDArray[np.float64]


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
        return self.pool.log_odds(self.side_by_side(opinions))


MCP_ALONE = Pool((OWN,), (1,), OpinionPool(np.ones(1), np.zeros(1)))


@dataclass(frozen=True, eq=False)
class Opinions:
    """The opinions of each kind on the rows of a fit set, or on its clean rows alone, and the candidate ``classes``."""

    fit_set: FitSet
    classes: NDArray[np.int64]
    parts: dict[str, Floats] = field(default_factory=dict)

    def own(self) -> Floats:
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
    """A pool, and the log-odds of the clean rows as seen from the other folds (n,)."""

    pool: Pool
    held_out: Floats


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
    alone = Candidate(MCP_ALONE, opinions.own())
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
