"""The fused oracle: a consensus of all opinions that the outputs hold, chosen on the fit data alone."""

# Annotations are not postponed here: the command line reads them, and resolving them would import torch.
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, require_known
from steepslope.estimators.opinion_pool import OpinionPool, fit_opinion_pool
from steepslope.evidence import EVIDENCE, SINGLE, scores_of
from steepslope.evidence.fitting import ERRORS, FOLDS, Errors, all_parts, evidence_of, fold_of
from steepslope.evidence.opinions import opinions_of
from steepslope.evidence.states import Evidence, State, arrays_fit
from steepslope.evidence.storage import flattened, load_arrays, load_states, save_arrays
from steepslope.metrics import aurc
from steepslope.oracle.base import (
    CARD,
    STATES,
    WEIGHTS,
    TrustLogits,
    bound_loss,
    check_errors,
    check_settings,
    target_of,
    warn_of_few,
)
from steepslope.oracle.guard import Guard
from steepslope.outputs import ClassifierOutputs, require_classes
from steepslope.utilities.files import field as json_field
from steepslope.utilities.files import positive, read_json, staged_folder, write_json
from steepslope.utilities.progress import console

KIND = "fused"
PENALTIES = (1e-4, 1e-3, 1e-2)
CUT_PENALTY = 1e-4
LEAST_SCALE = 1e-3
OWN = "logits"  # the classifier's own opinion
NOISE = "noise"
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FusedFit:
    """What fitting leaves: inputs with their numbers of opinions, what they learnt, and how they are weighed.

    Without a consensus the oracle is the single score in ``inputs``. The trust logit is ``scale`` times the log-odds,
    or the score, plus ``offset``. ``left_out`` says why other evidence could not be had. A ``guard`` is kept where the
    fit set's noise is known and others than the classifier have a say.
    """

    inputs: tuple[str, ...]
    widths: tuple[int, ...]
    states: dict[str, State]
    consensus: OpinionPool | None
    scale: float
    offset: float
    num_classes: int
    left_out: dict[str, str] = field(default_factory=dict)
    guard: Guard | None = None


@dataclass(frozen=True, eq=False)
class Candidate:
    """Inputs, the ridge on their weights (None for a single score), and the log-odds of held-out rows."""

    inputs: tuple[str, ...]
    penalty: float | None
    held_out: Floats

    def risk(self, outputs: ClassifierOutputs) -> float:
        """Return the AURC on the fit set."""
        return aurc(self.held_out, outputs.is_correct)


@dataclass
class FusedOracle(TrustLogits):
    """Learn which predictions to trust from all that is thought of them.

    The classifier, its views and dropout passes, the labels of neighbours and a probe on an auxiliary backbone, as far as
    there are any, are opinions on the classes: log-probabilities. Their consensus weighs each by one number >= 0,
    learnt from the labels of the fit set, and the log-odds of the prediction in it are the trust; for images of more or
    less noise than the fit set's, by ``outputs.noise``, the classifier's own opinion takes over. Five-fold
    cross-validation on the fit set chooses by AURC which opinions count, and the ridge; where a single score has a
    lower one there, the oracle is that score, and says so. The loss then sets the scale of the trust logit and where it
    is 0, on held-out rows of the folds; it does not change the ranking.

    Parameters
    ----------
    loss
        A name in ``steepslope.losses.LOSSES``.
    alpha_pos, alpha_neg
        Slopes of the steep slope loss for correct and wrong predictions, > 0.
    gamma
        Exponent of the focal loss, >= 0.
    beta
        Of the class-balanced loss, in [0, 1).
    errors
        ``holdout``: the fit set is new to the classifier, and the reference are its training outputs; ``crossfit``:
        the fit set is also the reference, and each fifth of it is seen from the rest; ``train``: the same, where the
        fit set are the training outputs, as in the paper.
    seed
        Fixes the folds, together with the order of the rows.
    """

    loss: str = "steep_slope"
    alpha_pos: float = 1.0
    alpha_neg: float = 3.0
    gamma: float = 2.0
    beta: float = 0.999
    errors: Errors = "holdout"
    seed: int = 0
    fitted_: FusedFit | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_settings(self.settings())
        require_known("errors", self.errors, ERRORS)

    def settings(self) -> dict[str, Any]:
        """Return the parameters, as the class takes them."""
        return {parameter.name: getattr(self, parameter.name) for parameter in fields(self) if parameter.init}

    def fit(self, outputs: ClassifierOutputs, reference: ClassifierOutputs | None = None) -> Self:
        """Fit on the outputs in which errors are seen; ``reference`` are the classifier's training outputs.

        Without a reference, what needs one is left out, unless ``errors`` says where else it comes from.

        Raises
        ------
        SteepslopeError
            If no prediction is wrong, or none correct, or fit set and reference share rows.
        """
        check_errors(outputs)
        left_out = _left_out(outputs, reference, self.errors)
        voices = [name for name, kind in EVIDENCE.items() if kind.opinions is not None and name not in left_out]
        single = [name for name in SINGLE if name not in left_out]
        (*parts, classes), states = evidence_of(outputs, voices, reference, self.errors, self.seed, opinions_of)
        values, single_states = evidence_of(outputs, single, reference, self.errors, self.seed, scores_of)
        task = Task(dict(zip(voices, parts, strict=True)), classes, outputs.labels, outputs.num_classes)
        scores = [Candidate((name,), None, part[:, 0]) for name, part in zip(single, values, strict=True)]
        best = min([*scores, _best_consensus(task, outputs.is_correct, self.seed)], key=lambda one: one.risk(outputs))
        guard, held_out = _guarded(task, best, outputs, self.seed)
        scale, offset = self._cut(held_out, outputs)
        consensus = None if best.penalty is None else task.fit(best.inputs, best.penalty)
        widths = tuple(1 if consensus is None else task.parts[name].shape[1] for name in best.inputs)
        kept = {name: state for name, state in {**states, **single_states}.items() if name in best.inputs}
        self.fitted_ = FusedFit(
            best.inputs, widths, kept, consensus, scale, offset, outputs.num_classes, left_out, guard
        )
        console().print(self.described())
        warn_of_few(outputs)
        return self

    def described(self) -> str:
        """Return in a line what a fitted oracle rests on."""
        if self.fitted_ is None:
            return "not fitted"
        names = ", ".join(self.fitted_.inputs)
        missing = "; ".join(f"{name}: {reason}" for name, reason in self.fitted_.left_out.items())
        if self.fitted_.consensus is None:
            return (
                f"no consensus ranks better than {names} alone, so that is this oracle ({missing or 'nothing missing'})"
            )
        return f"a consensus of {names}" + (f" (without {missing})" if missing else "")

    def _cut(self, held_out: Floats, outputs: ClassifierOutputs) -> tuple[float, float]:
        """Let the loss choose scale and offset on held-out rows; a scale below 0 would turn the ranking round."""
        from steepslope.estimators.linear import fit_linear

        loss, target = bound_loss(self.settings(), outputs), target_of(self.loss, outputs)
        exact = target if target.dtype == bool else target.astype(np.float64)
        centre, spread = held_out.mean(), held_out.std() or 1.0
        weights, bias = fit_linear(((held_out - centre) / spread)[:, None], exact, loss, CUT_PENALTY)
        scale = max(float(weights[0]), LEAST_SCALE) / spread
        return float(scale), float(bias - scale * centre)

    def trust_logit(self, outputs: ClassifierOutputs) -> Floats:
        """Return z of each prediction, (n,): to rank by, and trusted where z > 0."""
        fitted = self._checked(outputs)
        if fitted.consensus is None:
            (score,) = all_parts(outputs, fitted.inputs, fitted.states, scores_of)
            return np.asarray(fitted.scale * score[:, 0] + fitted.offset)
        opinions = self._opinions(outputs, fitted)
        odds = fitted.consensus.log_odds(opinions)
        return np.asarray(fitted.scale * _mixed(odds, fitted, outputs, opinions) + fitted.offset)

    def explain(self, outputs: ClassifierOutputs) -> dict[str, Floats]:
        """Return what each kind of evidence adds to the trust logit: name -> (n,); together they are the logit.

        An opinion counts by how much more probable it finds the predicted class than the consensus' runner-up.
        ``others`` is what all further classes take away, ``guard`` what the guard changes, and ``cut``
        the loss's offset.
        """
        fitted = self._checked(outputs)
        cut = np.full(len(outputs), fitted.offset)
        if fitted.consensus is None:
            return {fitted.inputs[0]: self.trust_logit(outputs) - cut, "cut": cut}
        opinions = self._opinions(outputs, fitted)
        utilities = fitted.consensus.utilities(opinions)
        rival = 1 + utilities[:, 1:].argmax(axis=1)[:, None]
        gaps = opinions[:, :, 0] - np.take_along_axis(opinions, rival[:, None], axis=2)[:, :, 0]
        edges = np.cumsum([0, *fitted.widths[:-1]])
        shares = fitted.scale * np.add.reduceat(gaps * fitted.consensus.weights, edges, axis=1)
        named = {name: shares[:, index] for index, name in enumerate(fitted.inputs)}
        odds = fitted.consensus.log_odds(opinions)
        guard = (
            {} if fitted.guard is None else {"guard": fitted.scale * (_mixed(odds, fitted, outputs, opinions) - odds)}
        )
        return {**named, "others": fitted.scale * odds - shares.sum(axis=1), **guard, "cut": cut}

    def _opinions(self, outputs: ClassifierOutputs, fitted: FusedFit) -> Floats:
        *parts, _ = all_parts(outputs, fitted.inputs, fitted.states, opinions_of)
        for name, part, width in zip(fitted.inputs, parts, fitted.widths, strict=True):
            if part.shape[1] != width:
                raise SteepslopeError(f"{name}: expected the fit set's {width} opinions, found {part.shape[1]}")
        return np.concatenate(parts, axis=1)

    def _checked(self, outputs: ClassifierOutputs) -> FusedFit:
        if self.fitted_ is None:
            raise SteepslopeError("this oracle is not fitted: call fit(outputs) or Oracle.load(folder) first")
        require_classes("the oracle", outputs, self.fitted_.num_classes)
        return self.fitted_

    def save(self, folder: str | Path) -> None:
        """Write weights and what evidence learnt as safetensors, settings as JSON; replace an earlier oracle."""
        if self.fitted_ is None:
            raise SteepslopeError("this oracle is not fitted: call fit(outputs) first")
        fitted = self.fitted_
        names = ("num_classes", "inputs", "widths", "scale", "offset", "left_out")
        weights = {} if fitted.consensus is None else vars(fitted.consensus) | _guard_arrays(fitted.guard)
        with staged_folder(folder, last=CARD) as staging:
            save_arrays(weights, staging / WEIGHTS)
            save_arrays(flattened(fitted.states), staging / STATES)
            shape = {name: getattr(fitted, name) for name in names}
            write_json(staging / CARD, {"kind": KIND, "settings": self.settings(), "fitted": shape})

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what :meth:`save` wrote; an error names the file and the field."""
        path = Path(folder) / CARD
        card = read_json(path, "a fitted oracle")
        shape = json_field(card, "fitted", dict, path)
        inputs, widths = (tuple(json_field(shape, name, list, path)) for name in ("inputs", "widths"))
        scale, offset = (float(json_field(shape, name, (int, float), path)) for name in ("scale", "offset"))
        num_classes = positive(shape, "num_classes", path)
        if not (math.isfinite(offset) and 0 < scale < math.inf):
            raise SteepslopeError(f"{path}: expected a finite offset and scale > 0, found {offset} and {scale}")
        consensus, guard = _consensus(Path(folder) / WEIGHTS, widths)
        _check_inputs(inputs, widths, consensus, path)
        if guard is not None and OWN not in inputs:
            raise SteepslopeError(f"{path}: expected {OWN} among the inputs of an oracle with a guard, found {inputs}")
        try:
            oracle = cls(**json_field(card, "settings", dict, path))
        except (ValueError, TypeError) as error:
            raise SteepslopeError(f"{path}: {error}") from error
        states = load_states(Path(folder) / STATES, inputs, num_classes)
        left_out = json_field(shape, "left_out", dict, path)
        oracle.fitted_ = FusedFit(inputs, widths, states, consensus, scale, offset, num_classes, left_out, guard)
        return oracle


def _guard_arrays(guard: Guard | None) -> dict[str, Floats]:
    if guard is None:
        return {}
    return {"limits": guard.limits, "own_weights": guard.own.weights, "own_others": guard.own.others}


def _consensus(path: Path, widths: Sequence[Any]) -> tuple[OpinionPool | None, Guard | None]:
    arrays = load_arrays(path)
    if not arrays:
        return None, None
    opinions = sum(width for width in widths if isinstance(width, int))
    shapes = {"weights": (opinions,), "others": (1,)}
    guarded = {**shapes, "limits": (4, None), "own_weights": (1,), "own_others": (1,)}
    if not any(arrays_fit(arrays, expected, "float64") for expected in (shapes, guarded)):
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise SteepslopeError(f"{path}: expected {opinions} weights, others (1,) and perhaps a guard, found {found}")
    consensus = OpinionPool(arrays["weights"], arrays["others"])
    if "limits" not in arrays:
        return consensus, None
    return consensus, Guard(arrays["limits"], OpinionPool(arrays["own_weights"], arrays["own_others"]))


def _mixed(odds: Floats, fitted: FusedFit, outputs: ClassifierOutputs, opinions: Floats) -> Floats:
    """Return the log-odds of all opinions, or more of the classifier's own where its image is noisy or blurred."""
    if fitted.guard is None:
        return odds
    place = sum(fitted.widths[: fitted.inputs.index(OWN)])
    own = fitted.guard.own.log_odds(opinions[:, place : place + 1])
    return fitted.guard.mixed(odds, own, outputs.require(NOISE))


def _check_inputs(inputs: Sequence[Any], widths: Sequence[Any], consensus: OpinionPool | None, path: Path) -> None:
    known = SINGLE if consensus is None else [name for name, kind in EVIDENCE.items() if kind.opinions is not None]
    for name in inputs:
        require_known(f"input in {path}:", str(name), known)
    counted = all(isinstance(width, int) and width >= 1 for width in widths) and len(widths) == len(inputs)
    if len(set(inputs)) < len(inputs) or not counted or not inputs or (consensus is None and len(inputs) > 1):
        raise SteepslopeError(f"{path}: expected inputs, each once, with their widths, found {inputs} and {widths}")


@dataclass(frozen=True, eq=False)
class Task:
    """Opinions (n, V, C) of each voice on the candidate ``classes`` (n, C), and the labels (n,) to agree on."""

    parts: dict[str, Floats]
    classes: NDArray[np.int64]
    labels: NDArray[np.int64]
    num_classes: int

    def opinions(self, inputs: Sequence[str]) -> Floats:
        """Return the opinions of some voices, side by side."""
        return np.concatenate([self.parts[name] for name in inputs], axis=1)

    def fit(self, inputs: Sequence[str], penalty: float, rows: Any = slice(None)) -> OpinionPool:
        """Return the consensus of some voices on some rows."""
        opinions = self.opinions(inputs)[rows]
        return fit_opinion_pool(opinions, self.classes[rows], self.labels[rows], self.num_classes, penalty)


def _left_out(outputs: ClassifierOutputs, reference: ClassifierOutputs | None, errors: Errors) -> dict[str, str]:
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

    names = [name for name, kind in EVIDENCE.items() if kind.opinions is not None or name in SINGLE]
    reasons = {name: reason(EVIDENCE[name]) for name in names}
    reasons[NOISE] = f"no {NOISE} in the outputs" if outputs.noise is None else None
    return {name: why for name, why in reasons.items() if why is not None}


def _guarded(
    task: Task, best: Candidate, outputs: ClassifierOutputs, seed: int
) -> tuple[Guard | None, NDArray[np.float64]]:
    """Return a guard where others than the classifier have a say and noise is known, and the guarded log-odds."""
    if outputs.noise is None or best.penalty is None or best.inputs == (OWN,):
        return None, best.held_out
    own = _candidate(task, (OWN,), best.penalty, fold_of(outputs.is_correct, seed))
    guard = Guard.of(outputs.noise, task.fit((OWN,), best.penalty))
    return guard, guard.mixed(best.held_out, own.held_out, outputs.noise)


def _best_consensus(task: Task, is_correct: NDArray[np.bool_], seed: int) -> Candidate:
    """Return the best of: the classifier's opinion alone, all opinions, and what is left when some are dropped.

    The ridge is chosen with all opinions; then the one without which the AURC falls most is dropped, as long as it
    falls.
    """
    fold = fold_of(is_correct, seed)

    def tried(inputs: tuple[str, ...], penalty: float) -> tuple[float, Candidate]:
        candidate = _candidate(task, inputs, penalty, fold)
        return aurc(candidate.held_out, is_correct), candidate

    everything = tuple(task.parts)
    alone = [tried((OWN,), penalty) for penalty in PENALTIES]
    best = min((tried(everything, penalty) for penalty in PENALTIES), key=lambda pair: pair[0])
    while len(best[1].inputs) > 1:
        assert best[1].penalty is not None
        fewer = [tuple(name for name in best[1].inputs if name != left) for left in best[1].inputs if left != OWN]
        rival = min((tried(inputs, best[1].penalty) for inputs in fewer), key=lambda pair: pair[0])
        if rival[0] >= best[0]:
            break
        best = rival
    return min([*alone, best], key=lambda pair: pair[0])[1]


def _candidate(task: Task, inputs: tuple[str, ...], penalty: float, fold: NDArray[np.int64]) -> Candidate:
    """Return voices with a ridge, each row as seen from the other folds."""
    held_out, opinions = np.empty(len(fold)), task.opinions(inputs)
    for number in range(FOLDS):
        inside = fold == number
        consensus = task.fit(inputs, penalty, ~inside)
        held_out[inside] = consensus.log_odds(opinions[inside])
    return Candidate(inputs, penalty, held_out)
