"""How often the intervals hold the truth, and how often a null difference is called significant.

``python -m benchmarks.results coverage [trials]`` prints the tables in ``docs/intervals.md``: an hour on one core.

Each trial draws predictions, of which about 7 % are wrong, and two scores that see the same signal through equal noise:
equally good, so that every difference between them is 0 in truth. The truth of a metric is its mean over four samples
of a million rows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steepslope.metrics import METRICS, Difference, Estimate, measures_at, rank_rows, resample
from steepslope.report import Cell, Grid, grid_in_markdown

NAMES = ("auc", "aurc", "augrc", "fpr_at_95tpr", "aupr_error", "aupr_success")
MEASURES = {name: measures_at(0, 0)[name] for name in NAMES}
HUGE, HUGE_SAMPLES, RESAMPLES = 1_000_000, 4, 400
Sample = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]


@dataclass(frozen=True)
class Source:
    """Where predictions come from.

    ``logit``: P(correct) is the sigmoid of a normal signal. Otherwise correctness comes first and moves the signal.
    Each score adds noise of deviation ``noise``, of whose variance the two have the fraction ``common`` in common. Rows
    come in clusters of ``size``, which share the fraction ``within`` of the variance of signal and noise.
    """

    logit: bool
    noise: float
    common: float
    size: int = 1
    within: float = 0.0

    def __str__(self) -> str:
        kind = "sigmoid" if self.logit else "binormal"
        rows = f", clusters of {self.size}" if self.size > 1 else ""
        return f"{kind}, noise {self.noise:g}, {100 * self.common:.0f} % of it common{rows}"

    def draw(self, n: int, rng: np.random.Generator) -> Sample:
        """Return both scores, (n,), and whether the predictions are correct, (n,)."""
        signal, uniform = self._normal(n, rng), rng.random(n)
        if self.logit:
            signal = 3.6 + 2 * signal
            is_correct = uniform < 1 / (1 + np.exp(-1.15 * signal))
        else:
            is_correct = uniform < 0.93
            signal = signal + 1.8 * is_correct
        shared = signal + self.noise * np.sqrt(self.common) * self._normal(n, rng)
        own = self.noise * np.sqrt(1 - self.common)
        return shared + own * self._normal(n, rng), shared + own * self._normal(n, rng), is_correct

    def _normal(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        clusters = np.repeat(rng.normal(size=-(-n // self.size)), self.size)[:n] if self.size > 1 else 0
        return np.asarray(np.sqrt(self.within) * clusters + np.sqrt(1 - self.within) * rng.normal(size=n))

    def truth(self) -> dict[str, float]:
        """Return each metric of a score in the population."""
        rng = np.random.default_rng(2**31)
        rankings = []
        for _ in range(HUGE_SAMPLES):
            one, _, is_correct = self.draw(HUGE, rng)
            rankings.append(rank_rows(one, is_correct).ranking())
        return {name: float(np.mean([measure(one) for one in rankings])) for name, measure in MEASURES.items()}


Trial = tuple[dict[str, Estimate], dict[str, Difference]]


def trials(source: Source, n: int, count: int, resamples: int = RESAMPLES) -> Iterator[Trial]:
    """Yield the intervals of the first score, and those of its differences to the second."""
    clusters = np.arange(n) // source.size if source.size > 1 else None
    for seed in range(count):
        *scores, is_correct = source.draw(n, np.random.default_rng([seed, n]))
        one, two = (resample(rank_rows(score, is_correct), MEASURES, resamples, seed, clusters) for score in scores)
        yield one.estimates(), one.minus(two)


def misses(source: Source, n: int, count: int, resamples: int = RESAMPLES) -> dict[str, tuple[float, float, float]]:
    """Return, by metric, how often the interval lacks the truth, that of the difference lacks 0, and p < 0.05."""
    truth = source.truth()
    missed = {name: np.zeros(3) for name in NAMES}
    for estimates, differences in trials(source, n, count, resamples):
        for name in NAMES:
            held = [(estimates[name], truth[name]), (differences[name], 0.0)]
            outside = [not one["low"] <= value <= one["high"] for one, value in held]
            missed[name] += [*outside, differences[name]["p"] < 0.05]
    return {name: tuple((counts / count).tolist()) for name, counts in missed.items()}


SOURCES = (Source(True, 1.0, 0.0), Source(True, 1.0, 0.95), Source(False, 0.3, 0.0))
RUNS = tuple((source, n) for n in (500, 2_000) for source in SOURCES)
CLUSTER_RUNS = ((Source(True, 1.0, 0.0, 5, 0.8), 1_000), (Source(True, 1.0, 0.0, 20, 0.8), 1_000))


def table(count: int) -> str:
    """Return the rates of all runs, in percent: coverage of the metric / null differences called significant."""
    lines = []
    for source, n in (*RUNS, *CLUSTER_RUNS):
        found = misses(source, n, count)
        cells = [Cell(f"{100 * (1 - one):.1f} / {100 * wrong:.1f}") for one, wrong, _ in found.values()]
        lines.append([Cell(f"{source}; n = {n:,}"), *cells])
        print(" | ".join(map(str, lines[-1])), file=sys.stderr, flush=True)
    return grid_in_markdown(Grid("", ["source", *(METRICS[name].title for name in NAMES)], lines))


def coverage(runs: int = 1_000) -> None:
    """Print the rates of intervals that miss, for each source of rows.

    Parameters
    ----------
    runs
        Runs of each source.
    """
    print(table(runs))
