"""What looks too good, or too bad, to be true: a wrong join, a leak of labels, or labels made from the predictions.

Rows are counted in the fit set and among the calibration rows, and the counts are compared by exact tests. All cautions
together come in at most 1 % of fits in which all is honest, and no opinion is better than the classifier: that is the
sum of the levels below.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from scipy.stats import binom, hypergeom

from steepslope.numerics import Bools, Floats
from steepslope.outputs import VOTE, ClassifierOutputs, has_opinion, is_opinion_array, opinion_of_array

FEW_ERRORS = 6e-3  # levels: fewer errors than in the fit set is what confirmed predictions look like, so it gets most
_MANY_ERRORS = 1e-3
_OTHER_OPINIONS = 2e-3
_BETTER_OPINIONS = 1e-3
_UNLIKELY = 1e-4  # of errors that are only roughly known
_CLONES = 2.0  # the error rate of clones, fitted to fewer rows, may be so many times another, and still be honest
_HALF = 0.5  # of the classifier's errors: an opinion that makes no more may know the labels
_LEAST_ROWS = 200  # without an error, if it is not known how many the fit set has
COPIED = (
    "are the labels made from the predictions, did people confirm what they saw predicted, or was the classifier "
    "fitted on these rows?"
)
RENUMBERED = "are they other rows than meant, or do labels and predictions number the classes in another order?"
JOINED = "are its rows joined by the right ids, its classes in the same order, and the labels unknown to it?"
_KNOWING = "make sure that it does not know the labels, and if it does not, take it as the classifier"
_FACTS = {"agrees": "agrees with the classifier", "right": "is right"}


@dataclass(frozen=True)
class _OpinionCounts:
    """How many ``rows`` have an opinion, and in how many of these it ``agrees`` with the classifier, or is ``right``.

    ``alone``: in how many of these it alone is right; ``overruled``: in how many the classifier alone is.
    """

    rows: int
    agrees: int
    right: int
    alone: int
    overruled: int

    @classmethod
    def of(cls, array: str, outputs: ClassifierOutputs) -> Self:
        """Return the counts of the opinion in an array of labelled outputs."""
        values = outputs.require(array)
        rows = np.flatnonzero(has_opinion(array, values))
        said = values[rows] if array.startswith(VOTE) else values[rows].argmax(axis=1)
        right = said == outputs.require_labels()[rows]
        ours = outputs.is_correct[rows]
        agrees = said == outputs.predictions[rows]
        counts = np.sum([agrees, right, right & ~ours, ours & ~right], axis=1)
        return cls(len(rows), *counts.tolist())


@dataclass(frozen=True)
class RowCounts:
    """What was counted in labelled outputs, by which other rows are compared with them.

    ``errors``: how many rows are wrong, and of how many; (0, 0) if that says nothing about other rows. ``opinions`` by
    array. ``of_clones``: whether the errors are those of the classifier's clones, fitted to fewer rows.
    """

    errors: tuple[int, ...] = (0, 0)
    opinions: Mapping[str, _OpinionCounts] = field(default_factory=dict)
    of_clones: bool = False

    @classmethod
    def of(cls, outputs: ClassifierOutputs, arrays: Iterable[str] = ()) -> Self:
        """Return the counts of labelled outputs, with the opinions among some arrays."""
        errors = int((~outputs.is_correct).sum())
        opinions = {array: _OpinionCounts.of(array, outputs) for array in filter(is_opinion_array, arrays)}
        return cls((errors, len(outputs)), opinions)


def cautions_on_better_opinions(counts: RowCounts) -> Iterator[str]:
    """Yield a caution for each opinion with at most half of the classifier's errors, by a sign test too few for luck.

    >>> outputs = ClassifierOutputs(9 * np.eye(2)[np.arange(100) % 2], np.arange(100) % 4 // 2)
    >>> counts = RowCounts.of(outputs.with_opinion("audit", outputs.labels), ["vote_audit"])
    >>> next(cautions_on_better_opinions(counts)).partition(":")[0]
    'the opinion audit is right in 100 of 100 rows, the classifier in 50 of them'
    """
    level = _BETTER_OPINIONS / max(1, len(counts.opinions))
    for array, opinion in counts.opinions.items():
        ours = opinion.right - opinion.alone + opinion.overruled
        is_half = opinion.rows - opinion.right <= _HALF * (opinion.rows - ours)
        one_is_right = opinion.alone + opinion.overruled
        if is_half and binom.cdf(opinion.overruled, one_is_right, 0.5) <= level:
            counted = f"is right in {opinion.right:,} of {opinion.rows:,} rows, the classifier in {ours:,} of them"
            yield f"the opinion {opinion_of_array(array)} {counted}: {_KNOWING}"


def _is_rarer(count: int, n: int, before: int, m: int, level: float, of_clones: bool = False) -> bool:
    """Return whether ``count`` cases in n rows are too few for luck, given all cases of these and of m rows.

    The m rows have ``before`` cases. The test is Fisher's. If these are errors ``of_clones``, the rate may be half, and
    an exact test of two Poisson rates (Przyborowski & Wilenski, 1940) has the level 1e-4.

    >>> _is_rarer(0, 10, 3, 10, 0.11), _is_rarer(0, 10, 3, 10, 0.1), _is_rarer(0, 10, 0, 0, 0.1)
    (True, False, False)
    """
    if of_clones:
        return bool(binom.cdf(count, count + before, n / (n + _CLONES * m)) <= _UNLIKELY)
    return bool(hypergeom.cdf(count, n + m, count + before, n) <= level)


def caution_on_errors(is_correct: Bools, probability: Floats, fit_set: RowCounts | None) -> list[str]:
    """Return a caution if far fewer, or far more, of the rows (n,) are wrong than in the fit set, else an empty list.

    If ``fit_set`` is None, there is a caution if none of at least 200 rows is wrong, and the classifier's
    ``probability`` of each prediction gives that a chance of at most 1e-4.

    >>> caution_on_errors(np.ones(500, np.bool_), np.full(500, 0.99), RowCounts((60, 600)))[0].partition(":")[0]
    '0 of 500 calibration rows are wrong, where 60 of 600 rows of the fit set were'
    >>> caution_on_errors(np.arange(500) < 300, np.full(500, 0.99), RowCounts((60, 600)))[0].partition(":")[0]
    '200 of 500 calibration rows are wrong, where 60 of 600 rows of the fit set were'
    >>> caution_on_errors(np.ones(500, np.bool_), np.full(500, 0.99), None)
    []
    """
    n = len(is_correct)
    errors = int((~is_correct).sum())
    more = False
    if fit_set is None:
        expected = f"by the classifier's own probabilities about {(1 - probability).sum():,.0f} should be"
        fewer = n >= _LEAST_ROWS and not errors and np.log(probability).sum() <= np.log(_UNLIKELY)
    else:
        before, m = fit_set.errors
        expected = f"{before:,} of {m:,} rows of the fit set were"
        fewer = _is_rarer(errors, n, before, m, FEW_ERRORS, fit_set.of_clones)
        more = _is_rarer(before, m, errors, n, _MANY_ERRORS, fit_set.of_clones)
    if not (fewer or more):
        return []
    question = COPIED if fewer else RENUMBERED
    return [f"{errors:,} of {n:,} calibration rows are wrong, where {expected}: {question}"]


def cautions_on_other_opinions(counts: RowCounts, fit_set: RowCounts) -> Iterator[str]:
    """Yield a caution for each opinion that agrees with the classifier, or is right, as it was not in the fit set.

    >>> before = RowCounts(opinions={"vote_a": _OpinionCounts(99, 90, 80, 80, 75)})
    >>> now = RowCounts(opinions={"vote_a": _OpinionCounts(99, 20, 20, 20, 20)})
    >>> next(cautions_on_other_opinions(now, before)).partition(":")[0]
    'the opinion a agrees with the classifier in 20 % of 99 calibration rows, in 91 % of 99 rows of the fit set'
    """
    level = _OTHER_OPINIONS / 4 / max(1, len(counts.opinions))
    for array, opinion in counts.opinions.items():
        if array not in fit_set.opinions:
            continue
        earlier = fit_set.opinions[array]
        n = opinion.rows
        m = earlier.rows
        for fact, verb in _FACTS.items():
            count = getattr(opinion, fact)
            before = getattr(earlier, fact)
            if _is_rarer(count, n, before, m, level) or _is_rarer(before, m, count, n, level):
                share = f"in {100 * count / n:.0f} % of {n:,} calibration rows"
                usual = f"in {100 * before / m:.0f} % of {m:,} rows of the fit set"
                yield f"the opinion {opinion_of_array(array)} {verb} {share}, {usual}: {JOINED}"
                break
