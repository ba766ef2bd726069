"""Which opinions count in a fused oracle: candidates, each as seen from the other folds of the fit set, by AURC."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.estimators.opinion_pool import OpinionPool, fit_opinion_pool
from steepslope.evidence.folds import FOLDS, Errors, fold_of
from steepslope.evidence.registry import kinds
from steepslope.evidence.states import Evidence
from steepslope.metrics import aurc
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES

PENALTIES = (1e-4, 1e-3, 1e-2)
OWN = "logits"  # the classifier's own opinion
NOISE = "noise"
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Opinions:
    """Opinions (n, V, C) of each kind of evidence on the candidate ``classes`` (n, C), and the labels (n,)."""

    parts: dict[str, Floats]
    classes: NDArray[np.int64]
    labels: NDArray[np.int64]
    num_classes: int

    def of(self, inputs: Sequence[str]) -> Floats:
        """Return the opinions of some kinds, side by side."""
        return np.concatenate([self.parts[name] for name in inputs], axis=1)

    def pool(self, inputs: Sequence[str], penalty: float, rows: Any = slice(None)) -> OpinionPool:
        """Return the pool of some kinds, fitted on some rows."""
        opinions = self.of(inputs)[rows]
        return fit_opinion_pool(opinions, self.classes[rows], self.labels[rows], self.num_classes, penalty)


@dataclass(frozen=True, eq=False)
class Candidate:
    """Inputs, the ridge on their weights (None for a single score), and the log-odds of held-out rows."""

    inputs: tuple[str, ...]
    penalty: float | None
    held_out: Floats

    def risk(self, is_correct: NDArray[np.bool_]) -> float:
        """Return the AURC on the fit set."""
        return aurc(self.held_out, is_correct)


def best_pool(opinions: Opinions, is_correct: NDArray[np.bool_], seed: int) -> Candidate:
    """Return the best of: the classifier's opinion alone, all opinions, and those left when some are dropped.

    The ridge is chosen with all opinions; then the one without which the AURC falls most is dropped, as long as it
    falls.
    """
    fold = fold_of(is_correct, seed)

    def tried(inputs: tuple[str, ...], penalty: float) -> tuple[float, Candidate]:
        candidate = held_out(opinions, inputs, penalty, fold)
        return candidate.risk(is_correct), candidate

    alone = [tried((OWN,), penalty) for penalty in PENALTIES]
    risk, best = min((tried(tuple(opinions.parts), penalty) for penalty in PENALTIES), key=lambda pair: pair[0])
    while len(best.inputs) > 1:
        assert best.penalty is not None
        fewer = [tuple(name for name in best.inputs if name != left) for left in best.inputs if left != OWN]
        rival_risk, rival = min((tried(inputs, best.penalty) for inputs in fewer), key=lambda pair: pair[0])
        if rival_risk >= risk:
            break
        risk, best = rival_risk, rival
    return min([*alone, (risk, best)], key=lambda pair: pair[0])[1]


def held_out(opinions: Opinions, inputs: tuple[str, ...], penalty: float, fold: NDArray[np.int64]) -> Candidate:
    """Return some kinds with a ridge, each row as seen from the other folds."""
    odds, chosen = np.empty(len(fold)), opinions.of(inputs)
    for number in range(FOLDS):
        inside = fold == number
        odds[inside] = opinions.pool(inputs, penalty, ~inside).log_odds(chosen[inside])
    return Candidate(inputs, penalty, odds)


def left_out(outputs: ClassifierOutputs, reference: ClassifierOutputs | None, errors: Errors) -> dict[str, str]:
    """Return the kinds of evidence that cannot be had, each with the reason."""
    source = reference if errors == "holdout" else outputs
    enough = 0 if source is None else len(source) if errors == "holdout" else len(source) * (FOLDS - 1) // FOLDS

    def reason(kind: Evidence) -> str | None:
        if outputs.num_classes < kind.least_classes:
            return f"for {kind.least_classes} classes and more"
        if lacking := kind.lacking(outputs):
            return f"no {lacking} in the outputs"
        if kind.learning is None or not kind.needs_reference:
            return None
        if source is None:
            return "no reference"
        if lacking := kind.lacking(source):
            return f"no {lacking} in the reference"
        return None if enough >= kind.learning.at_least else f"fewer than {kind.learning.at_least} references"

    wanted = {name: kind for name, kind in kinds().items() if kind.opinions is not None or name in SCORES}
    reasons = {name: reason(kind) for name, kind in wanted.items()}
    reasons[NOISE] = f"no {NOISE} in the outputs" if NOISE not in outputs.arrays else None
    return {name: why for name, why in reasons.items() if why is not None}
