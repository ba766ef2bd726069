"""Class names -> labels: names from the user, the classifier's own, such as ImageNet's, and a data set's numbers."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.outputs import (
    UNKNOWN,
    Texts,
    difference,
    out_of_class_texts,
    read_classes as read_classes,
    warn_of_unknown_labels,
)

NUM_CLASSES = 1000  # of ImageNet
_WORDNET_ID = r"n\d{8}"
ADVICE = "give the names of its classes in the order of its labels (--classes FILE)"


@dataclass(frozen=True)
class ClassNames:
    """Names of classes -> labels: those that the user has ``given``, and the classifier's ``own``.

    ``num_classes`` is the classifier's number of classes, if it is known.
    """

    given: Mapping[str, int] | None = None
    own: Mapping[str, int] | None = None
    num_classes: int | None = None

    @classmethod
    def by_label(cls, names: Sequence[str] | None) -> Self:
        """Return names that stand in the order of their labels; none for None."""
        if names is None:
            return cls()
        return cls(own=labels_by_name(names))

    @property
    def known(self) -> Mapping[str, int]:
        """The names given, else the classifier's own; empty where there are neither."""
        return self.given or self.own or {}

    @property
    def _has_ids_alone(self) -> bool:
        """Whether all that is known are WordNet ids, which say nothing against names."""
        return self.given is None and all(re.fullmatch(_WORDNET_ID, name) for name in self.known)

    def by_name(
        self, texts: Texts, source: str, place_of_row: Callable[[int], str] | None = None, numbers: bool = False
    ) -> NDArray[np.int64]:
        """Return the label of each distinct text of rows: of the class whose name it is, or −1 of an out-of-class one.

        With ``numbers``, whole numbers are labels too. A name that is no class is told in a warning; where no other is
        one either, it is an error, which begins with the place of the first such row.
        """
        named = {text: self.known[text] for text in texts.distinct if text in self.known}
        whole = _whole_numbers_among(texts.distinct) if numbers else {}
        meaning = out_of_class_texts(texts, named) | whole | named
        unclear = texts.rows_beside(meaning)
        if len(unclear):
            text = texts.distinct[texts.codes[unclear[0]]]
            message = f"the class {text!r} is none of the classifier's (see --classes)"
            if numbers:
                message = f"expected a whole number or a class's name (see --classes), found {text!r}"
            raise SteepslopeError(message, place_of_row(unclear[0]) if place_of_row else source)
        warn_of_unknown_labels(source, texts, whole | named, list(self.known))
        return np.array([meaning.get(text, UNKNOWN) for text in texts.distinct], dtype=np.int64)

    def labels_of(self, texts: Texts, source: str) -> NDArray[np.int64]:
        """Return the labels of a data set's numbered class names, which are the distinct texts of its rows.

        They go by name (:meth:`by_name`). Where neither the user nor the classifier has names, or the classifier's are
        WordNet ids of which the data set has none, the data set's numbers are the labels, if it has as many classes as
        the classifier.
        """
        names = texts.distinct
        are_comparable = not self._has_ids_alone or any(name in self.known for name in names)
        if self.known and are_comparable:
            return self.by_name(texts, source)
        self.require_as_many(len(names), "classes", source)
        return np.arange(len(names))

    def require_as_many(self, found: int, what: str, place: str | Path) -> None:
        """Raise unless there are as many as the classifier has classes: else each label could be another class."""
        if self.num_classes not in (None, found):
            raise SteepslopeError(
                f"expected {self.num_classes} {what}, as many as the classifier has, found {found}: {ADVICE}", place
            )

    def agreed(self, names: tuple[str, ...] | None, source: str) -> tuple[str, ...] | None:
        """Return the names by label on which the classifier and a data set with these ``names`` agree; None if neither.

        Raises
        ------
        SteepslopeError
            If both have names, and these differ in a name or in their order, or if they are not as many as the classes.
        """
        own = self.own or {}
        for name, label in (self.given or {}).items():
            place = own.get(name, label)
            if place != label:
                message = f"expected class {place} of the classifier to be {name!r}, found it as {label}"
                raise SteepslopeError(message, "classes")
        known = class_names_in_order(self.known)
        if known is not None and names is not None and known != names:
            are_other_names = len(known) == len(names) and self._has_ids_alone
            if not are_other_names:
                raise SteepslopeError(f"expected the classifier's classes, {difference(known, names)}", source)
        agreed = known or names
        if agreed is not None:
            self.require_as_many(len(agreed), "classes", source)
        return agreed


NO_NAMES = ClassNames()


def labels_by_name(names: Sequence[str]) -> dict[str, int]:
    """Return the labels of names that stand in the order of their labels."""
    return {name: label for label, name in enumerate(names)}


def _whole_numbers_among(texts: Sequence[str]) -> dict[str, int]:
    numbers = {}
    for text in texts:
        with suppress(ValueError):
            numbers[text] = int(text)
    return {text: number for text, number in numbers.items() if abs(number) < 2**31}


def class_names_in_order(labels: Mapping[str, int]) -> tuple[str, ...] | None:
    """Return names by label; None unless each label from 0 on has a name.

    >>> class_names_in_order({"dog": 1, "cat": 0}), class_names_in_order({"dog": 1})
    (('cat', 'dog'), None)
    """
    if not labels or sorted(labels.values()) != list(range(len(labels))):
        return None
    return tuple(sorted(labels, key=labels.__getitem__))


@cache
def wordnet_labels() -> Mapping[str, int]:
    """Return the labels of ImageNet's 1,000 WordNet ids, such as n01440764, as timm has them."""
    from timm.data import ImageNetInfo  # takes seconds, and few names need it

    info = ImageNetInfo()
    return {info.index_to_label_name(label): label for label in range(NUM_CLASSES)}
