"""Scores that others proposed, as one's own would be written: an object with ``fit`` and ``confidence`` each."""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize

from steepslope.errors import SteepslopeError
from steepslope.metrics import aurc
from steepslope.numerics import log_odds_of
from steepslope.outputs import ClassifierOutputs, has_opinion, is_opinion_array

NEIGHBOURS = 25
LAMBDAS = 0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0  # of log distances, next to a margin with a deviation of 1
TOP = 10  # logits that a temperature depends on
SHRINKAGE = 1e-2
LEAST = 1e-9  # of a distance
Floats = NDArray[np.float64]


def log_probabilities(outputs: ClassifierOutputs) -> Floats:
    """Return the log-softmax, float64 (n, K)."""
    return np.asarray(log_softmax(np.asarray(outputs.logits, dtype=np.float64), axis=1))


class DeltaKNNMargin:
    """Margin + λ · mean over the k nearest of ln d(wrong) − ln d(correct), in features of length 1.

    After Heng & Soh, "Know When to Abstain: Optimal Selective Classification with Likelihood Ratios", 2025. λ is
    the one of least AURC on the fit set, where a row is not its own neighbour.
    """

    arrays = ("features",)

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Keep the features of wrong and of correct predictions, and choose λ."""
        features, right = normalize(outputs.require_features()), outputs.is_correct
        self.k = int(min(NEIGHBOURS, right.sum() - 1, (~right).sum() - 1))
        if self.k < 1:
            raise SteepslopeError(f"expected two errors or more among the fit rows, found {(~right).sum()}")
        self.sides = features[~right], features[right]
        self.scale = float(self._margin(outputs).std()) or 1.0
        margin, delta = self._margin(outputs) / self.scale, self._delta(features, right)
        self.weight = min(LAMBDAS, key=lambda one: aurc(margin + one * delta, right))
        return self

    def confidence(self, outputs: ClassifierOutputs) -> Floats:
        """Return the sum, (n,)."""
        return self._margin(outputs) / self.scale + self.weight * self._delta(normalize(outputs.require_features()))

    def _margin(self, outputs: ClassifierOutputs) -> Floats:
        second, first = np.partition(np.asarray(outputs.logits, np.float64), -2, axis=1)[:, -2:].T
        return np.asarray(first - second)

    def _delta(self, features: Floats, own: NDArray[np.bool_] | None = None) -> Floats:
        """Return the mean difference of log distances; of rows whose ``own`` side is known, without themselves."""
        logs = []
        for side, points in enumerate(self.sides):
            squares = np.sort(np.maximum(2 - 2 * features @ points.T, LEAST**2), axis=1)
            among = np.zeros(len(features), int) if own is None else (own == side).astype(int)
            places = among[:, None] + np.arange(self.k)
            logs.append(0.5 * np.log(np.take_along_axis(squares, places, axis=1)).mean(axis=1))
        return np.asarray(logs[0] - logs[1])


class InstanceTemperature:
    """Log-odds of the prediction at a temperature of its own, exp(a + b · the ten highest log-probabilities).

    After Tomani, Cremers & Buettner, "Parameterized Temperature Scaling", 2022, whose net is linear here. It learns the
    true classes of the fit set.
    """

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Learn the temperatures of least cross entropy."""
        known = outputs.of_known_classes()
        logs = log_probabilities(known)
        rows = np.arange(len(known))
        labels = known.require_labels()
        tops = self._tops(logs)
        self.centre, self.scale = tops.mean(axis=0), tops.std(axis=0) + LEAST

        def loss(weights: Floats) -> float:
            tempered = log_softmax(logs / self._temperatures(logs, weights), axis=1)
            return float(-tempered[rows, labels].mean() + SHRINKAGE * np.square(weights).sum())

        self.weights = np.asarray(minimize(loss, np.zeros(tops.shape[1] + 1), method="L-BFGS-B").x)
        return self

    def confidence(self, outputs: ClassifierOutputs) -> Floats:
        """Return the log-odds, (n,)."""
        logs = log_probabilities(outputs)
        tempered = log_softmax(logs / self._temperatures(logs, self.weights), axis=1)
        return np.asarray(log_odds_of(tempered, outputs.predictions))

    def _tops(self, logs: Floats) -> Floats:
        return np.asarray(np.maximum(-np.sort(-logs, axis=1)[:, :TOP], -TOP))

    def _temperatures(self, logs: Floats, weights: Floats) -> Floats:
        inputs = (self._tops(logs) - self.centre) / self.scale
        return np.asarray(np.exp(np.clip(weights[0] + inputs @ weights[1:], -3, 3))[:, None])


class AgreementRegression:
    """Logistic regression of being correct on the log-odds, and on each opinion's agreement × confidence."""

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Learn the weights, shrunk as by default."""
        model = make_pipeline(StandardScaler(), LogisticRegression())
        self.model = model.fit(self._columns(outputs), outputs.is_correct)
        return self

    def confidence(self, outputs: ClassifierOutputs) -> Floats:
        """Return the log-odds of being correct, (n,)."""
        return np.asarray(self.model.decision_function(self._columns(outputs)))

    def _columns(self, outputs: ClassifierOutputs) -> Floats:
        predicted = outputs.predictions
        odds = np.clip(log_odds_of(log_probabilities(outputs), predicted), -20, 20)
        columns = [odds]
        for name in filter(is_opinion_array, outputs.arrays):
            values = outputs.require(name)
            has = has_opinion(name, values)
            is_vote = values.ndim == 1
            said = values if is_vote else np.where(has, np.nan_to_num(values).argmax(axis=1), -1)
            sure = odds if is_vote else np.where(has, np.exp(log_softmax(np.nan_to_num(values), axis=1)).max(axis=1), 0)
            agrees = has * np.where(said == predicted, 1.0, -1.0)
            columns += [agrees, agrees * sure, has * sure]
        return np.stack(columns, axis=1)


OTHERS = {
    "Δ-KNN + margin": DeltaKNNMargin,
    "a temperature of its own": InstanceTemperature,
    "agreement × confidence": AgreementRegression,
}
