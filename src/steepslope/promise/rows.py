"""Labelled rows to calibrate on, as arrays: confidences, which predictions are correct, groups and true classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.errors import SteepslopeError, explained
from steepslope.metrics.ranking import checked_confidences
from steepslope.numerics.array_shapes import Brief

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]
LEAST_SPLIT = 10


class ArrayRows(Brief):
    """A dataclass of arrays (n,), None where they are not known, and of mappings of arrays (n,) by name."""

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
        found: Self = replace(cast(Any, self), **chosen)
        return found


@dataclass(frozen=True, eq=False, repr=False)
class LabelledRows(ArrayRows):
    """Rows (n,) to calibrate on.

    ``groups`` (n,) are None where all rows are one group, and ``true_classes`` and ``predicted_classes`` (n,) where
    they are not known. ``is_unknown`` (n,) tells which rows are out-of-class: all of them are wrong, and certificates
    count them. ``of_log_odds`` says that confidences are log-odds of being correct. ``extra`` are further arrays (n,)
    by name, that the gate remembers.
    """

    confidence: Floats
    is_correct: Bools
    is_unknown: Bools
    groups: NDArray[np.str_] | None = None
    true_classes: NDArray[np.str_] | None = None
    predicted_classes: NDArray[np.str_] | None = None
    of_log_odds: bool = False
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        confidence: ArrayLike,
        is_correct: ArrayLike,
        is_unknown: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        true_classes: ArrayLike | None = None,
        **known: Any,
    ) -> Self:
        """Return checked rows; raise for other shapes, NaN, or an out-of-class row that is correct."""
        values, correct = checked_confidences(confidence, is_correct)
        unknown, names = _checked_unknown_rows(is_unknown, correct), checked_groups(groups, len(values))
        truths = checked_groups(true_classes, len(values), "true_classes")
        return cls(values, correct, unknown, names, truths, **known)

    @property
    def group_names(self) -> list[str | None]:
        """The names of the groups; None alone where all rows are one."""
        return [None] if self.groups is None else [str(name) for name in np.unique(self.groups)]

    def of_group(self, name: str | None) -> Self:
        """Return the rows of a group; all of them for None."""
        return self if name is None else self.subset(np.asarray(self.groups == name))

    def require_true_classes(self) -> NDArray[np.str_]:
        """Return the true classes, (n,); raise where they are not known."""
        if self.true_classes is None:
            raise SteepslopeError("expected the true class of each row, found none", "true_classes")
        return self.true_classes


def checked_numbers(values: ArrayLike, place: str) -> Floats:
    """Return values as float64 (m,), one alone as (1,); raise at a place unless they are numbers, none of them NaN."""
    with explained("expected numbers (m,)", place, (TypeError, ValueError)):
        found = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if found.ndim != 1:
        raise SteepslopeError(f"expected numbers (m,), found shape {found.shape}", place)
    if np.isnan(found).any():
        rows = np.flatnonzero(np.isnan(found))
        raise SteepslopeError(f"expected numbers (m,), none of them NaN, found NaN in row {rows[0]}", place)
    return found


def checked_groups(groups: ArrayLike | None, n: int, place: str = "groups") -> NDArray[np.str_] | None:
    """Return groups as text (n,); raise for another number of them."""
    if groups is None:
        return None
    names = np.asarray(groups)
    if names.shape != (n,):
        found = (
            f"shape {names.shape}" if names.shape else f"{names.item()!r}; give the values, as in X[{names.item()!r}]"
        )
        raise SteepslopeError(f"expected one group a prediction, ({n},), found {found}", place)
    return names.astype(np.str_)


def _checked_unknown_rows(is_unknown: ArrayLike | None, is_correct: Bools) -> Bools:
    """Return which rows are out-of-class, (n,); none where it is not known. Raise if one of them is correct."""
    unknown = np.zeros(len(is_correct), dtype=np.bool_) if is_unknown is None else np.asarray(is_unknown)
    if unknown.dtype != np.bool_ or unknown.shape != is_correct.shape:
        expected = f"expected booleans of shape {is_correct.shape}, one a prediction"
        raise SteepslopeError(f"{expected}, found {unknown.dtype} of shape {unknown.shape}", "is_unknown")
    right = np.flatnonzero(unknown & is_correct)
    if len(right):
        raise SteepslopeError(f"expected wrong predictions, found a correct one in row {right[0]}", "is_unknown")
    return unknown


def split_rows(n: int, seed: int) -> tuple[Counts, Counts]:
    """Cut the rows 0…n−1 into those that fix a sequence, 2√n of them, and those that are calibrated on."""
    order = np.random.default_rng(seed).permutation(n)
    count = min(n // 2, max(LEAST_SPLIT, round(2 * math.sqrt(n))))
    return np.sort(order[:count]), np.sort(order[count:])
