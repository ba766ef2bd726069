"""What trust costs on tables: a trusted classifier's fit and decisions, against those of the classifier itself."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from benchmarks.timing import Comparison, median_seconds, medians_in_turn
from steepslope import TrustedClassifier

CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "logistic regression": LogisticRegression,
    "boosting": partial(HistGradientBoostingClassifier, max_iter=50),
}
FITS = 6  # of the classifier, in five folds and on all rows
NEW_ROWS, ALLOWED = 10_000, 20e-6  # and seconds for each that a decision may take in any case
MANY_CLASSES = 10  # so many need one cluster each
LEAST_SECONDS = 1e-3  # by luck, six fits alone may take longer
TIMES = 3  # as long as the classifier a decision may take


def made_table(rows: int, columns: int, classes: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return rows (n, d), of which a tenth of the labels (n,) is random, and classes that no plane divides."""
    clusters = 4 if classes < MANY_CLASSES else 1
    X, y = make_classification(
        rows, columns, n_informative=min(columns // 2, 12), n_redundant=0, n_classes=classes,
        n_clusters_per_class=clusters, flip_y=0.1, class_sep=0.8, random_state=0,
    )  # fmt: skip
    return X.astype(np.float32), y


def _trusted(classifier: str) -> TrustedClassifier:
    return TrustedClassifier(CLASSIFIERS[classifier](), max_risk=0.1, random_state=0)


def _quiet(work: Callable[[], object]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        work()


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    _quiet(work)
    return time.perf_counter() - begun


def _seconds_of_fit(classifier: str, X: NDArray[np.float32], y: NDArray[np.int64]) -> float:
    """Return how long the fit of a trusted classifier takes."""
    return _seconds(lambda: _trusted(classifier).fit(X, y))


def table_fit_against_seconds(
    rows: int = 20_000, columns: int = 20, classes: int = 2, classifier: str = "logistic regression", goal: float = 2.5
) -> Comparison:
    """Time a fit beyond the classifier's own six fits, against ``goal`` seconds."""
    X, y = made_table(rows, columns, classes)
    own = _seconds(lambda: [CLASSIFIERS[classifier]().fit(X, y) for _ in range(FITS)])
    beyond = max(_seconds_of_fit(classifier, X, y) - own, LEAST_SECONDS)
    title = f"TrustedClassifier.fit beyond six fits of {classifier}, {rows:,} × {columns} rows, {classes} classes"
    return Comparison(title, beyond, goal, 1.0)


def table_fit_by_rows(fewer: int = 100_000, more: int = 1_000_000, columns: int = 30) -> Comparison:
    """Time a fit on few and many rows: the ratio of the times, where theirs is ten times that of the fewer."""
    few, many = (_seconds_of_fit("logistic regression", *made_table(rows, columns, 2)) for rows in (fewer, more))
    title = f"fit on {more:,} rows against {more / fewer:g} fits on {fewer:,}"
    return Comparison(title, many, few * more / fewer, 1.0)


def decisions_against_classifier(
    rows: int = 20_000, columns: int = 20, classes: int = 2, classifier: str = "logistic regression", repeats: int = 5
) -> Comparison:
    """Time decisions on new rows, against three times the classifier's own predictions or 20 µs a row."""
    X, y = made_table(rows + NEW_ROWS, columns, classes)
    model, new = _trusted(classifier), X[rows:]
    _quiet(lambda: model.fit(X[:rows], y[:rows]))
    ours, theirs = medians_in_turn(
        lambda: _quiet(lambda: model.decide(new)), lambda: model.estimator_.predict_proba(new), repeats
    )
    title = f"decide against {TIMES} × {classifier} or 20 µs, {NEW_ROWS:,} rows, fit on {rows:,} × {columns}"
    return Comparison(title, ours, max(TIMES * theirs, ALLOWED * NEW_ROWS), 1.0)


def one_decision(rows: int = 6_000, columns: int = 20, repeats: int = 200, goal: float = 2e-3) -> Comparison:
    """Time the decision on one row, against two milliseconds."""
    X, y = made_table(rows + 1, columns, 2)
    model = _trusted("logistic regression")
    _quiet(lambda: model.fit(X[:rows], y[:rows]))
    ours = median_seconds(lambda: _quiet(lambda: model.decide(X[rows:])), repeats)
    return Comparison("decide on one row against 2 ms", ours, goal, 1.0)
