"""How inputs become the outputs that an oracle sees, with groups and ids; and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _num_samples

from steepslope.errors import SteepslopeError, located, require_known
from steepslope.gate import Gate
from steepslope.gate.decisions import PREDICTED
from steepslope.oracle import FusedOracle
from steepslope.oracle.evidence.states import FOLDS
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.labels import EMPTY
from steepslope.outputs.table import require_ids_once
from steepslope.promise.certificate import EXACT, as_percent
from steepslope.promise.rows import checked_groups
from steepslope.sklearn.features import Features, word_of
from steepslope.sklearn.opinions import Opinion
from steepslope.sklearn.responses import Responses

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
        classes = names if len(names) == logits.shape[1] else None
        outputs = ClassifierOutputs.of({"logits": logits, "features": features}, classes)
        for name, opinion in self.opinions.items():
            said = opinion.responses(X, self.classes) if of_others is None else of_others[name]
            outputs = opinion.added(outputs, name, said, self.classes)
        return outputs


def require_unknown_label(unknown_label: Any, classes: NDArray[Any]) -> None:
    """Raise if the label of out-of-class rows is a class."""
    if unknown_label is not None and unknown_label in classes.tolist():
        found = f"found {unknown_label!r}, which is one"
        raise SteepslopeError(f"expected a label that is none of the classifier's classes, {found}", "unknown_label")
    for name in () if unknown_label is None else classes.tolist():
        if str(name).strip().casefold() == str(unknown_label).strip().casefold():  # else it would be learnt as a class
            raise SteepslopeError(f"expected {unknown_label!r} in the out-of-class rows, found {name!r}", "y")


def groups_of_inputs(groups: Any, X: Any) -> NDArray[np.str_] | None:
    """Return the group of each input as text, (m,), by a column's name or a function; None for predicted classes.

    Raises
    ------
    SteepslopeError
        If ``groups`` is neither of these, X has no such column, or a row has not exactly one group.
    """
    if groups is None or (isinstance(groups, str) and groups == PREDICTED):
        return None
    if callable(groups):
        given = groups(X)
    elif not isinstance(groups, str):
        raise SteepslopeError(
            f"expected 'predicted', a column's name or a function, found {type(groups).__name__}", "groups"
        )
    elif not hasattr(X, "columns"):
        raise SteepslopeError(f"expected a frame with a column {groups!r}, found {type(X).__name__}", "groups")
    else:
        with located("groups"):
            require_known("column of X:", groups, [name for name in X.columns if isinstance(name, str)])
        given = X[groups]
    texts = _inputs_as_text(given)
    return checked_groups(np.where(texts == "", EMPTY, texts), _num_samples(X))


def ids_of_inputs(ids: Any, X: Any) -> NDArray[np.str_] | None:
    """Return the given ids, or else a frame's index, as text, (m,); None for an index that only numbers the rows.

    An index that is not unique is not used either.

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
    """Return values as text, (m,): whole floats as whole numbers, and "" for what is missing."""
    array = np.asarray(values, dtype=object)
    return np.array([word_of(value) or "" for value in array.flat], np.str_).reshape(array.shape)


def sentences_of_promises(gate: Gate) -> list[str]:
    """Say which of several risks is promised and what that means, with a line for each group."""
    lines, risks = [*gate.cautions, *(one.sentences() for one in gate.promises)], gate.objectives.max_risk
    if len(risks) == 1:
        return lines
    named, groups = ", ".join(as_percent(risk, EXACT) for risk in risks), " for the most groups" * gate.has_groups
    first = f"{as_percent(gate.promised_risk, EXACT)} is the first of {named} that can be promised{groups}."
    return [first if any(one.is_given for one in gate.promises) else f"None of {named} can be promised.", *lines]


def sentences_of_what_is_seen(oracle: FusedOracle | None, reader: Reader, opinions: Sequence[str]) -> str:
    """Say what the oracle saw, if nothing is made of it, and what opinions gain on the fit set, a line each.

    The reader reads those of the ``opinions`` that the oracle takes.
    """
    if oracle is None or oracle.fitted_ is None:
        return f"There is no oracle: errors, or correct predictions, are fewer than {FOLDS}, so {MCP_RANKS}."
    saw = "The oracle saw the classifier's outputs alone." if reader.features is None else reader.features.saw
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
    lines += [f"It leaves out {', '.join(left)}, from which nothing sure is gained."] if left else []
    return "\n".join(lines)
