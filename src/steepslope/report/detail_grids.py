"""The practitioner's tables, as grids."""

from __future__ import annotations

from collections.abc import Sequence

from steepslope.evaluation.details import Details
from steepslope.evaluation.rows import COVERAGES, RISKS, Row
from steepslope.report.grid import Cell, Grid, estimate_cell, number_cell

SHOWN_GROUPS = 30


def detail_grids(details: Sequence[Details]) -> list[Grid]:
    """Return all tables that have rows."""
    rows = [one.row for one in details]
    grids = [risk_grid(rows), coverage_grid(rows), confusion_grid(rows), cut_grid(rows)]
    grids += [separability_grid(details), paper_grid(details), *(group_grid(one) for one in details)]
    return [grid for grid in grids if grid.rows]


def risk_grid(rows: Sequence[Row]) -> Grid:
    """Return the selective risk at each coverage."""
    lines = [[Cell(row.name), *(estimate_cell(row.risk_at_coverage[c]) for c in COVERAGES)] for row in rows]
    note = "Errors among the most confident share of the predictions, in percent."
    return Grid("Risk at coverage", ["score", *(f"{c} %" for c in COVERAGES)], lines, note)


def coverage_grid(rows: Sequence[Row]) -> Grid:
    """Return the coverage at each risk."""
    lines = [[Cell(row.name), *(estimate_cell(row.coverage_at_risk[r]) for r in RISKS)] for row in rows]
    note = "Largest share of predictions that a threshold accepts with at most this share of errors, on these rows."
    return Grid("Coverage at risk", ["score", *(f"≤ {r} %" for r in RISKS)], lines, note)


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


def separability_grid(details: Sequence[Details]) -> Grid:
    """Return how far apart both sides lie."""
    rows = [[Cell(one.row.name), *(number_cell(value, 1, 3) for value in one.separability.values())] for one in details]
    note = "Between the Gaussians of correct and wrong predictions, on the scale that ranks."
    return Grid("Separability", ["score", "average KL ↑", "Bhattacharyya distance ↑"], rows, note)


def paper_grid(details: Sequence[Details]) -> Grid:
    """Return the metrics as the authors' code computed them."""
    names = {
        "auroc": ("AUC", 100),
        "aupr_error": ("AUPR-Error", 100),
        "fpr_at_95tpr": ("FPR-95%-TPR", 100),
        "tnr": ("TNR", 100),
        "average_kl": ("average KL", 1),
    }
    columns = ["score", *(title for title, _ in names.values())]
    rows = [
        [Cell(one.row.name), *(number_cell(one.paper.get(key), scale, 2) for key, (_, scale) in names.items())]
        for one in details
        if one.paper
    ]
    note = "Float32 sigmoids, errors ranked by high confidence, a grid of thresholds, TCP's errors cut at 1/K."
    return Grid("As the paper's code computes them", columns, rows, note)


def group_grid(details: Details) -> Grid:
    """Return coverage and risk of each group, the worst first."""
    worst_first = sorted(details.groups, key=lambda one: (one.p, -one.risk if one.risk == one.risk else 0))
    rows = [
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
    return Grid(f"Groups, as {details.row.name} serves them", columns, rows, note)
