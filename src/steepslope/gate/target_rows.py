"""Which rows a promise is about, if not rows like the calibration rows: another mix of classes, or that of a target.

:mod:`steepslope.promise.importance` has what is promised of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.errors import SteepslopeError, explained, located, require_known
from steepslope.gate.confidence_source import ConfidenceSource
from steepslope.oracle.evidence.fitting import require_other_rows
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.arrays import require_same_names
from steepslope.promise.aims import Aims
from steepslope.promise.certify import split_rows
from steepslope.promise.importance import Weights
from steepslope.promise.target import Target

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
SUM_OF_SHARES = 0.01  # by which shares may miss 1, as rounded ones do


@dataclass(frozen=True, eq=False)
class TargetRows:
    """Rows without labels (m,): what is predicted for them, and how surely; and what is for calibration rows, (n,)."""

    calibration_predicted: NDArray[np.str_]
    predicted: NDArray[np.str_]
    confidence: Floats

    @classmethod
    def of(cls, source: ConfidenceSource, outputs: ClassifierOutputs, target: ClassifierOutputs | None) -> Self | None:
        """Return those of a target, and of outputs to calibrate on; None without a target.

        Raise for anything but outputs of the same classifier, of other rows than these and the oracle's fit set.
        """
        if target is None:
            return None
        if not isinstance(target, ClassifierOutputs):
            raise SteepslopeError(f"expected ClassifierOutputs, found {type(target).__name__}", "target")
        if target.num_classes != outputs.num_classes:
            expected = f"expected {outputs.num_classes} classes, as of the calibration rows"
            raise SteepslopeError(f"{expected}, found {target.num_classes}", "target")
        require_same_names("target", outputs.classes, target.classes)
        if None not in (outputs.classifier, target.classifier) and outputs.classifier != target.classifier:
            raise SteepslopeError("expected outputs of the same classifier as to calibrate on, found others", "target")
        with located("target"):
            source.require_new(target)
            require_other_rows("rows", outputs, target, "the target is new to the labels")
            target = target.subset(np.flatnonzero(~source.lacking(target.arrays)))  # the others go to review
            confidence = source.confidence(target)
        names = np.array(outputs.label_names)
        return cls(names[outputs.predictions], names[target.predictions], confidence)


@dataclass(frozen=True, eq=False)
class Importance:
    """The mix of classes that a promise is about, if not that of the calibration rows: named, or that of a target."""

    mix: Mapping[str, float] | None = None
    target: TargetRows | None = None

    @classmethod
    def of(
        cls,
        aims: Aims,
        groups: ArrayLike | None,
        mix: Mapping[str, float] | None = None,
        target: TargetRows | None = None,
    ) -> Self:
        """Return the shares; raise where there is something beside them that cannot be promised of another mix."""
        given = {"class_mix": mix, "target": target}
        names = [name for name, value in given.items() if value is not None]
        beside = {one: getattr(aims, one) for one in ("coverage", "costs", "reject", "max_class_risk")}
        beside |= {"groups": groups, **{name: given[name] for name in names[1:]}}
        for other, value in beside.items() if names else ():
            if value is not None:
                raise SteepslopeError(f"expected a promised risk alone, found {other} beside it", names[0])
        return cls(None if mix is None else require_mix(mix), target)

    def counted_rows(self, true_classes: NDArray[np.str_] | None, n: int) -> Counts:
        """Return the rows of n that count: all but those of classes without a share."""
        if self.mix is not None and true_classes is not None:
            return np.flatnonzero(np.isin(true_classes, [name for name, share in self.mix.items() if share > 0]))
        return np.arange(n)

    def split(
        self, rows: Counts, true_classes: NDArray[np.str_] | None, seed: int, has_thresholds: bool
    ) -> tuple[Counts, Counts]:
        """Return the rows that are set aside for thresholds and for the bets of a mix, and the rows to calibrate on.

        No row is set aside where there are thresholds and no mix. Each class of a mix keeps a row to calibrate on.
        """
        if has_thresholds and self.mix is None:
            return rows[:0], rows
        fixing, counted = (rows[chosen] for chosen in split_rows(len(rows), seed))
        if self.mix is None or true_classes is None:
            return fixing, counted
        lost = ~np.isin(true_classes[fixing], true_classes[counted])
        return fixing[~lost], np.sort(np.concatenate([counted, fixing[lost]]))

    def weights(self, true_classes: NDArray[np.str_] | None, confidence: Floats, rows: Counts) -> Weights | None:
        """Return the weights of some of the rows (n,), None where they all count alike.

        Those of a mix depend on how many rows of each class there are. Raise where no mix explains the target.
        """
        if self.mix is None and self.target is None:
            return None
        if true_classes is None:
            raise SteepslopeError("expected the true class of each row, found none", "true_classes")
        if self.target is None:
            assert self.mix is not None
            return Weights.of_mix(true_classes[rows], self.mix)
        coming = self.target
        target = Target.of(true_classes[rows], coming.calibration_predicted[rows], coming.predicted)
        target.require_explained(confidence[rows], coming.confidence)
        return replace(Weights.of_mix(true_classes[rows], target.mix), target=target)


def require_mix(mix: Mapping[Any, float], classes: tuple[str, ...] | None = None) -> dict[str, float]:
    """Return shares of classes, by name, that sum to 1; raise for unknown classes, or other sums than about 1.

    >>> require_mix({"fraud": 0.05, "fine": 0.949}, ("fine", "fraud"))["fraud"]
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
