"""Labelled rows to calibrate on, as arrays: confidences, which predictions are correct, groups and true classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.errors import SteepslopeError, explained
from steepslope.metrics import checked_confidences
from steepslope.numerics import Arrays, Bools, Brief, Counts, Floats

Names = NDArray[np.str_]
_LEAST_SPLIT = 10
CROSS = " × "  # between the names of overlapping groups, and between the columns that they come from
AnyGroups = ArrayLike | Mapping[str, ArrayLike]


class _ArrayRows(Brief):
    """A dataclass whose fields are arrays (n,), None if unknown, or mappings from names to arrays (n,)."""

    def __len__(self: Any) -> int:
        return len(getattr(self, fields(self)[0].name))

    def subset(self, rows: Counts | Bools | slice) -> Self:
        """Return some of the rows: by their numbers, by booleans (n,), or as a slice."""
        chosen: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                chosen[name] = value[rows]
            elif isinstance(value, Mapping):
                chosen[name] = {key: array[rows] for key, array in value.items()}
        return cast(Self, replace(cast(Any, self), **chosen))


@dataclass(frozen=True, eq=False, repr=False)
class JudgedRows(_ArrayRows):
    """Predictions (m,) that a gate has decided on: calibration rows, or later ones.

    ``p_correct`` is P(correct), in [0, 1]. ``probability`` is the classifier's own of what it predicts, ``predicted``
    the number of that class, −1 for none, and ``distance``, in (0, 1), how far the row's features lie from known ones;
    None where they are not known.
    """

    p_correct: Floats
    accepted: Bools
    probability: Floats | None = None
    predicted: Counts | None = None
    distance: Floats | None = None

    @property
    def by_gate(self) -> Bools:
        """Which predictions the gate alone accepts, booleans (m,); here all that are accepted."""
        return self.accepted


@dataclass(frozen=True, eq=False, repr=False)
class LabelledRows(_ArrayRows):
    """Calibration rows (n,).

    ``groups`` (n,) are None if all rows are one group; ``true_classes`` and ``predicted_classes`` (n,) are None if
    unknown. ``is_unknown`` (n,) says which rows are out-of-class: all of them are wrong, and certificates count them.
    ``of_log_odds`` says that the confidences are log-odds of being correct. Rows with the same number in ``things``
    (n,) belong together. ``extra`` holds further arrays (n,) by name, which the gate keeps with its decisions on these
    rows.
    """

    confidence: Floats
    is_correct: Bools
    is_unknown: Bools
    groups: Names | None = None
    true_classes: Names | None = None
    predicted_classes: Names | None = None
    of_log_odds: bool = False
    things: Counts | None = None
    extra: Arrays = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        confidence: ArrayLike,
        is_correct: ArrayLike,
        is_unknown: ArrayLike | None = None,
        groups: AnyGroups | None = None,
        true_classes: ArrayLike | None = None,
        **known: Any,
    ) -> Self:
        """Return checked rows; raise for other shapes, NaN, or an out-of-class row that is correct."""
        values, correct = checked_confidences(confidence, is_correct)
        unknown = _checked_unknown_rows(is_unknown, correct)
        names = crossed_groups(groups, len(values))
        truths = checked_groups(true_classes, len(values), "true_classes")
        return cls(values, correct, unknown, names, truths, **known)

    @property
    def group_names(self) -> list[str | None]:
        """The names of the groups; [None] if all rows are one group."""
        if self.groups is None:
            return [None]
        return [str(name) for name in np.unique(self.groups)]

    def of_group(self, name: str | None) -> Self:
        """Return the rows of a group; all rows for None."""
        if name is None:
            return self
        return self.subset(np.asarray(self.groups == name))

    def require_true_classes(self) -> Names:
        """Return the true classes, (n,); raise if they are unknown."""
        if self.true_classes is None:
            raise SteepslopeError("expected the true class of each row, found none", "true_classes")
        return self.true_classes


def checked_numbers(values: ArrayLike, place: str) -> Floats:
    """Return values as float64 (m,), a single number as (1,); the error for anything else, or NaN, names the place."""
    with explained("expected numbers (m,)", place, (TypeError, ValueError)):
        numbers = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if numbers.ndim != 1:
        raise SteepslopeError(f"expected numbers (m,), found shape {numbers.shape}", place)
    unknown = np.flatnonzero(np.isnan(numbers))
    if len(unknown):
        raise SteepslopeError(f"expected numbers (m,), none of them NaN, found NaN in row {unknown[0]}", place)
    return numbers


def checked_groups(groups: ArrayLike | None, n: int, place: str = "groups") -> Names | None:
    """Return groups as text (n,), None for None; raise unless there are n."""
    if groups is None:
        return None
    names = np.asarray(groups)
    if names.shape != (n,):
        found = f"shape {names.shape}"
        if names.ndim == 0:
            name = names.item()
            found = f"{name!r}; give the values, as in X[{name!r}]"
        raise SteepslopeError(f"expected one for each prediction, ({n},), found {found}", place)
    return names.astype(np.str_)


def crossed_groups(groups: AnyGroups | None, n: int, by: str | None = None) -> Names | None:
    """Return groups as text (n,), None for None.

    Of several by name, (n,) each, each combination is a group. The order of the names is that in ``by``, if known.

    >>> crossed_groups({"sex": ["f", "m"], "age": [30, 40]}, 2)
    array(['f × 30', 'm × 40'], dtype='<U6')

    Raises
    ------
    SteepslopeError
        If there are not n, or the names are others than those in ``by``.
    """
    if not isinstance(groups, Mapping):
        return checked_groups(groups, n)
    if by is None:
        by = CROSS.join(groups)
    names = by.split(CROSS)
    if set(names) != set(groups):
        raise SteepslopeError(f"expected groups by {by}, found {CROSS.join(groups)}", "groups")
    columns = [np.asarray(checked_groups(np.asarray(groups[name]), n, f"groups {name}")) for name in names]
    return np.array([CROSS.join(cell) for cell in zip(*columns, strict=True)], dtype=np.str_)


def names_of_crossed(groups: AnyGroups | None) -> str | None:
    """Return the names of overlapping groups, as the ``by`` of a gate; None for other groups."""
    if isinstance(groups, Mapping):
        return CROSS.join(groups)
    return None


def _checked_unknown_rows(is_unknown: ArrayLike | None, is_correct: Bools) -> Bools:
    """Return which rows are out-of-class, booleans (n,), none if unknown; raise if one of them is correct."""
    if is_unknown is None:
        return np.zeros(len(is_correct), dtype=np.bool_)
    unknown = np.asarray(is_unknown)
    if unknown.dtype != np.bool_ or unknown.shape != is_correct.shape:
        expected = f"expected booleans of shape {is_correct.shape}, one a prediction"
        raise SteepslopeError(f"{expected}, found {unknown.dtype} of shape {unknown.shape}", "is_unknown")
    right = np.flatnonzero(unknown & is_correct)
    if len(right):
        raise SteepslopeError(f"expected wrong predictions, found a correct one in row {right[0]}", "is_unknown")
    return unknown


def split_rows(n: int, seed: int) -> tuple[Counts, Counts]:
    """Split the rows 0…n−1 at random into 2√n that fix a sequence, and those to calibrate on."""
    order = np.random.default_rng(seed).permutation(n)
    count = min(n // 2, max(_LEAST_SPLIT, round(2 * math.sqrt(n))))
    return np.sort(order[:count]), np.sort(order[count:])
