"""Signals beside an answer, such as log-probability or a judge's grade, and whether the answer is right.

Of each signal only the order counts: its rank among the fit set's values. Three predictors see the ranks: an additive
model (piecewise linear functions, by logistic regression with a ridge), shallow boosted trees, and the best single
signal. A regression with weights of at least 0, shrunk to equal ones, adds up their log-odds. On few rows the sum is
steadier than any choice among the three. The classifier's own confidence is one of the signals.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from steepslope.errors import SteepslopeError
from steepslope.metrics import aurc
from steepslope.numerics import (
    SHAPES,
    Array,
    ArrayDict,
    Bools,
    Floats,
    clipped,
    constant,
    fit_trees,
    float32,
    float64,
    is_class,
    log_odds_of,
    log_softmax,
    logsumexp,
    namespace_of,
    quiet,
    require_arrays,
    scale_of_columns,
    softplus,
    tree_log_odds,
    without,
)
from steepslope.oracle.evidence._states import State, fold_of_rows, references
from steepslope.outputs import MISSED, UNSAID, ClassifierOutputs
from steepslope.scores import Rows, rows_of

_KNOTS = 65  # values of a signal in the fit set, between which ranks are interpolated
_PIECES = 5  # of each piecewise linear function
_MIDDLE = 0.5  # the rank of a signal that a row lacks
_ROWS_OF_RIDGE = 30_000.0  # the inverse strength of the ridge is n / 30,000
_WEAKEST = 0.3  # at most
_SIGNAL_FOLDS = 3  # the five folds of a fit set, the last two of them added to the first two
_FLAT = 1e-6  # deviations of parts of ranks below it are rounding
_TO_EQUAL = 10.0  # strength, in rows, that shrinks the three weights to equal ones
_PARTS = 3
_OF_SIGNALS = {
    "knots": f"float64 s {_KNOTS}",
    "ranks": f"float64 s {_KNOTS}",
    "lacking": "float64 s",
    "ridge": "float64 b",
    "best": "float64 2",
    "centre": f"float64 {_PARTS}",
    "scale": f"float64 {_PARTS}",
    "weights": f"float64 {_PARTS + 1}",
}


@quiet
def fit_signals(outputs: ClassifierOutputs, arrays: Sequence[str]) -> State:
    """Learn from signals (n,) whether predictions are right."""
    outputs = references(outputs)
    is_correct = outputs.is_correct
    signals = _signals_of(rows_of(outputs, ("logits", *arrays), slice(None)), arrays)
    scales = [_rank_knots(signal[~np.isnan(signal)]) for signal in signals.T]
    state: ArrayDict = {
        "knots": np.stack([knots for knots, _ in scales]),
        "ranks": np.stack([ranks for _, ranks in scales]),
        "lacking": np.isnan(signals).mean(axis=0),
    }
    columns = _ranked_columns(signals, state)
    fold = fold_of_rows(is_correct, 0) % _SIGNAL_FOLDS
    held_out = np.zeros((len(is_correct), _PARTS))
    for number in range(_SIGNAL_FOLDS):
        inside = fold == number
        parts = _fit_parts(columns[~inside], is_correct[~inside])
        held_out[inside] = _parts(columns[inside], parts)
    state |= _fit_parts(columns, is_correct)
    state["weights"] = _shared_weights(held_out, is_correct)
    return state


def check_signals(state: State, num_classes: int) -> None:
    """Raise unless a state is what :func:`fit_signals` returns."""
    require_arrays(state, dict(sorted({**_OF_SIGNALS, **SHAPES}.items())))
    count = len(state["knots"]) + int((state["lacking"] > 0).sum())
    if len(state["ridge"]) != _PIECES * count + 1:
        raise SteepslopeError("expected a weight for each piece of each signal, found others")
    columns = np.append(state["features"], state["best"][0])
    if not ((columns >= 0) & (columns < count)).all():
        raise SteepslopeError(f"expected columns in 0…{count - 1}, found others")


def signal_opinions(rows: Rows, state: State, arrays: Sequence[str]) -> Array:
    """Return log-probabilities (m, 1, K): what signals say of the prediction; other classes share the rest as before.

    They are NaN, which has no weight, in a row that lacks a signal that all rows of the fit set had.
    """
    signals = _signals_of(rows, arrays)
    xp = namespace_of(signals)
    parts = _parts(_ranked_columns(signals, state), state)
    odds = parts @ constant(state["weights"][:-1], parts) + float(state["weights"][-1])
    always = constant(state["lacking"] == 0, signals)
    is_lacking = xp.any(xp.isnan(signals) & always, axis=1)
    odds = xp.where(is_lacking, np.nan, odds)[:, None]
    logs = log_softmax(float64(rows["logits"]))
    own = is_class(logs.argmax(1), logs.shape[1])
    others = logs - logsumexp(without(logs, own), keepdims=True)
    return xp.where(own, -softplus(-odds), others - softplus(odds))[:, None]


def _signals_of(rows: Rows, arrays: Sequence[str]) -> Array:
    """Return the signals side by side, float64 (m, s), first the log-odds of the classifier's own confidence.

    They are rounded to float32, as exported files take them: between close values ranks may rise steeply.
    """
    logits = float64(rows["logits"])
    xp = namespace_of(logits)
    is_said = xp.max(logits, axis=1) > UNSAID + MISSED
    own = xp.where(is_said, log_odds_of(logits, logits.argmax(1)), np.nan)
    further = [float64(rows[name]) for name in arrays]
    return float64(float32(xp.stack([own, *further], axis=1)))


def _rank_knots(known: Floats) -> tuple[Floats, Floats]:
    """Return values of a signal, ascending, and their ranks in (0, 1): the share of the fit set below, ties by half."""
    if not len(known):
        return np.arange(_KNOTS, dtype=np.float64), np.full(_KNOTS, _MIDDLE)
    ranked = np.sort(known)
    knots = knots_among(ranked, _KNOTS)
    ranks = ranks_among(ranked, knots)
    beyond = np.arange(1, _KNOTS - len(knots) + 1)  # all values above the largest have its rank
    largest = knots[-1]
    spare = largest + beyond * max(1.0, abs(float(largest)))
    return np.append(knots, spare), np.pad(ranks, (0, len(beyond)), mode="edge")


def knots_among(ranked: Floats, most: int) -> Floats:
    """Return the distinct values among sorted ones, or if these are too many, evenly spread quantiles."""
    distinct = np.unique(ranked)
    if len(distinct) <= most:
        return distinct
    return np.unique(np.quantile(ranked, np.linspace(0, 1, most), method="nearest"))


def ranks_among(ranked: Floats, values: Floats) -> Floats:
    """Return the ranks of values (n,) among sorted ones (m,), in (0, 1): the share below, ties by half."""
    below = np.searchsorted(ranked, values, "left")
    until = np.searchsorted(ranked, values, "right")
    return (below + until + 1) / (2 * len(ranked) + 2)


def _ranked_columns(signals: Array, state: State) -> Array:
    """Return the rank of each signal, and whether a row lacks those that rows of the fit set lacked, float64 (m, w)."""
    xp = namespace_of(signals)
    columns = []
    for number in range(len(state["knots"])):
        signal = signals[:, number]
        knots = constant(state["knots"][number], signals)
        ranks = constant(state["ranks"][number], signals)
        values = xp.where(xp.isnan(signal), knots[0], signal)
        values = xp.minimum(xp.maximum(values, knots[0]), knots[-1])
        piece = xp.sum(values[:, None] >= knots[1:-1], axis=1)
        inside = (values - knots[piece]) / (knots[piece + 1] - knots[piece])
        rank = ranks[piece] + inside * (ranks[piece + 1] - ranks[piece])
        columns.append(xp.where(xp.isnan(signal), _MIDDLE, rank))
    for number in np.flatnonzero(state["lacking"] > 0).tolist():
        columns.append(float64(xp.isnan(signals[:, number])))
    return xp.stack(columns, axis=1)


def _fit_parts(columns: Floats, is_correct: Bools) -> ArrayDict:
    """Fit the three predictors to ranked columns; ``centre`` and ``scale`` standardise their log-odds."""
    fitted: ArrayDict = {
        "ridge": _fit_ridge(_piecewise(columns), is_correct),
        **fit_trees(columns.astype(np.float32), is_correct),
        "best": _best_single(columns, is_correct),
        "centre": np.zeros(_PARTS),
        "scale": np.ones(_PARTS),
    }
    parts = _parts(columns, fitted)
    centre = parts.mean(axis=0)
    fitted["centre"] = centre
    fitted["scale"] = scale_of_columns(centre, parts.std(axis=0), np.float64)
    return fitted


def _fit_ridge(pieces: Floats, is_correct: Bools) -> Floats:
    """Return the weights of the pieces (n, w), and an offset, (w + 1,); zeros without errors or correct predictions."""
    if is_correct.all() or not is_correct.any():
        return np.zeros(pieces.shape[1] + 1)
    mean = pieces.mean(axis=0)
    deviation = pieces.std(axis=0)
    scale = np.where(deviation > _FLAT, deviation, 1.0)
    strength = min(_WEAKEST, len(pieces) / _ROWS_OF_RIDGE)
    ridge = LogisticRegression(C=strength, max_iter=1_000).fit((pieces - mean) / scale, is_correct)
    slopes = ridge.coef_[0] / scale
    return np.append(slopes, ridge.intercept_[0] - mean @ slopes)


def _best_single(columns: Floats, is_correct: Bools) -> Floats:
    """Return the number of the column with the least AURC, and 1, or −1 if low values are the right ones."""
    best = np.array([0.0, 1.0])
    if is_correct.all() or not is_correct.any():
        return best
    least = np.inf
    for number, column in enumerate(columns.T):
        for sign in (1, -1):
            risk = aurc(sign * column, is_correct)
            if risk < least:
                least = risk
                best = np.array([number, sign], dtype=np.float64)
    return best


def _piecewise(columns: Array) -> Array:
    """Return how much of each fifth of (0, 1) lies below each column's value, (m, w) -> (m, 5w)."""
    pieces = [clipped(columns - piece / _PIECES, 0, 1 / _PIECES) for piece in range(_PIECES)]
    return namespace_of(columns).concat(pieces, axis=1)


def _parts(columns: Array, state: State) -> Array:
    """Return the standardised log-odds of the three predictors, float64 (m, 3)."""
    xp = namespace_of(columns)
    ridge = constant(state["ridge"], columns)
    additive = _piecewise(columns) @ ridge[:-1] + ridge[-1]
    trees = tree_log_odds(float32(columns), state)
    number, sign = state["best"].tolist()
    rank = clipped(columns[:, int(number)], 1e-9, 1 - 1e-9)
    single = sign * xp.log(rank / (1 - rank))
    parts = xp.stack([additive, trees, single], axis=1)
    return (parts - constant(state["centre"], parts)) / constant(state["scale"], parts)


def _shared_weights(held_out: Floats, is_correct: Bools) -> Floats:
    """Return weights (3,) of held-out log-odds (n, 3), and an offset: a logistic regression, shrunk to equal ones."""
    signs = np.where(is_correct, -1.0, 1.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        odds = held_out @ weights[:-1] + weights[-1]
        gaps = weights[:-1] - weights[:-1].mean()
        slopes = signs / (1 + np.exp(-signs * odds))
        gradient = np.append(held_out.T @ slopes + 2 * _TO_EQUAL * gaps, slopes.sum())
        total = np.logaddexp(0, signs * odds).sum() + _TO_EQUAL * gaps @ gaps
        return float(total), gradient

    start = np.append(np.full(_PARTS, 0.5), 0.0)
    bounds = [(0, None)] * _PARTS + [(None, None)]
    solution = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(solution.x, dtype=np.float64)
