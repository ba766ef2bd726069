"""How a fused oracle is fitted: opinions by folds, a pool for each budget, the choice among them, and calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.evidence.fit_set import FitSet, origin_of_copies
from steepslope.evidence.fitting import all_parts
from steepslope.evidence.registry import EVIDENCE
from steepslope.evidence.states import State
from steepslope.evidence.values import opinions_of
from steepslope.numerics.linear import fit_calibration
from steepslope.oracle.fused_fit import FusedFit, mixed
from steepslope.oracle.handover import NEIGHBOR, Handover, Moments
from steepslope.oracle.selection import (
    AUXILIARY,
    FREE,
    LEVELS,
    Candidate,
    Gain,
    Opinions,
    best_pool,
    cheapest,
    gain,
    inputs_at,
)
from steepslope.oracle.settings import AUTO, FusedSettings
from steepslope.outputs import ClassifierOutputs

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Level:
    """The best at one budget: its pool, the fallback and hand-over where it has them, and log-odds of held-out rows.

    ``usual_handover`` is how far the fit set's rows are handed over on average.
    """

    best: Candidate
    held_out: Floats
    gain: Gain
    fallback: Candidate | None = None
    handover: Handover | None = None
    usual_handover: float | None = None


def fit_fused(
    outputs: ClassifierOutputs, reference: ClassifierOutputs | None, settings: FusedSettings
) -> tuple[FusedFit, Floats]:
    """Fit a pool for each budget that is wanted, and keep the chosen one; return its log-odds of held-out rows, too."""
    fit_set = FitSet.of(outputs, reference, settings.seed)
    missing = {name: why for name, kind in EVIDENCE.items() if kind.opinions and (why := fit_set.lacking(kind))}
    names = [name for name, kind in EVIDENCE.items() if kind.opinions is not None and name not in missing]
    wanted = _wanted(settings.budget, names, missing)
    opinions, states = _opinions(fit_set, inputs_at(wanted[-1], names))
    levels = _levels(opinions, wanted, outputs)
    chosen = wanted[-1]
    if settings.budget == AUTO:
        held_out = {name: levels[name].held_out for name in wanted}
        chosen = cheapest(held_out, outputs.is_correct, settings.seed)
    level = levels[chosen]
    slope, offset = fit_calibration(level.held_out, outputs.is_correct)
    fallback = None if level.fallback is None else level.fallback.pool
    kept = {*level.best.pool.inputs, *(() if fallback is None else fallback.inputs)}
    own = {name: state for name, state in states.items() if name in kept}
    gains = {name: one.gain for name, one in levels.items()}
    fitted = FusedFit(
        budget=chosen,
        pool=level.best.pool,
        fallback=fallback,
        handover=level.handover,
        states=own,
        slope=slope,
        offset=offset,
        num_classes=outputs.num_classes,
        gains=gains,
        left_out=missing,
        usual_handover=level.usual_handover,
        moments=None if level.handover is None else Moments.of(outputs),
        copies=_copies(fit_set, outputs, reference),
    )
    return fitted, slope * level.held_out + offset


def _copies(fit_set: FitSet, outputs: ClassifierOutputs, reference: ClassifierOutputs | None) -> dict[str, str]:
    """Return where the augmented copies of the fit set, and of the reference, come from."""
    found = {"fit set": origin_of_copies(outputs, len(fit_set.rows) - fit_set.clean)}
    if reference is not None and fit_set.reference is not None:
        found["reference"] = origin_of_copies(reference, len(fit_set.reference) - fit_set.known)
    return found


def _wanted(budget: str, names: list[str], missing: dict[str, str]) -> list[str]:
    """Return the budgets to look at, the cheapest first: those up to the one in question at which more can be had."""
    order = list(LEVELS)
    wanted = [FREE]
    for level in order[1:]:
        if len(inputs_at(level, names)) > len(inputs_at(wanted[-1], names)):
            wanted.append(level)
    if budget == AUTO:
        return wanted
    if budget == AUXILIARY and AUXILIARY not in wanted:
        reasons = missing.get("joint_opinion", "none")
        raise SteepslopeError(f"expected features of an auxiliary backbone (extract --auxiliary): {reasons}", "budget")
    return [level for level in wanted if order.index(level) <= order.index(budget)]


def _opinions(fit_set: FitSet, names: tuple[str, ...]) -> tuple[Opinions, dict[str, State]]:
    """Return what all evidence thinks of the fit set's rows, and what it learnt for others."""
    (classes,) = all_parts(fit_set.rows, (), {}, opinions_of)
    opinions, states = Opinions(fit_set, classes), {}
    for name in names:
        opinions.parts[name], state = fit_set.opinions(name)
        if state is not None:
            states[name] = state
    return opinions, states


def _levels(opinions: Opinions, wanted: list[str], outputs: ClassifierOutputs) -> dict[str, Level]:
    """Return the best at each budget; what needs more than the classifier hands over to what is free."""
    names, is_correct = list(opinions.parts), outputs.is_correct
    mcp = opinions.own()
    free = best_pool(opinions, inputs_at(FREE, names), is_correct)
    known, copies = opinions.fit_set.known_rows()
    seen = AUXILIARY in wanted and len(known) > NEIGHBOR
    handover = Handover.of(outputs, known, copies) if seen else None
    weight = None if handover is None else handover.weight(outputs)
    levels = {FREE: Level(free, free.held_out, gain(free.held_out, mcp, is_correct, cost_of(free, outputs)))}
    for name in wanted[1:]:
        best = best_pool(opinions, inputs_at(name, names), is_correct)
        cost = cost_of(best, outputs)
        if weight is None or not any("auxiliary" in EVIDENCE[one].arrays for one in best.pool.inputs):
            levels[name] = Level(best, best.held_out, gain(best.held_out, mcp, is_correct, cost))
            continue
        odds = mixed(best.held_out, free.held_out, weight)
        found = gain(odds, mcp, is_correct, cost)
        levels[name] = Level(best, odds, found, free, handover, float(weight.mean()))
    return levels


def cost_of(candidate: Candidate, outputs: ClassifierOutputs) -> str:
    """Return which forward passes a candidate needs beside the classifier's own."""
    needed = {array for name in candidate.pool.inputs for array in EVIDENCE[name].arrays}
    costs = {
        "auxiliary": "a second backbone",
        "views": f"{outputs.require('views').shape[1]} views" if "views" in outputs.arrays else "",
        "dropout": "passes with dropout",
    }
    further = [words for array, words in costs.items() if array in needed]
    return f"1 forward pass and {', '.join(further)}" if further else "1 forward pass"
