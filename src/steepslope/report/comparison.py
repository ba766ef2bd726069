"""Several evaluations side by side: whether their rows are the same, and how far each differs from one of them.

Where the rows are the same, differences are paired: both sides are resampled alike. Where they are not, as of two
months, both are resampled on their own, and the difference is called unpaired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, require_known
from steepslope.metrics.curves import RankedRows, rank_rows
from steepslope.metrics.intervals import Difference, Resampled, resample
from steepslope.metrics.measures import METRICS, measures_at
from steepslope.metrics.selective import SCALES
from steepslope.report.evaluation import clearly

Text = NDArray[Any]
Places = NDArray[np.intp]
VERDICTS = {1: "clearly better", 0: "not clearly different", -1: "clearly WORSE"}
UNKNOWN, UNDEFINED = "not known without resamples", "not defined"


@dataclass(frozen=True, eq=False)
class RunScore:
    """The confidences that a score gave in one run, (n,), on the scale that ranks, and its loss if it is an oracle."""

    confidence: NDArray[np.float64]
    scale: str
    loss: str | None = None


@dataclass(frozen=True, eq=False)
class Run:
    """One evaluation, as its report's folder holds it.

    ``rows`` are those of ``metrics.json``, a mapping a score. ``is_correct`` (n,) and the confidences of ``scores`` are
    in the same order, as are ``ids``, ``labels`` and ``clusters``: None where they are not known. ``folder`` is what
    results show of where the report was read, if it was.
    """

    name: str
    rows: Sequence[Mapping[str, Any]]
    is_correct: NDArray[np.bool_]
    scores: Mapping[str, RunScore]
    ids: Text | None = None
    labels: Text | None = None
    clusters: NDArray[Any] | None = None
    folder: str = ""

    def __len__(self) -> int:
        return len(self.is_correct)

    @cached_property
    def order(self) -> Places:
        """The places of the rows, (n,), in the order of their ids; as they are without ids.

        So the order in which a file has its rows decides nothing.
        """
        return np.arange(len(self)) if self.ids is None else np.argsort(self.ids, kind="stable")

    @cached_property
    def best(self) -> str:
        """The name of the score of least AURC among those that were not fitted on these rows, unless all were."""
        rows = [row for row in self.rows if row["score"] not in self.fit_rows] or self.rows
        known = {row["score"]: row["aurc"]["value"] for row in rows if row["aurc"]["value"] is not None}
        return str(min(known, key=lambda name: known[name]) if known else rows[0]["score"])

    @cached_property
    def fit_rows(self) -> dict[str, int]:
        """On how many of these rows a score was fitted, by its name; scores that saw none are not in it."""
        return {row["score"]: row["fit_rows"] for row in self.rows if row.get("fit_rows")}

    def ranked(self, score: str) -> RankedRows:
        """Return the rows sorted by a score's confidence; their own order is that of the ids."""
        return rank_rows(self.scores[score].confidence[self.order], self.is_correct[self.order])

    @cached_property
    def clusters_in_order(self) -> NDArray[Any] | None:
        """The clusters in the order of the ids, (n,)."""
        return None if self.clusters is None else self.clusters[self.order]

    @property
    def errors(self) -> int:
        """The number of wrong predictions."""
        return int(np.sum(~self.is_correct))


@dataclass(frozen=True, eq=False)
class Draws:
    """What a run is resampled with: the seed, and the clusters (n,) in the order of the ids, if there are any."""

    run: Run
    bootstrap: int
    seed: int
    clusters: NDArray[Any] | None
    found: dict[str, Resampled[str]] = field(default_factory=dict, init=False)

    def of(self, score: str) -> Resampled[str]:
        """Return every metric of a score on the rows and on resamples of them, or of the clusters; drawn once."""
        if score not in self.found:
            cut = SCALES[self.run.scores[score].scale].cut(0.5)
            ranked, measures = self.run.ranked(score), measures_at(cut, cut)
            self.found[score] = resample(ranked, measures, self.bootstrap, self.seed, self.clusters)
        return self.found[score]


@dataclass(frozen=True, eq=False)
class Contrast:
    """A score of a run less a score of the baseline: every metric's difference, by name."""

    score: str
    baseline_score: str
    differences: Mapping[str, Difference]
    of_best: bool = False

    @property
    def title(self) -> str:
        """The name of the score, or both where they differ."""
        same = self.score == self.baseline_score
        return self.score if same else f"{self.score} against {self.baseline_score}"

    def sign(self, metric: str) -> int:
        """Return 1 if the run is clearly better by a metric, -1 if it is clearly worse, else 0."""
        return clearly(METRICS[metric], self.differences[metric])

    def word(self, metric: str) -> str:
        """Return what is clear by a metric, or why nothing is: without resamples, or without a difference."""
        if np.isnan(self.differences[metric]["value"]):
            return UNDEFINED
        return UNKNOWN if np.isnan(self.differences[metric]["low"]) else VERDICTS[self.sign(metric)]


@dataclass(frozen=True, eq=False)
class Rival:
    """A run beside the baseline; ``why_unpaired`` is why its rows are not taken for the same, empty where they are."""

    run: Run
    why_unpaired: str
    contrasts: Sequence[Contrast]

    @property
    def paired(self) -> bool:
        """Whether both sides were resampled alike."""
        return self.why_unpaired == ""

    @property
    def guessed(self) -> bool:
        """Whether the rows are taken for the same without ids that tell."""
        return self.paired and self.run.ids is None

    @property
    def best(self) -> Contrast:
        """The best score of the run less the best of the baseline."""
        return next(one for one in self.contrasts if one.of_best)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs in the order in which they were given, the one that the others are compared with, and the others.

    ``bootstrap`` is the number of resamples that each difference's p comes from.
    """

    runs: Sequence[Run]
    baseline: Run
    rivals: Sequence[Rival]
    bootstrap: int


def compare_runs(
    runs: Sequence[Run], baseline: str | None = None, *, bootstrap: int = 1000, seed: int = 0
) -> Comparison:
    """Compare each run with the baseline, which is the first by default.

    Each score that both have is compared, and the best of each by AURC. The seed fixes the ``bootstrap`` resamples; the
    order of the rows has no influence where they have ids.

    Raises
    ------
    SteepslopeError
        If there are fewer than two runs, two have the same name, none is named as the baseline is, or a number is out
        of range.
    """
    names = [run.name for run in runs]
    require_comparable(names, baseline)
    first = runs[0] if baseline is None else runs[names.index(baseline)]
    own = Draws(first, bootstrap, seed, first.clusters_in_order)
    others = [(place, run) for place, run in enumerate(runs) if run is not first]
    return Comparison(runs, first, [_rival(run, own, place) for place, run in others], bootstrap)


def require_comparable(names: Sequence[str], baseline: str | None) -> None:
    """Raise unless these are the names of two runs or more, each once, with the baseline's among them."""
    if len(names) < 2:
        raise SteepslopeError(f"expected at least two runs to compare, found {len(names)}")
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise SteepslopeError(f"expected a name for each run, found {repeated!r} twice", "names")
    require_known("baseline", names[0] if baseline is None else baseline, names)


def _rival(run: Run, baseline: Draws, place: int) -> Rival:
    """Compare a run with the baseline, on the same resamples where the rows are the same."""
    first = baseline.run
    why = why_unpaired(first, run)
    if why:  # the same draws would hit the same places of unrelated rows
        seed = int(np.random.default_rng([baseline.seed, place + 1]).integers(2**31))
        draws = Draws(run, baseline.bootstrap, seed, run.clusters_in_order)
    else:
        clusters = first.clusters_in_order if run.clusters is None else run.clusters_in_order
        draws = Draws(run, baseline.bootstrap, baseline.seed, clusters)
        baseline = baseline if clusters is baseline.clusters else replace(baseline, clusters=clusters)
    best = run.best, first.best
    pairs = dict.fromkeys([*((name, name) for name in run.scores if name in first.scores), best])
    contrasts = [
        Contrast(one, other, difference(draws.of(one), baseline.of(other)), (one, other) == best)
        for one, other in pairs
    ]
    return Rival(run, why, contrasts)


def difference(a: Resampled[str], b: Resampled[str]) -> dict[str, Difference]:
    """Return each metric of A less that of B, with interval and p.

    Both come from the same resamples of the same rows, or from resamples that are independent of one another. Models
    differ in which predictions are wrong; the rarer kind of the run that has fewer decides how wide intervals are.
    """
    return replace(a, units=min(a.units, b.units)).minus(b)


def why_unpaired(a: Run, b: Run) -> str:
    """Return why the rows of two runs are not the same, in words; nothing where they are.

    They are where both have the same ids, each once, in any order, with the same labels. Without ids, rows are taken
    for the same where both have as many with the same labels in the same order, unless that order is by class.
    """
    if (a.ids is None) != (b.ids is None):
        return f"only {(b if a.ids is None else a).name} has ids"
    return _other_places(a, b) if a.ids is None else _other_ids(a, b)


def _other_places(a: Run, b: Run) -> str:
    if len(a) != len(b):
        return f"there are {len(a):,} and {len(b):,} rows, without ids"
    if a.labels is None or b.labels is None:
        return "neither ids nor labels tell whether the rows are the same"
    labels = np.asarray(a.labels)
    blocks, classes = 1 + np.sum(labels[1:] != labels[:-1]), len(set(labels.tolist()))
    by_class = "without ids, labels in order of their classes do not tell whether the rows are the same"
    unsure = f"{by_class}: evaluate both with ids" if blocks <= classes else ""  # other rows have that order too
    return _other_labels(a, b, "rows") or unsure


def _other_ids(a: Run, b: Run) -> str:
    for run in (a, b):
        ids = _in_order(run, run.ids)
        twice = ids[1:][ids[1:] == ids[:-1]]
        if len(twice):
            return f"the id {str(twice[0])!r} is there more than once in {run.name}"
    ours, theirs = _in_order(a, a.ids), _in_order(b, b.ids)
    if not np.array_equal(ours, theirs):
        common = len(np.intersect1d(ours, theirs, assume_unique=True))
        return f"{common:,} ids in common of {len(a):,} and {len(b):,}"
    return "" if a.labels is None or b.labels is None else _other_labels(a, b, "ids")


def _other_labels(a: Run, b: Run, what: str) -> str:
    ours, theirs = _in_order(a, a.labels), _in_order(b, b.labels)
    differ = int(np.sum(ours != theirs))
    if differ and _are_numbers(ours) != _are_numbers(theirs):
        named, numbered = (b.name, a.name) if _are_numbers(ours) else (a.name, b.name)
        found = f"labels are names of classes in {named} and numbers in {numbered}"
        return f"{found}: evaluate {numbered} with the names, as by --classes"
    return f"labels differ for {differ:,} {what} of {len(a):,}" if differ else ""


def _are_numbers(labels: Text) -> bool:
    return all(str(label).isdecimal() for label in set(labels.tolist()))


def _in_order(run: Run, values: Text | None) -> Text:
    return np.asarray(values)[run.order]
