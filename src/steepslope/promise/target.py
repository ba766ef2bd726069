"""A mix of classes that is not known, but estimated by what the classifier predicts for rows without labels.

If each class still looks as it did, only its share is another, then any function Z of a calibration row has the mean
Σ q[y]·v[y] among the rows to come: q[y] is the share of class y there, and v[y] the mean of Z in the class. Let
C[y, ŷ] be how often a row of class y is predicted as ŷ. A function h of the predicted class with C h = v has that same
mean, and it needs no label: it is counted on the rows to come, the target (black-box shift estimation: Lipton et al.,
arXiv 1802.03916). What is left to chance is the mean of h on m target rows, and C and v on n calibration rows, where
each row adds W·(Z − h(ŷ)) with W = q[y] / p[y]. Sums of that many terms are nearly normal. The tests of whether a mix
explains the target rely on that; the promise (:mod:`steepslope.promise.exact_target`) does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f

from steepslope.errors import NoMixError, SteepslopeError

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Bools = NDArray[np.bool_]
LEAST_ROWS = 30  # of each class, to count how often it is predicted as what
LEAST_TARGET = 200
SINGULAR = 1e-3  # of what tells the classes apart by predictions
BINS = 5  # of confidences, to see whether a mix explains these
ALPHA = 1e-3  # probability that what is a change of the mix alone is taken for another
FAR = 4.0  # standard errors by which a share may be estimated below 0
NO_MIX = "no mix of the classes explains what is predicted for these rows"
INSTEAD = "Label some of them, and calibrate on these"


@dataclass(frozen=True, eq=False)
class Moments:
    """Means of functions (f,) among the rows to come, and the covariance of their errors, (f, f)."""

    means: Floats
    covariance: Floats


@dataclass(frozen=True, eq=False)
class Target:
    """Calibration rows and target rows by their classes: ``true`` (n,), ``predicted`` (n,) and ``coming`` (m,).

    Those are places among ``names``, of the true classes, and among the classes that are predicted anywhere.
    ``inverse`` is the inverse of how often each true class is predicted as what, and ``shares`` are estimated.
    """

    names: tuple[str, ...]
    true: Counts
    predicted: Counts
    coming: Counts
    inverse: Floats
    shares: Floats

    @classmethod
    def of(cls, true_classes: NDArray[np.str_], predicted: NDArray[np.str_], coming: NDArray[np.str_]) -> Self:
        """Estimate the mix of the classes, by names; raise where rows are too few, or predictions do not tell it."""
        if len(coming) < LEAST_TARGET:
            raise SteepslopeError(f"expected at least {LEAST_TARGET} rows, found {len(coming)}", "target")
        names, true, counts = np.unique(true_classes, return_inverse=True, return_counts=True)
        if counts.min() < LEAST_ROWS:
            rare = names[counts.argmin()]
            expected = f"expected at least {LEAST_ROWS} calibration rows of each class, to estimate a mix"
            raise SteepslopeError(f"{expected}, found {counts.min()} of {rare}", "target")
        said, index = np.unique(np.concatenate([predicted, coming]), return_inverse=True)
        if len(lacking := np.setdiff1d(said, names)):
            expected = "expected calibration rows of each class that is predicted, to estimate a mix"
            raise SteepslopeError(f"{expected}, found none of {lacking[0]}", "target")
        if len(unknown := np.setdiff1d(names, said)):
            expected = "expected classes that are predicted, to estimate a mix"
            raise SteepslopeError(f"{expected}, found rows of {unknown[0]}, which never is: name the mix", "target")
        ours, theirs = index[: len(predicted)], index[len(predicted) :]
        confusion = np.zeros((len(names), len(said)))
        np.add.at(confusion, (true, ours), 1)
        confusion /= counts[:, None]
        if np.linalg.svd(confusion, compute_uv=False).min() < SINGULAR:
            expected = "expected predictions that tell the classes apart"
            raise SteepslopeError(
                f"{expected}, found some that are predicted alike: name the mix (class_mix)", "target"
            )
        inverse = np.asarray(np.linalg.pinv(confusion), dtype=np.float64)
        shares = np.bincount(theirs, minlength=len(said)) / len(theirs) @ inverse
        estimated = np.asarray(shares, dtype=np.float64)
        return cls(tuple(names.tolist()), true, ours, theirs, inverse, estimated)

    @property
    def mix(self) -> dict[str, float]:
        """The estimated share of each class, none below 0."""
        shares = self.shares.clip(0)
        return dict(zip(self.names, (shares / shares.sum()).tolist(), strict=True))

    @property
    def weights(self) -> Floats:
        """How many times as often rows of each class come as among the calibration rows, (s,)."""
        return self.shares.clip(0) * len(self.true) / np.bincount(self.true)

    def moments(self, ours: Floats, theirs: Floats | None = None) -> Moments:
        """Return the means of functions, (n, f) on the calibration rows, among the rows to come.

        Where the target's own values are given, (m, f), the means are of how these differ from what a mix explains.
        """
        totals = np.stack([np.bincount(self.true, column) for column in ours.T], axis=1)
        by_predicted = self.inverse @ (totals / np.bincount(self.true)[:, None])
        counts, coming = np.ones(len(self.coming)), by_predicted
        if theirs is None:
            counts = np.bincount(self.coming, minlength=len(by_predicted)).astype(np.float64)
        else:
            coming = by_predicted[self.coming] - theirs
        influence = self.weights[self.true, None] * (ours - by_predicted[self.predicted])
        means, of_coming = _mean_and_covariance(coming, counts)
        _, of_ours = _mean_and_covariance(influence, np.ones(len(influence)))
        return Moments(means, of_coming / len(self.coming) + of_ours / len(ours))

    def require_explained(self, confidence: Floats, coming: Floats) -> None:
        """Raise where no mix of the classes explains the target's predictions and confidences (m,).

        Confidences are compared by Hotelling's test, with the degrees of freedom of the rarest class: the covariance
        is known no better than that.
        """
        errors = np.sqrt(np.diag(self.moments(np.eye(len(self.names))[self.true]).covariance))
        lowest = int((self.shares + FAR * errors).argmin())
        if self.shares[lowest] < -FAR * errors[lowest]:
            found = f"one with {100 * self.shares[lowest]:.1f} % of {self.names[lowest]} would"
            raise NoMixError(f"{NO_MIX}: {found}. {INSTEAD}", "target")
        edges = np.setdiff1d(np.quantile(coming, np.arange(1, BINS) / BINS), [coming.min()])
        ours, theirs = (
            np.eye(len(edges) + 1)[np.searchsorted(edges, one, side="right")] for one in (confidence, coming)
        )
        moments = self.moments(ours, theirs)
        statistic = moments.means @ np.linalg.pinv(moments.covariance, rcond=1e-8) @ moments.means
        rows, d = int(np.bincount(self.true).min()), len(edges)
        p_value = float(f.sf(statistic * (rows - d) / (d * (rows - 1)), d, rows - d)) if d else 1.0
        if p_value < ALPHA:
            raise NoMixError(f"{NO_MIX}: their confidences differ (p = {p_value:.2g}). {INSTEAD}", "target")


def _mean_and_covariance(values: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Return the mean (f,) and the covariance (f, f) of values (k, f), each of which occurs so many times, (k,)."""
    total = counts.sum()
    mean = counts @ values / total
    return mean, (values.T * counts) @ values / total - np.outer(mean, mean)
