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
from steepslope.files.artifact import MADE, Artifact
from steepslope.files.folders import write_json
from steepslope.metrics.intervals import Difference, Resampled, resample
from steepslope.metrics.measures import METRICS, Metric, measures_at
from steepslope.metrics.selective import SCALES
from steepslope.oracle.base import FEW_ERRORS
from steepslope.report.evaluation import nan_to_none
from steepslope.report.grid import Cell, Grid, grid_in_markdown, plain_in_markdown, shortest_tails
from steepslope.report.runs import Run, Texts
from steepslope.report.sentences import clear_sign, count_sentence, difference_sentence, luck_sentence
from steepslope.report.tables import DELTA, metric_table_cells, table_cell_with_p

CLEAR = {1: "clearly better", 0: "not clearly different", -1: "clearly WORSE"}
NO_RESAMPLES = "not known without resamples"
UNDEFINED = "not defined"
JUDGED_BY = ("aurc", "auc")  # in this order
SEED = 0  # of the resamples
HEADLINED = {"aurc": "AURC", "accuracy": "accuracy", "auc": "AUC"}
AURC_COUNTS = "AURC counts the errors too, so fewer errors lower it. AUC measures the ranking alone."
TITLE = "Runs side by side"
HOW = (
    "In brackets the 95 % bootstrap interval, then the two-sided p of no difference. Paired: both runs on the same "
    "resamples of the same rows. Unpaired: each on resamples of its own. The best scores were chosen on these rows. "
    f"{AURC_COUNTS}"
)
COMPARISON = Artifact("a comparison", "compare.json", files=("compare.json", "compare.md"))


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

    def word(self, metric: str) -> str:
        """Return what is clear by a metric, or why nothing is: without resamples, or without a difference."""
        difference = self.differences[metric]
        if np.isnan(difference["value"]):
            return UNDEFINED
        return NO_RESAMPLES if np.isnan(difference["low"]) else CLEAR[clear_sign(METRICS[metric], difference)]


@dataclass(frozen=True, eq=False)
class Rival:
    """A run next to the baseline; ``why_unpaired`` is why its rows are not taken for the same, empty where they are."""

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
        why, best = why_comparison_unpaired(first, run), (run.best, first.best)
        ours = theirs = SEED, first if run.clusters is None else run
        if why:  # the same draws would hit the same places of unrelated rows
            ours = int(np.random.default_rng([SEED, place + 1]).integers(2**31)), run
            theirs = SEED, first
        pairs = dict.fromkeys([*((name, name) for name in run.scores if name in first.scores), best])
        drawn_pairs = {(a, b): (drawn(run, a, *ours), drawn(first, b, *theirs)) for a, b in pairs}
        # Models differ in which predictions are wrong: the run with fewer of its rarer kind decides the width.
        contrasts = [
            Contrast(*pair, replace(own, units=min(own.units, other.units)).minus(other), pair == best)
            for pair, (own, other) in drawn_pairs.items()
        ]
        return Rival(run, why, contrasts)

    return Comparison(runs, first, [rival(run, place) for place, run in enumerate(runs[1:], 1)], bootstrap)


def require_comparable(names: Sequence[str]) -> None:
    """Raise unless these are the names of two runs or more, each once."""
    if len(names) < 2:
        raise SteepslopeError(f"expected at least two runs to compare, found {len(names)}")
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise SteepslopeError(f"expected a name for each run, found {repeated!r} twice", "names")


def why_comparison_unpaired(a: Run, b: Run) -> str:
    """Return why the rows of two runs are not the same; nothing where they are.

    They are where both have the same ids, each once, in any order, with the same labels. Without ids, rows are taken
    for the same where both have as many with the same labels in the same order, unless that order is by class.
    """
    if (a.ids is None) != (b.ids is None):
        return f"only {(b if a.ids is None else a).name} has ids"
    if a.ids is not None:
        return _why_other_compared_ids(a, b)
    if len(a) != len(b):
        return f"there are {len(a):,} and {len(b):,} rows, without ids"
    if a.labels is None or b.labels is None:
        return "neither ids nor labels tell whether the rows are the same"
    blocks, classes = 1 + np.sum(a.labels[1:] != a.labels[:-1]), len(set(a.labels.tolist()))
    by_class = "without ids, labels in order of their classes do not tell whether the rows are the same"
    unsure = f"{by_class}: evaluate both with ids" if blocks <= classes else ""  # other rows have that order too
    return _why_other_compared_labels(a, b, "rows") or unsure


def _why_other_compared_ids(a: Run, b: Run) -> str:
    ours, theirs = _in_order_of_comparison(a, a.ids), _in_order_of_comparison(b, b.ids)
    for run, ids in ((a, ours), (b, theirs)):
        repeated = ids[1:][ids[1:] == ids[:-1]]
        if len(repeated):
            return f"the id {str(repeated[0])!r} is there more than once in {run.name}"
    if not np.array_equal(ours, theirs):
        common = len(np.intersect1d(ours, theirs, assume_unique=True))
        return f"{common:,} ids in common of {len(a):,} and {len(b):,}"
    return "" if a.labels is None or b.labels is None else _why_other_compared_labels(a, b, "ids")


def _why_other_compared_labels(a: Run, b: Run, what: str) -> str:
    ours, theirs = _in_order_of_comparison(a, a.labels), _in_order_of_comparison(b, b.labels)
    differ = int(np.sum(ours != theirs))
    if differ and _are_compared_numbers(ours) != _are_compared_numbers(theirs):
        named, numbered = (b.name, a.name) if _are_compared_numbers(ours) else (a.name, b.name)
        found = f"labels are names of classes in {named} and numbers in {numbered}"
        return f"{found}: evaluate {numbered} with the names, as by --classes"
    return f"labels differ for {differ:,} {what} of {len(a):,}" if differ else ""


def _are_compared_numbers(labels: Texts) -> bool:
    return all(str(label).removeprefix("-").isdecimal() for label in set(labels.tolist()))


def _in_order_of_comparison(run: Run, values: Texts | None) -> Texts:
    return np.asarray(values)[run.order]


def comparison_headline(comparison: Comparison) -> str:
    """Return what the comparison comes to: how each run's best score is next to the baseline's."""
    told = [
        f"{rival.run.name} is {', '.join(f'{rival.best.word(name)} by {title}' for name, title in HEADLINED.items())}"
        for rival in comparison.rivals
    ]
    return f"Next to {comparison.baseline.name}, by each run's best score: {'; '.join(told)}."


def _comparison_doubts(runs: Sequence[Run]) -> Iterator[str]:
    """Yield which runs have few errors to judge by."""
    for run in runs:
        rare, side = min((run.wrong, "error"), (len(run) - run.wrong, "correct prediction"))
        if rare < FEW_ERRORS:
            few = f"only {rare} {side}{'' if rare == 1 else 's'}"
            yield f"{run.name} has {few}: below about {FEW_ERRORS}, all its numbers depend on luck"


def _comparison_pairing(rival: Rival, baseline: Run) -> str:
    """Return the sentence on how the rows of two runs relate."""
    both, rows = f"{rival.run.name} and {baseline.name}", f"{len(rival.run):,} rows"
    if not rival.paired:
        return f"{both} are not known to have the same rows ({rival.why_unpaired}): differences are unpaired"
    if rival.guessed:
        why = "they have no ids, but as many rows with the same labels in the same order"
        return f"{both} are taken for the same {rows}: {why}; differences are paired"
    return f"{both} have the same {rows}: differences are paired"


def comparison_sentences(comparison: Comparison) -> list[str]:
    """Return what the comparison means: what warns, how rows relate to the baseline's, and what is clear."""
    warnings = [f"WARNING: {doubt}." for doubt in _comparison_doubts(comparison.runs)]
    lines = [line for rival in comparison.rivals for line in _rival_comparison_sentences(rival, comparison.baseline)]
    tested = {
        f"{rival.run.name} {one.title} by {METRICS[name].title}": one.differences[name]["p"]
        for rival in comparison.rivals for one in rival.contrasts for name in JUDGED_BY
    }  # fmt: skip
    return [*warnings, *lines, *luck_sentence(tested, comparison.baseline.name, comparison.bootstrap), AURC_COUNTS]


def _rival_comparison_sentences(rival: Rival, baseline: Run) -> Iterator[str]:
    yield f"{'WARNING: ' if rival.guessed else ''}{_comparison_pairing(rival, baseline)}."
    accuracy = difference_sentence("accuracy", rival.best.differences["accuracy"], CLEAR)  # of all scores the same
    versus = f"{rival.run.name} against {baseline.name}"
    yield f"{versus}: {accuracy}."
    unpaired = "" if rival.paired else ", unpaired"
    for contrast in rival.contrasts:
        best = " (the best of each by AURC)" if contrast.of_best else ""
        defined = [name for name in JUDGED_BY if not np.isnan(contrast.differences[name]["value"])]
        clear = ", ".join(difference_sentence(name, contrast.differences[name], CLEAR) for name in defined)
        clear = clear or "cannot be compared: AURC and AUC are not defined"
        yield f"{versus}{unpaired}, {contrast.title}{best}: {clear}."


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
        write_json(staging / COMPARISON.card, {**comparison_as_json(comparison), MADE: dict(made)})
        (staging / "compare.md").write_text(comparison_in_markdown(comparison), encoding="utf-8")


def comparison_as_json(comparison: Comparison) -> dict[str, Any]:
    """Return what ``compare.json`` holds; what is undefined is null."""
    rivals = {rival.run.name: rival for rival in comparison.rivals}
    return {
        "baseline": comparison.baseline.name,
        "runs": [_compared_run_as_json(run, rivals.get(run.name)) for run in comparison.runs],
        "rows": [
            {"run": run.name, **{name: nan_to_none(one) for name, one in score.metrics.items()}, **score.content,
             "errors": run.wrong}
            for run in comparison.runs for score in run.scores.values()
        ],
        "headline": comparison_headline(comparison),
        "differences": [
            {"run": rival.run.name, "baseline": comparison.baseline.name, "paired": rival.paired, "score": one.score,
             "baseline_score": one.baseline_score, "of_best": one.of_best,
             **{name: nan_to_none(difference) for name, difference in one.differences.items()}}
            for rival in comparison.rivals for one in rival.contrasts
        ],
        "sentences": comparison_sentences(comparison),
    }  # fmt: skip


def _compared_run_as_json(run: Run, rival: Rival | None) -> dict[str, Any]:
    """Return a run's facts, and of all but the baseline whether it is paired with that, and by ids."""
    accuracy = (len(run) - run.wrong) / len(run)
    facts = {"run": run.name, "n": len(run), "errors": run.wrong, "accuracy": accuracy}
    if rival is None:
        return {**facts, "best": run.best}
    by_ids = None if not rival.paired else not rival.guessed
    pairing = {"paired": rival.paired, "paired_by_ids": by_ids, "why_unpaired": rival.why_unpaired or None}
    return {**facts, "best": run.best, **pairing}


def comparison_headings(comparison: Comparison) -> list[str]:
    """Return a line on each run: what is common to all of its scores."""
    return [f"{run.name}: {count_sentence(len(run), run.wrong)}" for run in comparison.runs]


def comparison_in_markdown(comparison: Comparison) -> str:
    """Return the comparison as Markdown."""
    lists = (
        "\n".join(f"- {plain_in_markdown(line)}" for line in lines)
        for lines in (comparison_headings(comparison), comparison_sentences(comparison))
    )
    grids = grid_in_markdown(compared_runs_grid(comparison)), grid_in_markdown(comparison_difference_grid(comparison))
    return "\n\n".join([f"# {TITLE}", plain_in_markdown(comparison_headline(comparison)), *lists, *grids]) + "\n"


def compared_runs_grid(comparison: Comparison, metrics: Mapping[str, Metric] = METRICS) -> Grid:
    """Return a row for each score of each run: metrics with their intervals, and the AUC's difference to MCP's."""
    columns = ["run", "score", *(metric.heading for metric in metrics.values()), DELTA]
    rows = [
        [Cell(run.name), Cell(score.name), *metric_table_cells(score, metrics)]
        for run in comparison.runs
        for score in run.scores.values()
    ]
    note = f"In percent, with 95 % bootstrap intervals. {DELTA}: within each run, on its own rows."
    return Grid("Runs and scores", columns, rows, note)


def comparison_difference_grid(comparison: Comparison) -> Grid:
    """Return every metric's difference to the baseline, a row for each pair of scores that is compared."""
    columns = ["run", "score", "less", "how", *(metric.heading for metric in METRICS.values())]
    rows = [
        [
            Cell(rival.run.name),
            Cell(one.score, "(best)" if one.of_best else ""),
            Cell(one.baseline_score),
            Cell("paired" if rival.paired else "unpaired", "(without ids)" if rival.guessed else ""),
            *(table_cell_with_p(metric, one.differences[name]) for name, metric in METRICS.items()),
        ]
        for rival in comparison.rivals for one in rival.contrasts
    ]  # fmt: skip
    return Grid(f"Differences to {comparison.baseline.name}", columns, rows, HOW)
