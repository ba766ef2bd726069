"""Labels that confirm predictions: copies of these, or made by people who saw them.

There are two bets. One is that half of the errors were confirmed. The other is that all were, from the first label on
or from some error on. While P(correct) is right, the e-value of both together ever
reaches 1/level with a probability of at most that level (Ville, 1939).
"""

from __future__ import annotations

import numpy as np

from steepslope.numerics import Bools, Floats, clopper_pearson

_LEVEL = 1e-3


def surely_wrong_share(is_correct: Bools) -> float:
    """Return the lower bound on the error rate over the rate itself, in [0, 1], for calibration rows (n,).

    >>> round(surely_wrong_share(np.arange(300) >= 30), 2), surely_wrong_share(np.ones(300, np.bool_))
    (0.54, 0.0)
    """
    errors = (~is_correct).sum()
    return float(clopper_pearson(errors, len(is_correct), _LEVEL)[0] * len(is_correct) / max(errors, 1))


def _log_e_value_of_confirmed(p_wrong: Floats, is_wrong: Bools) -> float:
    """Return the logarithm of the e-value, for labels (m,) of predictions that are wrong with probability ``p_wrong``.

    >>> wrong = np.arange(100) < 10
    >>> sure = np.full(100, 0.1)
    >>> [round(_log_e_value_of_confirmed(sure, each), 1) for each in (wrong, ~wrong, wrong & False)]
    [3.9, -5.2, 9.2]
    """
    right = -np.log1p(-p_wrong)  # the gain of a bet that all errors were confirmed
    half = np.where(is_wrong, np.log(0.5), np.log1p(-p_wrong / 2) + right).sum()
    errors = is_wrong.sum()
    since = np.cumsum(is_wrong) == errors  # the labels after the last error, after each of which a bet begins
    begun = right[since & ~is_wrong].sum() - np.log((errors + 1) * (errors + 2))
    to_come = -np.log(errors + 2)  # of bets that begin after later errors
    return float(np.logaddexp.reduce([half, begun, to_come]) - np.log(2))


def caution_on_confirmed(p_wrong: Floats, is_wrong: Bools, share: float) -> str:
    """Return a caution if too few labels (m,) are errors, else "".

    Only a ``share`` of ``p_wrong``, the estimated probabilities of errors, is counted on.
    """
    if _log_e_value_of_confirmed(share * p_wrong, is_wrong) < -np.log(_LEVEL):
        return ""
    return (
        f"{is_wrong.sum():,} of {len(is_wrong):,} labels are errors, where by P(correct) about {p_wrong.sum():,.0f} "
        "should be: make sure that they are true labels, no copies of the predictions, nor confirmed by people who saw "
        "these"
    )
