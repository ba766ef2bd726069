"""Pools of opinions: fitted to a fit set by folds, and compared with MCP on rows that they have not seen."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

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
from steepslope.oracle.evidence import FOLDS, FitSet, arrays_of_evidence, is_of_signals, kind_of_evidence
from steepslope.outputs import is_opinion_array, opinion_of_array

STRENGTHS = (1.0, 10.0, 100.0)  # in rows: how much a pool is shrunk to the classifier's own opinion
_AGREEMENT_STRENGTHS = (3.0, 10.0, 30.0, 100.0)  # likewise, of the regression on who agrees
LEAST_WEIGHT = 1e-3  # of all weights: an opinion with less is left out
_TEMPERATURES_FROM = 3  # classes: with two, a temperature does not change the ranking
_LACKING_WEIGHT = 0.1  # of all rows together that lack an opinion on trial, where the rows have 1
_RESAMPLES = 200
_ONE_ERROR = 0.6827  # the central part of a normal distribution within one standard error
_IN_NINE_OF_TEN = 0.8  # the central part above whose lower end nine tenths lie
_LEAST_GAIN = 0.8  # standard errors of the loss by which a regression on who agrees has to be better
_IN_19_OF_20 = 0.9  # of a mean, which nothing shrinks to the classifier's own opinion
OWN = "logits"  # the classifier's own opinion
_NEVER = -1e9  # the offset of a candidate that MCP does not know
_NO_FOLD = -1
_STEADY_SHARE = 0.5  # of the classifier's own probability, in the average to which unfamiliar rows are handed over
_SEARCHED = "neighbors"  # costs most of a decision where references are many
_GAIN_OF_SEARCH = 0.02  # of the AURC, at least: the search takes nearly all of the time of a decision
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
        named = [opinion_of_array(name) if is_opinion_array(name) else name for name in self.inputs]
        others = ", ".join(named[1:])
        if self.is_linear:
            return f"the average of the classifier's probabilities and those of {others}"
        if self.form == "agreement":
            return f"a regression on the classifier's log-odds, on whether {others} agree, and how surely"
        if others:
            return f"a pool of {', '.join(self.inputs)}"
        if self.temperature == 1 and self.pool.others[0] in (0, _NEVER):
            return "no pool ranks better than MCP, so this oracle is MCP"
        own = f"the classifier's own opinion, at a temperature of {self.temperature:.3g}"
        return f"{own}: no pool with others ranks better"

    @property
    def form(self) -> str:
        """The name of its form, in ``FORMS``."""
        forms = {form: name for name, form in FORMS.items()}
        return forms[type(self.pool)]

    @property
    def is_linear(self) -> bool:
        """Whether it is an average of probabilities, and not a product of their powers."""
        return self.form == "average"

    @property
    def temperature(self) -> float:
        """The temperature of its first opinion, the classifier's own; infinite if that has no weight."""
        weight = float(self.pool.weights[0])
        return 1 / weight if weight else np.inf

    def log_odds(self, opinions: Mapping[str, Floats]) -> Floats:
        """Return the log-odds that each prediction is correct, float64 (n,)."""
        odds: Floats = self.slope * self.pool.log_odds(self.side_by_side(opinions)) + self.offset
        return odds

    def calibrated(self, slope: float, offset: float) -> Pool:
        """Return the same pool with its log-odds multiplied by a slope, and an offset added."""
        return replace(self, slope=slope * self.slope, offset=slope * self.offset + offset)


def inputs_of_pools(pools: Iterable[Pool]) -> tuple[str, ...]:
    """Return the names of all evidence that a prediction by some pools needs."""
    needed: dict[str, None] = {}
    for pool in pools:
        needed |= dict.fromkeys(pool.inputs)
    return tuple(needed)


MCP_ALONE = Pool((OWN,), (1,), OpinionPool(np.ones(1), np.zeros(1)))
MCP_OF_KNOWN = Pool((OWN,), (1,), OpinionPool(np.ones(1), np.full(1, _NEVER)))


@dataclass(frozen=True, eq=False)
class Candidate:
    """A pool, the out-of-fold log-odds of the clean rows (n,), and which of these are correct (n,).

    Each of the ``handovers`` hands rows over from one pool to the next, from ``pool`` to the ``fallbacks``. The first
    one does so by ``usual_handover`` on average.
    """

    pool: Pool
    held_out: Floats
    is_correct: Bools
    fallbacks: tuple[Pool, ...] = ()
    handovers: tuple[Handover | FeatureHandover, ...] = ()
    usual_handover: float | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of all evidence that a prediction needs."""
        return inputs_of_pools([self.pool, *self.fallbacks])

    @property
    def risk(self) -> float:
        """The AURC of the held-out rows."""
        return aurc(self.held_out, self.is_correct)

    def surely_beats(self, other: Candidate, seed: int, level: float) -> bool:
        """Return whether it has a clearly lower AURC than another candidate."""
        return surely_worse_aurc(other.held_out, self.held_out, self.is_correct, seed, level)

    def calibrated(self) -> Candidate:
        """Return the same candidate with its log-odds calibrated on the held-out rows."""
        slope, offset = fit_calibration(self.held_out, self.is_correct)
        fallbacks = [pool.calibrated(slope, offset) for pool in self.fallbacks]
        return replace(
            self,
            pool=self.pool.calibrated(slope, offset),
            fallbacks=tuple(fallbacks),
            held_out=slope * self.held_out + offset,
        )

    def with_handover(self, fallback: Candidate, handover: Handover | FeatureHandover, weight: Floats) -> Candidate:
        """Return a candidate that hands rows over to another, by their weights (n,) in [0, 1].

        Both are calibrated first, because log-odds on different scales cannot be mixed.
        """
        first = self.calibrated()
        other = fallback.calibrated()
        return replace(
            first,
            held_out=mixed_by_handovers([first.held_out, other.held_out], [weight]),
            fallbacks=(other.pool, *other.fallbacks),
            handovers=(handover, *other.handovers),
            usual_handover=float(weight.mean()),
        )


@dataclass(frozen=True, eq=False)
class Opinions:
    """The opinions of each kind on all rows of a fit set, or its clean rows alone, and the candidate ``classes``."""

    fit_set: FitSet
    classes: Counts
    parts: dict[str, Floats] = field(default_factory=dict)

    def mcp(self) -> Candidate:
        """Return MCP as a candidate, with its log-odds of the clean rows (n,)."""
        if self.classes.shape[1] > self.fit_set.rows.num_classes:
            return self._candidate(MCP_OF_KNOWN)
        return self._candidate(MCP_ALONE)

    def averages(self, inputs: Sequence[str]) -> list[Candidate]:
        """Return averages of the classifier's probabilities and others among the inputs; these have nothing to fit.

        One is with other classifiers' probabilities. Votes are left out, because their meaning is learnt. One is with
        the neighbours and the net on the features, which also know what out-of-class rows look like.
        """
        kinds = {name: kind_of_evidence(name) for name in inputs}
        of_others = [name for name, kind in kinds.items() if kind.lacks and kind.learning is None]
        of_features = [name for name in _OF_FEATURES if name in inputs]
        averages = []
        if of_others:
            averages.append(self._averaged(of_others, self.mcp().pool.pool.others))
        if of_features:
            averages.append(self._averaged(of_features, np.zeros(1)))
        return averages

    def _averaged(self, others: Sequence[str], offset: Floats) -> Candidate:
        names = (OWN, *others)
        widths = self._widths(names)
        shares = []
        for name, width in zip(names, widths, strict=True):
            if is_opinion_array(name):  # of another classifier's three opinions, the first is its own
                shares.append(np.eye(width)[0])
            else:
                shares.append(np.full(width, 1 / width))
        pool = LinearPool(np.concatenate(shares) / len(names), offset)
        return self._candidate(Pool(names, widths, pool))

    def of_signals(self, inputs: Sequence[str]) -> list[Candidate]:
        """Return what signals tell together, alone: it has its own safe floor, so a pool adds nothing to it."""
        alone = OpinionPool(np.array([0.0, 1.0]), np.zeros(1))
        names = filter(is_of_signals, inputs)
        return [self._candidate(Pool((OWN, name), (1, 1), alone)) for name in names]

    def steady(self, pool: Pool) -> Candidate:
        """Return the average of a pool's opinions, half of it the classifier's own, and the others with equal weights.

        No opinion has a veto in it, even if it is sure of a row that is unlike all it has seen.
        """
        others = sum(pool.widths) - 1
        is_own = np.repeat(np.array(pool.inputs) == OWN, pool.widths)
        shares = np.where(is_own, _STEADY_SHARE, (1 - _STEADY_SHARE) / others)
        return self._candidate(replace(pool, pool=LinearPool(shares, np.zeros(1))))

    def _candidate(self, pool: Pool) -> Candidate:
        """Return a pool without fitted weights as a candidate."""
        odds = pool.log_odds(self._of_clean_rows(pool.inputs))
        return Candidate(pool, odds, self.fit_set.outputs.is_correct)

    def _of_clean_rows(self, inputs: Sequence[str]) -> dict[str, Floats]:
        return {name: self.parts[name][: self.fit_set.num_clean] for name in inputs}

    def _widths(self, inputs: Sequence[str]) -> tuple[int, ...]:
        return tuple([self.parts[name].shape[1] for name in inputs])

    def pool(self, inputs: Sequence[str], strength: float, without: int = _NO_FOLD) -> Pool:
        """Return the pool of some kinds of evidence, fitted without one fold if that is given."""
        fit_set = self.fit_set
        n = min(len(self.parts[name]) for name in inputs)
        source = np.flatnonzero(fit_set.fold[:n] != without)
        clean = source[source < fit_set.num_clean]
        opinions = self._side_by_side(inputs, source)
        shares = fit_set.weights[source]
        lacking = self._lacking(inputs, clean)
        if lacking is not None:
            opinions = np.concatenate([opinions, lacking])
            source = np.concatenate([source, clean])
            shares = np.concatenate([shares, np.full(len(clean), _LACKING_WEIGHT)])
        labels = fit_set.rows.require_labels()[source]
        num_classes = fit_set.rows.num_classes
        shrinkage = strength / len(clean)
        fitted = fit_opinion_pool(opinions, self.classes[source], labels, num_classes, shrinkage, shares)
        return Pool(tuple(inputs), self._widths(inputs), fitted)

    def agreement(self, inputs: Sequence[str], strength: float, without: int = _NO_FOLD) -> Pool:
        """Return the regression on who agrees with the classifier, fitted without one fold if that is given."""
        source = np.flatnonzero(self.fit_set.fold[: self.fit_set.num_clean] != without)
        opinions = self._side_by_side(inputs, source)
        is_correct = self.fit_set.outputs.is_correct[source]
        fitted = fit_agreement_pool(opinions, is_correct, strength)
        return Pool(tuple(inputs), self._widths(inputs), fitted)

    def _side_by_side(self, inputs: Sequence[str], rows: Counts) -> Floats:
        return np.concatenate([self.parts[name][rows] for name in inputs], axis=1)

    def _lacking(self, inputs: Sequence[str], rows: Counts) -> Floats | None:
        """Return the opinions on some rows, each row without one other classifier's; None if there is no such input.

        A stacker that sees the removed opinion is removed with it. So a pool learns the weight of the classifier's own
        opinion where another's is missing, even if no row of the fit set lacks one.
        """
        opinion_arrays = [*filter(is_opinion_array, arrays_of_evidence(inputs))]
        if not opinion_arrays:
            return None
        starts = np.cumsum([0, *self._widths(inputs)])
        opinions = self._side_by_side(inputs, rows)
        for turn, array in enumerate(opinion_arrays):
            some = slice(turn, None, len(opinion_arrays))
            for place, name in enumerate(inputs):
                start = starts[place]
                if array in kind_of_evidence(name).arrays:
                    opinions[some, start : starts[place + 1]] = 0
                if array == name:  # the second of its opinions is the classifier's own, in rows that lack it
                    opinions[some, start + 1] = opinions[some, 0]
        return opinions

    def held_out(self, inputs: Sequence[str], strength: float, fit: _FitPool | None = None) -> Floats:
        """Return the out-of-fold log-odds of the clean rows (n,): each by a pool that was fitted without its fold."""
        fit = fit or self.pool
        opinions = self._of_clean_rows(inputs)
        odds = np.empty(self.fit_set.num_clean)
        for fold in range(FOLDS):
            inside = self.fit_set.fold[: self.fit_set.num_clean] == fold
            of_fold = {name: part[inside] for name, part in opinions.items()}
            odds[inside] = fit(inputs, strength, fold).log_odds(of_fold)
        return odds


_FitPool = Callable[[Sequence[str], float, int], Pool]  # of some inputs, by a strength, without a fold


def best_pool(opinions: Opinions, inputs: Sequence[str]) -> Candidate:
    """Return the best of MCP, the classifier at a temperature, an average, a pool and the regression on who agrees.

    They compete on held-out rows. A pool has to beat the better of the first two in nine of ten resamples, an average
    in 19 of 20, because with few errors the best is often so by luck. Opinions without weight in the pool are left out.
    An average is for fit sets with too few errors to learn weights, and for classifiers that are too sure. The
    regression on who agrees is for few rows. It is shrunk more and its signs are known, so a smaller gain is enough.
    """
    seed = opinions.fit_set.seed
    alone = opinions.mcp()
    if opinions.classes.shape[1] >= _TEMPERATURES_FROM:
        tempered = _pool_of_best_strength(opinions, (OWN,))
        alone = _of_least_risk([alone, tempered])
    if len(inputs) == 1:
        return alone
    pooled = _pool_of_best_strength(opinions, inputs)
    if opinions.fit_set.learnt is not None and _SEARCHED in inputs:
        others = [name for name in inputs if name != _SEARCHED]
        plain = _pool_of_best_strength(opinions, others)
        if not _is_worth_a_search(pooled, plain, seed):
            inputs = others
            pooled = plain
    agreed = _best_agreement(opinions, inputs)
    averages = opinions.averages(inputs)
    if averages:
        averaged = _of_least_risk(averages)
        is_better = averaged.risk < pooled.risk
        if is_better and averaged.surely_beats(alone, seed, _IN_19_OF_20):
            return averaged
    rivals = [alone, *opinions.of_signals(inputs)]
    is_other = pooled.pool.inputs != alone.pool.inputs
    if is_other and pooled.surely_beats(alone, seed, _IN_NINE_OF_TEN):
        rivals.append(pooled)
    return _of_least_risk([*rivals, *agreed])


def _of_least_risk(candidates: Sequence[Candidate]) -> Candidate:
    """Return the first of the candidates with the least AURC."""
    risks = [candidate.risk for candidate in candidates]
    return candidates[int(np.argmin(risks))]


def _is_worth_a_search(pooled: Candidate, plain: Candidate, seed: int) -> bool:
    """Return whether a pool with neighbours ranks so much better than one without that their search pays."""
    is_surely_better = pooled.surely_beats(plain, seed, _IN_NINE_OF_TEN)
    most = (1 - _GAIN_OF_SEARCH) * plain.risk
    return is_surely_better and pooled.risk < most


def _best_agreement(opinions: Opinions, inputs: Sequence[str]) -> list[Candidate]:
    """Return the regression on who agrees with the least loss on held-out rows; none if its gain is not clear.

    It is compared with the same regression on the classifier alone, row by row; with few rows, this is more telling
    than the AURC.
    """
    names = (OWN, *filter(is_opinion_array, inputs))
    if len(names) == 1:
        return []
    is_correct = opinions.fit_set.outputs.is_correct
    fit = opinions.agreement
    held_out = [opinions.held_out(names, strength, fit) for strength in _AGREEMENT_STRENGTHS]
    losses = [_losses_of_log_odds(odds, is_correct) for odds in held_out]
    best = int(np.argmin(np.mean(losses, axis=1)))
    strength = _AGREEMENT_STRENGTHS[best]
    alone = opinions.held_out((OWN,), strength, fit)
    gained = _losses_of_log_odds(alone, is_correct) - losses[best]
    if gained.mean() <= _LEAST_GAIN * gained.std() / np.sqrt(len(gained)):
        return []
    return [Candidate(fit(names, strength), held_out[best], is_correct)]


def _pool_of_best_strength(opinions: Opinions, inputs: Sequence[str]) -> Candidate:
    is_correct = opinions.fit_set.outputs.is_correct
    held_out = [opinions.held_out(inputs, strength) for strength in STRENGTHS]
    best = int(np.argmin([aurc(odds, is_correct) for odds in held_out]))
    pool = opinions.pool(inputs, STRENGTHS[best])
    return Candidate(_pool_of_weighty_inputs(pool), held_out[best], is_correct)


def _losses_of_log_odds(odds: Floats, is_correct: Bools) -> Floats:
    """Return the cross entropy of each row in nats, float64 (n,)."""
    return np.logaddexp(0, np.where(is_correct, -odds, odds))


def surely_worse_aurc(odds: Floats, others: Floats, is_correct: Bools, seed: int, level: float = _ONE_ERROR) -> bool:
    """Return whether log-odds (n,) have a clearly higher AURC than others, by default by one standard error."""
    measures = {"aurc": aurc.of}
    tables = [(rank_rows(odds, is_correct), measures), (rank_rows(others, is_correct), measures)]
    first, second = resample_all(tables, _RESAMPLES, seed)
    return first.minus(second, level)["aurc"]["low"] > 0


def _pool_of_weighty_inputs(pool: Pool) -> Pool:
    """Return a pool without the inputs that have almost no weight; the classifier's own opinion stays."""
    weights = pool.pool.weights
    starts = np.cumsum([0, *pool.widths[:-1]])
    sums = np.add.reduceat(weights, starts)
    is_weighty = (sums > LEAST_WEIGHT * weights.sum()) | (np.array(pool.inputs) == OWN)
    rows = np.repeat(is_weighty, pool.widths)
    return Pool(
        inputs=tuple(itertools.compress(pool.inputs, is_weighty)),
        widths=tuple(itertools.compress(pool.widths, is_weighty)),
        pool=OpinionPool(weights[rows], pool.pool.others),
    )
