"""The table that a page begins with: every metric of every score, with its differences, and what each column means."""

from collections.abc import Mapping, Sequence
from itertools import chain

from steepslope.evaluation.evaluation import clearly
from steepslope.evaluation.rows import Row
from steepslope.evaluation.score import BASELINE
from steepslope.metrics.intervals import Difference
from steepslope.metrics.measures import METRICS, SEPARABILITY, Metric, table_metrics
from steepslope.report.grid import UNDEFINED, Cell, Grid, estimate_cell
from steepslope.report.tables import main_grid

DIFFERENCES = ("auc", "aurc")
LOOKS = {0: "", 1: "better", -1: "worse"}
NO_BREAK = "\N{NO-BREAK SPACE}"
TO_MCP, TO_BEST = f"to{NO_BREAK}MCP", "to best single"
MORE_DEFINITIONS = {
    "score": "What gives the confidence: a post-hoc score by its name, or an oracle by its folder's.",
    "group": "A class, or a group of predictions that a column names.",
    "n": "The number of predictions.",
    "accuracy": "The fraction of correct predictions, in percent.",
    "errors": "The number of wrong predictions.",
    "pair": "The label, and what was predicted in its place.",
}


def summary_grid(rows: Sequence[Row]) -> Grid:
    """Return the main table, with differences to MCP and, where there are others, to the best single score."""
    main = main_grid(rows)
    known = len(main.columns) - 1  # without its own difference
    best = any(row.vs_best_single for row in rows)
    columns = ["score", *map(_short, table_metrics().values()), *headings(best)]
    lines = [[*line[:known], *_differences(row, best)] for line, row in zip(main.rows, rows, strict=True)]
    return Grid("Scores", columns, lines, f"{main.note} Differences are paired: ▲ is clearly better, ▼ clearly worse.")


def _short(metric: Metric) -> str:
    return f"{metric.terminal_heading}{NO_BREAK}{'↑' if metric.higher_is_better else '↓'}"


def headings(best: bool) -> list[str]:
    """Return the titles of the columns of differences."""
    return [
        f"Δ{_short(METRICS[name])} {to}" for to in ((TO_MCP, TO_BEST) if best else (TO_MCP,)) for name in DIFFERENCES
    ]


def _differences(row: Row, best: bool) -> list[Cell]:
    to_mcp = {} if row.vs_mcp is None or row.name == BASELINE else row.vs_mcp
    to_best = {} if row.vs_best_single is None else row.vs_best_single.differences
    return [difference_cell(METRICS[name], some.get(name)) for some in ((to_mcp, to_best) if best else (to_mcp,))
            for name in DIFFERENCES]  # fmt: skip


def difference_cell(metric: Metric, difference: Difference | None) -> Cell:
    """Return a difference with its interval, and whether that is clearly better or worse."""
    if difference is None:
        return UNDEFINED
    return estimate_cell(difference, metric.scale, "+")._replace(look=LOOKS[clearly(metric, difference)])


def definitions(grids: Sequence[Grid]) -> dict[str, str]:
    """Return what each column of some tables means, by its heading; where nothing is known, the note of its table."""
    known = {**_of_metrics({**METRICS, **SEPARABILITY}), **MORE_DEFINITIONS}
    notes = {heading: grid.note for grid in reversed(grids) for heading in grid.columns[1:] if grid.note}
    used = dict.fromkeys(chain.from_iterable(grid.columns for grid in grids))
    meanings = notes | known
    return {heading: meanings[heading] for heading in used if heading in meanings}


def _of_metrics(metrics: Mapping[str, Metric]) -> dict[str, str]:
    found: dict[str, str] = {}
    for metric in metrics.values():
        unit = ", in thousandths" if metric.scale > 100 else ", in percent" if metric.scale == 100 else ""
        better = "Higher" if metric.higher_is_better else "Lower"
        name = "" if metric.terminal_heading.rstrip("‰") == metric.title else f"{metric.title}. "
        text = f"{name}{metric.definition.rstrip('.')}{unit}. {better} is better."
        found |= {metric.heading: text, _short(metric): text}
        for to, whose in ((TO_MCP, "MCP's"), (TO_BEST, "that of the best single score by AURC")):
            found[f"Δ{_short(metric)} {to}"] = (
                f"The difference of the {metric.title} to {whose} on the same resamples of the rows, with its 95 % "
                f"interval. {better} is better."
            )
    return found
