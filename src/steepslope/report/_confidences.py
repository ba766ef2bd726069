"""From names of scores and folders of oracles to confidences."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from steepslope.errors import SteepslopeError, located, require_known
from steepslope.gate import Gate, LoadOracle
from steepslope.losses import CUTS
from steepslope.metrics import SCALES
from steepslope.numerics import Bools, Counts, Floats
from steepslope.oracle import CARD, BaseOracle, Oracle, names_oracle
from steepslope.oracle.evidence import require_other_rows
from steepslope.outputs import (
    ClassifierOutputs,
    has_opinion,
    is_opinion_array,
    opinion_of_array,
    require_same_class_names,
)
from steepslope.report._grid import shortest_tails
from steepslope.scores import SCORES

BASELINE = "mcp"


@dataclass(frozen=True, eq=False)
class Resources:
    """What scores and oracles need next to the predictions.

    Scores that learn are fitted on ``held_out`` rows, which are new to the classifier, or on its training outputs, the
    ``reference``. ``load_oracle`` reads an oracle from its folder. ``gates``, by their folders, are attached to the
    scores that they rank by.
    """

    held_out: ClassifierOutputs | None = None
    reference: ClassifierOutputs | None = None
    load_oracle: LoadOracle = Oracle.load
    gates: Mapping[str, Gate] = field(default_factory=dict)


NOTHING = Resources()
_TELLS_NOTHING = "what has seen a row's label tells nothing about it; give rows that nothing was fitted on"


class _HandedOver(NamedTuple):
    """How far rows are handed over to a plainer pool, on average, in [0, 1].

    ``part`` is that of the rows that are judged, ``usual`` that of the oracle's fit set, None where it is not known.
    """

    part: float
    usual: float | None


@dataclass(frozen=True, eq=False)
class Scored:
    """The confidences that one score or oracle gave, (n,), which do not saturate, and the scale that they are on.

    ``natural_cut`` is the probability that the threshold stands for where an oracle's loss sets another than ½.
    ``explain`` splits the trust logits of rows, by their numbers, by their evidence. ``handed_over`` is None where no
    row ever is. ``gates`` are those that rank by it.
    ``opinions`` are those of other classifiers, or people, that it counts, with the fraction of rows that have them.
    """

    name: str
    loss: str | None
    confidence: Floats
    scale: str
    natural_cut: float | None = None
    explain: Callable[[Counts], dict[str, Floats]] | None = None
    handed_over: _HandedOver | None = None
    gates: tuple[Gate, ...] = ()
    opinions: Mapping[str, float] = field(default_factory=dict)

    def cut(self, probability: float = 0.5) -> float:
        """Return the confidence above which predictions are trusted; NaN where the score only ranks."""
        return SCALES[self.scale].cut(probability)

    @property
    def only_ranks(self) -> bool:
        """Whether there is no threshold above which predictions are trusted."""
        return bool(np.isnan(self.cut()))

    @property
    def unit_confidence(self) -> Floats:
        """The confidences in [0, 1], for pictures; saturated."""
        return SCALES[self.scale].unit(self.confidence)


def confidences_of_scores(
    names: Sequence[str], predictions: ClassifierOutputs, resources: Resources = NOTHING
) -> list[Scored]:
    """Apply post-hoc scores, by name, and oracles, by folder; MCP always comes first.

    An oracle has its folder's name, with as much of the path before it as tells it from others.

    Raises
    ------
    SteepslopeError
        If a name is unknown, a folder holds no oracle, a score or oracle lacks what it needs, or it was fitted on some
        of these rows or for another classifier.
    """
    folders = {name: str(Path(name).resolve()) for name in names if name not in SCORES}
    distinct = {folders.get(name, name): name for name in (BASELINE, *names)}
    labels = shortest_tails([key.lstrip("/") for key in distinct])
    named = zip(distinct.values(), labels, strict=True)
    scored = [_confidences_of_score(name, label, predictions, resources) for name, label in named]
    return _confidences_with_gates(scored, predictions, resources)


def _confidences_with_gates(scored: list[Scored], outputs: ClassifierOutputs, resources: Resources) -> list[Scored]:
    """Attach each gate to the score that gives its confidences; one that no score gives becomes a score of its own."""
    with_gates = list(scored)
    for folder, gate in resources.gates.items():
        of_gate = _confidences_of_gate(folder, gate, outputs, {score.name for score in with_gates})
        for place, score in enumerate(with_gates):
            if _ranks_alike(score, of_gate):
                with_gates[place] = replace(score, gates=(*score.gates, gate))
                break
        else:
            with_gates.append(replace(of_gate, gates=(gate,)))
    return with_gates


def _ranks_alike(a: Scored, b: Scored) -> bool:
    """Return whether two have the same confidences but for what devices differ in."""
    return a.scale == b.scale and np.allclose(a.confidence, b.confidence, rtol=1e-5, atol=1e-6)


def _confidences_of_gate(folder: str, gate: Gate, outputs: ClassifierOutputs, taken: Collection[str]) -> Scored:
    """Return what a gate ranks by, under the name of its folder, or its path where that name is taken."""
    source = gate.source
    with located(f"gate {folder}"):
        if source is None:
            needed = "expected a gate with an oracle or a score of its own"
            raise SteepslopeError(f"{needed}, found one of confidences alone")
        gate.require_outputs(outputs)
        label = Path(folder).resolve().name
        if label in taken:
            label = folder
        if label in taken:
            label = f"{folder} ({len(taken)})"
        if source.oracle is None:
            return Scored(label, None, source.confidence(outputs), source.model.scale)
        return _confidences_of_oracle(source.oracle, label, outputs)


def _confidences_of_score(name: str, label: str, outputs: ClassifierOutputs, resources: Resources) -> Scored:
    oracle = oracle_for_confidences(name, resources.load_oracle)
    if oracle is not None:
        with located(f"oracle {name}"):
            return _confidences_of_oracle(oracle, label, outputs)
    fit_set = fit_set_for_confidences(name, outputs, resources)
    with located(name):
        score = SCORES[name]().fit(fit_set)
        return Scored(name, None, _defined_confidences(score.confidence(outputs)), score.scale)


def oracle_for_confidences(name: str, load_oracle: LoadOracle) -> BaseOracle | None:
    """Return the oracle in a folder; None where the name is that of a score. Raise if it is neither."""
    if name in SCORES:
        return None
    if names_oracle(name):
        return load_oracle(name)
    if not Path(name).exists() and "/" not in name:
        require_known("score", name, SCORES)
    raise SteepslopeError(f"expected the folder of a fitted oracle with {CARD}, found none", name)


def rows_confidences_fitted_on(
    names: Sequence[str],
    predictions: ClassifierOutputs,
    gates: Mapping[str, Gate],
    load_oracle: LoadOracle = Oracle.load,
) -> Bools:
    """Return which of some predictions an oracle was fitted on, one of these names or of a gate, (n,)."""
    seen = np.zeros(len(predictions), dtype=np.bool_)
    oracles = [oracle_for_confidences(name, load_oracle) for name in names]
    oracles += [gate.source.oracle for gate in gates.values() if gate.source is not None]
    for oracle in oracles:
        if oracle is not None and oracle.record_ is not None:
            seen |= oracle.record_.seen(predictions)
    return seen


def fit_set_for_confidences(name: str, outputs: ClassifierOutputs, resources: Resources) -> ClassifierOutputs:
    """Return what a score is fitted on before it judges some outputs; the outputs themselves if it learns nothing."""
    if SCORES[name].fits_on == "nothing":
        return outputs
    fit_set = resources.held_out
    expected = "outputs of held-out rows (--fit)"
    if SCORES[name].fits_on == "reference":
        fit_set = resources.reference
        expected = "its training outputs (--reference)"
    if fit_set is None:
        raise SteepslopeError(f"{name} learns from the classifier: expected {expected}, found none")
    if fit_set.num_classes != outputs.num_classes:
        raise SteepslopeError(f"expected {outputs.num_classes} classes to fit on, found {fit_set.num_classes}", name)
    require_same_class_names(name, outputs.classes, fit_set.classes)
    require_other_rows(name, outputs, fit_set, _TELLS_NOTHING)
    return fit_set


def _confidences_of_oracle(oracle: BaseOracle, label: str, outputs: ClassifierOutputs) -> Scored:
    seen = oracle.rows_fitted_on(outputs)
    if seen:
        raise SteepslopeError(f"{seen:,} of these {len(outputs):,} rows are those it was fitted on: {_TELLS_NOTHING}")
    confidence = _defined_confidences(oracle.trust_logit(outputs))
    opinions = {}
    for array in filter(is_opinion_array, oracle.arrays):
        opinions[opinion_of_array(array)] = float(has_opinion(array, outputs.require(array)).mean())
    handed_over = None
    weights = oracle.handed_over(outputs)
    if weights is not None:
        handed_over = _HandedOver(float(weights.mean()), oracle.usual_handover)

    def explain(rows: Counts) -> dict[str, Floats]:
        return oracle.explain(outputs.subset(rows))

    return Scored(
        label,
        oracle.loss,
        confidence,
        oracle.scale,
        natural_cut=oracle.cut if oracle.loss in CUTS else None,
        explain=explain if oracle.explains else None,
        handed_over=handed_over,
        opinions=opinions,
    )


def _defined_confidences(confidence: Floats) -> Floats:
    """Return confidences that are all numbers."""
    if np.isnan(confidence).any():
        row = int(np.isnan(confidence).argmax())
        raise SteepslopeError(f"expected a confidence of each prediction, found NaN in row {row}")
    return confidence
