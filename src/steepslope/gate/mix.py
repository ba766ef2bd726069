"""Which mix of classes a promise is about: one that is named, or that of target rows.

What is promised of it: :mod:`steepslope.promise.class_mix`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained, located, require_known
from steepslope.gate.confidence_source import ConfidenceSource
from steepslope.oracle.evidence.fitting import require_other_rows
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.arrays import require_same_class_names
from steepslope.promise.class_mix import Weights
from steepslope.promise.objectives import Objectives
from steepslope.promise.rows import LabelledRows, split_rows
from steepslope.promise.target import Target

if TYPE_CHECKING:
    pass

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
SUM_OF_SHARES = 0.01  # by which shares may miss 1, as rounded ones do


@dataclass(frozen=True, eq=False)
class TargetRows:
    """Rows without labels (m,): what is predicted for them, and how surely."""

    predicted: NDArray[np.str_]
    confidence: Floats

    @classmethod
    def of(cls, source: ConfidenceSource, outputs: ClassifierOutputs, target: ClassifierOutputs) -> Self:
        """Return those of a target, and of outputs to calibrate on.

        Raise for anything but outputs of the same classifier, of other rows than these and the oracle's fit set.
        """
        if not isinstance(target, ClassifierOutputs):
            raise SteepslopeError(f"expected ClassifierOutputs, found {type(target).__name__}", "target")
        if target.num_classes != outputs.num_classes:
            expected = f"expected {outputs.num_classes} classes, as of the calibration rows"
            raise SteepslopeError(f"{expected}, found {target.num_classes}", "target")
        require_same_class_names("target", outputs.classes, target.classes)
        if None not in (outputs.classifier, target.classifier) and outputs.classifier != target.classifier:
            raise SteepslopeError("expected outputs of the same classifier as to calibrate on, found others", "target")
        with located("target"):
            source.require_new(target)
            require_other_rows("rows", outputs, target, "the target is new to the labels")
            target = target.subset(np.flatnonzero(~source.lacking(target.arrays)))  # the others go to review
            confidence = source.confidence(target)
        return cls(np.array(outputs.label_names)[target.predictions], confidence)


@dataclass(frozen=True, eq=False)
class Mix:
    """The mix of classes that a promise is about: named ``shares``, or that of a ``target``; else of calibration rows.

    ``shares`` are those of the true classes by name; a class without a share does not count.
    """

    shares: Mapping[str, float] | None = None
    target: TargetRows | None = None

    @property
    def is_other(self) -> bool:
        """Whether it is another than that of the calibration rows."""
        return self.shares is not None or self.target is not None

    def require_risk_alone(self, objectives: Objectives, has_groups: bool) -> None:
        """Raise where something else than a risk of all rows is to be promised of another mix."""
        others = {name: getattr(objectives, name) for name in ("coverage", "costs", "reject", "max_class_risk")}
        others |= {"groups": has_groups or None, "target": None if self.shares is None else self.target}
        other = next((name for name, value in others.items() if value is not None), None)
        if self.is_other and other is not None:
            place = "target" if self.shares is None else "class_mix"
            raise SteepslopeError(f"expected a promised risk alone, found {other} next to it", place)

    def counts(self, rows: LabelledRows) -> NDArray[np.bool_]:
        """Return which rows count, (n,): all but those of classes without a share."""
        if self.shares is None or rows.true_classes is None:
            return np.ones(len(rows), dtype=np.bool_)
        return np.isin(rows.true_classes, [name for name, share in self.shares.items() if share > 0])

    def split(self, rows: LabelledRows, once: Counts, seed: int, has_thresholds: bool) -> tuple[Counts, Counts]:
        """Return the rows that are set aside for thresholds and for the bets of a mix, and the rows to calibrate on.

        Of all rows, only those that occur ``once`` are used. No row is set aside where there are thresholds and no mix.
        Each class of a mix keeps a row to calibrate on.
        """
        used = once[self.counts(rows)[once]]
        if has_thresholds and self.shares is None:
            return used[:0], used
        fixing, counted = (used[chosen] for chosen in split_rows(len(used), seed))
        if self.shares is None or rows.true_classes is None:
            return fixing, counted
        lost = ~np.isin(rows.true_classes[fixing], rows.true_classes[counted])
        return fixing[~lost], np.sort(np.concatenate([counted, fixing[lost]]))

    def weights(self, rows: LabelledRows, counted: Counts) -> Weights | None:
        """Return the weights of the rows that are calibrated on, None where they all count alike.

        Those of a mix depend on how many rows of each class there are. Raise where no mix explains the target.
        """
        if not self.is_other:
            return None
        truths = rows.require_true_classes()[counted]
        if self.target is None:
            return Weights.of_mix(truths, self.shares or {})
        assert rows.predicted_classes is not None
        target = Target.of(truths, rows.predicted_classes[counted], self.target.predicted)
        target.require_explained(rows.confidence[counted], self.target.confidence)
        return Weights.of_mix(truths, target.mix, target)


def checked_class_mix(mix: Mapping[Any, float], classes: tuple[str, ...] | None = None) -> dict[str, float]:
    """Return shares of classes, by name, that sum to 1; raise for unknown classes, or other sums than about 1.

    >>> checked_class_mix({"fraud": 0.05, "fine": 0.949}, ("fine", "fraud"))["fraud"]
    0.05005005005005005
    """
    if not isinstance(mix, Mapping):
        raise SteepslopeError(f"expected shares by class, found {type(mix).__name__}", "class_mix")
    for name in mix if classes is not None else ():
        require_known("class in class_mix:", str(name), classes or ())
    with explained("expected a number for each class", "class_mix", (TypeError, ValueError)):
        shares = {str(name): float(share) for name, share in mix.items()}
    total = sum(shares.values())
    negative = [f"{share:g} of {name}" for name, share in shares.items() if not share >= 0]
    if negative or not abs(total - 1) < SUM_OF_SHARES:
        found = negative[0] if negative else f"a sum of {total:g}"
        raise SteepslopeError(f"expected shares >= 0 that sum to 1, found {found}", "class_mix")
    return {name: share / total for name, share in shares.items()}
