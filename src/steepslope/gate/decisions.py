"""What a gate decides of predictions, one by one, and what comes with each decision."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from steepslope.errors import SteepslopeError
from steepslope.numerics.array_shapes import Brief
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.classifier_outputs import logit_blocks
from steepslope.outputs.labels import UNKNOWN
from steepslope.outputs.table_files import Frame

Floats = NDArray[np.float64]
PREDICTED = "predicted"  # the groups that are the predicted classes
NO_CLASS = "none of the classes"
ACCEPT, REVIEW, REJECT = "accept", "review", "reject"
GROUP = "group"  # the column of groups that are not the predicted classes
LACKING = "lacks_opinion"
EXPLAINED = "explain_"  # before the name of what evidence adds to the trust logit


@dataclass(frozen=True, eq=False, repr=False)
class Decisions(Brief):
    """Of each of m predictions, what to do with it, and why.

    ``p_correct`` is the estimated probability that the classifier is right (m,); ``trust_logit`` what ranks (m,): the
    oracle's trust logit, or the score's confidence; ``decision`` is accept, review or reject (m,). ``top_labels`` and
    ``top_probability`` (m, k) are the k most probable classes and the classifier's own probabilities of them, and
    ``classes`` the names of all classes, if they have any.
    ``handed_over`` (m,) in [0, 1] is how far the oracle handed each over to a plainer pool, None where
    it never does; ``explained`` what each kind of evidence adds to the trust logit, (m,) each, if that was wanted.
    ``groups`` (m,) are those of a gate with groups other than the predicted classes, else None.
    ``lacking`` (m,) says which rows go to review because they lack an opinion that nearly all calibration rows had;
    None where the gate needs no opinion.
    """

    p_correct: Floats
    trust_logit: Floats
    decision: NDArray[np.str_]
    top_labels: NDArray[np.int64]
    top_probability: Floats
    ids: NDArray[Any] | None = None
    classes: tuple[str, ...] | None = None
    handed_over: Floats | None = None
    explained: dict[str, Floats] = field(default_factory=dict)
    groups: NDArray[np.str_] | None = None
    lacking: NDArray[np.bool_] | None = None

    @property
    def labels(self) -> NDArray[np.int64]:
        """The predicted classes, (m,); −1 where none of the classes was predicted."""
        return self.top_labels[:, 0]

    @property
    def probability(self) -> Floats:
        """The classifier's own probability of each predicted class, (m,)."""
        return self.top_probability[:, 0]

    @cached_property
    def accepted(self) -> NDArray[np.bool_]:
        """Whether to use each prediction, (m,)."""
        return np.asarray(self.decision == ACCEPT)

    def __len__(self) -> int:
        return len(self.decision)

    @property
    def coverage(self) -> float:
        """The fraction that is accepted, in [0, 1]; 0 of none."""
        return float(self.accepted.mean()) if len(self) else 0.0

    def names(self, labels: NDArray[np.int64]) -> NDArray[Any]:
        """Return the names of some classes, (m,); as they are where these have none."""
        return labels if self.classes is None else names_of_classes(labels, self.classes)

    def table(self) -> Frame:
        """Return columns by name, (m,) each, which frames of pandas and polars, and :func:`pyarrow.table`, take.

        They are ``id, label, probability, p_correct, trust_logit, accepted, decision``; ``label_2, probability_2`` and
        so on for further classes; ``group``; ``handed_over``; ``lacks_opinion``; and ``explain_…``.
        """
        ids = [str(row) for row in range(len(self))] if self.ids is None else self.ids
        columns = {"id": np.array(ids, dtype=np.str_), "label": self.names(self.labels)}
        columns |= {name: getattr(self, name) for name in ("probability", "p_correct", "trust_logit", "accepted")}
        columns["decision"] = self.decision
        for place in range(1, self.top_labels.shape[1]):
            columns[f"label_{place + 1}"] = self.names(self.top_labels[:, place])
            columns[f"probability_{place + 1}"] = self.top_probability[:, place]
        further = {GROUP: self.groups, "handed_over": self.handed_over, LACKING: self.lacking}
        columns |= {name: column for name, column in further.items() if column is not None}
        return columns | {f"{EXPLAINED}{name}": part for name, part in self.explained.items()}


def groups_to_decide_by(
    by: str | None, groups: ArrayLike | None, outputs: ClassifierOutputs, classes: tuple[str, ...] | None
) -> ArrayLike | None:
    """Return the groups that were given, or else the predicted classes, (m,), by the gate's own names of these.

    Other outputs may have names where those to calibrate on had none: then a group goes by its number, still.
    """
    if by != PREDICTED:
        return groups
    if groups is not None:
        raise SteepslopeError("expected none, since the predicted classes are the groups, found some", "groups")
    return names_of_classes(outputs.predictions, classes)


def names_of_classes(labels: NDArray[np.int64], classes: tuple[str, ...] | None) -> NDArray[np.str_]:
    """Return classes by their names, (m,), or by their numbers where they have none; a negative number is none."""
    names = labels.astype(np.str_) if classes is None else np.array(classes, dtype=np.str_)[labels]
    return np.where(labels < 0, NO_CLASS, names)


def most_probable_classes(outputs: ClassifierOutputs, top: int) -> tuple[NDArray[np.int64], Floats]:
    """Return the most probable classes of each row, (m, k), the first largest logit first, and their probabilities.

    Where none of the classes is predicted, each is −1.
    """
    count = min(top, outputs.num_classes)
    labels, probabilities = [], []
    for rows in logit_blocks(outputs):
        logits = np.asarray(outputs.logits[rows], dtype=np.float64)
        predicted = outputs.predictions[rows][:, None]
        order = np.argsort(-logits, axis=1, kind="stable")[:, :count] if count > 1 else predicted
        labels.append(np.where(predicted == UNKNOWN, UNKNOWN, order))
        probabilities.append(np.take_along_axis(softmax(logits, axis=1), order, axis=1))
    return np.concatenate(labels), np.concatenate(probabilities)


def likeliest_class(outputs: ClassifierOutputs) -> dict[str, NDArray[Any]]:
    """Return the ``predicted`` class of each row, (m,), and the classifier's own ``probability`` of it, (m,)."""
    predicted, probability = most_probable_classes(outputs, 1)
    return {"predicted": predicted[:, 0], "probability": probability[:, 0]}
