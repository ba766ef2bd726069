"""One sort of the predictions by confidence; all metrics and the risk-coverage curve follow from its counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, wraps
from inspect import signature
from typing import Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.errors import SteepslopeError
from steepslope.numerics import blocks

P = ParamSpec("P")
T = TypeVar("T")
WORD = 8  # bytes
SHIFT = 3  # of a place, to the number of its word
_ONES = np.uint64(0x0101010101010101)
_LAST_BYTE = np.uint64(8 * (WORD - 1))
MOST = 255 // WORD  # so that the sum of a word's counts is a byte


@dataclass(frozen=True, eq=False)
class Sums:
    """The sums of the first 0, 1, … of n counts: those inside words of eight bytes, and those before each word.

    One multiplication adds up the eight bytes of a word, so only an eighth of all sums is computed one by one. If a
    count is too large for that, each place is a word.
    """

    inside: NDArray[np.uint8]
    before: NDArray[np.float64]
    shift: int

    @classmethod
    def of(cls, counts: NDArray[np.uint8], rows: NDArray[np.intp]) -> Sums:
        """Return the sums of the counts of some rows, in the order of ``rows`` (n,).

        >>> sums = Sums.of(np.array([3, 0, 1, 2], dtype=np.uint8), np.array([2, 0, 3]))
        >>> sums.take(np.arange(4)).tolist(), sums.at(2)
        ([0.0, 1.0, 4.0, 6.0], 4)
        """
        n = len(rows)
        padded = np.zeros((n // WORD + 1) * WORD, dtype=np.uint8)
        np.take(counts, rows, out=padded[1 : n + 1], mode="clip")  # other modes take into a copy
        if counts.max(initial=0) > MOST:
            return cls(np.zeros(n + 1, dtype=np.uint8), np.cumsum(padded[: n + 1], dtype=np.float64), 0)
        words = padded.view("<u8") * _ONES
        before = np.zeros(len(words))
        np.cumsum(words[:-1] >> _LAST_BYTE, out=before[1:])
        return cls(words.astype("<u8", copy=False).view(np.uint8), before, SHIFT)

    def take(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the sum of the counts before each place, in the shape of the places."""
        return self.before.take(places >> self.shift) + self.inside.take(places)

    def at(self, place: int) -> int:
        """Return the sum of the counts before a place."""
        return int(self.before[place >> self.shift]) + int(self.inside[place])


Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
AT_ONCE = 100_000  # up to this many groups are summed at once, and copies of a row share a threshold
BLOCK_GROUPS = 2**15  # more groups are summed in blocks of this size, which fit in the processor's cache


@dataclass(frozen=True, eq=False)
class Ranking:
    """How many correct and wrong predictions lie at each distinct confidence, most confident first.

    ``rows`` is the sort, with g distinct confidences, each of which is a group. Errors are few, so they are counted
    only at the e listed groups, which can hold errors: ``wrong_there`` (e,). ``correct_so_far`` are the sums over the
    correct rows, in their order. Most metrics need no more; arrays (g,) are made on demand. In resamples, counts may be
    zero. They are whole numbers in float64, because they are added, multiplied and divided, but never converted.
    ``repeats`` says whether a row may be counted twice.
    """

    rows: RankedRows
    correct_so_far: Sums
    wrong_there: Floats
    repeats: bool = False

    @property
    def distrust(self) -> Floats:
        """The negated distinct confidences, ascending, float64 (g,)."""
        return self.rows.distrust

    @property
    def threshold(self) -> Floats:
        """The distinct confidences, descending, (g,)."""
        return -self.distrust

    @cached_property
    def wrong_so_far(self) -> Floats:
        """Wrong predictions in the first listed groups, (e + 1,)."""
        return np.concatenate([[0], np.cumsum(self.wrong_there)])

    @cached_property
    def wrong_above(self) -> Floats:
        """Wrong predictions at or above each threshold, (g,)."""
        return self._wrong_above(slice(0, len(self.distrust)))

    def _wrong_above(self, groups: slice) -> Floats:
        return self.wrong_so_far[self.rows.passed[groups]]

    @cached_property
    def correct_above(self) -> Floats:
        """Correct predictions at or above each threshold, (g,)."""
        return self.correct_so_far.take(self.rows.correct_ends)

    @cached_property
    def accepted(self) -> Floats:
        """All predictions at or above each threshold, (g,)."""
        return self.correct_above + self.wrong_above

    @cached_property
    def risk_above(self) -> Floats:
        """Fraction of errors among the predictions at or above each threshold, (g,); 0 without predictions."""
        return self.wrong_above / np.maximum(self.accepted, 1)

    @cached_property
    def errors(self) -> Errors:
        """The counts at all listed groups; most metrics are sums over these, and they are few."""
        return self._errors(slice(0, len(self.wrong_there)))

    def _errors(self, part: slice) -> Errors:
        ends, starts = self.rows.listed_ends[part], self.rows.listed_starts
        above = self.correct_so_far.take(ends)
        correct = np.zeros(len(ends)) if starts is None else above - self.correct_so_far.take(starts[part])
        return Errors(self, correct, self.wrong_there[part], above, above + self.wrong_so_far[1:][part])

    @cached_property
    def reach(self) -> _Reach:
        """What lies above each listed group; if these are many, also all sums, because blocks are passed only once."""
        count = len(self.wrong_there)
        if count <= AT_ONCE:
            return _Reach(self.errors.before, self.errors.accepted, self.errors.risk_before, {})
        reach = _Reach(np.empty(count), np.empty(count), np.empty(count), dict.fromkeys(_SUMS, 0.0))
        for part in blocks(count, BLOCK_GROUPS):
            at = self._errors(part)
            reach.before[part] = at.before
            reach.accepted[part] = at.accepted
            reach.risk_before[part] = at.risk_before
            for name, function in _SUMS.items():
                reach.sums[name] += float(np.sum(function(at)))
        return reach

    def sum_over_errors(self, name: str) -> float:
        """Return the sum of one of :data:`_SUMS` over all listed groups."""
        sums = self.reach.sums
        if sums:
            return sums[name]
        return float(np.sum(_SUMS[name](self.errors)))

    @cached_property
    def harmonic(self) -> Floats:
        """The harmonic numbers H_0…H_n, (n + 1,)."""
        return harmonic_numbers(self.n)

    @cached_property
    def aurc(self) -> float:
        """The AURC, (1/n) Σ_k e_k / k, where e_k is the expected number of errors among the k most confident."""
        return self.sum_over_errors("risk") / self.n

    @cached_property
    def precision_sum(self) -> float:
        """The sum, over the correct predictions, of the fraction of correct ones at or above their thresholds.

        In resamples with more than ``AT_ONCE`` distinct confidences, copies of a row whose confidence is unique follow
        each other instead of sharing a threshold. The mean precision is then lower by less than ln(n) / n. Such a row
        adds 1 − w/k for each place k of a copy, after w errors. Between two errors, the sum of w/k is w times a
        difference of harmonic numbers, so only the listed groups have to be passed.
        """
        if not self.repeats or len(self.distrust) <= AT_ONCE:
            return sum(map(self._precisions, blocks(len(self.distrust), AT_ONCE)))
        return self.n_correct - self.n_wrong * float(self.harmonic[-1]) + self.sum_over_errors("precision of correct")

    def _precisions(self, groups: slice) -> float:
        """Return what some groups add to that sum."""
        above = self.correct_so_far.take(self.rows.correct_ends[groups])
        correct = np.diff(above, prepend=self.first(groups.start)[0])
        return float(np.sum(correct * (above / np.maximum(above + self._wrong_above(groups), 1))))

    @cached_property
    def n(self) -> int:
        """The number of predictions."""
        return self.n_correct + self.n_wrong

    @cached_property
    def n_correct(self) -> int:
        """The number of correct predictions."""
        return self.correct_so_far.at(len(self.rows.sides[1]))

    @cached_property
    def n_wrong(self) -> int:
        """The number of wrong predictions."""
        return int(self.wrong_so_far[-1])

    def above(self, threshold: float) -> tuple[int, int]:
        """Return how many correct and wrong predictions have a confidence > ``threshold``."""
        return self.first(int(np.searchsorted(self.distrust, -threshold, side="left")))

    def first(self, groups: int) -> tuple[int, int]:
        """Return how many correct and wrong predictions lie in the first groups."""
        if groups == 0:
            return 0, 0
        listed = int(np.searchsorted(self.rows.listed, groups))
        return self.correct_so_far.at(int(self.rows.correct_ends[groups - 1])), int(self.wrong_so_far[listed])


class _Reach(NamedTuple):
    """The predictions above, and at or above, each listed group, and the fraction of errors above it, (e,) each.

    The fraction is 0 without predictions. ``sums`` are those of :data:`_SUMS`, if they were made.
    """

    before: Floats
    accepted: Floats
    risk_before: Floats
    sums: dict[str, float]


@dataclass(frozen=True, eq=False)
class Errors:
    """Counts of a ranking at listed groups, float64 (e,): in the group, then at or above its threshold."""

    ranking: Ranking
    correct: Floats
    wrong: Floats
    correct_above: Floats
    accepted: Floats

    @cached_property
    def size(self) -> Floats:
        """All predictions in the group."""
        return self.correct + self.wrong

    @cached_property
    def before(self) -> Floats:
        """All predictions above the group."""
        return self.accepted - self.size

    @cached_property
    def wrong_before(self) -> Floats:
        """Wrong predictions above the group."""
        return self.accepted - self.correct_above - self.wrong

    @property
    def risk_before(self) -> Floats:
        """Fraction of errors among the predictions above the group; 0 without predictions."""
        return self.wrong_before / np.maximum(self.before, 1)

    @cached_property
    def harmonic(self) -> tuple[Floats, Floats]:
        """The harmonic numbers of ``accepted`` and ``before``."""
        numbers = self.ranking.harmonic
        return numbers.take(self.accepted.astype(np.intp)), numbers.take(self.before.astype(np.intp))


def _pairs_in_ranking(at: Errors) -> Floats:
    """Count the correct predictions above each error, and half of those tied with it."""
    return at.wrong * (at.correct_above - 0.5 * at.correct)


def _precision_in_ranking(at: Errors) -> Floats:
    """Return, for each error, the fraction of errors among the predictions at or below its threshold."""
    return at.wrong * (at.ranking.n_wrong - at.wrong_before) / np.maximum(at.ranking.n - at.before, 1)


def _risk_in_ranking(at: Errors) -> Floats:
    """Return what each error adds to Σ_k e_k / k.

    An error in place k adds H_n − H_(k−1), with harmonic numbers H. In a tie of m rows after a rows, the mean of
    H_(k−1) over its places is H_(a+m) − 1 + (a/m) (H_(a+m) − H_a).
    """
    last, first = at.harmonic
    mean = last - 1 + at.before / np.maximum(at.size, 1) * (last - first)
    return at.wrong * (float(at.ranking.harmonic[-1]) - mean)


def _correct_precision_in_ranking(at: Errors) -> Floats:
    """Return what each group adds to :attr:`Ranking.precision_sum`, and its errors to the sum of the groups below."""
    last, first = at.harmonic
    of_errors = at.wrong * last + at.wrong_before * (last - first)
    if at.ranking.rows.listed_starts is None:
        return of_errors
    return of_errors + at.correct * (at.correct_above / np.maximum(at.accepted, 1) - 1)


_SUMS: dict[str, Callable[[Errors], Floats]] = {
    "pairs": _pairs_in_ranking,
    "precision": _precision_in_ranking,
    "risk": _risk_in_ranking,
    "precision of correct": _correct_precision_in_ranking,
}


@dataclass(frozen=True, eq=False)
class RankedRows:
    """The sort itself, most confident first.

    ``order`` (n,) has the rows, first the errors, then the correct ones. ``distrust`` is the negated confidence of each
    group, ascending, float64 (g,). ``correct_ends`` (g,) counts the correct rows at or above it. ``listed`` (e,) has
    the indices of the groups that hold an error, and, if there are more than ``AT_ONCE`` groups, of those that hold
    several rows. ``error_ends`` (e,) counts the errors at or above each listed group.
    """

    order: NDArray[np.intp]
    distrust: Floats
    correct_ends: NDArray[np.intp]
    listed: NDArray[np.intp]
    error_ends: NDArray[np.intp]

    @property
    def sides(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The rows of the errors, and those of the correct predictions."""
        count = int(self.error_ends[-1]) if len(self.error_ends) else 0
        return self.order[:count], self.order[count:]

    @cached_property
    def passed(self) -> NDArray[np.intp]:
        """How many listed groups lie at or above each threshold, (g,)."""
        return np.searchsorted(self.listed, np.arange(len(self.distrust)), side="right")

    @cached_property
    def listed_ends(self) -> NDArray[np.intp]:
        """How many correct rows lie at or above each listed group, (e,)."""
        return self.correct_ends[self.listed]

    @cached_property
    def listed_starts(self) -> NDArray[np.intp] | None:
        """How many correct rows lie above each listed group, (e,); None if no listed group holds a correct row."""
        starts = np.concatenate([[0], self.correct_ends])[self.listed]
        if np.array_equal(starts, self.listed_ends):
            return None
        return starts

    def ranking(self, times: NDArray[np.uint8] | None = None) -> Ranking:
        """Return the counts with all rows once, or each as many ``times`` as it was drawn, uint8 (n,)."""
        wrong, correct = self.sides
        counts = np.ones(len(self.order), dtype=np.uint8) if times is None else times
        sums = Sums.of(counts, correct)
        return Ranking(self, sums, self._at_listed(counts.take(wrong)), repeats=times is not None)

    def _at_listed(self, times: NDArray[np.uint8]) -> Floats:
        """Return how often the errors of each listed group were drawn, (e,); some groups may hold none."""
        if len(times) == len(self.error_ends):
            return times.astype(np.float64)
        return np.diff(np.cumsum(np.append(0, times))[self.error_ends], prepend=0).astype(np.float64)


def rank_rows(confidence: ArrayLike, is_correct: ArrayLike) -> RankedRows:
    """Sort the predictions (n,) once.

    Raises
    ------
    SteepslopeError
        If the lengths differ, there are no rows, a confidence is NaN or ``is_correct`` is neither boolean nor
        whole numbers 0 and 1.
    """
    confidence, is_correct = checked_confidences(confidence, is_correct)
    distrust = -confidence
    order = np.argsort(distrust)
    distrust, wrong = distrust[order], ~is_correct[order]
    starts = np.flatnonzero(np.concatenate([[True], distrust[1:] != distrust[:-1]]))
    ends = np.append(starts[1:], len(order))
    wrong_ends = np.cumsum(wrong)[ends - 1]
    is_listed = np.diff(wrong_ends, prepend=0) > 0
    if len(starts) > AT_ONCE:
        is_listed |= ends - starts > 1
    return RankedRows(
        order=np.concatenate([order[wrong], order[~wrong]]),
        distrust=distrust[starts],
        correct_ends=ends - wrong_ends,
        listed=np.flatnonzero(is_listed),
        error_ends=wrong_ends[is_listed],
    )


class _OfRanking(Protocol[P, T]):
    """A function of (confidence, is_correct); ``of`` is the same function of a ranking."""

    of: Callable[Concatenate[Ranking, P], T]

    def __call__(self, confidence: ArrayLike, is_correct: ArrayLike, *args: P.args, **kwargs: P.kwargs) -> T:
        """Sort the predictions, (n,) each, and return the value."""


def ranks_two_arrays(function: Callable[Concatenate[Ranking, P], T]) -> _OfRanking[P, T]:
    """Turn a function of a ranking into a function of two arrays."""

    @wraps(function)
    def of_arrays(confidence: ArrayLike, is_correct: ArrayLike, *args: P.args, **kwargs: P.kwargs) -> T:
        return function(rank_rows(confidence, is_correct).ranking(), *args, **kwargs)

    further = list(signature(function).parameters.values())[1:]
    arrays = list(signature(of_arrays, follow_wrapped=False).parameters.values())[:2]
    of_arrays.__signature__ = signature(function).replace(parameters=[*arrays, *further])  # type: ignore[attr-defined]
    of_arrays.of = function  # type: ignore[attr-defined]
    return cast(_OfRanking[P, T], of_arrays)


def checked_confidences(confidence: ArrayLike, is_correct: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """Return both as float64 (n,) and bool (n,), or raise as :func:`rank_rows` does."""
    values, correct = np.asarray(confidence), np.asarray(is_correct)
    if values.ndim != 1 or values.dtype.kind not in "fiub" or values.shape != correct.shape or len(values) == 0:
        expected = "expected numbers and booleans of one shape (n,), n >= 1"
        found = f"{values.dtype} {values.shape} and {correct.dtype} {correct.shape}"
        raise SteepslopeError(f"confidence and is_correct: {expected}, found {found}")
    if correct.dtype.kind not in "biu" or (correct.dtype.kind != "b" and np.any((correct != 0) & (correct != 1))):
        raise SteepslopeError(f"is_correct: expected booleans, found {correct.dtype}: {correct[:3].tolist()}…")
    values = values.astype(np.float64)
    if np.isnan(values).any():
        raise SteepslopeError(f"confidence: expected numbers, found NaN in row {int(np.isnan(values).argmax())}")
    return values, correct.astype(np.bool_)


def harmonic_numbers(n: int) -> Floats:
    """Return the harmonic numbers H_0…H_n, float64 (n + 1,)."""
    return _harmonic_table(n.bit_length())[: n + 1]


@lru_cache(maxsize=4)
def _harmonic_table(bits: int) -> Floats:
    """Return H_k for all k < 2^bits; one table serves all resamples, even of clusters, whose n differ."""
    return np.concatenate([[0.0], np.cumsum(1 / np.arange(1, 2**bits))])
