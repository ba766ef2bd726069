"""What a comparison of several evaluations means, in sentences."""

from collections.abc import Iterator, Sequence

import numpy as np

from steepslope.metrics.groups import holm
from steepslope.metrics.measures import METRICS
from steepslope.oracle.base import FEW_ERRORS
from steepslope.report.comparison import UNDEFINED, UNKNOWN, VERDICTS, Comparison, Contrast, Rival, Run
from steepslope.report.evaluation import by_luck, compared

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
