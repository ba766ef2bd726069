"""What ranks the predictions of a trial: single scores, averages, a stacker, boosting, fused oracles.

And what takes the classifier's place. A further single score is an entry in ``RIVALS``, or one in ``OTHERS``.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from sklearn.ensemble import HistGradientBoostingClassifier

from steepslope.errors import SteepslopeError
from steepslope.metrics import aurc, auroc
from steepslope.numerics import fit_standardised_softmax, log_odds_of
from steepslope.oracle.evidence import State, fit_stack, stack_opinions, stacked_arrays, stacked_columns
from steepslope.outputs import ClassifierOutputs, has_opinion, is_opinion_array, opinion_of_array
from steepslope.score_benchmark import DIGITS
from steepslope.scores import SCORES, own_confidence, rows_of
from steepslope_lab.benchmark.rivals import OTHERS
from steepslope_lab.benchmark.trial import ALL, FREE, JudgedRows, Trial
from steepslope_lab.paper.methods import best_score

MCP, BEST, AVERAGE = "MCP", "best single score", "average of softmaxes"
STACKED, BOOSTED = "stacking", "boosting"
PROBE, ENSEMBLE = "a probe on the features, in its place", "the average, in its place"
STACK = "stacking, in its place"
RIVALS = {  # lines of single scores, by the score
    "temperature scaling": "temperature_scaled_mcp",
    "p-norm": "max_logit_pnorm",
    "TrustScore": "trust_score",
    "Mahalanobis ratio": "mahalanobis_ratio",
    "SIRC": "sirc",
    "MC dropout": "mc_dropout",
}
METRICS = ("auc", "aurc", "fpr_at_95tpr", "aupr_error")
PENALTY = 1e-3  # of a probe
LEAST_ERRORS = 2  # and correct predictions: early stopping holds out a part of both
MOST_PROBED = 100_000  # weights of a probe, columns × classes
Floats = NDArray[np.float64]


class Ranked(NamedTuple):
    """Confidences (n,) of predictions, and which of these are correct, (n,)."""

    confidence: Floats
    is_correct: NDArray[np.bool_]


def single_score_line(name: str, trial: Trial, outputs: ClassifierOutputs) -> Floats:
    """Return the confidences of a score that learns what it needs from a trial."""
    return own_confidence(SCORES[name], trial.known, trial.reference, outputs)


def ranked_lines(
    trial: Trial, rows: JudgedRows, risks: Mapping[str, float], own: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Floats]:
    """Return what ranks the classifier's own predictions, by the names of lines; what cannot be is left out.

    ``risks`` are the AURC of single scores on known rows, as :func:`least_aurc` has them; the best one is the least.
    ``own`` are further scores by the names of their lines, none of which is left out: functions, or objects or classes
    with ``fit`` and ``confidence``. They and ``OTHERS`` learn from the rows that a stacker learns from.
    """
    lines = {
        MCP: single_score_line("mcp", trial, rows.outputs),
        BEST: single_score_line(best_score(risks), trial, rows.outputs),
    }
    for line, name in RIVALS.items():
        if name in risks:
            lines[line] = single_score_line(name, trial, rows.outputs)
    if rows.outputs.opinions:
        lines[AVERAGE] = log_odds_of(averaged_softmaxes(rows.outputs), rows.outputs.predictions)
    logs = stacked_softmaxes(trial, rows.outputs)
    if logs is not None:
        lines[STACKED] = log_odds_of(logs, rows.outputs.predictions)
    odds = boosted_log_odds(trial, rows.outputs)
    if odds is not None:
        lines[BOOSTED] = odds
    for line, score in OTHERS.items():
        with suppress(SteepslopeError):  # it lacks features or errors
            lines[line] = own_confidence(score, trial.learnt, trial.reference, rows.outputs)
    for line, score in own.items():
        lines[line] = own_confidence(score, trial.learnt, trial.reference, rows.outputs)
    return lines | dict(rows.fused)


def averaged_softmaxes(outputs: ClassifierOutputs) -> Floats:
    """Return the log of the mean of all softmaxes, (n, K + 1), of those that a row has.

    A vote is 1 in its class. The last column has votes for classes that the classifier lacks.
    """
    probabilities = softmax(np.asarray(outputs.logits, dtype=np.float64), axis=1)
    total = np.pad(probabilities, ((0, 0), (0, 1)))
    count = np.ones(len(probabilities))
    for array in filter(is_opinion_array, outputs.arrays):
        values = outputs.require(array)
        there = has_opinion(array, values)
        if values.ndim == 1:
            total[there] += np.eye(outputs.num_classes + 1)[values[there]]
        else:
            total[there, :-1] += softmax(values[there].astype(float), axis=1)
        count += there
    return np.asarray(np.log(np.maximum(total / count[:, None], np.finfo(float).tiny)))


def stacked_softmaxes(trial: Trial, outputs: ClassifierOutputs) -> Floats | None:
    """Return the log-probabilities (n, K) of a logistic regression on all softmaxes and features, a stacker.

    It learns from the oracle's rows. None if it would be too wide, or if any row lacks an opinion.
    """
    arrays = stacked_arrays(trial.learnt, [*filter(is_opinion_array, trial.learnt.arrays)])
    if arrays is None or {*trial.learnt.opinions} != {*outputs.opinions}:
        return None
    logs = stack_opinions(rows_of(outputs, arrays, slice(None)), _stacker(trial, arrays), arrays)[:, 0]
    return None if np.isnan(logs).any() else logs


@lru_cache(maxsize=1)  # it is asked about each set of judged rows
def _stacker(trial: Trial, arrays: tuple[str, ...]) -> State:
    return fit_stack(trial.learnt.of_known_classes(), arrays)


def boosted_log_odds(trial: Trial, outputs: ClassifierOutputs) -> Floats | None:
    """Return the log-odds (n,) of being correct, by gradient boosting on all softmaxes and the features.

    It learns from the oracle's rows, and takes those that lack an opinion as they are. None if the oracle's rows have
    fewer than two errors or correct predictions, or have other opinions than the outputs.
    """
    if {*trial.learnt.opinions} != {*outputs.opinions}:
        return None
    model = _booster(trial)
    return None if model is None else np.asarray(model.decision_function(_boosting_columns(outputs)))


@lru_cache(maxsize=1)
def _booster(trial: Trial) -> HistGradientBoostingClassifier | None:
    right = trial.learnt.is_correct
    if min(right.sum(), (~right).sum()) < LEAST_ERRORS:
        return None
    return HistGradientBoostingClassifier(random_state=0).fit(_boosting_columns(trial.learnt), right)


def _boosting_columns(outputs: ClassifierOutputs) -> Floats:
    """Return what boosting sees, (n, w): the log-probabilities of the predicted class, then all that a stacker sees."""
    of_classes = ["logits", *filter(is_opinion_array, outputs.arrays)]
    arrays = [*of_classes, *(["features"] if outputs.features is not None else [])]
    columns = stacked_columns(rows_of(outputs, arrays, slice(None)), arrays)
    places = outputs.predictions[:, None] + outputs.num_classes * np.arange(len(of_classes))
    return np.hstack([np.take_along_axis(columns, places, axis=1), columns])


def classifiers_in_its_place(trial: Trial, outputs: ClassifierOutputs) -> dict[str, Ranked]:
    """Return other classifiers that would take its place, with predictions of their own, ranked by their own MCP."""
    found, labels = {}, outputs.require_labels()
    if outputs.opinions:
        found[ENSEMBLE] = _ranked_by_own_mcp(averaged_softmaxes(outputs), labels)
    logs = stacked_softmaxes(trial, outputs)
    if logs is not None:
        found[STACK] = _ranked_by_own_mcp(logs, labels)
    learnt = trial.learnt.of_known_classes()
    if learnt.features is not None and learnt.features.shape[1] * outputs.num_classes <= MOST_PROBED:
        columns, others = (np.asarray(one.require_features(), dtype=np.float32) for one in (learnt, outputs))
        fitted = fit_standardised_softmax(columns, learnt.require_labels(), outputs.num_classes, PENALTY)
        logits = (others @ fitted[0] + fitted[1]).astype(np.float64)
        found[PROBE] = _ranked_by_own_mcp(log_softmax(logits, axis=1), labels)
    return found


def _ranked_by_own_mcp(logs: Floats, labels: NDArray[np.int64]) -> Ranked:
    predictions = logs.argmax(axis=1)
    return Ranked(log_odds_of(logs, predictions), predictions == labels)


def lines_in_brief(lines: Mapping[str, Floats], is_correct: NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    """Return AUC and AURC of each line, without intervals; no AUC where all predictions are right, or all wrong."""
    metrics = {"auc": auroc, "aurc": aurc} if is_correct.any() and not is_correct.all() else {"aurc": aurc}
    return {
        name: {metric: round(of(one, is_correct), DIGITS) for metric, of in metrics.items()}
        for name, one in lines.items()
    }


def opinions_measured(outputs: ClassifierOutputs) -> dict[str, dict[str, float]]:
    """Return of each opinion how often it is right, and how its errors correlate with the classifier's.

    Rows that lack the opinion do not count. Where one side makes no errors, or nothing else, the correlation is 0.
    """
    found, labels = {}, outputs.require_labels()
    for array in filter(is_opinion_array, outputs.arrays):
        values = outputs.require(array)
        there = has_opinion(array, values)
        said = values[there] if values.ndim == 1 else values[there].argmax(axis=1)
        wrong = ~outputs.is_correct[there], said != labels[there]
        varies = all(one.any() and not one.all() for one in wrong)
        correlation = float(np.corrcoef(*wrong)[0, 1]) if varies else 0.0
        accuracy = round(float(1 - wrong[1].mean()), DIGITS)
        found[opinion_of_array(array)] = {"accuracy": accuracy, "correlation": round(correlation, 3)}
    return found


def line_with_opinions(names: Iterable[str]) -> str | None:
    """Return, of the names of lines, that of the fused oracle with all opinions; None where none has any.

    >>> line_with_opinions([MCP, FREE, "fused, forest"]), line_with_opinions([MCP, FREE])
    ('fused, forest', None)
    """
    seen = [name for name in names if name.startswith("fused, ") and name != FREE]
    return ALL if ALL in seen else seen[0] if seen else None
