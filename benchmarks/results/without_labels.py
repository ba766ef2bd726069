"""Estimates of accuracy without labels, ours next to COTT and PAPE, on frozen outputs whose rows are drawn anew.

Run ``python -m benchmarks.results without-labels --out results/without-labels``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.special import softmax
from scipy.stats import t
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from benchmarks.results.kept_rows import Row, write_results
from steepslope.errors import RowsWarning, require, whole
from steepslope.numerics import top_log_odds
from steepslope.oracle import FusedOracle
from steepslope.outputs import ClassifierOutputs
from steepslope.promise import ProbabilityMap
from steepslope.report import Cell, Grid, grid_in_markdown
from steepslope.score_benchmark import FrozenPair, load_frozen_pairs
from steepslope_lab.paper.tables import grouped_rows

DECIDED_BY = ("oracle", "monitor")
M = 500  # rows of a stream at most; a third of those that are not calibrated on, where these are fewer than 1,500
STEEPNESS = 1.5  # of weights by a standardised number
LARGEST = 20.0  # density ratio
OURS = "mean_p_correct"
Floats = NDArray[np.float64]
NOTE = (
    "Mean absolute error of the estimated accuracy, in points, over ten pairs; in brackets the paired difference to "
    "mean_p_correct, the monitor's estimate, over pairs, with a 95 % interval (Student's), negative where the estimate "
    "is better. Streams are drawn from rows that nothing was fitted on: at random, with another mix of the true "
    "classes (Dirichlet weights), along the first principal direction of what the classifier sees, and towards less "
    "sure predictions. Half of the judged rows are calibrated on."
)


def without_labels(out: str = "results/without-labels", draws: int = 5) -> None:
    """Draw streams of each pair, estimate the accuracy of each in every way, and write rows.json and table.md.

    Parameters
    ----------
    out
        Folder for the results.
    draws
        Streams of each kind and pair.
    """
    require("draws", draws, whole(1))
    rows = [row for pair in load_frozen_pairs() for row in rows_of_pair(pair, draws)]
    write_results(out, DECIDED_BY, rows, table(rows))


def rows_of_pair(pair: FrozenPair, draws: int) -> list[Row]:
    """Return a row for each stream and way: the mean error, and that of always naming the calibration accuracy."""
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RowsWarning)
        oracle = FusedOracle().fit(pair.fit_set, reference=pair.training)
    judged = pair.judged
    order = rng.permutation(len(judged))
    half = len(judged) // 2
    known, pool = judged.subset(order[:half]), judged.subset(order[half:])
    chance = ProbabilityMap.from_rows(oracle.trust_logit(known), known.is_correct, of_log_odds=True)
    rows = []
    for stream, weigh in STREAMS.items():
        errors: dict[str, list[float]] = {}
        for _ in range(draws):
            weights = weigh(pool, rng)
            size = min(M, len(pool) // 3)
            drawn = pool.subset(rng.choice(len(pool), size, replace=False, p=weights / weights.sum()))
            truth = float(drawn.is_correct.mean())
            for way, found in estimates(oracle, chance, known, drawn, rng).items():
                errors.setdefault(way, []).append(abs(found - truth))
        rows += [
            {"pair": pair.name, "stream": stream, "way": way, "error": round(float(np.mean(some)), 5)}
            for way, some in errors.items()
        ]
    return rows


def by_class(pool: ClassifierOutputs, rng: np.random.Generator) -> Floats:
    """Return weights of another mix of the true classes."""
    return np.asarray(rng.dirichlet(np.ones(pool.num_classes + 1))[pool.require_labels()] + 1e-6)


def by_number(
    pool: ClassifierOutputs, rng: np.random.Generator, number: Callable[[ClassifierOutputs], Floats]
) -> Floats:
    """Return weights that rise, or fall, with a number a row."""
    values = number(pool)
    return np.asarray(np.exp(STEEPNESS * (values - values.mean()) / (values.std() or 1.0)))


def first_direction(pool: ClassifierOutputs) -> Floats:
    """Return the place of each row on the first principal direction of features, or of log-probabilities."""
    inputs = np.asarray(pool.logits if pool.features is None else pool.features, np.float64)
    inputs = inputs - inputs.mean(axis=0)
    return np.asarray(inputs @ np.linalg.svd(inputs, full_matrices=False)[2][0])


def doubt(pool: ClassifierOutputs) -> Floats:
    """Return how unsure the classifier is."""
    return np.asarray(-np.clip(top_log_odds(np.asarray(pool.logits, np.float64)), -10, 10) / 2)


STREAMS: dict[str, Callable[[ClassifierOutputs, np.random.Generator], Floats]] = {
    "as it was": lambda pool, rng: np.ones(len(pool)),
    "another mix of classes": by_class,
    "other inputs": partial(by_number, number=first_direction),
    "less sure": partial(by_number, number=doubt),
}


def estimates(
    oracle: FusedOracle,
    chance: ProbabilityMap,
    known: ClassifierOutputs,
    drawn: ClassifierOutputs,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Return the estimated accuracy of a stream in every way."""
    right = known.is_correct
    sure, sure_now = (softmax(np.asarray(one.logits, np.float64), axis=1).max(axis=1) for one in (known, drawn))
    p_correct, p_now = (np.asarray(chance(oracle.trust_logit(one))) for one in (known, drawn))
    ours = {
        OURS: float(p_now.mean()),
        "atc_p_correct": thresholded(p_correct, right, p_now),
        "atc": thresholded(sure, right, sure_now),
        "doc": float(np.clip(right.mean() - sure.mean() + sure_now.mean(), 0, 1)),
    }
    unchanged = {"as on calibration rows": float(known.is_correct.mean())}
    return {**ours, "cott": cott(known, drawn, rng), "pape": pape(known, drawn), **unchanged}


def thresholded(known: Floats, right: NDArray[np.bool_], now: Floats) -> float:
    """Estimate by ATC (Garg et al., 2022): as many known rows lie below the threshold as are wrong."""
    return float((now >= np.sort(known)[int((~right).sum())]).mean())


def cott(known: ClassifierOutputs, drawn: ClassifierOutputs, rng: np.random.Generator) -> float:
    """Estimate by COTT (Lu et al., "Predicting Out-of-Distribution Error with Confidence Optimal Transport", 2023).

    The cost of carrying each softmax to a label of the calibration rows, as a whole the least; a threshold on it has as
    many calibration rows above as are wrong.
    """
    known = known.of_known_classes().subset(rng.permutation(len(known.of_known_classes()))[: 2 * len(drawn)])
    first, second = (known.subset(rows) for rows in np.array_split(np.arange(len(known)), 2))
    at_home = transport_costs(first, second.require_labels())
    threshold = np.quantile(at_home, first.is_correct.mean())
    labels = rng.choice(known.require_labels(), len(drawn))
    return float((transport_costs(drawn, labels) <= threshold).mean())


def transport_costs(outputs: ClassifierOutputs, labels: NDArray[np.int64]) -> Floats:
    """Return the largest change of a probability that carries each row (n,) to one of the labels (m,), n <= m."""
    shares = softmax(np.asarray(outputs.logits, np.float64), axis=1)
    kinds = np.unique(labels)
    top = np.sort(shares, axis=1)[:, -2:]
    own = shares[:, kinds]
    others = np.where(own == top[:, 1:], top[:, :1], top[:, 1:])
    costs = np.maximum(1 - own, others)[:, np.searchsorted(kinds, labels)]
    rows, columns = linear_sum_assignment(costs)
    return np.asarray(costs[rows, columns])


def pape(known: ClassifierOutputs, drawn: ClassifierOutputs) -> float:
    """Estimate by PAPE (Białek et al., "Estimating Model Performance Under Covariate Shift Without Labels", 2024).

    The classifier's confidence, calibrated on rows that are weighted by the ratio of densities, as boosting tells rows
    of the stream from calibration rows.
    """
    odds = [np.clip(top_log_odds(np.asarray(one.logits, np.float64)), -20, 20) for one in (known, drawn)]
    inputs = [
        np.column_stack([one.logits if one.features is None else one.features, sure])
        for one, sure in zip((known, drawn), odds, strict=True)
    ]
    side = np.repeat([0, 1], [len(known), len(drawn)])
    model = HistGradientBoostingClassifier(max_iter=50, random_state=0).fit(np.concatenate(inputs), side)
    share = model.predict_proba(inputs[0])[:, 1]
    ratio = np.minimum(share / (1 - share) * len(known) / len(drawn), LARGEST)
    calibrated = LogisticRegression().fit(odds[0][:, None], known.is_correct, sample_weight=ratio)
    return float(calibrated.predict_proba(odds[1][:, None])[:, 1].mean())


def table(rows: Sequence[Row]) -> str:
    """Return a line for each way, with a column for each stream."""
    ways, streams = (list(dict.fromkeys(row[name] for row in rows)) for name in ("way", "stream"))
    of_cell = {
        key: np.array([row["error"] for row in some]) for key, some in grouped_rows(rows, "way", "stream").items()
    }
    lines = [[Cell(way), *(_difference(of_cell[way, one], of_cell[OURS, one]) for one in streams)] for way in ways]
    return f"{grid_in_markdown(Grid('Accuracy without labels', ['estimate', *streams], lines, NOTE))}\n"


def _difference(errors: Floats, ours: Floats) -> Cell:
    gaps = 100 * (errors - ours)
    width = t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps))
    text = f"({gaps.mean():+.1f}, {gaps.mean() - width:+.1f} to {gaps.mean() + width:+.1f})"
    return Cell(f"{100 * errors.mean():.1f}", text if gaps.any() else "")
