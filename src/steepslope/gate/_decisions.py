"""A gate's decision on each prediction, and what comes with it."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from steepslope.errors import SteepslopeError, require, whole
from steepslope.numerics import ArrayDict, Bools, Brief, Counts, Floats, Values
from steepslope.outputs import UNKNOWN, ClassifierOutputs, Frame, logit_blocks, one_of_each_copy
from steepslope.promise import AnyGroups, Costs, JudgedRows, Names, checked_groups, require_classes_of_costs

PREDICTED = "predicted"  # the groups that are the predicted classes
NO_CLASS = "none of the classes"
ACCEPT = "accept"
REVIEW = "review"
REJECT = "reject"
GROUP = "group"  # the column of groups that are not the predicted classes
LACKING = "lacks_opinion"
DISTANCE = "distance"
STOPPED = "stopped"
_EXPLAINED = "explain_"  # before the name of what evidence adds to the trust logit


@dataclass(frozen=True, eq=False, repr=False)
class Decisions(Brief):
    """What to do with each of m predictions, and why.

    - ``p_correct`` (m,), in [0, 1]: the estimated probability that the prediction is correct.
    - ``trust_logit`` (m,): what ranks the predictions, the oracle's trust logit or the score's confidence.
    - ``decision`` (m,): accept, review or reject.
    - ``top_labels`` and ``top_probability`` (m, k): the k most probable classes, and the classifier's own
      probabilities of these.
    - ``ids`` (m,), or None; ``classes``: the names of all classes, if they have any.
    - ``handed_over`` (m,), in [0, 1]: how far the oracle handed a row over to a plainer pool; None if it never does.
    - ``explained``: what each kind of evidence adds to the trust logit, (m,) each; empty unless asked for.
    - ``groups`` (m,): the groups of a gate, unless they are the predicted classes; else None.
    - ``lacking`` (m,): which rows go to review because they lack an opinion that nearly all calibration rows had;
      None if the gate needs no opinion.
    - ``distance`` (m,), in (0, 1): how far the features lie from known ones; None if that is not known.
    - ``stopped`` (m,): which rows go to review only because inputs have changed, or because of ``steepslope stop``;
      None if neither stops the gate.
    - ``change``: what has changed, or that the gate is stopped, in sentences; else empty.
    """

    p_correct: Floats
    trust_logit: Floats
    decision: Names
    top_labels: Counts
    top_probability: Floats
    ids: Values | None = None
    classes: tuple[str, ...] | None = None
    handed_over: Floats | None = None
    explained: dict[str, Floats] = field(default_factory=dict)
    groups: Names | None = None
    lacking: Bools | None = None
    distance: Floats | None = None
    stopped: Bools | None = None
    change: str = ""

    @property
    def labels(self) -> Counts:
        """The predicted classes, int64 (m,); −1 for a row where none of the classes is predicted."""
        return self.top_labels[:, 0]

    @property
    def probability(self) -> Floats:
        """The classifier's own probability of each predicted class, float64 (m,), in [0, 1]."""
        return self.top_probability[:, 0]

    @cached_property
    def accepted(self) -> Bools:
        """Whether to use each prediction, booleans (m,)."""
        return np.asarray(self.decision == ACCEPT)

    def __len__(self) -> int:
        return len(self.decision)

    @property
    def coverage(self) -> float:
        """The fraction that is accepted, in [0, 1]; 0 without predictions."""
        if len(self):
            return float(self.accepted.mean())
        return 0.0

    @property
    def judged_rows(self) -> JudgedRows:
        """All rows as a monitor compares them."""
        return JudgedRows(self.p_correct, self.accepted, self.probability, self.labels, self.distance)

    def judged(self, together: ArrayLike | None = None) -> JudgedRows:
        """Return the rows that tell of a change, in random order: those that do not lack a needed opinion.

        Of rows that belong ``together``, by their names or numbers (m,), there is one.
        """
        names = checked_groups(together, len(self), "together")
        places = np.arange(len(self))
        if self.lacking is not None:
            places = places[~self.lacking]
        if names is not None:
            places = places[one_of_each_copy(names[places])]
        return self.judged_rows.subset(np.random.default_rng(0).permutation(places))

    def names(self, labels: Counts) -> Values:
        """Return the names of some classes, (m,), or their numbers if they have no names."""
        if self.classes is None:
            return labels
        return names_of_classes(labels, self.classes)

    def table(self) -> Frame:
        """Return columns by name, (m,) each, as frames of pandas and polars, and :func:`pyarrow.table`, take them.

        They are ``id, label, probability, p_correct, trust_logit, accepted, decision``, ``stopped`` if something can
        stop the gate, then ``label_2, probability_2`` and so on for further classes, and, if known, ``group``,
        ``handed_over``, ``lacks_opinion``, ``distance`` and ``explain_…``.
        """
        ids = map(str, range(len(self))) if self.ids is None else self.ids
        columns = {
            "id": np.array([*ids], dtype=np.str_),
            "label": self.names(self.labels),
            "probability": self.probability,
            "p_correct": self.p_correct,
            "trust_logit": self.trust_logit,
            "accepted": self.accepted,
            "decision": self.decision,
        }
        if self.stopped is not None:
            columns[STOPPED] = self.stopped
        for place in range(1, self.top_labels.shape[1]):
            columns[f"label_{place + 1}"] = self.names(self.top_labels[:, place])
            columns[f"probability_{place + 1}"] = self.top_probability[:, place]
        further = {GROUP: self.groups, "handed_over": self.handed_over, LACKING: self.lacking, DISTANCE: self.distance}
        further |= {f"{_EXPLAINED}{name}": column for name, column in self.explained.items()}
        return columns | {name: column for name, column in further.items() if column is not None}


def groups_by_costs(costs: Costs, by: str | None, groups: AnyGroups | None, outputs: ClassifierOutputs) -> str:
    """Return what groups go by where the costs of errors depend on the classes: the predicted ones.

    Raises
    ------
    SteepslopeError
        If there are other groups, or a cost is one of an unknown class.
    """
    require_classes_of_costs(costs, outputs.label_names)
    if by not in (None, PREDICTED) or groups is not None:
        expected = "expected the predicted classes as groups, since errors cost different amounts"
        raise SteepslopeError(f"{expected}, found others", "groups")
    return PREDICTED


def groups_to_decide_by(
    by: str | None, groups: AnyGroups | None, outputs: ClassifierOutputs, classes: tuple[str, ...] | None
) -> AnyGroups | None:
    """Return the ``groups``, or the predicted classes if the gate goes ``by`` these, (m,).

    The classes have the gate's names. If the calibration outputs had no names, a class goes by its number, even if
    these outputs have names.
    """
    if by != PREDICTED:
        return groups
    if groups is not None:
        raise SteepslopeError("expected none, since the predicted classes are the groups, found some", "groups")
    return names_of_classes(outputs.predictions, classes)


def names_of_classes(labels: Counts, classes: tuple[str, ...] | None) -> Names:
    """Return classes by their names, (m,), or by their numbers without names; a negative number is no class."""
    names = labels.astype(np.str_) if classes is None else np.array(classes, dtype=np.str_)[labels]
    return np.where(labels < 0, NO_CLASS, names)


def most_probable_classes(outputs: ClassifierOutputs, top: int) -> tuple[Counts, Floats]:
    """Return the k most probable classes of each row, int64 (m, k), and their probabilities, float64 (m, k).

    Ties keep the order of the classes. If none of the classes is predicted, each is −1.

    Raises
    ------
    SteepslopeError
        If ``top``, how many classes to return, is no whole number >= 1.
    """
    require("top", top, whole(1))
    count = min(top, outputs.num_classes)
    labels, probabilities = [], []
    for rows in logit_blocks(outputs):
        logits = np.asarray(outputs.logits[rows], dtype=np.float64)
        predicted = outputs.predictions[rows][:, None]
        order = np.argsort(-logits, axis=1, kind="stable")[:, :count] if count > 1 else predicted
        labels.append(np.where(predicted == UNKNOWN, UNKNOWN, order))
        probabilities.append(np.take_along_axis(softmax(logits, axis=1), order, axis=1))
    return np.concatenate(labels), np.concatenate(probabilities)


def likeliest_class(outputs: ClassifierOutputs) -> ArrayDict:
    """Return the ``predicted`` class of each row, (m,), and the classifier's own ``probability`` of it, (m,)."""
    predicted, probability = most_probable_classes(outputs, 1)
    return {"predicted": predicted[:, 0], "probability": probability[:, 0]}
