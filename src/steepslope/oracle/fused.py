"""The fused oracle: a logarithmic pool of all opinions that the outputs hold, chosen on the fit data alone."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, require_known
from steepslope.estimators.linear import fit_linear
from steepslope.estimators.opinion_pool import OpinionPool
from steepslope.evidence.columns import scores_of
from steepslope.evidence.fitting import all_parts, evidence_of
from steepslope.evidence.folds import fold_of
from steepslope.evidence.opinions import opinions_of
from steepslope.evidence.registry import EVIDENCE
from steepslope.evidence.states import State, arrays_fit
from steepslope.evidence.storage import flattened, load_states
from steepslope.oracle.base import BaseOracle, check_errors, loss_of, not_fitted, warn_of_few
from steepslope.oracle.guard import Guard
from steepslope.oracle.selection import NOISE, OWN, Candidate, Floats, Opinions, best_pool, held_out, left_out
from steepslope.oracle.settings import FusedSettings
from steepslope.oracle.storage import CARD, FUSED, STATES, WEIGHTS
from steepslope.outputs import ClassifierOutputs, require_classes
from steepslope.scores import SCORES
from steepslope.utilities.files import field as json_field, positive, staged_folder, write_json
from steepslope.utilities.weights import load_arrays, save_arrays

CUT_PENALTY = 1e-4
LEAST_SCALE = 1e-3
STORED = ("num_classes", "inputs", "widths", "scale", "offset", "left_out")  # in the card


@dataclass(frozen=True, eq=False)
class FusedFit:
    """What fitting leaves: inputs with their numbers of opinions, what they learnt, and how they are weighed.

    Without a pool the oracle is the single score in ``inputs``. The trust logit is ``scale`` times the log-odds, or the
    score, plus ``offset``. ``left_out`` has the reasons why other evidence could not be had. A ``guard`` is kept where
    the fit set's noise is known and other opinions than the classifier's count.
    """

    inputs: tuple[str, ...]
    widths: tuple[int, ...]
    states: dict[str, State]
    pool: OpinionPool | None
    scale: float
    offset: float
    num_classes: int
    left_out: dict[str, str] = field(default_factory=dict)
    guard: Guard | None = None

    def __str__(self) -> str:
        missing = "; ".join(f"{name}: {reason}" for name, reason in self.left_out.items())
        names = ", ".join(self.inputs)
        if self.pool is not None:
            return f"a pool of {names}" + (f" (without {missing})" if missing else "")
        return f"no pool ranks better than {names} alone, so that is this oracle ({missing or 'nothing missing'})"


class FusedOracle(BaseOracle):
    """Learn which predictions to trust from all evidence that the outputs hold.

    The classifier, its views and dropout passes, the labels of neighbours and probes on an auxiliary backbone, as far
    as there are any, have opinions on the classes: log-probabilities. A logarithmic opinion pool weighs each by one
    number >= 0, learnt from the labels of the fit set. The log-odds of the prediction in the pool are the trust. For
    images of more or less noise than the fit set's, by ``outputs.noise``, the classifier's own opinion takes over.

    Five-fold cross-validation on the fit set chooses by AURC which opinions count, and the ridge. Where a single score
    has a lower one there, the oracle is that score; ``str(oracle.fitted_)`` tells. The loss then sets the scale of
    the trust logit and where it is 0, on held-out rows of the folds; it does not change the ranking.

    Parameters
    ----------
    loss
        A name in ``steepslope.losses.LOSSES``.
    settings
        Parameters of the loss by name, such as ``alpha_neg=3.0``, and ``errors`` and ``seed`` of
        :class:`~steepslope.oracle.settings.FusedSettings`.
    """

    explains = True

    def __init__(self, loss: str = "steep_slope", **settings: Any) -> None:
        given = FusedSettings.of(loss=loss, **settings)
        self.loss_settings = loss_of(given)
        self.settings = replace(given, parameters=self.loss_settings.parameters)
        self.fitted_: FusedFit | None = None

    def fit(self, outputs: ClassifierOutputs, reference: ClassifierOutputs | None = None) -> Self:
        """Fit on the outputs in which errors are seen; ``reference`` are the classifier's training outputs.

        Without a reference, what needs one is left out, unless ``errors`` names another source.

        Raises
        ------
        SteepslopeError
            If no prediction is wrong, or none correct, or a row is in both fit set and reference.
        """
        check_errors(outputs)
        errors, seed = self.settings.errors, self.settings.seed
        missing = left_out(outputs, reference, errors)
        names = [name for name, kind in EVIDENCE.items() if kind.opinions is not None and name not in missing]
        single = [name for name in SCORES if name not in missing]
        (*parts, classes), states = evidence_of(outputs, names, reference, errors, seed, opinions_of)
        values, single_states = evidence_of(outputs, single, reference, errors, seed, scores_of)
        opinions = Opinions(dict(zip(names, parts, strict=True)), classes, outputs.labels, outputs.num_classes)
        scores = [Candidate((name,), None, part[:, 0]) for name, part in zip(single, values, strict=True)]
        candidates = [*scores, best_pool(opinions, outputs.is_correct, seed)]
        best = min(candidates, key=lambda one: one.risk(outputs.is_correct))
        guard, odds = _guarded(opinions, best, outputs, seed)
        pool = None if best.penalty is None else opinions.pool(best.inputs, best.penalty)
        widths = tuple(1 if pool is None else opinions.parts[name].shape[1] for name in best.inputs)
        kept = {name: state for name, state in {**states, **single_states}.items() if name in best.inputs}
        cut = self._cut(odds, outputs)
        self.fitted_ = FusedFit(best.inputs, widths, kept, pool, *cut, outputs.num_classes, missing, guard)
        warn_of_few(outputs)
        return self

    def _cut(self, odds: Floats, outputs: ClassifierOutputs) -> tuple[float, float]:
        """Let the loss choose scale and offset on held-out rows; a scale below 0 would turn the ranking round."""
        target = self.loss_settings.target(outputs)
        exact = target if target.dtype == bool else target.astype(np.float64)
        centre, spread = odds.mean(), odds.std() or 1.0
        columns = ((odds - centre) / spread)[:, None]
        weights, bias = fit_linear(columns, exact, self.loss_settings.bind(outputs), CUT_PENALTY)
        scale = max(float(weights[0]), LEAST_SCALE) / spread
        return float(scale), float(bias - scale * centre)

    def trust_logit(self, outputs: ClassifierOutputs) -> Floats:
        """Return z of each prediction, (n,): to rank by, and trusted where z > 0."""
        fitted = self._checked(outputs)
        if fitted.pool is None:
            (score,) = all_parts(outputs, fitted.inputs, fitted.states, scores_of)
            return np.asarray(fitted.scale * score[:, 0] + fitted.offset)
        opinions = _opinions(outputs, fitted)
        odds = fitted.pool.log_odds(opinions)
        return np.asarray(fitted.scale * _mixed(odds, fitted, outputs, opinions) + fitted.offset)

    def explain(self, outputs: ClassifierOutputs) -> dict[str, Floats]:
        """Return what each kind of evidence adds to the trust logit: name -> (n,); together they are the logit.

        An opinion counts by how much more probable it finds the predicted class than the pool's runner-up. ``others``
        is what all further classes take away, ``guard`` what the guard changes, and ``cut`` the loss's offset.
        """
        fitted = self._checked(outputs)
        cut = np.full(len(outputs), fitted.offset)
        if fitted.pool is None:
            return {fitted.inputs[0]: self.trust_logit(outputs) - cut, "cut": cut}
        opinions = _opinions(outputs, fitted)
        utilities, odds = fitted.pool.utilities(opinions), fitted.pool.log_odds(opinions)
        rival = 1 + utilities[:, 1:].argmax(axis=1)[:, None]
        gaps = opinions[:, :, 0] - np.take_along_axis(opinions, rival[:, None], axis=2)[:, :, 0]
        edges = np.cumsum([0, *fitted.widths[:-1]])
        parts = fitted.scale * np.add.reduceat(gaps * fitted.pool.weights, edges, axis=1)
        explained = dict(zip(fitted.inputs, parts.T, strict=True))
        explained["others"] = fitted.scale * odds - parts.sum(axis=1)
        if fitted.guard is not None:
            explained["guard"] = fitted.scale * (_mixed(odds, fitted, outputs, opinions) - odds)
        return {**explained, "cut": cut}

    def _checked(self, outputs: ClassifierOutputs) -> FusedFit:
        if self.fitted_ is None:
            raise not_fitted()
        require_classes("the oracle", outputs, self.fitted_.num_classes)
        return self.fitted_

    def save(self, folder: str | Path) -> None:
        """Write weights and what evidence learnt as safetensors, settings as JSON; replace an earlier oracle."""
        if self.fitted_ is None:
            raise not_fitted()
        fitted = self.fitted_
        weights = {} if fitted.pool is None else vars(fitted.pool) | _guard_arrays(fitted.guard)
        with staged_folder(folder, last=CARD) as staging:
            save_arrays(weights, staging / WEIGHTS)
            save_arrays(flattened(fitted.states), staging / STATES)
            shape = {name: getattr(fitted, name) for name in STORED}
            write_json(staging / CARD, {"kind": FUSED, "settings": self.settings.as_json(), "fitted": shape})

    @classmethod
    def from_card(cls, folder: Path, card: dict[str, Any], _: Collection[str] = ()) -> Self:
        """Return the oracle that :meth:`save` wrote, from its card and the files beside it."""
        path = folder / CARD
        shape = json_field(card, "fitted", dict, path)
        inputs, widths = (tuple(json_field(shape, name, list, path)) for name in ("inputs", "widths"))
        scale, offset = (float(json_field(shape, name, (int, float), path)) for name in ("scale", "offset"))
        num_classes = positive(shape, "num_classes", path)
        if not (math.isfinite(offset) and 0 < scale < math.inf):
            raise SteepslopeError(f"expected a finite offset and scale > 0, found {offset} and {scale}", path)
        pool, guard = _load_pool(folder / WEIGHTS, widths)
        _check_inputs(inputs, widths, pool, path)
        if guard is not None and OWN not in inputs:
            raise SteepslopeError(f"expected {OWN} among the inputs of an oracle with a guard, found {inputs}", path)
        try:
            oracle = cls(**json_field(card, "settings", dict, path))
        except (ValueError, TypeError) as error:
            raise SteepslopeError(str(error), path) from error
        states = load_states(folder / STATES, inputs, num_classes)
        missing = json_field(shape, "left_out", dict, path)
        oracle.fitted_ = FusedFit(inputs, widths, states, pool, scale, offset, num_classes, missing, guard)
        return oracle


def _opinions(outputs: ClassifierOutputs, fitted: FusedFit) -> Floats:
    *parts, _ = all_parts(outputs, fitted.inputs, fitted.states, opinions_of)
    for name, part, width in zip(fitted.inputs, parts, fitted.widths, strict=True):
        if part.shape[1] != width:
            raise SteepslopeError(f"expected the fit set's {width} opinions, found {part.shape[1]}", name)
    return np.concatenate(parts, axis=1)


def _mixed(odds: Floats, fitted: FusedFit, outputs: ClassifierOutputs, opinions: Floats) -> Floats:
    """Return the log-odds of all opinions, or more of the classifier's own where its image is noisy or blurred."""
    if fitted.guard is None:
        return odds
    place = sum(fitted.widths[: fitted.inputs.index(OWN)])
    own = fitted.guard.own.log_odds(opinions[:, place : place + 1])
    return fitted.guard.mixed(odds, own, outputs.require(NOISE))


def _guarded(
    opinions: Opinions, best: Candidate, outputs: ClassifierOutputs, seed: int
) -> tuple[Guard | None, NDArray[np.float64]]:
    """Return a guard where other opinions than the classifier's count and noise is known, and the guarded log-odds."""
    if NOISE not in outputs.arrays or best.penalty is None or best.inputs == (OWN,):
        return None, best.held_out
    noise = outputs.require(NOISE)
    own = held_out(opinions, (OWN,), best.penalty, fold_of(outputs.is_correct, seed))
    guard = Guard.of(noise, opinions.pool((OWN,), best.penalty))
    return guard, guard.mixed(best.held_out, own.held_out, noise)


def _guard_arrays(guard: Guard | None) -> dict[str, Floats]:
    if guard is None:
        return {}
    return {"limits": guard.limits, "own_weights": guard.own.weights, "own_others": guard.own.others}


def _load_pool(path: Path, widths: Sequence[Any]) -> tuple[OpinionPool | None, Guard | None]:
    arrays = load_arrays(path)
    if not arrays:
        return None, None
    opinions = sum(width for width in widths if isinstance(width, int))
    shapes = {"weights": (opinions,), "others": (1,)}
    guarded = {**shapes, "limits": (4, None), "own_weights": (1,), "own_others": (1,)}
    if not any(arrays_fit(arrays, expected, "float64") for expected in (shapes, guarded)):
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise SteepslopeError(f"expected {opinions} weights, others (1,) and perhaps a guard, found {found}", path)
    pool = OpinionPool(arrays["weights"], arrays["others"])
    if "limits" not in arrays:
        return pool, None
    return pool, Guard(arrays["limits"], OpinionPool(arrays["own_weights"], arrays["own_others"]))


def _check_inputs(inputs: Sequence[Any], widths: Sequence[Any], pool: OpinionPool | None, path: Path) -> None:
    pooled = [name for name, kind in EVIDENCE.items() if kind.opinions is not None]
    for name in inputs:
        require_known(f"input in {path}:", str(name), list(SCORES) if pool is None else pooled)
    counted = all(isinstance(width, int) and width >= 1 for width in widths) and len(widths) == len(inputs)
    if len(set(inputs)) < len(inputs) or not counted or not inputs or (pool is None and len(inputs) > 1):
        raise SteepslopeError(f"expected inputs, each once, with their widths, found {inputs} and {widths}", path)
