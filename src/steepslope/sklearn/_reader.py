"""How inputs become the outputs that an oracle sees, with groups and ids, and sentences about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _num_samples

from steepslope.errors import SteepslopeError, located, require_known
from steepslope.gate import PREDICTED, Gate
from steepslope.numerics import Floats
from steepslope.oracle import FusedOracle
from steepslope.oracle.evidence import FOLDS
from steepslope.outputs import (
    EMPTY,
    ClassifierOutputs,
    is_signal_array,
    opinion_of_array,
    require_ids_once,
    signal_arrays,
)
from steepslope.promise import EXACT, as_percent, checked_groups
from steepslope.sklearn._features import Features, word_of
from steepslope.sklearn._opinions import Opinion
from steepslope.sklearn._responses import Responses

MCP_RANKS = "the classifier's own probability ranks its predictions"


@dataclass(frozen=True, eq=False)
class Reader:
    """A fitted classifier with its ``classes`` (K,), and what else an oracle sees: features, opinions and signals.

    ``log_floor`` is :attr:`Responses.log_floor`. ``signals`` are as :func:`signals_of_inputs` takes them.
    """

    estimator: Any
    classes: NDArray[Any]
    log_floor: float
    features: Features | None
    opinions: Mapping[str, Opinion]
    signals: Any = None

    def outputs(
        self, X: Any, responses: Responses | None = None, of_others: Mapping[str, Responses] | None = None
    ) -> ClassifierOutputs:
        """Return all that the oracle sees of some inputs.

        Responses of the classifier and ``of_others`` may be given, as those of clones; by default the fitted
        classifiers are asked.
        """
        responses = Responses.of(self.estimator, X, self.classes) if responses is None else responses
        features = None if self.features is None else self.features.columns(self.estimator, X)
        logits = responses.logits(self.log_floor)
        names = [*dict.fromkeys(map(str, self.classes))]
        classes = names if len(names) == logits.shape[1] else None
        signals = signals_of_inputs(self.signals, X)
        outputs = ClassifierOutputs.of({"logits": logits, "features": features, **signals}, classes)
        for name, opinion in self.opinions.items():
            response = opinion.responses(X, self.classes) if of_others is None else of_others[name]
            outputs = opinion.added(outputs, name, response, self.classes)
        return outputs


def require_unknown_label(unknown_label: Any, classes: NDArray[Any]) -> None:
    """Raise if the label of out-of-class rows is a class, or is spelt like one."""
    for name in () if unknown_label is None else classes.tolist():
        if name == unknown_label:
            expected = "expected a label that is none of the classifier's classes"
            raise SteepslopeError(f"{expected}, found {name!r}, which is one", "unknown_label")
        if str(name).strip().casefold() == str(unknown_label).strip().casefold():  # it would be learnt as a class
            raise SteepslopeError(f"expected {unknown_label!r} in the out-of-class rows, found {name!r}", "y")


def groups_of_inputs(groups: Any, X: Any) -> Any:
    """Return the group of each input as text, (m,), by a column's name or a function; None for predicted classes.

    Of several columns, or functions by name, these are arrays (m,) by name.

    Raises
    ------
    SteepslopeError
        If ``groups`` is none of these, X has no such column, or a row has not exactly one group.
    """
    if groups is None or (isinstance(groups, str) and groups == PREDICTED):
        return None
    if isinstance(groups, list | tuple | Mapping):
        several = groups if isinstance(groups, Mapping) else dict(zip(groups, groups, strict=True))
        if PREDICTED in several.values():
            raise SteepslopeError("expected columns of X or functions, found 'predicted' among them", "groups")
        return {name: groups_of_inputs(each, X) for name, each in several.items()}
    with located("groups"):
        if not isinstance(groups, str) and not callable(groups):
            found = type(groups).__name__
            raise SteepslopeError(f"expected 'predicted', names of columns or functions, found {found}")
        if isinstance(groups, str) and not hasattr(X, "columns"):
            raise SteepslopeError(f"expected a frame with a column {groups!r}, found {type(X).__name__}")
        if isinstance(groups, str):
            require_known("column of X:", groups, [name for name in X.columns if isinstance(name, str)])
    texts = _inputs_as_text(X[groups] if isinstance(groups, str) else groups(X))
    return checked_groups(np.where(texts == "", EMPTY, texts), _num_samples(X))


def signals_of_inputs(signals: Any, X: Any) -> dict[str, Floats]:
    """Return the arrays of signals, (m,) each, from columns of X or from a function; none without signals.

    Raises
    ------
    SteepslopeError
        If ``signals`` is neither, X has no such column, or a signal is not one number a row.
    """
    if signals is None:
        return {}
    with located("signals"):
        if callable(signals):
            named = signals(X)
        else:
            if isinstance(signals, str) or not isinstance(signals, Sequence) or not hasattr(X, "columns"):
                found = f"{type(signals).__name__} for {type(X).__name__}"
                raise SteepslopeError(f"expected names of a frame's columns, or a function, found {found}")
            for name in signals:
                require_known("column of X:", name, [*X.columns])
            named = {name: np.asarray(X[name], dtype=np.float64) for name in signals}
        if not isinstance(named, Mapping):
            raise SteepslopeError(f"expected a function that returns arrays by name, found {type(named).__name__}")
        return signal_arrays(named)


def ids_of_inputs(ids: Any, X: Any) -> NDArray[np.str_] | None:
    """Return the ids, or else a frame's index, as text, (m,).

    None without either; an index that only numbers the rows, or is not unique, is not used.

    Raises
    ------
    SteepslopeError
        If an id is empty or repeated.
    """
    index = getattr(X, "index", None)
    if ids is None and not getattr(index, "is_unique", False):
        return None
    names = _inputs_as_text(index if ids is None else ids)
    if ids is None and np.array_equal(names, np.arange(len(names)).astype(np.str_)):
        return None
    require_ids_once(names.ravel(), "ids")
    return names


def _inputs_as_text(values: Any) -> NDArray[np.str_]:
    """Return values as text, (m,): whole floats without decimals, and "" for a missing value."""
    array = np.asarray(values, dtype=object)
    return np.array([word_of(value) or "" for value in array.flat], np.str_).reshape(array.shape)


def sentences_of_promises(gate: Gate) -> list[str]:
    """Return which of several risks is promised, and the promises, a line for each group."""
    lines = [*gate.cautions, *(certificate.sentences() for certificate in gate.promises), *gate.of_overlapping]
    risks = gate.objectives.max_risk
    if len(risks) == 1:
        return lines
    named = ", ".join(as_percent(risk, EXACT) for risk in risks)
    groups = " for the most groups" if gate.has_groups else ""
    first = f"{as_percent(gate.promised_risk, EXACT)} is the first of {named} that can be promised{groups}."
    lower = [each for each in gate.certificates if not each.is_given and (each.max_risk or 1) < gate.promised_risk]
    lines += [f"{as_percent(each.max_risk or 1, EXACT)} cannot be promised: {each.advice}." for each in lower]
    return [first if any(each.is_given for each in gate.promises) else f"None of {named} can be promised.", *lines]


def sentences_of_what_is_seen(oracle: FusedOracle | None, reader: Reader, opinions: Sequence[str]) -> str:
    """Return what the oracle saw, whether the classifier's own probability ranks instead, and what opinions gain.

    Each is a line. The gain is measured on the fit set. The reader has those of the ``opinions`` that the oracle takes.
    """
    if oracle is None or oracle.fitted_ is None:
        return f"There is no oracle: errors, or correct predictions, are fewer than {FOLDS}, so {MCP_RANKS}."
    saw = "The oracle saw the classifier's outputs alone." if reader.features is None else reader.features.saw
    signals = [opinion_of_array(name) for name in oracle.arrays if is_signal_array(name)]
    saw += f" It takes the signals {', '.join(signals)}." if signals else ""
    fitted = oracle.fitted_
    if oracle.arrays == ("logits",):
        temperature = fitted.pool.temperature
        tempered = "" if temperature == 1 else f", at a temperature of {temperature:.3g}"
        saw = f"{saw} What it learnt ranks no better, so {MCP_RANKS}{tempered}."
    if not opinions:
        return saw
    free = fitted.gains["free"]
    (auc, ratio), (alone, ratio_alone) = (
        (f"{100 * gain.auc:+.2f}", f"AURC × {gain.aurc_ratio:.3f}")
        for gain in (fitted.gains.get("opinions", free), free)
    )
    gained = f"gains {auc} AUC points over MCP ({ratio}), without them {alone} ({ratio_alone})"
    lines = [saw, f"On the fit set, the oracle with opinions {gained}."]
    left = [name for name in opinions if name not in reader.opinions]
    lines += [f"It takes the opinion of {', '.join(reader.opinions)}."] if reader.opinions else []
    lines += [f"It leaves out {', '.join(left)}, whose gain is not certain."] if left else []
    return "\n".join(lines)
