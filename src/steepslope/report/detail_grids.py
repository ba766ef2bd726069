"""The tables below the main one, as grids: operating points, confusion, cuts, separability, the paper's, groups."""

from collections.abc import Mapping, Sequence

from steepslope.evaluation.rows import Row
from steepslope.metrics.intervals import Estimate
from steepslope.metrics.paper import PAPER_METRICS
from steepslope.metrics.separability import SEPARABILITY
from steepslope.report.grid import Cell, Grid, estimate_cell, number_cell

SHOWN_GROUPS = 30


def detail_grids(rows: Sequence[Row]) -> list[Grid]:
    """Return all tables that have rows."""
    grids = [risk_grid(rows), coverage_grid(rows), confusion_grid(rows), cut_grid(rows)]
    grids += [separability_grid(rows), paper_grid(rows), *(group_grid(row) for row in rows)]
    return [grid for grid in grids if grid.rows]


def risk_grid(rows: Sequence[Row]) -> Grid:
    """Return the selective risk at each coverage."""
    note = "Errors among the most confident share of the predictions, in percent."
    return _point_grid("Risk at coverage", "", {row.name: row.risk_at_coverage for row in rows}, note)


def coverage_grid(rows: Sequence[Row]) -> Grid:
    """Return the coverage at each risk."""
    note = "Largest share of predictions that a threshold accepts with at most this share of errors, on these rows."
    return _point_grid("Coverage at risk", "≤ ", {row.name: row.coverage_at_risk for row in rows}, note)


def _point_grid(title: str, sign: str, points: Mapping[str, Mapping[int, Estimate]], note: str) -> Grid:
    percents = next(iter(points.values()))
    lines = [[Cell(name), *map(estimate_cell, estimates.values())] for name, estimates in points.items()]
    return Grid(title, ["score", *(f"{sign}{percent} %" for percent in percents)], lines, note)


def confusion_grid(rows: Sequence[Row]) -> Grid:
    """Return the four counts at each score's own threshold."""
    lines = [
        [Cell(row.name), *(Cell(f"{count:,}") for count in row.confusion.values())] for row in rows if row.confusion
    ]
    columns = ["score", "trusted, correct", "trusted, wrong", "not trusted, correct", "not trusted, wrong"]
    return Grid("Confusion at each score's own threshold", columns, lines)


def cut_grid(rows: Sequence[Row]) -> Grid:
    """Return TPR and TNR at ½ and at the cut of the steep slope loss."""
    cuts = next((tuple(row.cuts) for row in rows if row.cuts), ())
    columns = ["score", *(f"{rate} at p > {cut:.3g}" for cut in cuts for rate in ("TPR", "TNR"))]
    lines = [
        [Cell(row.name), *(number_cell(row.cuts[cut][rate]) for cut in cuts for rate in ("tpr", "tnr"))]
        for row in rows
        if row.cuts
    ]
    note = (
        "The steep slope loss trusts where P(correct) > α⁻/(α⁺+α⁻): part of its TNR is this cut. "
        "The other losses at the same cut are its fair comparison; its own sigmoid is no probability."
    )
    return Grid("At one half, and at the cut of the steep slope loss", columns, lines, note)


def separability_grid(rows: Sequence[Row]) -> Grid:
    """Return how far apart the confidences of correct and of wrong predictions lie."""
    lines = [[Cell(row.name), *(number_cell(value, 1, 3) for value in row.separability.values())] for row in rows]
    note = "Between the Gaussians of correct and wrong predictions, on the scale that ranks."
    return Grid("Separability", ["score", *(metric.heading for metric in SEPARABILITY.values())], lines, note)


def paper_grid(rows: Sequence[Row]) -> Grid:
    """Return the metrics as the authors' code computed them."""
    columns = ["score", *(metric.title for metric in PAPER_METRICS.values())]
    lines = [
        [Cell(row.name), *(number_cell(row.paper.get(name), one.scale, 2) for name, one in PAPER_METRICS.items())]
        for row in rows
        if row.paper
    ]
    note = "Float32 sigmoids, errors ranked by high confidence, a grid of thresholds, TCP's errors cut at 1/K."
    return Grid("As the paper's code computes them", columns, lines, note)


def group_grid(row: Row) -> Grid:
    """Return coverage and risk of each group, the worst first."""
    worst_first = sorted(row.groups, key=lambda one: (one.p, -one.risk if one.risk == one.risk else 0))
    lines = [
        [
            Cell(one.group, "◄ worse" if one.worse else ""),
            Cell(f"{one.n:,}"),
            *map(number_cell, (one.accuracy, one.coverage, one.risk)),
            number_cell(one.p, 1, 3),
        ]
        for one in worst_first[:SHOWN_GROUPS]
    ]
    note = "Risk: errors among the trusted. p: Fisher's test against all other groups, after Holm's correction."
    if len(worst_first) > SHOWN_GROUPS:
        note += f" {len(worst_first) - SHOWN_GROUPS} more groups are in details.json."
    columns = ["group", "n", "accuracy", "coverage", "risk", "p"]
    return Grid(f"Groups, as {row.name} serves them", columns, lines, note)
