"""Several evaluations side by side: whether their rows are the same, and how far each differs from one of them.

Where the rows are the same, differences are paired: both sides are resampled alike. Where they are not, as of two
months, both are resampled on their own, and the difference is called unpaired.

What a comparison of several evaluations means, in sentences.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, require_known
from steepslope.metrics.intervals import Difference, Resampled, resample
from steepslope.metrics.measures import METRICS, measures_at
from steepslope.metrics.selective import SCALES, holm
from steepslope.oracle.base import FEW_ERRORS
from steepslope.report.grid import shortest_tails
from steepslope.report.runs import Run, Text
from steepslope.report.sentences import by_luck, clearly, compared

VERDICTS = {1: "clearly better", 0: "not clearly different", -1: "clearly WORSE"}
UNKNOWN, UNDEFINED = "not known without resamples", "not defined"


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


JUDGED_BY = ("aurc", "auc")  # in this order
UNCOMPARED = "cannot be compared: AURC and AUC are not defined"
HEADLINED = {"aurc": "AURC", "accuracy": "accuracy", "auc": "AUC"}
BY = {
    UNKNOWN: "not known, without resamples, to differ in",
    UNDEFINED: "without a defined difference in",
    **{word: f"{word.lower()} by" for word in VERDICTS.values()},
}
AURC_COUNTS = "AURC counts the errors too, so fewer errors lower it. AUC measures the ranking alone."


def listed(words: Sequence[str], last: str = " and ") -> str:
    """Return words with commas, and another link before the last.

    >>> listed(["may", "june", "july"])
    'may, june and july'
    """
    return last.join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def headline(comparison: Comparison) -> str:
    """Return what the comparison comes to: how each run's best score is beside the baseline's.

    Runs of which the same is clear stand together.
    """
    found: dict[tuple[str, ...], list[str]] = {}
    for rival in comparison.rivals:
        found.setdefault(tuple(map(rival.best.word, HEADLINED)), []).append(rival.run.name)
    parts = [f"{listed(names)} {'is' if len(names) == 1 else 'are'} {_clear(words)}" for words, names in found.items()]
    return f"Beside {comparison.baseline.name}, by each run's best score: {'; '.join(parts)}."


def _clear(words: Sequence[str]) -> str:
    """Return what is clear by each of the headline's metrics; those of which the same is stand together."""
    pairs = list(zip(HEADLINED.values(), words, strict=True))
    titles = {word: [title for title, one in pairs if one == word] for word in words}
    return listed([f"{BY[word]} {listed(some)}" for word, some in titles.items()], ", and ")


def cautions(comparison: Comparison) -> list[str]:
    """Return what makes the comparison doubtful, of each run and then of how rows are paired, without full stops."""
    unsure = [one for one in comparison.rivals if one.guessed or not one.paired]
    return [*_doubts(comparison.runs), *(_pairing(one, comparison.baseline) for one in unsure)]


def _doubts(runs: Sequence[Run]) -> Iterator[str]:
    """Yield which scores were fitted on the rows they are judged on, and which runs have few errors to judge by."""
    for run in runs:
        for score, seen in run.fit_rows.items():
            rows = f"{seen:,} of these {len(run):,} rows"
            yield f"{score} of {run.name} was fitted on {rows}, so its numbers are better than they will be on others"
        rare, side = min((run.errors, "error"), (len(run) - run.errors, "correct prediction"))
        if rare < FEW_ERRORS:
            few = f"only {rare} {side}{'' if rare == 1 else 's'}"
            yield f"{run.name} has {few}: below about {FEW_ERRORS}, all its numbers depend on luck"


def _pairing(rival: Rival, baseline: Run) -> str:
    """Return the sentence on how the rows of two runs relate."""
    both, rows = f"{rival.run.name} and {baseline.name}", f"{len(rival.run):,} rows"
    if not rival.paired:
        return f"{both} are not known to have the same rows ({rival.why_unpaired}): differences are unpaired"
    if rival.guessed:
        why = "they have no ids, but as many rows with the same labels in the same order"
        return f"{both} are taken for the same {rows}: {why}; differences are paired"
    return f"{both} have the same {rows}: differences are paired"


def sentences(comparison: Comparison) -> list[str]:
    """Return what the comparison means: what warns, how rows relate to the baseline's, and what is clear."""
    warnings = [f"WARNING: {doubt}." for doubt in _doubts(comparison.runs)]
    lines = [line for rival in comparison.rivals for line in _of_rival(rival, comparison.baseline)]
    return [*warnings, *lines, *_luck(comparison), AURC_COUNTS]


def _of_rival(rival: Rival, baseline: Run) -> list[str]:
    pairing = f"{'WARNING: ' if rival.guessed else ''}{_pairing(rival, baseline)}."
    accuracy = compared("accuracy", rival.best.differences["accuracy"], VERDICTS)  # of all scores the same
    beside = f"{rival.run.name} against {baseline.name}: {accuracy}."
    return [pairing, beside, *(verdict(one, rival, baseline) for one in rival.contrasts)]


def verdict(contrast: Contrast, rival: Rival, baseline: Run) -> str:
    """Return the sentence on one difference: what is clear by AURC and by AUC."""
    ours, theirs = rival.run.fit_rows, baseline.fit_rows
    unseen = (ours or theirs) and contrast.score not in ours and contrast.baseline_score not in theirs
    among = " among those not fitted on these rows" if unseen else ""
    best = f" (the best of each by AURC{among})" if contrast.of_best else ""
    unpaired = "" if rival.paired else ", unpaired"
    defined = [name for name in JUDGED_BY if not np.isnan(contrast.differences[name]["value"])]
    parts = ", ".join(compared(name, contrast.differences[name], VERDICTS) for name in defined)
    return f"{rival.run.name} against {baseline.name}{unpaired}, {contrast.title}{best}: {parts or UNCOMPARED}."


def _luck(comparison: Comparison) -> list[str]:
    """Return a sentence on how many intervals would exclude 0 by luck, and what remains after Holm's correction."""
    tested = {
        f"{rival.run.name} {one.title} by {METRICS[name].title}": one.differences[name]["p"]
        for rival in comparison.rivals for one in rival.contrasts for name in JUDGED_BY
    }  # fmt: skip
    known = {what: p for what, p in tested.items() if not np.isnan(p)}
    if len(known) < 2:
        return []
    corrected = holm(np.array(list(known.values())))
    kept = [what for what, p in zip(known, corrected, strict=True) if p < 0.05]
    found = "none differs" if not kept else f"these differ: {', '.join(kept)}"
    if len(known) * 2 / (comparison.bootstrap + 1) >= 0.05:
        found += f" ({comparison.bootstrap:,} resamples are too few for so many comparisons)"
    return [
        f"{by_luck(len(known), comparison.baseline.name)}; after Holm's correction for their number (p < .05) {found}."
    ]


def names_of_runs(folders: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return a name for each folder: those that are given, or else what tells the folders' paths apart.

    >>> names_of_runs(("runs/may/report", "runs/june/report"), ())
    ('may/report', 'june/report')
    """
    if names:
        if len(names) != len(folders):
            raise SteepslopeError(f"expected a name for each of {len(folders)} folders, found {len(names)}", "names")
        return names
    paths = _resolved(folders)
    twice = next((folder for folder, path in zip(folders, paths, strict=True) if paths.count(path) > 1), None)
    if twice is not None:
        raise SteepslopeError("expected each report once, or a name for each (--names), found it twice", twice)
    return tuple(shortest_tails(paths))


def shown_folders(folders: tuple[str, ...]) -> tuple[str, ...]:
    """Return folders as they are given, but of absolute paths the shortest tails that tell them apart.

    Results are passed on, and absolute paths reveal the machine and its user.

    >>> shown_folders(("runs/may", "/home/someone/runs/june"))
    ('runs/may', 'june')
    """
    paths = _resolved(folders)
    distinct = list(dict.fromkeys(paths))
    tails = dict(zip(distinct, shortest_tails(distinct), strict=True))
    given = zip(folders, paths, strict=True)
    return tuple(tails[path] if Path(folder).is_absolute() else folder for folder, path in given)


def _resolved(folders: tuple[str, ...]) -> list[str]:
    """Return absolute paths, without the first slash: no tail of them is absolute."""
    return [str(Path(folder).resolve()).lstrip("/") for folder in folders]
