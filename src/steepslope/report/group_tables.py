"""Classes and groups over all scores: who is served worse, and which labels are taken for which."""

from collections.abc import Mapping, Sequence

import numpy as np

from steepslope.evaluation.evaluation import Evaluation
from steepslope.evaluation.score import Scored
from steepslope.metrics.groups import GroupRisk, group_risks
from steepslope.outputs import ClassifierOutputs
from steepslope.report.grid import Cell, Grid, number_cell

MOST_GROUPS = 500  # of a table
LABEL = "label"
PAIRS = 20
WORSE = "◄ served worse"
NOTE = (
    "Of each score: the risk, which is the fraction of errors among what it trusts at its own threshold, and below it "
    "the coverage, which is the fraction that it trusts. Served worse: a higher risk than all other groups together, "
    "by Fisher's test at 5 %, which takes rows as independent, after Holm's correction for the number of groups, not "
    "for that of scores."
)


def class_grids(evaluation: Evaluation, leader: Scored) -> list[Grid]:
    """Return the tables of groups, of classes and of pairs of classes that have rows."""
    grids = [group_grid({row.name: row.groups for row in evaluation.rows if row.groups}, evaluation.grouped_by)]
    if evaluation.grouped_by != LABEL:
        grids.append(group_grid(_by_label(evaluation), LABEL))
    return [grid for grid in (*grids, pair_grid(evaluation, leader)) if grid is not None and grid.rows]


def _by_label(evaluation: Evaluation) -> dict[str, Sequence[GroupRisk]]:
    """Return the classes as each score that has a threshold serves them; nothing where there are no labels."""
    predictions = evaluation.predictions
    if not isinstance(predictions, ClassifierOutputs):
        return {}
    labels, names = predictions.require_labels(), predictions.classes
    return {
        one.name: group_risks(one.confidence, predictions.is_correct, labels, one.cut(), names=names)
        for one in evaluation.scored
        if not one.only_ranks
    }


def group_grid(served: Mapping[str, Sequence[GroupRisk]], by: str) -> Grid:
    """Return a row for each group, with the risk and the coverage of every score, by the scores' names.

    The groups that some score serves worse come first, those of the highest risk before others.
    """
    lines = sorted(zip(*served.values(), strict=True), key=_badness)
    columns = ["group", "n", "accuracy", *(f"risk, {name}" for name in served)]
    note = NOTE if len(lines) <= MOST_GROUPS else f"{NOTE} The {MOST_GROUPS:,} worst of {len(lines):,}."
    return Grid(f"By {by}", columns, [_line(groups) for groups in lines[:MOST_GROUPS]], note)


def _badness(groups: Sequence[GroupRisk]) -> tuple[float, float]:
    risks = [group.risk for group in groups if group.risk == group.risk]
    return min(group.p for group in groups), -max(risks, default=0.0)


def _line(groups: Sequence[GroupRisk]) -> list[Cell]:
    first = groups[0]
    return [Cell(first.group), Cell(f"{first.n:,}"), number_cell(first.accuracy), *map(_risk_cell, groups)]


def _risk_cell(group: GroupRisk) -> Cell:
    coverage = f"at {100 * group.coverage:.1f} %"
    text = number_cell(group.risk).text
    return Cell(text, f"{coverage} {WORSE}", "worse") if group.worse else Cell(text, coverage)


def pair_grid(evaluation: Evaluation, leader: Scored) -> Grid | None:
    """Return the pairs of label and prediction of which most errors are trusted; None without labels or errors.

    By the score that the report is about, if it has a threshold; else the pairs with most errors.
    """
    predictions = evaluation.predictions
    if not isinstance(predictions, ClassifierOutputs) or bool(predictions.is_correct.all()):
        return None
    wrong = np.flatnonzero(~predictions.is_correct)
    codes = (predictions.require_labels() * predictions.num_classes + predictions.predictions)[wrong]
    pairs, place = np.unique(codes, return_inverse=True)
    counts = np.bincount(place)
    known = [one for one in evaluation.scored if not one.only_ranks]
    trusted = {one.name: np.bincount(place, one.confidence[wrong] > one.cut(), len(pairs)).astype(int) for one in known}
    missed = trusted.get(leader.name, counts)
    order = np.lexsort((counts, missed))[::-1][:PAIRS]
    names = predictions.class_names
    lines = []
    for pair in order:
        label, predicted = (names[code] for code in divmod(int(pairs[pair]), predictions.num_classes))
        numbers = [Cell(f"{some[pair]:,}") for some in (counts, *trusted.values())]
        lines.append([Cell(f"{label} → {predicted}"), *numbers])
    note = "Label → prediction; of each score, how many of these errors it trusts at its own threshold."
    return Grid("Confusions that are missed most", ["pair", "errors", *(f"trusted by {name}" for name in trusted)],
                lines, note)  # fmt: skip
