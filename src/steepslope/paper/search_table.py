"""The table of a search for the slopes of the steep slope loss: a line a trial, in the order of the search."""

from steepslope.oracle.search import CRITERIA, Search, Trial, best_of
from steepslope.report.grid import Cell, Grid, number_cell

CHOSEN = "◄ chosen"
NOTE = "TPR and TNR at trust logit 0. Losses of different slopes differ in scale and are not compared."


def search_grid(search: Search) -> Grid:
    """Return all trials, and which α⁻ and which α⁺ was chosen among those that its step compares."""
    steps = {"α⁻": search.alpha_neg_trials, "α⁺": search.alpha_pos_trials}
    rows = []
    for step, trials in steps.items():
        chosen = best_of(trials, search.criterion)
        rows += [_cells(f"{step} {CHOSEN}" if trial is chosen else step, trial, search.criterion) for trial in trials]
    heading = CRITERIA[search.criterion].heading
    return Grid("", ["search for", "α⁺", "α⁻", f"by {heading}", "loss", "TPR", "TNR", "AUC"], rows, NOTE)


def _cells(title: str, trial: Trial, criterion: str) -> list[Cell]:
    metric = CRITERIA[criterion]
    slopes = [Cell(f"{alpha:g}") for alpha in (trial.alpha_pos, trial.alpha_neg)]
    measured = [number_cell(trial.value, metric.scale), number_cell(trial.loss, 1, 3)]
    return [Cell(title), *slopes, *measured, *map(number_cell, (trial.tpr, trial.tnr, trial.auc))]
