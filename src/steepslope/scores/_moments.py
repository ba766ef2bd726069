"""Scores on means and deviations of the classifier's training features, of each class or of the features' norm."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from steepslope.numerics import (
    Array,
    Counts,
    Values,
    blocks,
    clipped,
    constant,
    float64,
    namespace_of,
    read_rows,
    require_width,
    softplus,
    top_log_odds,
)
from steepslope.outputs import ClassifierOutputs
from steepslope.scores._neighbors import log_distance_ratio
from steepslope.scores._score import Rows, Score, require_finite_rows

BLOCK_ROWS = 4_096
_LEAST_SHRINKAGE = 1e-6  # so that the covariance can be inverted where some features never change
Floats = NDArray[np.float64]


class MahalanobisRatio(Score):
    """How much farther the closest other class is than the predicted one, by Mahalanobis distances to class means.

    After Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples …", 2018, with the ratio of
    Jiang et al., "To Trust Or Not To Trust A Classifier", 2018.

    It is ln d(closest other class) − ln (d(predicted class) + 10⁻¹²), with d² = (x − μ_c)ᵀ Σ⁻¹ (x − μ_c). The class
    means μ_c and the shared within-class covariance Σ are those of the classifier's training features. Σ is shrunk
    towards a multiple of the identity (Ledoit & Wolf, "A Well-Conditioned Estimator for Large-Dimensional Covariance
    Matrices", 2004), so there may be more features than rows. A class without references is infinitely far.

    >>> features = np.array([[-1.0], [1.0], [5.0], [7.0]])
    >>> training = ClassifierOutputs(np.eye(4)[:, :2], [0, 0, 1, 1], features)
    >>> outputs = ClassifierOutputs([[1.0, 0.0]], [0], np.array([[2.0]]))
    >>> np.exp(MahalanobisRatio().fit(training).confidence(outputs)).round(6)  # 4 away from class 1, 2 from class 0
    array([2.])
    """

    fits_on = "reference"
    arrays = ("features",)
    learnt: ClassVar[Mapping[str, str]] = {
        "centre": "float64 d", "whitening": "float64 d d", "means": "float64 K d", "counts": "int64 K",
    }  # fmt: skip

    def __init__(self) -> None:
        self.centre_: Floats | None = None
        self.whitening_: Floats | None = None
        self.means_: Floats | None = None
        self.counts_: Counts | None = None

    def learn(self, outputs: ClassifierOutputs) -> None:
        """Learn the mean of all rows, the whitening map, and the classes' whitened means and numbers of rows."""
        counts = np.bincount(outputs.require_labels(), minlength=outputs.num_classes)
        centre, means = _class_means(outputs, counts)
        whitening = np.linalg.inv(np.linalg.cholesky(_shrunk_covariance(outputs, centre + means))).T
        self.centre_ = centre
        self.whitening_ = whitening
        self.means_ = means @ whitening
        self.counts_ = counts

    def formula(self, rows: Rows) -> Array:
        """Return the log of the quotient for each prediction, float64 (m,)."""
        features, xp = rows["features"], namespace_of(rows["features"])
        learnt = {name: constant(array, features) for name, array in self.state().items()}
        centre = learnt["centre"]
        means = learnt["means"]
        require_width(features, len(centre))
        white = (float64(features) - centre) @ learnt["whitening"]
        squares = xp.sum(white**2, axis=1)[:, None] + xp.sum(means**2, axis=1) - 2 * white @ means.T
        distances = xp.where(learnt["counts"] > 0, xp.sqrt(clipped(squares, 0)), np.inf)
        return log_distance_ratio(distances, rows["predictions"])


class SIRC(Score):
    """MCP, lowered if the features are smaller than in training: −ln((1 − p) (1 + exp(−b (‖z‖₁ − a)))).

    Xia & Bouganis, "Augmenting Softmax Information for Selective Classification with Out-of-Distribution Data", 2022
    (Softmax Information Retaining Combination). Its score is minus that product. The logarithm ranks the same rows, and
    also those whose p, the largest softmax probability, rounds to 1.

    ‖z‖₁ is the sum of the absolute features. With its mean μ and standard deviation σ over the classifier's training
    rows, a = μ − 3σ and b = 1/σ: rows of usual norm rank nearly by p alone. Where σ is within rounding of 0, as for
    features scaled to norm 1, the norm carries no information: b = 0, and SIRC ranks as MCP.

    >>> training = ClassifierOutputs(np.eye(4)[:, :2], [0, 0, 1, 1], np.array([[4.0], [6.0], [-4.0], [-6.0]]))
    >>> outputs = ClassifierOutputs([[50.0, 0.0]] * 2, [0, 0], np.array([[5.0], [0.0]]))  # a is 2, b is 1
    >>> SIRC().fit(training).confidence(outputs).round(2)  # 50 less ln(1 + exp(-3)), and less ln(1 + exp(2))
    array([49.95, 47.87])
    """

    fits_on = "reference"
    arrays = ("logits", "features")

    def __init__(self) -> None:
        self.offset_: float | None = None
        self.slope_: float | None = None
        self.width_: float | None = None

    def learn(self, outputs: ClassifierOutputs) -> None:
        """Learn the norm's mean and standard deviation from the classifier's training outputs."""
        features = outputs.require_features()
        norms = np.concatenate([np.abs(block).sum(axis=1) for _, block in _feature_blocks(features)])
        mean, deviation = float(norms.mean()), float(norms.std())
        self.offset_ = mean - 3 * deviation
        self.slope_ = 1 / deviation if deviation > np.finfo(features.dtype).eps * mean else 0.0
        self.width_ = float(features.shape[1])

    def formula(self, rows: Rows) -> Array:
        """Return −ln(1 − p) − ln(1 + exp(−b (‖z‖₁ − a))) for each prediction, float64 (m,)."""
        assert self.offset_ is not None
        assert self.slope_ is not None
        assert self.width_ is not None
        require_width(rows["features"], int(self.width_))
        xp = namespace_of(rows["features"])
        norms = xp.sum(xp.abs(float64(rows["features"])), axis=1)
        return softplus(top_log_odds(rows["logits"])) - softplus(self.slope_ * (self.offset_ - norms))


def _feature_blocks(features: Values) -> Iterator[tuple[slice, Floats]]:
    """Yield slices of rows with their features in float64; raise SteepslopeError where one is not finite."""
    for rows in blocks(len(features), BLOCK_ROWS):
        block = read_rows(features, rows).astype(np.float64)
        require_finite_rows("features", block, rows.start)
        yield rows, block


def _class_means(outputs: ClassifierOutputs, counts: Counts) -> tuple[Floats, Floats]:
    """Return the mean of all rows, (d,), and each class's mean minus it, (K, d); 0 for a class without rows."""
    features = outputs.require_features()
    sums = np.zeros((len(counts), features.shape[1]))
    for rows, block in _feature_blocks(features):
        np.add.at(sums, outputs.require_labels()[rows], block)
    centre = sums.sum(axis=0) / len(features)
    return centre, np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None] - centre, 0)


def _shrunk_covariance(outputs: ClassifierOutputs, means: Floats) -> Floats:
    """Return the within-class covariance, (d, d), with Ledoit & Wolf's shrinkage; the identity if nothing varies."""
    n, d = outputs.require_features().shape
    scatter, fourth = np.zeros((d, d)), 0.0
    for rows, block in _feature_blocks(outputs.require_features()):
        gaps = block - means[outputs.require_labels()[rows]]
        scatter += gaps.T @ gaps
        fourth += float(np.square(np.square(gaps).sum(axis=1)).sum())
    covariance, identity = scatter / n, np.eye(d)
    scale = np.trace(covariance) / d
    if scale == 0:
        return identity
    apart = np.square(covariance - scale * identity).sum()  # from the target, and expected by chance alone:
    chance = (fourth / n - np.square(covariance).sum()) / n
    shrinkage = max(_LEAST_SHRINKAGE, min(chance, apart) / apart if apart > 0 else 1.0)
    return np.asarray((1 - shrinkage) * covariance + shrinkage * scale * identity)
