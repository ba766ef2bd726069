"""Other scikit-learn classifiers, whose opinions on the same inputs an oracle sees.

They are fitted to the rows that the trusted classifier is fitted to. The oracle learns from what clones of them say
about rows that the clones have not seen. Classes go by their names: another classifier may know fewer, or others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from steepslope.errors import SteepslopeError, explained, located, require_known
from steepslope.numerics import Counts, Values
from steepslope.outputs import UNKNOWN, ClassifierOutputs, require_opinion_name
from steepslope.sklearn._features import is_frozen
from steepslope.sklearn._held_out import out_of_fold
from steepslope.sklearn._responses import Responses, class_codes_by_name, gives_only_votes
from steepslope.sklearn._storage import OpinionCard, require_saved_classes

_PLACE = "opinions"
SHOWN = 3  # names of classes in an error
_NOT_FITTED = "expected a classifier, one that is fitted in FrozenEstimator"


@dataclass(frozen=True, eq=False)
class Opinion:
    """Another fitted classifier, whose responses become an opinion in the trusted classifier's outputs.

    ``classes`` are its own (K,); None if it only votes, with neither probabilities nor decision values. ``log_floor``
    is :attr:`Responses.log_floor`.
    """

    estimator: Any
    classes: Values | None
    log_floor: float

    def responses(self, X: Any, trusted: Values) -> Responses:
        """Return the responses to some inputs; a vote is the number of a class of the ``trusted`` classifier."""
        return Responses.of(self.estimator, X, trusted if self.classes is None else self.classes)

    def added(self, outputs: ClassifierOutputs, name: str, responses: Responses, trusted: Values) -> ClassifierOutputs:
        """Return the outputs, whose classes are the ``trusted`` ones, with this opinion on the same inputs."""
        mapping: dict[int, str | None]
        if self.classes is None:
            count = len(trusted)
            votes = np.where(responses.predicted == UNKNOWN, count, responses.predicted)
            mapping = {**dict(enumerate(outputs.class_names)), count: None}  # the last vote is for any other class
            return outputs.with_opinion(name, votes, mapping)
        mapping = {}
        for column, place in enumerate(class_codes_by_name(self.classes, trusted)):
            mapping[column] = None if place == UNKNOWN else outputs.class_names[place]
        if len(self.classes) == 1:  # the last column stands for any other class
            mapping[1] = None
        return outputs.with_opinion(name, ClassifierOutputs(responses.logits(self.log_floor)), mapping)

    @property
    def card(self) -> dict[str, Any]:
        """All but the classifier, as JSON holds it."""
        classes = None if self.classes is None else self.classes.tolist()
        return {"classes": classes, "log_floor": self.log_floor}


def checked_opinion_classifiers(opinions: Any, estimator: Any) -> dict[str, Any]:
    """Return the other classifiers by name, an empty dict for None; raise for invalid names or classifiers."""
    if opinions is not None and not isinstance(opinions, Mapping):
        raise SteepslopeError(f"expected classifiers by name, found {type(opinions).__name__}", _PLACE)
    others = dict(opinions or {})
    known = {_identity(estimator): "the classifier itself"}
    for name, other in others.items():
        with located(_PLACE):
            require_opinion_name(str(name))
        with located(f"{_PLACE}: {name}"):
            if isinstance(other, type) or not (hasattr(other, "fit") and hasattr(other, "predict")):
                raise SteepslopeError(f"expected a scikit-learn classifier, found {other!r}")
            if _identity(other) in known:
                raise SteepslopeError(f"expected another classifier, found {known[_identity(other)]}")
        known[_identity(other)] = f"that of {name} again"
    return {str(name): other for name, other in others.items()}


def _identity(estimator: Any) -> int:
    """Return a number that only this classifier has, frozen or not."""
    return id(estimator.estimator if is_frozen(estimator) else estimator)


def learnt_opinions(
    others: Mapping[str, Any],
    X: Any,
    labels: Values,
    folds: Sequence[tuple[Counts, Counts]],
    classes: Values,
    n_jobs: int | None,
) -> tuple[dict[str, Opinion], dict[str, Responses]]:
    """Fit other classifiers to rows (n, …); return them, and what clones of them say about unseen rows.

    Frozen classifiers are not fitted.
    """
    learnt: dict[str, Opinion] = {}
    unseen: dict[str, Responses] = {}
    for name, other in others.items():
        with located(f"{_PLACE}: {name}"), explained(_NOT_FITTED, kinds=NotFittedError):
            fitted = other if is_frozen(other) else clone(other).fit(X, labels)
            if gives_only_votes(fitted):
                _require_known_classes(np.unique(fitted.predict(X)), classes)
                unseen[name] = out_of_fold(other, X, labels, folds, classes, {}, n_jobs)
                learnt[name] = Opinion(fitted, None, 0.0)
                continue
            if not hasattr(fitted, "classes_"):
                inner = fitted.estimator if is_frozen(fitted) else fitted
                raise SteepslopeError(f"{_NOT_FITTED}, found {type(inner).__name__} without classes_")
            known = np.asarray(fitted.classes_)
            _require_known_classes(known, classes)
            unseen[name] = out_of_fold(other, X, labels, folds, known, {}, n_jobs)
            learnt[name] = Opinion(fitted, known, unseen[name].log_floor)
    return learnt, unseen


def _require_known_classes(known: Values, classes: Values) -> None:
    """Raise unless some of the classes that another classifier knows are the trusted classifier's."""
    if (class_codes_by_name(known, classes) == UNKNOWN).all():
        shown = list(map(repr, known[:SHOWN].tolist()))
        if len(known) > SHOWN:
            shown.append("…")
        raise SteepslopeError(f"expected some of the trusted classifier's classes, found {', '.join(shown)}")


def restored_opinions(cards: Mapping[str, OpinionCard | None], others: Mapping[str, Any]) -> dict[str, Opinion]:
    """Return the saved opinions that the oracle takes, each with its card and its classifier among the ``others``.

    Raises
    ------
    SteepslopeError
        If a classifier that the oracle takes is missing, was not saved, or has other classes.
    """
    for name in others:
        with located(_PLACE):
            require_known("opinion", name, list(cards))
    needed = {name: card for name, card in cards.items() if card is not None}
    lacking = [name for name in needed if name not in others]
    if lacking:
        raise SteepslopeError(f"expected the classifiers that were saved, found no {', '.join(lacking)}", _PLACE)
    restored: dict[str, Opinion] = {}
    for name, card in needed.items():
        other = others[name]
        if card.classes is not None or not gives_only_votes(other):
            require_saved_classes(other, card.classes or (), f"{_PLACE}: {name}")
        classes = None
        if card.classes is not None:
            classes = np.asarray(other.classes_)
        restored[name] = Opinion(other, classes, card.log_floor)
    return restored
