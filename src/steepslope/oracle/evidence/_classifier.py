"""The classifier's own evidence: on the image, on its views, and with dropped units of the net."""

from steepslope.numerics import (
    Array,
    float64,
    highest,
    log_odds_of,
    log_softmax,
    logsumexp,
    namespace_of,
    taken,
    top_log_odds,
)
from steepslope.oracle.evidence._states import State
from steepslope.scores import Rows

_TOP = 10


def feature_columns(rows: Rows, _: State) -> Array:
    """Return the classifier's penultimate features, (m, d)."""
    return rows["features"]


def logit_columns(rows: Rows, _: State) -> Array:
    """Return the prediction's log-odds, and the top classes' logits and log-probabilities, each sorted.

    Shape (m, 1 + 2·min(K, 10)). Sorting makes the columns the same for any numbering of the classes.
    """
    logits = rows["logits"]
    top = highest(logits, _TOP)
    parts = [top_log_odds(logits)[:, None], top, top - logsumexp(logits, keepdims=True)]
    return namespace_of(logits).concat(parts, axis=1)


def logit_opinions(rows: Rows, _: State) -> Array:
    """Return the classifier's own log-probabilities, (m, 1, K)."""
    return log_softmax(rows["logits"])[:, None]


def view_columns(rows: Rows, _: State) -> Array:
    """Return the predicted class's log-odds in each view, their mean, least and spread, and the share that agrees.

    Shape (m, V + 4).
    """
    logits = float64(rows["views"])
    predictions = rows["predictions"]
    xp = namespace_of(logits)
    of_views = [log_odds_of(logits[:, view], predictions) for view in range(logits.shape[1])]
    odds = xp.stack(of_views, axis=1)
    agree = xp.mean(float64(logits.argmax(2) == predictions[:, None]), axis=1)
    summaries = [xp.mean(odds, axis=1), xp.min(odds, axis=1), xp.std(odds, axis=1), agree]
    return xp.concat([odds, xp.stack(summaries, axis=1)], axis=1)


def view_opinions(rows: Rows, _: State) -> Array:
    """Return the log-probabilities in each view, (m, V, K)."""
    return log_softmax(float64(rows["views"]), axis=2)


def dropout_columns(rows: Rows, _: State) -> Array:
    """Return the predicted class's log-odds under the mean of the passes, and its probability's spread, (m, 2)."""
    passes = float64(rows["dropout"])
    predictions = rows["predictions"]
    spread = taken(passes[:, 1], predictions[:, None])[:, 0]
    return namespace_of(passes).stack([log_odds_of(passes[:, 0], predictions), spread], axis=1)


def dropout_opinions(rows: Rows, _: State) -> Array:
    """Return the log of the mean probabilities of the passes, (m, 1, K)."""
    return float64(rows["dropout"][:, :1])
