"""The fused oracle: a consensus of all opinions that the outputs hold, chosen on the fit data alone."""

# Annotations are not postponed here: the command line reads them, and resolving them would import torch.
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.evidence import EVIDENCE, SINGLE
from steepslope.evidence.fitting import ERRORS, FOLDS, Errors, all_parts, evidence_of, fold_of
from steepslope.evidence.opinions import opinions_of
from steepslope.evidence.states import State
from steepslope.evidence.storage import flattened, grouped, load_arrays, save_arrays
from steepslope.files import field as json_field
from steepslope.files import positive, read_json, staged_folder, write_json
from steepslope.metrics import aurc
from steepslope.outputs import ClassifierOutputs
from steepslope.progress import console
from steepslope.training.consensus import Consensus, fit_consensus
from steepslope.trust import (
    CARD,
    STATES,
    WEIGHTS,
    TrustLogits,
    bound_loss,
    check_errors,
    check_settings,
    require_classes,
    require_known,
    target_of,
    warn_of_few,
)

KIND = "fused"
PENALTIES = (1e-4, 1e-3, 1e-2)
CUT_PENALTY = 1e-4
LEAST_SCALE = 1e-3
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FusedFit:
    """What fitting leaves: inputs with their numbers of opinions, what they learnt, and how they are weighed.

    Without a consensus the oracle is the single score in ``inputs``. The trust logit is ``scale`` times the log-odds,
    or the score, plus ``offset``.
    """

    inputs: tuple[str, ...]
    widths: tuple[int, ...]
    states: dict[str, State]
    consensus: Consensus | None
    scale: float
    offset: float
    num_classes: int


@dataclass(frozen=True, eq=False)
class Candidate:
    """Inputs, the ridge on their weights (None for a single score), and the log-odds of held-out rows."""

    inputs: tuple[str, ...]
    penalty: float | None
    held_out: Floats


@dataclass
class FusedOracle(TrustLogits):
    """Learn which predictions to trust from all that is thought of them.

    The classifier, its views and dropout passes, the labels of neighbours and a probe on a foreign backbone, as far as
    there are any, are opinions on the classes: log-probabilities. Their consensus weighs each by one number, learnt
    from the labels of the fit set, and the log-odds of the prediction in it are the trust. The ridge, and whether all
    opinions or the classifier's alone count, five-fold cross-validation on the fit set chooses by AURC; where a single
    score has a lower one there, the oracle is that score, and says so. The loss then sets the scale of the trust logit
    and where it is 0, on held-out rows of the folds; it does not change the ranking.

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
        the fit set is also the reference, and each fifth of it is seen from the rest; ``train``: the fit set are the
        training outputs, as in the paper.
    seed
        Fixes the folds.
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
        voices, single = _available(outputs, reference, self.errors)
        (*parts, classes), states = evidence_of(outputs, voices, reference, self.errors, self.seed, opinions_of)
        values, single_states = evidence_of(outputs, single, reference, self.errors, self.seed)
        task = Task(dict(zip(voices, parts, strict=True)), classes, outputs.labels, outputs.num_classes)
        scores = {name: part[:, 0].astype(np.float64) for name, part in zip(single, values, strict=True)}
        candidates = [Candidate((name,), None, score) for name, score in scores.items()]
        candidates += _consensus_candidates(task, fold_of(outputs.is_correct, self.seed))
        best = min(candidates, key=lambda one: aurc(one.held_out, outputs.is_correct))
        scale, offset = self._cut(best.held_out, outputs)
        consensus = None if best.penalty is None else task.fit(best.inputs, best.penalty)
        if consensus is None:
            console().print(f"no consensus ranks better than {best.inputs[0]} alone, so that is this oracle")
        widths = tuple(1 if consensus is None else task.parts[name].shape[1] for name in best.inputs)
        kept = {name: state for name, state in {**states, **single_states}.items() if name in best.inputs}
        self.fitted_ = FusedFit(best.inputs, widths, kept, consensus, scale, offset, outputs.num_classes)
        warn_of_few(outputs)
        return self

    def _cut(self, held_out: Floats, outputs: ClassifierOutputs) -> tuple[float, float]:
        """Let the loss choose scale and offset on held-out rows; a scale below 0 would turn the ranking round."""
        from steepslope.training.linear import fit_linear

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
            (score,) = all_parts(outputs, fitted.inputs, fitted.states)
            return np.asarray(fitted.scale * score[:, 0].astype(np.float64) + fitted.offset)
        opinions, classes = self._opinions(outputs, fitted)
        return np.asarray(fitted.scale * fitted.consensus.log_odds(opinions, classes) + fitted.offset)

    def explain(self, outputs: ClassifierOutputs) -> dict[str, Floats]:
        """Return what each kind of evidence adds to the trust logit: name -> (n,); together they are the logit.

        An opinion counts by how much more probable it finds the predicted class than the consensus' runner-up.
        ``classes`` is how much more common that class is, ``others`` what all further classes take away, and ``cut``
        the loss's offset.
        """
        fitted = self._checked(outputs)
        cut = np.full(len(outputs), fitted.offset)
        if fitted.consensus is None:
            return {fitted.inputs[0]: self.trust_logit(outputs) - cut, "cut": cut}
        opinions, classes = self._opinions(outputs, fitted)
        utilities = fitted.consensus.utilities(opinions, classes)
        rival = 1 + utilities[:, 1:].argmax(axis=1)[:, None]
        gaps = opinions[:, :, 0] - np.take_along_axis(opinions, rival[:, None], axis=2)[:, :, 0]
        edges = np.cumsum([0, *fitted.widths[:-1]])
        shares = fitted.scale * np.add.reduceat(gaps * fitted.consensus.weights, edges, axis=1)
        offsets = fitted.consensus.offsets[classes]
        common = fitted.scale * (offsets[:, :1] - np.take_along_axis(offsets, rival, axis=1))[:, 0]
        named = {name: shares[:, index] for index, name in enumerate(fitted.inputs)}
        so_far = shares.sum(axis=1) + common + cut
        odds = fitted.scale * fitted.consensus.log_odds(opinions, classes) + cut
        return {**named, "classes": common, "others": odds - so_far, "cut": cut}

    def _opinions(self, outputs: ClassifierOutputs, fitted: FusedFit) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        *parts, classes = all_parts(outputs, fitted.inputs, fitted.states, opinions_of)
        for name, part, width in zip(fitted.inputs, parts, fitted.widths, strict=True):
            if part.shape[1] != width:
                raise SteepslopeError(f"{name}: expected the fit set's {width} opinions, found {part.shape[1]}")
        return np.concatenate(parts, axis=1), classes

    def _checked(self, outputs: ClassifierOutputs) -> FusedFit:
        if self.fitted_ is None:
            raise SteepslopeError("this oracle is not fitted: call fit(outputs) or Oracle.load(folder) first")
        require_classes(outputs, self.fitted_.num_classes)
        return self.fitted_

    def save(self, folder: str | Path) -> None:
        """Write weights and what evidence learnt as safetensors, settings as JSON; replace an earlier oracle."""
        if self.fitted_ is None:
            raise SteepslopeError("this oracle is not fitted: call fit(outputs) first")
        fitted = self.fitted_
        shape = {name: getattr(fitted, name) for name in ("num_classes", "inputs", "widths", "scale", "offset")}
        weights = {} if fitted.consensus is None else vars(fitted.consensus)
        with staged_folder(folder, last=CARD) as staging:
            save_arrays(weights, staging / WEIGHTS)
            save_arrays(flattened(fitted.states), staging / STATES)
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
        for name in inputs:
            require_known(f"input in {path}:", name, EVIDENCE)
        try:
            oracle = cls(**json_field(card, "settings", dict, path))
        except (ValueError, TypeError) as error:
            raise SteepslopeError(f"{path}: {error}") from error
        consensus = _consensus(Path(folder) / WEIGHTS, sum(widths), num_classes)
        states = grouped(load_arrays(Path(folder) / STATES))
        oracle.fitted_ = FusedFit(inputs, widths, states, consensus, scale, offset, num_classes)
        return oracle


def _consensus(path: Path, opinions: int, num_classes: int) -> Consensus | None:
    arrays = load_arrays(path)
    if not arrays:
        return None
    shapes = {name: array.shape for name, array in arrays.items()}
    expected = {"weights": (opinions,), "offsets": (num_classes + 1,)}
    if shapes != expected:
        raise SteepslopeError(f"{path}: expected arrays of shapes {expected}, found {shapes}")
    return Consensus(**arrays)


@dataclass(frozen=True, eq=False)
class Task:
    """Opinions (n, V, C) of each voice on the candidate ``classes`` (n, C), and the labels (n,) to agree on."""

    parts: dict[str, NDArray[np.float32]]
    classes: NDArray[np.int64]
    labels: NDArray[np.int64]
    num_classes: int

    def opinions(self, inputs: Sequence[str]) -> NDArray[np.float32]:
        """Return the opinions of some voices, side by side."""
        return np.concatenate([self.parts[name] for name in inputs], axis=1)

    def fit(self, inputs: Sequence[str], penalty: float, rows: Any = slice(None)) -> Consensus:
        """Return the consensus of some voices on some rows."""
        opinions = self.opinions(inputs)[rows]
        return fit_consensus(opinions, self.classes[rows], self.labels[rows], self.num_classes, penalty)


def _available(
    outputs: ClassifierOutputs, reference: ClassifierOutputs | None, errors: Errors
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the kinds of evidence to fuse, and the single scores, for which everything is there."""

    def there(name: str) -> bool:
        kind = EVIDENCE[name]
        if getattr(outputs, kind.array) is None:
            return False
        learning = kind.fit is not None
        return not learning or errors != "holdout" or getattr(reference, kind.array, None) is not None

    voices = [name for name, kind in EVIDENCE.items() if kind.opinions is not None and there(name)]
    return tuple(voices), tuple(name for name in SINGLE if there(name))


def _consensus_candidates(task: Task, fold: NDArray[np.int64]) -> list[Candidate]:
    """Return all voices, and the classifier's alone, with each ridge, as seen from the other folds."""
    candidates = []
    for inputs in dict.fromkeys([("logits",), tuple(task.parts)]):
        opinions = task.opinions(inputs)
        for penalty in PENALTIES:
            held_out = np.empty(len(fold))
            for number in range(FOLDS):
                inside = fold == number
                consensus = task.fit(inputs, penalty, ~inside)
                held_out[inside] = consensus.log_odds(opinions[inside], task.classes[inside])
            candidates.append(Candidate(inputs, penalty, held_out))
    return candidates
