"""Several evaluations side by side: whether their rows are the same, and how far each differs from one of them.

Where the rows are the same, differences are paired: both sides are resampled alike. Where they are not, as of two
months, both are resampled on their own, and the difference is called unpaired.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from steepslope.errors import SteepslopeError
from steepslope.files import MADE, Artifact, write_json
from steepslope.metrics import METRICS, SCALES, Difference, Metric, Resampled, measures_at, resample
from steepslope.oracle import FEW_ERRORS
from steepslope.report._evaluation import nan_to_none
from steepslope.report._grid import Cell, Grid, grid_in_markdown, list_in_markdown, plain_in_markdown, shortest_tails
from steepslope.report._runs import Run, RunScore, Texts
from steepslope.report._sentences import clear_sign, count_sentence, difference_sentence, luck_sentence
from steepslope.report._tables import DELTA, metric_table_cells, table_cell_with_p

_CLEAR = {1: "clearly better", 0: "not clearly different", -1: "clearly WORSE"}
_JUDGED_BY = ("aurc", "auc")  # in this order
_SEED = 0  # of the resamples
_HEADLINED = {"aurc": "AURC", "accuracy": "accuracy", "auc": "AUC"}
AURC_COUNTS = "AURC counts the errors too, so fewer errors lower it. AUC measures the ranking alone."
_HOW = (
    "In brackets the 95 % bootstrap interval, then the two-sided p of no difference. Paired: both runs on the same "
    "resamples of the same rows. Unpaired: each on resamples of its own. The best scores were chosen on these rows. "
    f"{AURC_COUNTS}"
)
_BY_CLASS = (
    "without ids, labels in order of their classes do not tell whether the rows are the same: evaluate both with ids"
)
COMPARISON = Artifact("a comparison", "compare.json", files=("compare.json", "compare.md"))


@dataclass(frozen=True, eq=False)
class _Contrast:
    """A score of a run less a score of the baseline: every metric's difference, by name."""

    score: str
    baseline_score: str
    differences: Mapping[str, Difference]
    of_best: bool = False

    @property
    def title(self) -> str:
        """The name of the score, or both where they differ."""
        if self.score == self.baseline_score:
            return self.score
        return f"{self.score} against {self.baseline_score}"

    def word(self, metric: str) -> str:
        """Return what is clear by a metric, or why nothing is: without resamples, or without a difference."""
        difference = self.differences[metric]
        if np.isnan(difference["value"]):
            return "not defined"
        if np.isnan(difference["low"]):
            return "not known without resamples"
        return _CLEAR[clear_sign(METRICS[metric], difference)]


@dataclass(frozen=True, eq=False)
class Rival:
    """A run next to the baseline; ``why_unpaired`` is why its rows are not taken for the same, empty where they are."""

    run: Run
    why_unpaired: str
    contrasts: Sequence[_Contrast]

    @property
    def paired(self) -> bool:
        """Whether both sides were resampled alike."""
        return self.why_unpaired == ""

    @property
    def guessed(self) -> bool:
        """Whether the rows are taken for the same without ids that tell."""
        return self.paired and self.run.ids is None

    @property
    def best(self) -> _Contrast:
        """The best score of the run less the best of the baseline."""
        (best,) = (contrast for contrast in self.contrasts if contrast.of_best)
        return best


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs in the order in which they were given, the one that the others are compared with, and the others.

    ``bootstrap`` is the number of resamples that each difference's p comes from.
    """

    runs: Sequence[Run]
    baseline: Run
    rivals: Sequence[Rival]
    bootstrap: int

    @property
    def scores(self) -> list[tuple[Run, RunScore]]:
        """Every score, with its run."""
        return [(run, score) for run in self.runs for score in run.scores.values()]

    @property
    def contrasts(self) -> list[tuple[Rival, _Contrast]]:
        """Every contrast, with its rival."""
        return [(rival, contrast) for rival in self.rivals for contrast in rival.contrasts]


def compare_runs(runs: Sequence[Run], *, bootstrap: int = 1000) -> Comparison:
    """Compare each run with the first, the baseline.

    Each score that both have is compared, and the best of each by AURC, on ``bootstrap`` resamples, the same in every
    call. The order of the rows has no influence where they have ids.

    Raises
    ------
    SteepslopeError
        If there are fewer than two runs, two have the same name, or a number is out of range.
    """
    require_comparable([run.name for run in runs])
    first = runs[0]

    @cache
    def drawn(run: Run, score: str, seed: int, clustered: Run) -> Resampled[str]:
        """Return every metric of a score on its run's rows, and on resamples of them or of another run's clusters."""
        cut = SCALES[run.scores[score].scale].cut(0.5)
        clusters = None if clustered.clusters is None else clustered.clusters[clustered.order]
        return resample(run.ranked(score), measures_at(cut, cut), bootstrap, seed, clusters)

    def rival(run: Run, place: int) -> Rival:
        why = _why_comparison_unpaired(first, run)
        seed = _SEED
        clustered = first_clustered = first if run.clusters is None else run
        if why:  # the same draws would hit the same places of unrelated rows
            seed = int(np.random.default_rng([_SEED, place]).integers(2**31))
            clustered = run
            first_clustered = first
        best = (run.best, first.best)
        alike = [(name, name) for name in run.scores if name in first.scores]
        contrasts = []
        for pair in dict.fromkeys([*alike, best]):
            ours = drawn(run, pair[0], seed, clustered)
            theirs = drawn(first, pair[1], _SEED, first_clustered)
            # Models differ in which predictions are wrong: the run with fewer of its rarer kind decides the width.
            ours = replace(ours, units=min(ours.units, theirs.units))
            contrasts.append(_Contrast(*pair, ours.minus(theirs), pair == best))
        return Rival(run, why, contrasts)

    rivals = [rival(run, place) for place, run in enumerate(runs[1:], start=2)]
    return Comparison(runs, first, rivals, bootstrap)


def require_comparable(names: Sequence[str]) -> None:
    """Raise unless these are the names of two runs or more, each once."""
    if len(names) < 2:
        raise SteepslopeError(f"expected at least two runs to compare, found {len(names)}")
    for name in names:
        if names.count(name) > 1:
            raise SteepslopeError(f"expected a name for each run, found {name!r} twice", "names")


def _why_comparison_unpaired(a: Run, b: Run) -> str:
    """Return why the rows of two runs are not the same; nothing where they are.

    They are where both have the same ids, each once, in any order, with the same labels. Without ids, rows are taken
    for the same where both have as many with the same labels in the same order, unless that order is by class.
    """
    with_ids = [run for run in (a, b) if run.ids is not None]
    if len(with_ids) == 2:
        return _why_other_ids(a, b)
    if with_ids:
        return f"only {with_ids[0].name} has ids"
    if len(a) != len(b):
        return f"there are {len(a):,} and {len(b):,} rows, without ids"
    if a.labels is None or b.labels is None:
        return "neither ids nor labels tell whether the rows are the same"
    differ = _why_other_labels(a, b, "rows")
    changes = np.sum(a.labels[1:] != a.labels[:-1])
    if not differ and changes < len(set(a.labels.tolist())):  # other rows have that order too
        return _BY_CLASS
    return differ


def _why_other_ids(a: Run, b: Run) -> str:
    ours = _in_order(a, a.ids)
    theirs = _in_order(b, b.ids)
    for run, ids in ((a, ours), (b, theirs)):
        repeated = ids[1:][ids[1:] == ids[:-1]]
        if len(repeated):
            return f"the id {str(repeated[0])!r} is there more than once in {run.name}"
    if not np.array_equal(ours, theirs):
        common = len(np.intersect1d(ours, theirs, assume_unique=True))
        return f"{common:,} ids in common of {len(a):,} and {len(b):,}"
    if a.labels is None or b.labels is None:
        return ""
    return _why_other_labels(a, b, "ids")


def _why_other_labels(a: Run, b: Run, what: str) -> str:
    differ = int(np.sum(_in_order(a, a.labels) != _in_order(b, b.labels)))
    if not differ:
        return ""
    if _has_numbers(a) == _has_numbers(b):
        return f"labels differ for {differ:,} {what} of {len(a):,}"
    named, numbered = sorted((a, b), key=_has_numbers)
    found = f"labels are names of classes in {named.name} and numbers in {numbered.name}"
    return f"{found}: evaluate {numbered.name} with the names, as by --classes"


def _has_numbers(run: Run) -> bool:
    """Return whether the labels of a run are numbers, not names."""
    return all(str(label).removeprefix("-").isdecimal() for label in set(np.asarray(run.labels).tolist()))


def _in_order(run: Run, values: Texts | None) -> Texts:
    return np.asarray(values)[run.order]


def comparison_headline(comparison: Comparison) -> str:
    """Return what the comparison comes to: how each run's best score is next to the baseline's."""
    told = []
    for rival in comparison.rivals:
        verdicts = [f"{rival.best.word(name)} by {title}" for name, title in _HEADLINED.items()]
        told.append(f"{rival.run.name} is {', '.join(verdicts)}")
    return f"Next to {comparison.baseline.name}, by each run's best score: {'; '.join(told)}."


def _doubts(runs: Sequence[Run]) -> Iterator[str]:
    """Yield which runs have few errors to judge by."""
    for run in runs:
        rare, side = min((run.wrong, "error"), (len(run) - run.wrong, "correct prediction"))
        if rare < FEW_ERRORS:
            few = f"only {rare} {side}{'' if rare == 1 else 's'}"
            yield f"WARNING: {run.name} has {few}: below about {FEW_ERRORS}, all its numbers depend on luck."


def _pairing(rival: Rival, baseline: Run) -> str:
    """Return the sentence on how the rows of two runs relate."""
    both = f"{rival.run.name} and {baseline.name}"
    rows = f"{len(rival.run):,} rows"
    if not rival.paired:
        return f"{both} are not known to have the same rows ({rival.why_unpaired}): differences are unpaired."
    if rival.guessed:
        why = "they have no ids, but as many rows with the same labels in the same order"
        return f"WARNING: {both} are taken for the same {rows}: {why}; differences are paired."
    return f"{both} have the same {rows}: differences are paired."


def comparison_sentences(comparison: Comparison) -> list[str]:
    """Return what the comparison means: what warns, how rows relate to the baseline's, and what is clear."""
    baseline = comparison.baseline
    lines = [*_doubts(comparison.runs)]
    for rival in comparison.rivals:
        lines += _rival_sentences(rival, baseline)
    p = {}
    for rival, contrast in comparison.contrasts:
        for metric in _JUDGED_BY:
            name = f"{rival.run.name} {contrast.title} by {METRICS[metric].title}"
            p[name] = contrast.differences[metric]["p"]
    return [*lines, *luck_sentence(p, baseline.name, comparison.bootstrap), AURC_COUNTS]


def _rival_sentences(rival: Rival, baseline: Run) -> Iterator[str]:
    yield _pairing(rival, baseline)
    versus = f"{rival.run.name} against {baseline.name}"
    # The accuracy of all scores is the same.
    yield f"{versus}: {difference_sentence('accuracy', rival.best.differences['accuracy'], _CLEAR)}."
    unpaired = "" if rival.paired else ", unpaired"
    for contrast in rival.contrasts:
        best = " (the best of each by AURC)" if contrast.of_best else ""
        verdicts = []
        for metric in _JUDGED_BY:
            difference = contrast.differences[metric]
            if not np.isnan(difference["value"]):
                verdicts.append(difference_sentence(metric, difference, _CLEAR))
        verdict = ", ".join(verdicts) or "cannot be compared: AURC and AUC are not defined"
        yield f"{versus}{unpaired}, {contrast.title}{best}: {verdict}."


def names_of_compared_runs(folders: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return a name for each folder: those that are given, or else what tells the folders' paths apart.

    >>> names_of_compared_runs(("runs/may/report", "runs/june/report"), ())
    ('may/report', 'june/report')
    """
    if names:
        if len(names) != len(folders):
            raise SteepslopeError(f"expected a name for each of {len(folders)} folders, found {len(names)}", "names")
        return names
    return tuple(shortest_tails([str(Path(folder).resolve()).lstrip("/") for folder in folders]))


def write_comparison(comparison: Comparison, out: str | Path, made: Mapping[str, Any]) -> None:
    """Write both files together, with what ``made`` them; earlier ones stay until the new ones are complete."""
    with COMPARISON.staged(out) as staging:
        write_json(staging / COMPARISON.card, {**_comparison_as_json(comparison), MADE: dict(made)})
        (staging / "compare.md").write_text(_comparison_in_markdown(comparison), encoding="utf-8")


def _comparison_as_json(comparison: Comparison) -> dict[str, Any]:
    """Return what ``compare.json`` holds; what is undefined is null."""
    rivals = {rival.run.name: rival for rival in comparison.rivals}
    rows = []
    for run, score in comparison.scores:
        rows.append({"run": run.name, **nan_to_none(score.metrics), **score.content, "errors": run.wrong})
    return {
        "baseline": comparison.baseline.name,
        "runs": [_run_as_json(run, rivals.get(run.name)) for run in comparison.runs],
        "rows": rows,
        "headline": comparison_headline(comparison),
        "differences": _differences_as_json(comparison),
        "sentences": comparison_sentences(comparison),
    }


def _differences_as_json(comparison: Comparison) -> list[dict[str, Any]]:
    rows = []
    for rival, contrast in comparison.contrasts:
        row = {
            "run": rival.run.name,
            "baseline": comparison.baseline.name,
            "paired": rival.paired,
            "score": contrast.score,
            "baseline_score": contrast.baseline_score,
            "of_best": contrast.of_best,
        }
        rows.append(row | nan_to_none(contrast.differences))
    return rows


def _run_as_json(run: Run, rival: Rival | None) -> dict[str, Any]:
    """Return a run's facts, and of all but the baseline whether it is paired with that, and by ids."""
    facts = {
        "run": run.name,
        "n": len(run),
        "errors": run.wrong,
        "accuracy": (len(run) - run.wrong) / len(run),
        "best": run.best,
    }
    if rival is not None:
        facts["paired"] = rival.paired
        facts["paired_by_ids"] = not rival.guessed if rival.paired else None
        facts["why_unpaired"] = rival.why_unpaired or None
    return facts


def comparison_headings(comparison: Comparison) -> list[str]:
    """Return a line on each run: what is common to all of its scores."""
    return [f"{run.name}: {count_sentence(len(run), run.wrong)}" for run in comparison.runs]


def _comparison_in_markdown(comparison: Comparison) -> str:
    """Return the comparison as Markdown."""
    sections = [
        "# Runs side by side",
        plain_in_markdown(comparison_headline(comparison)),
        list_in_markdown(comparison_headings(comparison)),
        list_in_markdown(comparison_sentences(comparison)),
        grid_in_markdown(compared_runs_grid(comparison)),
        grid_in_markdown(_comparison_difference_grid(comparison)),
    ]
    return "\n\n".join(sections) + "\n"


def compared_runs_grid(comparison: Comparison, metrics: Mapping[str, Metric] = METRICS) -> Grid:
    """Return a row for each score of each run: metrics with their intervals, and the AUC's difference to MCP's."""
    columns = ["run", "score", *(metric.heading for metric in metrics.values()), DELTA]
    rows = []
    for run, score in comparison.scores:
        rows.append([Cell(run.name), Cell(score.name), *metric_table_cells(score, metrics)])
    note = f"In percent, with 95 % bootstrap intervals. {DELTA}: within each run, on its own rows."
    return Grid("Runs and scores", columns, rows, note)


def _comparison_difference_grid(comparison: Comparison) -> Grid:
    """Return every metric's difference to the baseline, a row for each pair of scores that is compared."""
    rows = []
    for rival, contrast in comparison.contrasts:
        row = [
            Cell(rival.run.name),
            Cell(contrast.score, "(best)" if contrast.of_best else ""),
            Cell(contrast.baseline_score),
            Cell("paired" if rival.paired else "unpaired", "(without ids)" if rival.guessed else ""),
        ]
        for name, metric in METRICS.items():
            row.append(table_cell_with_p(metric, contrast.differences[name]))
        rows.append(row)
    columns = ["run", "score", "less", "how", *(metric.heading for metric in METRICS.values())]
    return Grid(f"Differences to {comparison.baseline.name}", columns, rows, _HOW)
