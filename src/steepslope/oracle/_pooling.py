"""Pools of opinions: fitted to a fit set by folds, and compared with MCP on rows that they have not seen."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from steepslope.metrics import aurc, rank_rows, resample_all
from steepslope.numerics import (
    AgreementPool,
    Bools,
    Counts,
    Floats,
    LinearPool,
    OpinionPool,
    fit_agreement_pool,
    fit_calibration,
    fit_opinion_pool,
)
from steepslope.oracle._handover import FeatureHandover, Handover, mixed_by_handovers
from steepslope.oracle.evidence import FOLDS, FitSet, is_of_signals, kind_of_evidence
from steepslope.outputs import is_opinion_array, opinion_of_array

STRENGTHS = (1.0, 10.0, 100.0)  # in rows: how much a pool is shrunk to the classifier's own opinion
_AGREEMENT_STRENGTHS = (3.0, 10.0, 30.0, 100.0)  # likewise, of the regression on who agrees
LEAST_WEIGHT = 1e-3  # of all weights: an opinion with less is left out
_TEMPERATURES_FROM = 3  # classes: with two, a temperature does not change the ranking
_LACKING_WEIGHT = 0.1  # of all rows together that lack an opinion on trial, where the rows have 1
_RESAMPLES = 200
_LEVEL_OF_ONE_ERROR = 0.6827  # the central part of a normal distribution within one standard error
_IN_NINE_OF_TEN = 0.8  # the central part above whose lower end nine tenths lie
_LEAST_GAIN = 0.8  # standard errors of the loss by which a regression on who agrees has to be better
IN_19_OF_20 = 0.9  # of a mean, which nothing shrinks to the classifier's own opinion
OWN = "logits"  # the classifier's own opinion
_STEADY_SHARE = 0.5  # of the classifier's own probability, in the average to which unfamiliar rows are handed over
_SEARCHED = "neighbors"  # costs most of a decision where references are many
_GAIN_OF_SEARCH = 0.02  # of the AURC, at least (LOG.md)
_OF_FEATURES = (_SEARCHED, "feature_opinion")  # what is averaged with it, and needs no labels of errors


FORMS: dict[str, type[OpinionPool]] = {"product": OpinionPool, "average": LinearPool, "agreement": AgreementPool}


@dataclass(frozen=True, eq=False)
class Pool:
    """A pool of opinions: ``inputs`` names the kinds of evidence, and ``widths`` has their numbers of opinions.

    ``slope`` and ``offset`` calibrate its log-odds before they are mixed with another pool's.
    """

    inputs: tuple[str, ...]
    widths: tuple[int, ...]
    pool: OpinionPool
    slope: float = 1.0
    offset: float = 0.0

    def side_by_side(self, opinions: Mapping[str, Floats]) -> Floats:
        """Return the opinions of its kinds of evidence, (n, V, C) each, as one array."""
        return np.concatenate([opinions[name] for name in self.inputs], axis=1)

    @property
    def summary(self) -> str:
        """What the pool holds, in a line."""
        if self.is_linear:
            others = (opinion_of_array(name) if is_opinion_array(name) else name for name in self.inputs[1:])
            return f"the average of the classifier's probabilities and those of {', '.join(others)}"
        if self.is_agreement:
            named = ", ".join(map(opinion_of_array, self.inputs[1:]))
            return f"a regression on the classifier's log-odds, on whether {named} agree, and how surely"
        if len(self.inputs) > 1:
            return f"a pool of {', '.join(self.inputs)}"
        if self.temperature == 1 and self.pool.others[0] in (0, _NEVER):
            return "no pool ranks better than MCP, so this oracle is MCP"
        own = f"the classifier's own opinion, at a temperature of {self.temperature:.3g}"
        return f"{own}: no pool with others ranks better"

    @property
    def form(self) -> str:
        """The name of its form, in ``FORMS``."""
        return next(name for name, form in FORMS.items() if type(self.pool) is form)

    @property
    def is_linear(self) -> bool:
        """Whether it is an average of probabilities, and not a product of their powers."""
        return isinstance(self.pool, LinearPool)

    @property
    def is_agreement(self) -> bool:
        """Whether it is a regression on who agrees with the prediction."""
        return isinstance(self.pool, AgreementPool)

    @property
    def temperature(self) -> float:
        """The temperature of its first opinion, the classifier's own; infinite if that has no weight."""
        weight = float(self.pool.weights[0])
        return 1 / weight if weight else np.inf

    def log_odds(self, opinions: Mapping[str, Floats]) -> Floats:
        """Return the log-odds that each prediction is correct, float64 (n,)."""
        odds: Floats = self.slope * self.pool.log_odds(self.side_by_side(opinions)) + self.offset
        return odds


def inputs_of_pools(pools: Iterable[Pool]) -> tuple[str, ...]:
    """Return the names of all evidence that a prediction by some pools needs."""
    return tuple(dict.fromkeys(name for pool in pools for name in pool.inputs))


MCP_ALONE = Pool((OWN,), (1,), OpinionPool(np.ones(1), np.zeros(1)))
_NEVER = -1e9  # the offset of a candidate that MCP does not know
MCP_OF_KNOWN = Pool((OWN,), (1,), OpinionPool(np.ones(1), np.full(1, _NEVER)))


@dataclass(frozen=True, eq=False)
class Candidate:
    """A pool, and the out-of-fold log-odds of the clean rows (n,).

    Each of the ``handovers`` hands rows over from one pool to the next, from ``pool`` to the ``fallbacks``. The first
    one does so by ``usual_handover`` on average.
    """

    pool: Pool
    held_out: Floats
    fallbacks: tuple[Pool, ...] = ()
    handovers: tuple[Handover | FeatureHandover, ...] = ()
    usual_handover: float | None = None

    def calibrated(self, is_correct: Bools) -> Self:
        """Return the same candidate with its log-odds calibrated on the held-out rows."""
        slope, offset = fit_calibration(self.held_out, is_correct)
        pool, *fallbacks = (
            replace(one, slope=slope * one.slope, offset=slope * one.offset + offset)
            for one in (self.pool, *self.fallbacks)
        )
        return replace(self, pool=pool, fallbacks=tuple(fallbacks), held_out=slope * self.held_out + offset)


_FitPool = Callable[[Sequence[str], float, int], Pool]  # of some inputs, by a strength, without a fold


@dataclass(frozen=True, eq=False)
class Opinions:
    """The opinions of each kind on all rows of a fit set, or its clean rows alone, and the candidate ``classes``."""

    fit_set: FitSet
    classes: Counts
    parts: dict[str, Floats] = field(default_factory=dict)

    def mcp(self) -> Candidate:
        """Return MCP as a candidate, with its log-odds of the clean rows (n,)."""
        candidates, clean = self.classes.shape[1], slice(self.fit_set.clean)
        pool = MCP_OF_KNOWN if candidates > self.fit_set.rows.num_classes else MCP_ALONE
        return Candidate(pool, pool.log_odds({OWN: self.parts[OWN][clean]}))

    def averages(self, inputs: Sequence[str]) -> list[Candidate]:
        """Return averages of the classifier's probabilities and others among the inputs; these have nothing to fit.

        One is with other classifiers' probabilities. Votes are left out, because their meaning is learnt. One is with
        the neighbours and the net on the features, which also know what out-of-class rows look like.
        """
        given = [name for name in inputs if kind_of_evidence(name).lacks and kind_of_evidence(name).learning is None]
        of_features = [name for name in _OF_FEATURES if name in inputs]
        found = [self._averaged(given, self.mcp().pool.pool.others)] if given else []
        return [*found, self._averaged(of_features, np.zeros(1))] if of_features else found

    def _averaged(self, others: Sequence[str], offset: Floats) -> Candidate:
        names, clean = (OWN, *others), slice(self.fit_set.clean)
        widths = tuple(self.parts[name].shape[1] for name in names)
        # of another classifier's three opinions, the first is its own
        shares = [np.eye(width)[0] if is_opinion_array(name) else np.full(width, 1 / width)
                  for name, width in zip(names, widths, strict=True)]  # fmt: skip
        pool = Pool(names, widths, LinearPool(np.concatenate(shares) / len(names), offset))
        return Candidate(pool, pool.log_odds({name: self.parts[name][clean] for name in names}))

    def of_signals(self, inputs: Sequence[str]) -> list[Candidate]:
        """Return what signals tell together, alone: it has its own safe floor, so a pool adds nothing to it."""
        clean = slice(self.fit_set.clean)
        found = []
        for name in filter(is_of_signals, inputs):
            pool = Pool((OWN, name), (1, 1), OpinionPool(np.array([0.0, 1.0]), np.zeros(1)))
            found.append(Candidate(pool, pool.log_odds({one: self.parts[one][clean] for one in pool.inputs})))
        return found

    def steady(self, pool: Pool) -> Candidate:
        """Return the average of a pool's opinions, half of it the classifier's own, and the others with equal weights.

        No opinion has a veto in it, even if it is sure of a row that is unlike all it has seen.
        """
        others = sum(pool.widths) - 1
        is_own = np.repeat(np.array(pool.inputs) == OWN, pool.widths)
        shares = np.where(is_own, _STEADY_SHARE, (1 - _STEADY_SHARE) / others)
        found = replace(pool, pool=LinearPool(shares, np.zeros(1)))
        clean = slice(self.fit_set.clean)
        return Candidate(found, found.log_odds({name: self.parts[name][clean] for name in pool.inputs}))

    def pool(self, inputs: Sequence[str], strength: float, without: int | None = None) -> Pool:
        """Return the pool of some kinds of evidence, fitted without one fold if that is given."""
        rows = self.fit_set.rows
        fold = self.fit_set.fold
        weights = self.fit_set.weights
        n = min(len(self.parts[name]) for name in inputs)
        kept = np.flatnonzero(fold[:n] != (FOLDS if without is None else without))
        clean = kept[kept < self.fit_set.clean]
        opinions = self._side_by_side(inputs, kept)
        source = kept
        shares = weights[kept]
        lacking = self._lacking(inputs, clean)
        if lacking is not None:
            opinions, source = np.concatenate([opinions, lacking]), np.concatenate([kept, clean])
            shares = np.concatenate([shares, np.full(len(clean), _LACKING_WEIGHT)])
        widths = tuple(self.parts[name].shape[1] for name in inputs)
        classes, labels = self.classes[source], rows.require_labels()[source]
        found = fit_opinion_pool(opinions, classes, labels, rows.num_classes, strength / len(clean), shares)
        return Pool(tuple(inputs), widths, found)

    def agreement(self, inputs: Sequence[str], strength: float, without: int | None = None) -> Pool:
        """Return the regression on who agrees with the classifier, fitted without one fold if that is given."""
        clean = self.fit_set.clean
        kept = np.flatnonzero(self.fit_set.fold[:clean] != (FOLDS if without is None else without))
        opinions = self._side_by_side(inputs, kept)
        found = fit_agreement_pool(opinions, self.fit_set.outputs.is_correct[kept], strength)
        return Pool(tuple(inputs), tuple(self.parts[name].shape[1] for name in inputs), found)

    def _side_by_side(self, inputs: Sequence[str], rows: Counts) -> Floats:
        return np.concatenate([self.parts[name][rows] for name in inputs], axis=1)

    def _lacking(self, inputs: Sequence[str], rows: Counts) -> Floats | None:
        """Return the opinions on some rows, each row without one other classifier's; None if there is no such input.

        A stacker that sees the removed opinion is removed with it. So a pool learns the weight of the classifier's own
        opinion where another's is missing, even if no row of the fit set lacks one.
        """
        kinds = {name: kind_of_evidence(name) for name in inputs}
        opinion_arrays = [
            *dict.fromkeys(array for kind in kinds.values() for array in kind.arrays if is_opinion_array(array))
        ]
        if not opinion_arrays:
            return None
        edges = np.cumsum([0, *(self.parts[name].shape[1] for name in inputs)])
        opinions = self._side_by_side(inputs, rows)
        for turn, array in enumerate(opinion_arrays):
            some = slice(turn, None, len(opinion_arrays))
            for (name, kind), start, stop in zip(kinds.items(), edges, edges[1:], strict=False):
                if array in kind.arrays:
                    opinions[some, start:stop] = 0
                if array == name:  # the second of its opinions is the classifier's own, in rows that lack it
                    opinions[some, start + 1] = opinions[some, 0]
        return opinions

    def held_out(self, inputs: Sequence[str], strength: float, fit: _FitPool | None = None) -> Floats:
        """Return the out-of-fold log-odds of the clean rows (n,): each by a pool that was fitted without its fold."""
        clean = self.fit_set.clean
        odds, some = np.empty(clean), {name: self.parts[name][:clean] for name in inputs}
        for number in range(FOLDS):
            inside = self.fit_set.fold[:clean] == number
            pool = (fit or self.pool)(inputs, strength, number)
            odds[inside] = pool.log_odds({name: part[inside] for name, part in some.items()})
        return odds


def best_pool(opinions: Opinions, inputs: Sequence[str], is_correct: Bools) -> Candidate:
    """Return the best of MCP, the classifier at a temperature, an average, a pool and the regression on who agrees.

    They compete on held-out rows. A pool has to beat the better of the first two in nine of ten resamples, an average
    in 19 of 20, because with few errors the best is often so by luck. Opinions without weight in the pool are left out.
    An average is for fit sets with too few errors to learn weights, and for classifiers that are too sure. The
    regression on who agrees is for few rows. It is shrunk more and its signs are known, so a smaller gain is enough.
    """
    alone = opinions.mcp()
    if opinions.classes.shape[1] >= _TEMPERATURES_FROM:
        tempered = _pool_of_best_strength(opinions, (OWN,), is_correct)
        alone = tempered if aurc(tempered.held_out, is_correct) < aurc(alone.held_out, is_correct) else alone
    if len(inputs) == 1:
        return alone
    pooled, seed = _pool_of_best_strength(opinions, inputs, is_correct), opinions.fit_set.seed
    if opinions.fit_set.learnt is not None and _SEARCHED in inputs:
        others = [name for name in inputs if name != _SEARCHED]
        plain = _pool_of_best_strength(opinions, others, is_correct)
        if not is_worth_a_search(pooled, plain, is_correct, seed):
            inputs, pooled = others, plain
    agreed = _best_agreement(opinions, inputs, is_correct)
    averaged = min(opinions.averages(inputs), key=lambda one: aurc(one.held_out, is_correct), default=None)
    if (
        averaged is not None
        and aurc(averaged.held_out, is_correct) < aurc(pooled.held_out, is_correct)
        and surely_worse_aurc(alone.held_out, averaged.held_out, is_correct, seed, IN_19_OF_20)
    ):
        return averaged
    sure = [alone, *opinions.of_signals(inputs)]
    if pooled.pool.inputs != alone.pool.inputs and surely_worse_aurc(
        alone.held_out, pooled.held_out, is_correct, seed, _IN_NINE_OF_TEN
    ):
        sure.append(pooled)
    if agreed is not None:
        sure.append(agreed)
    return min(sure, key=lambda one: aurc(one.held_out, is_correct))


def is_worth_a_search(pooled: Candidate, plain: Candidate, is_correct: Bools, seed: int) -> bool:
    """Return whether a pool with neighbours ranks so much better than one without that their search pays."""
    ours, theirs = (aurc(one.held_out, is_correct) for one in (pooled, plain))
    surely = surely_worse_aurc(plain.held_out, pooled.held_out, is_correct, seed, _IN_NINE_OF_TEN)
    return surely and ours < (1 - _GAIN_OF_SEARCH) * theirs


def _best_agreement(opinions: Opinions, inputs: Sequence[str], is_correct: Bools) -> Candidate | None:
    """Return the regression on who agrees with the least loss on held-out rows; None if its gain is not clear.

    It is compared with the same regression on the classifier alone, row by row; with few rows, this is more telling
    than the AURC.
    """
    own = (OWN, *filter(is_opinion_array, inputs))
    if len(own) == 1:
        return None
    held_out = {strength: opinions.held_out(own, strength, opinions.agreement) for strength in _AGREEMENT_STRENGTHS}
    losses = {strength: _losses_of_log_odds(odds, is_correct) for strength, odds in held_out.items()}
    best = min(_AGREEMENT_STRENGTHS, key=lambda strength: losses[strength].mean())
    alone = opinions.held_out((OWN,), best, opinions.agreement)
    gained = _losses_of_log_odds(alone, is_correct) - losses[best]
    if gained.mean() <= _LEAST_GAIN * gained.std() / np.sqrt(len(gained)):
        return None
    return Candidate(opinions.agreement(own, best), held_out[best])


def _pool_of_best_strength(opinions: Opinions, inputs: Sequence[str], is_correct: Bools) -> Candidate:
    held_out = {strength: opinions.held_out(inputs, strength) for strength in STRENGTHS}
    best = min(STRENGTHS, key=lambda strength: aurc(held_out[strength], is_correct))
    return Candidate(_pool_of_weighty_inputs(opinions.pool(inputs, best)), held_out[best])


def _losses_of_log_odds(odds: Floats, is_correct: Bools) -> Floats:
    """Return the cross entropy of each row in nats, float64 (n,)."""
    return np.logaddexp(0, np.where(is_correct, -odds, odds))


def surely_worse_aurc(
    odds: Floats, others: Floats, is_correct: Bools, seed: int, level: float = _LEVEL_OF_ONE_ERROR
) -> bool:
    """Return whether log-odds (n,) have a clearly higher AURC than others, by default by one standard error."""
    tables = [(rank_rows(one, is_correct), {"aurc": aurc.of}) for one in (odds, others)]
    first, second = resample_all(tables, _RESAMPLES, seed)
    return first.minus(second, level)["aurc"]["low"] > 0


def pool_with_handover(
    best: Candidate, fallback: Candidate, handover: Handover | FeatureHandover, weight: Floats, is_correct: Bools
) -> Candidate:
    """Return a candidate that hands rows over to another, by their weights (n,) in [0, 1].

    Both are calibrated first, because log-odds on different scales cannot be mixed.
    """
    first, other = best.calibrated(is_correct), fallback.calibrated(is_correct)
    return Candidate(
        pool=first.pool,
        held_out=mixed_by_handovers([first.held_out, other.held_out], [weight]),
        fallbacks=(other.pool, *other.fallbacks),
        handovers=(handover, *other.handovers),
        usual_handover=float(weight.mean()),
    )


def _pool_of_weighty_inputs(found: Pool) -> Pool:
    """Return a pool without the inputs that have almost no weight; the classifier's own opinion stays."""
    edges = np.cumsum([0, *found.widths[:-1]])
    sums, weights = np.add.reduceat(found.pool.weights, edges), found.pool.weights
    kept = (sums > LEAST_WEIGHT * weights.sum()) | (np.array(found.inputs) == OWN)
    rows = np.repeat(kept, found.widths)
    inputs = tuple(itertools.compress(found.inputs, kept))
    widths = tuple(itertools.compress(found.widths, kept))
    return Pool(inputs, widths, OpinionPool(weights[rows], found.pool.others))
