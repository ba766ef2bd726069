"""Problems whose classes are known up to a known noise, and classifiers that are quickly fitted to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope import TrustedClassifier
from steepslope.sklearn._learning import Learning

Floats = NDArray[np.float64]


class _LearningWithoutOracle(Learning):
    def oracle_of(self, *_: Any) -> None:
        return None


class WithoutOracle(TrustedClassifier):
    """The same, quickly fitted: the classifier's own probability ranks its predictions."""

    def _learning(self, *settings: Any) -> Learning:
        return _LearningWithoutOracle(**vars(super()._learning(*settings)))


WORDS = ("red", "green", "blue")


@dataclass(frozen=True)
class NoisyHalves:
    """Points of the unit square; the class is on which side of the middle they lie, but for noise.

    A label is turned round with probability ``most`` there, and ever less towards the sides.
    """

    most: float = 0.4

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
        """Return points (n, 2) and labels (n,)."""
        points = rng.random((n, 2))
        turned = rng.random(n) < self.noise(points)
        return points, np.where(turned, 1 - self.best(points), self.best(points))

    def noise(self, points: Floats) -> Floats:
        """Return the probability that the label is the other one, (n,)."""
        return self.most * (1 - 2 * np.abs(points[:, 0] - 0.5))

    @staticmethod
    def best(points: Floats) -> NDArray[np.int64]:
        """Return the more probable label, (n,)."""
        return (points[:, 0] > 0.5).astype(np.int64)

    def risk(self, points: Floats, labels: NDArray[np.int64], accepted: NDArray[np.bool_]) -> float:
        """Return the true risk of the labels that are accepted; 0 of none."""
        noise = self.noise(points)
        wrong = np.where(labels == self.best(points), noise, 1 - noise)
        return float(wrong[accepted].mean()) if accepted.any() else 0.0

    @staticmethod
    def grid(side: int = 100) -> Floats:
        """Return points (side², 2) that stand for the whole square."""
        middle = (np.arange(side) + 0.5) / side
        return np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 2)


def texts(n: int, seed: int = 0) -> tuple[list[str], NDArray[Any]]:
    """Return texts in which the word that is the label is frequent, and the labels (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(WORDS), size=n)
    odds = np.full((n, len(WORDS)), 0.2) + 0.4 * np.eye(len(WORDS))[labels]
    return [" ".join(rng.choice(WORDS, 4, p=row)) for row in odds], np.array(WORDS)[labels]


def table(n: int, seed: int = 0, classes: int = 2) -> tuple[Floats, NDArray[np.int64]]:
    """Return points (n, 3) around the centres of classes, which overlap, and labels (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    return rng.normal(size=(n, 3)) + 2 * np.eye(classes, 3)[labels], labels
