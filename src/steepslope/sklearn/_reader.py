"""How inputs become the outputs that an oracle sees, with groups and ids, and sentences about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _num_samples

from steepslope.errors import SteepslopeError, located, require_known
from steepslope.gate import PREDICTED, Gate
from steepslope.numerics import Counts, Floats, Values
from steepslope.outputs import EMPTY, ClassifierOutputs, is_array_of_opinion, require_ids_once, signal_arrays
from steepslope.promise import EXACT, as_percent, checked_groups
from steepslope.sklearn._features import Features, word_of
from steepslope.sklearn._opinions import Opinion
from steepslope.sklearn._responses import Responses, class_codes, warn_of_other_labels


@dataclass(frozen=True, eq=False)
class Reader:
    """A fitted classifier with its ``classes`` (K,), and what else an oracle sees: features, opinions and signals.

    ``log_floor`` is :attr:`Responses.log_floor`. ``signals`` are as :func:`_signals_of_inputs` takes them.
    """

    estimator: Any
    classes: Values
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
        if responses is None:
            responses = Responses.of(self.estimator, X, self.classes)
        arrays: dict[str, Any] = {"features": None}
        if self.features is not None:
            arrays["features"] = self.features.columns(self.estimator, X)
        logits = responses.logits(self.log_floor)
        names = [*dict.fromkeys(map(str, self.classes))]
        classes = names if len(names) == logits.shape[1] else None
        arrays |= _signals_of_inputs(self.signals, X)
        outputs = ClassifierOutputs.of({"logits": logits, **arrays}, classes)
        for name, opinion in self.opinions.items():
            response = opinion.responses(X, self.classes) if of_others is None else of_others[name]
            outputs = opinion.added(outputs, name, response, self.classes)
        return outputs

    def codes(self, labels: Any) -> Counts:
        """Return the number of each label's class, (n,); −1 for a label that is none of the classes."""
        return class_codes(labels, self.classes)

    def labelled(self, X: Any, y: Any) -> ClassifierOutputs:
        """Return all that the oracle sees of some inputs (n, …), with their labels (n,)."""
        return self.outputs(X).changed(labels=self.codes(y))

    def checked(self, X: Any, y: Any, unknown_label: Any) -> ClassifierOutputs:
        """Return :meth:`labelled` outputs, after a warning about labels that may be misspelt."""
        warn_of_other_labels(y, self.classes, unknown_label)
        return self.labelled(X, y)

    def taking(self, arrays: Sequence[str]) -> Self:
        """Return the same with only those opinions that are among the arrays that an oracle takes."""
        taken = [name for name in self.opinions if any(is_array_of_opinion(array, name) for array in arrays)]
        return replace(self, opinions={name: self.opinions[name] for name in taken})


def require_unknown_label(unknown_label: Any, classes: Values) -> None:
    """Raise if the label of out-of-class rows is a class, or is spelt like one."""
    if unknown_label is None:
        return
    for name in classes.tolist():
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
        by_name = groups if isinstance(groups, Mapping) else {name: name for name in groups}
        if PREDICTED in by_name.values():
            raise SteepslopeError("expected columns of X or functions, found 'predicted' among them", "groups")
        return {name: groups_of_inputs(column, X) for name, column in by_name.items()}
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


def _signals_of_inputs(signals: Any, X: Any) -> dict[str, Floats]:
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
    lines = [*gate.cautions]
    lines += [certificate.sentences() for certificate in gate.promises]
    lines += gate.of_overlapping
    risks = gate.objectives.max_risk
    if len(risks) == 1:
        return lines
    named = ", ".join(as_percent(risk, EXACT) for risk in risks)
    first = f"None of {named} can be promised."
    if any(certificate.is_given for certificate in gate.promises):
        groups = " for the most groups" if gate.has_groups else ""
        first = f"{as_percent(gate.promised_risk, EXACT)} is the first of {named} that can be promised{groups}."
    for certificate in gate.certificates:
        risk = certificate.max_risk or 1
        if not certificate.is_given and risk < gate.promised_risk:
            lines.append(f"{as_percent(risk, EXACT)} cannot be promised: {certificate.advice}.")
    return [first, *lines]
