"""The class mix that a promise is about: a named one, or that of target rows.

The promise itself is in :mod:`steepslope.promise._class_mix`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from steepslope.errors import SEED, SteepslopeError, explained, located, require, require_known
from steepslope.gate._confidence_source import ConfidenceSource
from steepslope.gate._preparing import PreparedRows
from steepslope.numerics import Bools, Counts, Floats
from steepslope.oracle.evidence import require_other_rows
from steepslope.outputs import ClassifierOutputs, predictions_without_copies, require_same_class_names
from steepslope.promise import (
    LabelledRows,
    Names,
    Objectives,
    Target,
    Weights,
    checked_threshold_sequence,
    split_rows,
    threshold_sequence,
)

FEW = 50  # fewer rows drawn as target rows are useless to a monitor
_SUM_OF_SHARES = 0.01  # the sum of the shares may differ from 1 by this much, as for rounded ones


@dataclass(frozen=True, eq=False)
class _TargetRows:
    """Target rows (m,), which have no labels: their predicted classes, and the confidences."""

    predicted: Names
    confidence: Floats

    @classmethod
    def of(cls, source: ConfidenceSource, outputs: ClassifierOutputs, target: ClassifierOutputs) -> Self:
        """Return the rows of a ``target``.

        Raise unless it has outputs of the same classifier as the calibration ``outputs``, and shares no rows with these
        or the oracle's fit set.
        """
        if not isinstance(target, ClassifierOutputs):
            raise SteepslopeError(f"expected ClassifierOutputs, found {type(target).__name__}", "target")
        if target.num_classes != outputs.num_classes:
            expected = f"expected {outputs.num_classes} classes, as of the calibration rows"
            raise SteepslopeError(f"{expected}, found {target.num_classes}", "target")
        require_same_class_names("target", outputs.classes, target.classes)
        if None not in (outputs.classifier, target.classifier) and outputs.classifier != target.classifier:
            expected = "expected outputs of the classifier that made the calibration rows"
            raise SteepslopeError(f"{expected}, found another's", "target")
        with located("target"):
            source.require_new(target)
            require_other_rows("rows", outputs, target, "the target is new to the labels")
            confidence = source.confidence(target)
        complete = np.flatnonzero(~source.lacking(target.arrays))  # the others go to review
        return cls(np.array(outputs.label_names)[target.predictions[complete]], confidence[complete])


@dataclass(frozen=True, eq=False)
class MixRows:
    """How calibration rows serve a promise about a mix.

    The ``thresholds`` (t,) are tested on ``counted`` rows, with their ``weights`` if these differ. P(correct) is learnt
    from the ``learnt`` rows. The ``drawn`` rows are as those that the promise is about.
    """

    counted: LabelledRows
    thresholds: Floats
    weights: Weights | None
    learnt: LabelledRows
    drawn: LabelledRows

    @property
    def are_too_few(self) -> bool:
        """Whether a monitor would learn nothing from the drawn rows."""
        return self.weights is not None and len(self.drawn) < FEW


@dataclass(frozen=True, eq=False)
class Mix:
    """The class mix that a promise is about: named ``shares``, that of a ``target``, or that of the calibration rows.

    ``shares`` are those of the true classes, by name. Rows of a class without a share do not count.
    """

    shares: Mapping[str, float] | None = None
    target: _TargetRows | None = None

    @classmethod
    def of(
        cls, class_mix: Mapping[str, float] | None, target: ClassifierOutputs | None, prepared: PreparedRows
    ) -> Self:
        """Return a named mix, or that of a ``target``, for calibration rows."""
        shares = None
        rows = None
        if class_mix is not None:
            shares = checked_class_mix(class_mix, prepared.outputs.label_names)
        if target is not None:
            rows = _TargetRows.of(prepared.source, prepared.outputs, target)
        return cls(shares, rows)

    @property
    def is_other(self) -> bool:
        """Whether it differs from that of the calibration rows."""
        return self.shares is not None or self.target is not None

    def require_risk_alone(self, objectives: Objectives, has_groups: bool) -> None:
        """Raise if anything but a risk of all rows is to be promised for another mix."""
        if not self.is_other:
            return
        others = {
            "coverage": objectives.coverage is not None,
            "costs": objectives.costs is not None,
            "reject": objectives.reject is not None,
            "max_class_risk": objectives.max_class_risk is not None,
            "groups": has_groups,
            "target": self.shares is not None and self.target is not None,
        }
        place = "target" if self.shares is None else "class_mix"
        for name, is_there in others.items():
            if is_there:
                raise SteepslopeError(f"expected a promised risk alone, found {name} with it", place)

    def counts(self, rows: LabelledRows) -> Bools:
        """Return which rows count, booleans (n,): all but those of classes without a share."""
        if self.shares is None or rows.true_classes is None:
            return np.ones(len(rows), dtype=np.bool_)
        names = [name for name, share in self.shares.items() if share > 0]
        return np.isin(rows.true_classes, names)

    def prepare(self, rows: LabelledRows, thresholds: ArrayLike | None, seed: int) -> MixRows:
        """Return how rows (n,) serve a promise about this mix; without thresholds, some of them fix these.

        Raises
        ------
        SteepslopeError
            If the seed or the thresholds are out of range, or no mix explains the target.
        """
        require("seed", seed, SEED)
        once = predictions_without_copies(rows.confidence, rows.is_correct, seed)
        fixing, counted = self.split(rows, once, seed, thresholds is not None)
        if thresholds is None:
            thresholds = threshold_sequence(rows.confidence[fixing])
        sequence = checked_threshold_sequence(thresholds)
        weights = self.weights(rows, counted)
        if weights is None:
            drawn = rows.subset(once)
            return MixRows(rows.subset(counted), sequence, None, drawn, drawn)
        if self.shares is not None:
            weights = weights.learning(rows.subset(fixing), sequence)
        learnt = rows.subset(counted[weights.resampled(seed)])
        drawn = rows.subset(counted[weights.thinned(seed)])
        return MixRows(rows.subset(counted), sequence, weights, learnt, drawn)

    def split(self, rows: LabelledRows, once: Counts, seed: int, has_thresholds: bool) -> tuple[Counts, Counts]:
        """Return the rows that are set aside to fix thresholds and bets, and the rows to calibrate on.

        Only rows that occur ``once`` are used. Given thresholds and no named mix, no row is set aside. Each class of a
        named mix keeps a row to calibrate on. Rows of one thing are on one side.
        """
        used = once[self.counts(rows)[once]]
        if has_thresholds and self.shares is None:
            return used[:0], used
        things = used if rows.things is None else rows.things[used]
        names, codes = np.unique(things, return_inverse=True)
        for_thresholds, for_tests = split_rows(len(names), seed)
        fixing = used[np.isin(codes, for_thresholds)]
        counted = used[np.isin(codes, for_tests)]
        if self.shares is None or rows.true_classes is None:
            return fixing, counted
        lost = ~np.isin(rows.true_classes[fixing], rows.true_classes[counted])
        return fixing[~lost], np.sort(np.concatenate([counted, fixing[lost]]))

    def weights(self, rows: LabelledRows, counted: Counts) -> Weights | None:
        """Return the weights of the calibration rows; None if all count alike.

        Those of a mix depend on how many rows of each class there are. Raise if no mix explains the target.
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
    """Return the shares of classes, by name, scaled to sum to 1; raise unless they nearly do, or for unknown classes.

    >>> checked_class_mix({"fraud": 0.05, "fine": 0.949}, ("fine", "fraud"))["fraud"]
    0.05005005005005005
    """
    if not isinstance(mix, Mapping):
        raise SteepslopeError(f"expected shares by class, found {type(mix).__name__}", "class_mix")
    if classes is not None:
        for name in mix:
            require_known("class in class_mix:", str(name), classes)
    with explained("expected a number for each class", "class_mix", (TypeError, ValueError)):
        shares = {str(name): float(share) for name, share in mix.items()}
    total = sum(shares.values())
    expected = "expected shares >= 0 that sum to 1"
    for name, share in shares.items():
        if not share >= 0:
            raise SteepslopeError(f"{expected}, found {share:g} of {name}", "class_mix")
    if not abs(total - 1) < _SUM_OF_SHARES:
        raise SteepslopeError(f"{expected}, found a sum of {total:g}", "class_mix")
    return {name: share / total for name, share in shares.items()}
