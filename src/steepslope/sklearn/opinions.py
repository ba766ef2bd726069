"""Other scikit-learn classifiers whose opinions on the same inputs an oracle sees.

They are fitted to the rows that the trusted classifier is fitted to, and the oracle learns from what clones of them say
of rows that these have not seen. Classes go by their names: another classifier may know fewer, or others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from steepslope.errors import SteepslopeError, explained, located, require_known
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.arrays import require_opinion_name
from steepslope.outputs.labels import UNKNOWN
from steepslope.sklearn.features import is_frozen
from steepslope.sklearn.held_out import Rows, out_of_fold
from steepslope.sklearn.responses import Responses, class_codes_by_name, gives_only_votes
from steepslope.sklearn.storage import require_saved_classes

PLACE = "opinions"
SHOWN = 3  # names of classes in an error
NOT_FITTED = "expected a classifier, one that is fitted in FrozenEstimator"


@dataclass(frozen=True, eq=False)
class Opinion:
    """Another classifier, fitted, and how what it gives becomes an opinion of the trusted classifier's outputs.

    ``classes`` are its own, None where it has neither probabilities nor decision values, but votes. ``log_floor`` is
    that of :attr:`Responses.log_floor`.
    """

    estimator: Any
    classes: NDArray[Any] | None
    log_floor: float

    def responses(self, X: Any, trusted: NDArray[Any]) -> Responses:
        """Ask the classifier about some inputs; votes are numbers of the trusted classifier's classes."""
        return Responses.of(self.estimator, X, trusted if self.classes is None else self.classes)

    def added(
        self, outputs: ClassifierOutputs, name: str, responses: Responses, trusted: NDArray[Any]
    ) -> ClassifierOutputs:
        """Return the outputs, of the ``trusted`` classes, with this opinion on the same inputs."""
        places = np.arange(len(trusted)) if self.classes is None else class_codes_by_name(self.classes, trusted)
        mapping: dict[int, str | None] = {
            own: None if place == UNKNOWN else outputs.class_names[place] for own, place in enumerate(places.tolist())
        }
        if self.classes is None or len(self.classes) == 1:  # another vote, or column, is for all else
            mapping[len(places)] = None
        if self.classes is None:
            votes = np.where(responses.predicted == UNKNOWN, len(places), responses.predicted)
            return outputs.with_opinion(name, votes, mapping)
        return outputs.with_opinion(name, ClassifierOutputs(responses.logits(self.log_floor)), mapping)

    @property
    def card(self) -> dict[str, Any]:
        """All but the classifier, as JSON holds it."""
        return {"classes": None if self.classes is None else self.classes.tolist(), "log_floor": self.log_floor}


def checked_opinion_classifiers(opinions: Any, estimator: Any) -> dict[str, Any]:
    """Return the other classifiers by name, none of None; raise for names or values that are none."""
    if opinions is not None and not isinstance(opinions, Mapping):
        raise SteepslopeError(f"expected classifiers by name, found {type(opinions).__name__}", PLACE)
    found, known = dict(opinions or {}), {id(_classifier_of_opinion(estimator)): "the classifier itself"}
    for name, other in found.items():
        with located(PLACE):
            require_opinion_name(str(name))
        with located(f"{PLACE}: {name}"):
            if isinstance(other, type) or not (hasattr(other, "fit") and hasattr(other, "predict")):
                raise SteepslopeError(f"expected a classifier of scikit-learn's, found {other!r}")
            if id(_classifier_of_opinion(other)) in known:
                raise SteepslopeError(f"expected another classifier, found {known[id(_classifier_of_opinion(other))]}")
        known[id(_classifier_of_opinion(other))] = f"that of {name} again"
    return {str(name): other for name, other in found.items()}


def _classifier_of_opinion(estimator: Any) -> Any:
    return estimator.estimator if is_frozen(estimator) else estimator


def learnt_opinions(
    others: Mapping[str, Any],
    X: Any,
    labels: NDArray[Any],
    folds: Sequence[tuple[Rows, Rows]],
    classes: NDArray[Any],
    n_jobs: int | None,
) -> tuple[dict[str, Opinion], dict[str, Responses]]:
    """Fit other classifiers to rows (n, …), but for frozen ones; return them, and what clones say of rows not seen."""
    learnt, unseen = dict[str, Opinion](), dict[str, Responses]()
    for name, other in others.items():
        with located(f"{PLACE}: {name}"), explained(NOT_FITTED, kinds=NotFittedError):
            fitted = other if is_frozen(other) else clone(other).fit(X, labels)
            votes = gives_only_votes(fitted)
            if not votes and not hasattr(fitted, "classes_"):
                kind = type(_classifier_of_opinion(fitted)).__name__
                raise SteepslopeError(f"{NOT_FITTED}, found {kind} without classes_")
            own = np.unique(fitted.predict(X)) if votes else np.asarray(fitted.classes_)
            if (class_codes_by_name(own, classes) == UNKNOWN).all():
                shown = ", ".join(map(repr, own[:SHOWN].tolist())) + (", …" if len(own) > SHOWN else "")
                raise SteepslopeError(f"expected some of the classes of the classifier that is trusted, found {shown}")
            unseen[name] = out_of_fold(other, X, labels, folds, classes if votes else own, {}, n_jobs)
            learnt[name] = Opinion(fitted, None, 0.0) if votes else Opinion(fitted, own, unseen[name].log_floor)
    return learnt, unseen


def restored_opinions(cards: Mapping[str, Mapping[str, Any] | None], others: Mapping[str, Any]) -> dict[str, Opinion]:
    """Return the opinions that were saved, by the ``card`` of each that the oracle takes, and None of others.

    Raises
    ------
    SteepslopeError
        If one that the oracle takes is not given, one is given that was not there, or it has other classes.
    """
    for name in others:
        with located(PLACE):
            require_known("opinion", name, list(cards))
    taken = {name: card for name, card in cards.items() if card is not None}
    lacking = [name for name in taken if name not in others]
    if lacking:
        raise SteepslopeError(f"expected the classifiers that were saved, found no {', '.join(lacking)}", PLACE)
    found = dict[str, Opinion]()
    for name, card in taken.items():
        own, other = card["classes"], others[name]
        if own is not None or not gives_only_votes(other):
            require_saved_classes(other, own or (), f"{PLACE}: {name}")
        found[name] = Opinion(other, None if own is None else np.asarray(other.classes_), card["log_floor"])
    return found
