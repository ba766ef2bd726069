"""How inputs become the outputs that an oracle sees, the oracle and the gate of these, and what is said of both."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _num_samples

from steepslope.errors import FewErrorsWarning, SteepslopeError
from steepslope.evidence.fit_set import joined
from steepslope.evidence.folds import FOLDS
from steepslope.gate import Gate, threshold_sequence
from steepslope.gate.aims import Aims
from steepslope.gate.calibration import CalibrationRows
from steepslope.gate.certificate import EXACT, as_percent
from steepslope.gate.confidence_source import ConfidenceSource
from steepslope.gate.decisions import likeliest
from steepslope.oracle import FusedOracle
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.labels import UNKNOWN
from steepslope.outputs.opinions import of_opinion
from steepslope.sklearn.features import Features
from steepslope.sklearn.opinions import Opinion
from steepslope.sklearn.responses import Responses, codes_of

MCP_RANKS = "the classifier's own probability ranks its predictions"


@dataclass(frozen=True, eq=False)
class Reader:
    """A fitted classifier with its ``classes`` (K,), and what else is seen of its inputs: features, and opinions.

    ``log_floor`` is that of :attr:`Responses.log_floor`.
    """

    estimator: Any
    classes: NDArray[Any]
    log_floor: float
    features: Features | None
    opinions: Mapping[str, Opinion]

    def outputs(
        self, X: Any, responses: Responses | None = None, of_others: Mapping[str, Responses] | None = None
    ) -> ClassifierOutputs:
        """Return all that the oracle sees of some inputs, by the classifiers' responses, or those of clones."""
        found = Responses.of(self.estimator, X, self.classes) if responses is None else responses
        features = None if self.features is None else self.features.columns(self.estimator, X)
        logits = found.logits(self.log_floor)
        names = [*dict.fromkeys(map(str, self.classes))]
        outputs = ClassifierOutputs.of(
            {"logits": logits, "features": features}, names if len(names) == logits.shape[1] else None
        )
        for name, opinion in self.opinions.items():
            said = opinion.responses(X, self.classes) if of_others is None else of_others[name]
            outputs = opinion.added(outputs, name, said)
        return outputs

    def with_unknown(
        self, outputs: ClassifierOutputs, labels: NDArray[Any], unknown: Any
    ) -> tuple[ClassifierOutputs, NDArray[np.int64]]:
        """Put inputs of none of the classes below others, and −1 below the numbers of their labels (n,)."""
        codes, count = codes_of(labels, self.classes), _num_samples(unknown)
        if not count:
            return outputs, codes
        return joined([outputs, self.outputs(unknown)]), np.concatenate([codes, np.full(count, UNKNOWN)])


def require_no_class(unknown_label: Any, classes: NDArray[Any]) -> None:
    """Raise if the label of rows of none of the classes is a class."""
    if unknown_label is not None and unknown_label in classes.tolist():
        found = f"found {unknown_label!r}, which is one"
        raise SteepslopeError(f"expected a label that is none of the classifier's classes, {found}", "unknown_label")
    for name in () if unknown_label is None else classes.tolist():
        if str(name).strip().casefold() == str(unknown_label).strip().casefold():  # else it would be learnt as a class
            raise SteepslopeError(f"expected {unknown_label!r} in the rows of none of the classes, found {name!r}", "y")


def oracle_of(
    outputs: ClassifierOutputs, codes: NDArray[np.int64], seed: int, with_opinions: bool
) -> FusedOracle | None:
    """Return an oracle of what clones predict; None where errors, or correct predictions, are fewer than its folds."""
    labelled = outputs.changed(labels=codes)
    correct = int(labelled.is_correct.sum())
    if min(correct, len(labelled) - correct) < FOLDS:
        return None
    with warnings.catch_warnings():  # a gate that is calibrated bears an oracle that depends on luck
        warnings.simplefilter("ignore", FewErrorsWarning)
        return FusedOracle(errors="crossfit", budget="auto" if with_opinions else "free", seed=seed).fit(labelled)


def gate_of(
    source: ConfidenceSource, outputs: ClassifierOutputs, codes: NDArray[np.int64], aims: Aims, seed: int
) -> Gate:
    """Return the gate of rows that nothing was fitted on, for the first of several risks that can be promised.

    ``codes`` (n,) are the numbers of their true classes, −1 for none of the classes.
    """
    source = source.taking(outputs)
    rows = np.flatnonzero(~source.lacking(outputs.arrays))
    outputs, codes = outputs.subset(rows), codes[rows]
    is_correct, confidence = outputs.predictions == codes, source.confidence(outputs)
    gate = Gate.calibrate(
        confidence, is_correct, aims.max_risk, aims.delta, threshold_sequence(source.reference or ()), of_log_odds=True,
        is_unknown=codes == UNKNOWN, seed=seed,
    )  # fmt: skip
    given = [one.max_risk for one in gate.certificates if one.is_given and one.max_risk is not None]
    gate = gate.at(given[0]) if given else gate
    beside = {**likeliest(outputs), "true": codes}
    caution = "\n".join(source.cautions(outputs.changed(labels=codes)))
    remembered = CalibrationRows(gate.p_correct(confidence), is_correct, gate.accepts(confidence), **beside)
    return replace(gate, source=source, classes=outputs.classes, calibration_rows=remembered, caution=caution)


def promises_of(gate: Gate) -> list[str]:
    """Say which of several risks is promised, and what that means."""
    certificate, cautions = gate.promises[0], gate.cautions
    risks = ", ".join(as_percent(risk, EXACT) for risk in gate.aims.max_risk)
    if len(gate.aims.max_risk) == 1:
        return [*cautions, certificate.sentences()]
    promised = gate.certificates[0].max_risk
    assert promised is not None
    first = f"{as_percent(promised, EXACT)} is the first of {risks} that can be promised."
    return [f"None of {risks} can be promised." if gate.advice else first, *cautions, certificate.sentences()]


def taken_by(oracle: FusedOracle | None, opinions: Mapping[str, Opinion]) -> dict[str, Opinion]:
    """Return the opinions that an oracle takes."""
    arrays = () if oracle is None else oracle.arrays
    return {name: one for name, one in opinions.items() if any(of_opinion(array, name) for array in arrays)}


def seen_by(oracle: FusedOracle | None, features: Features | None, opinions: Mapping[str, Opinion]) -> str:
    """Say what the oracle saw, if nothing is made of it, and what opinions gain on the fit set, a line each."""
    if oracle is None or oracle.fitted_ is None:
        return f"There is no oracle: errors, or correct predictions, are fewer than {FOLDS}, so {MCP_RANKS}."
    saw = "The oracle saw the classifier's outputs alone." if features is None else features.saw
    fitted = oracle.fitted_
    if oracle.arrays == ("logits",):
        temperature = fitted.pool.temperature
        tempered = "" if temperature == 1 else f", at a temperature of {temperature:.3g}"
        saw = f"{saw} No pool of opinions ranks better, so {MCP_RANKS}{tempered}."
    if not opinions:
        return saw
    used, free = taken_by(oracle, opinions), fitted.gains["free"]
    left = [name for name in opinions if name not in used]
    (auc, ratio), (alone, ratio_alone) = (
        (f"{100 * gain.auc:+.2f}", f"AURC × {gain.aurc_ratio:.3f}")
        for gain in (fitted.gains.get("opinions", free), free)
    )
    gained = f"gains {auc} AUC points over MCP ({ratio}), without them {alone} ({ratio_alone})"
    lines = [saw, f"On the fit set, the oracle with opinions {gained}."]
    lines += [f"It takes the opinion of {', '.join(used)}."] if used else []
    return "\n".join(lines + ([f"It leaves out {', '.join(left)}, from which nothing sure is gained."] if left else []))
