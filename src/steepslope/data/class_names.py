"""Class names -> labels: names from the user, the classifier's own, such as ImageNet's, and a data set's numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from timm.data import ImageNetInfo

from steepslope.errors import SteepslopeError
from steepslope.utilities.class_file import read_classes as read_classes

NUM_CLASSES = 1000  # of ImageNet


@dataclass(frozen=True)
class ClassNames:
    """Names of classes -> labels: those that the user has ``given``, and the classifier's ``own``.

    ``num_classes`` is the classifier's number of classes, if it is known.
    """

    given: Mapping[str, int] | None = None
    own: Mapping[str, int] | None = None
    num_classes: int | None = None

    def label(self, name: str, place: str | Path) -> int:
        """Return the label of one name that the user or the classifier must know."""
        known = self.given or self.own or {}
        if name not in known:
            raise SteepslopeError(f"the class {name!r} is none of the classifier's (see --classes)", place)
        return known[name]

    def labels_of(self, names: Sequence[str], source: str) -> NDArray[np.int64]:
        """Return the labels of a data set's numbered class names, (len(names),).

        The names given, else the classifier's own, must have them all. Where nothing is given and the classifier knows
        none of them, the data set's numbers are the labels, if it has as many classes as the classifier.
        """
        if self.given is not None or any(name in (self.own or {}) for name in names):
            return np.array([self.label(name, source) for name in names], dtype=np.int64)
        if self.num_classes not in (None, len(names)):
            wanted = f"expected {self.num_classes} classes, as the classifier has"
            raise SteepslopeError(f"{wanted}, or --classes with the names of its {len(names)}", source)
        return np.arange(len(names))


@cache
def wordnet_labels() -> Mapping[str, int]:
    """Return the labels of ImageNet's 1,000 WordNet ids, such as n01440764, as timm has them."""
    info = ImageNetInfo()
    return {info.index_to_label_name(label): label for label in range(NUM_CLASSES)}
