"""What a report says first: one sentence on what the best score gains over MCP, and what that sentence rests on.

What `evaluate` and `demo` print: lines of words, and the main table, with colours where a person watches.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from steepslope.metrics.groups import holm
from steepslope.metrics.intervals import Difference, Estimate
from steepslope.metrics.measures import METRICS, table_metrics
from steepslope.oracle.base import FEW_ERRORS
from steepslope.report.confidences import BASELINE
from steepslope.report.evaluation import clearly, looks_unlike, verdicts
from steepslope.report.grid import Grid, terminal
from steepslope.report.rows import Row
from steepslope.report.tables import heading, main_grid, terminal_titles

FOUND_AT = "fpr_at_95tpr"  # the errors that are found are the others
SIGNIFICANT = 0.05
BY_LUCK = f"below about {FEW_ERRORS}, all numbers depend on luck"


class Remark(NamedTuple):
    """What a number rests on; ``warns`` where it makes the number doubtful."""

    text: str
    warns: bool = False


def leader(rows: Sequence[Row]) -> Row:
    """Return the row that a report is about: the score of least AURC beside MCP; the first row where none has one."""
    others = [row for row in rows if row.name != BASELINE and not np.isnan(row.metrics["aurc"]["value"])]
    return min(others, key=lambda row: row.metrics["aurc"]["value"], default=rows[0])


def headline(rows: Sequence[Row]) -> str:
    """Return the sentence on the best score: how many errors it finds where 95 % of the correct are trusted.

    Whether it is better than MCP is judged by AURC, by which it was chosen, after Holm's correction for the number of
    scores among which it was.
    """
    best, first = leader(rows), rows[0]
    if np.isnan(best.metrics[FOUND_AT]["value"]):
        return "Nothing can be compared: that needs both errors and correct predictions."
    found = f"{best.name} finds {_found(best)} of the errors while trusting at least 95 % of the correct predictions"
    if best is first or best.vs_mcp is None:
        return f"{found}."
    return f"{found}; {first.name.upper()} finds {_found(first)}{_ending(best, rows)}"


def _found(row: Row) -> str:
    return f"{100 * (1 - row.metrics[FOUND_AT]['value']):.0f} %"


def _ending(best: Row, rows: Sequence[Row]) -> str:
    """Return what is to be said of the difference: clear by AURC, or not."""
    others = [row for row in rows if row.name != BASELINE]
    known = {
        row.name: row.vs_mcp["aurc"]["p"] for row in others if row.vs_mcp and not np.isnan(row.vs_mcp["aurc"]["p"])
    }
    assert best.vs_mcp is not None
    difference, more = best.vs_mcp["aurc"], -best.vs_mcp[FOUND_AT]["value"]
    if best.name not in known:
        return ". Without resamples it is not known whether this is luck."
    corrected = dict(zip(known, holm(np.array(list(known.values()))), strict=True))
    if corrected[best.name] >= SIGNIFICANT:
        return ". By AURC the difference may be luck."
    if difference["value"] > 0:
        return ". By AURC, MCP is clearly better."
    return "." if more > 0 else ". By AURC it is clearly better all the same."


def remarks(rows: Sequence[Row]) -> list[Remark]:
    """Return what the numbers rest on: rows, errors, how the best was chosen, and whatever makes them doubtful."""
    return [*_of_rows(rows), *_of_choice(rows), *_of_shift(rows), *_of_fit_rows(rows)]


def _of_rows(rows: Sequence[Row]) -> Iterator[Remark]:
    first = rows[0]
    errors = round(first.n * (1 - first.metrics["accuracy"]["value"]))
    yield Remark(heading(rows))
    if first.clusters is not None:
        yield Remark(f"{first.clusters:,} clusters, which were resampled as wholes")
    rare, side = min((errors, "wrong"), (first.n - errors, "correct"))
    if first.clusters is not None and first.units < min(rare, FEW_ERRORS):
        yield Remark(f"only {first.units} clusters with a {side} prediction: {BY_LUCK}", warns=True)
    elif rare < FEW_ERRORS:
        yield Remark(f"only {rare} {side} prediction{'' if rare == 1 else 's'}: {BY_LUCK}", warns=True)


def _of_choice(rows: Sequence[Row]) -> Iterator[Remark]:
    others = sum(row.name != BASELINE for row in rows)
    if others > 1:
        yield Remark(f"chosen among {others} by AURC on these rows, which makes its lead look larger than it is")


def _of_shift(rows: Sequence[Row]) -> Iterator[Remark]:
    for row in rows:
        if row.handed_over is not None and row.handed_over.usual is not None:
            part, usual = row.handed_over.part, row.handed_over.usual
            unlike = looks_unlike(part, usual)
            look = "unlike" if unlike else "like"
            how = f"handed over by {100 * part:.0f} % on average, {100 * usual:.0f} % in its fit set"
            yield Remark(f"to {row.name} these images look {look} those it was fitted on ({how})", unlike)


def _of_fit_rows(rows: Sequence[Row]) -> Iterator[Remark]:
    for row in rows:
        if row.fit_rows:
            yield Remark(
                f"{row.name} was fitted on {row.fit_rows:,} of these rows: its numbers are too good", warns=True
            )


BETTER, WORSE, BEST = "green", "red", "bold"
LEGEND = "Green: clearly better than MCP. Red: clearly worse. Bold: the best of its column."
NO_BREAK = "\N{NO-BREAK SPACE}"
COLOURS = {1: BETTER, 0: "", -1: WORSE}


def screen_of(errors: bool = False) -> Console:
    """Return the console for what commands print: text as it is, on standard output or on standard error.

    Colours are shown on a terminal alone, and not where the environment sets NO_COLOR.
    """
    return Console(stderr=errors, highlight=False, markup=False, emoji=False)


def show_evaluation(rows: Sequence[Row], screen: Console) -> None:
    """Print the sentence on the best score, what is common to all rows, the main table, and what it means in words."""
    show_lines([headline(rows), heading(rows)], screen)
    show_grid(main_grid(rows), terminal_titles(), screen, styles_of(rows))
    if len(rows) > 1:
        show_legend(LEGEND, screen)
    show_lines(verdicts(rows), screen)


def show_legend(line: str, screen: Console) -> None:
    """Print what the colours of a table mean, where there are any."""
    if screen.is_terminal and not screen.no_color:
        show_lines([line], screen)


def show_grid(
    grid: Grid, titles: Sequence[str], screen: Console, styles: Sequence[Sequence[str]] | None = None
) -> None:
    """Print a table as wide as the screen, cell by cell in ``styles`` (of the shape of its rows) if there are any."""
    screen.print(terminal(grid, titles, screen.width, styles), crop=False)


def show_lines(lines: Iterable[str], screen: Console) -> None:
    """Print lines: on a terminal they are broken between words, elsewhere not at all."""
    for line in lines:
        for part in broken(line, screen.width) if screen.is_terminal else [line]:
            screen.print(Text(part), soft_wrap=True)


def broken(line: str, width: int) -> list[str]:
    """Return a line in parts of at most ``width`` cells; a single word may take more, and % stays by its number.

    >>> broken("a path/without/spaces stays whole", 14)
    ['a', 'path/without/spaces', 'stays whole']
    """
    first, *words = line.replace(" %", f"{NO_BREAK}%").split(" ")
    parts = [first]
    for word in words:
        longer = f"{parts[-1]} {word}"
        if cell_len(longer) <= width:
            parts[-1] = longer
        else:
            parts.append(word)
    return [part.replace(NO_BREAK, " ") for part in parts]


def styles_of(rows: Sequence[Row]) -> list[list[str]]:
    """Return how each cell of the main table looks: clearly better or worse than MCP, and the best of its column."""
    columns = [_column(name, [row.metrics[name] for row in rows], rows) for name in table_metrics()]
    delta = _column("auc", [row.delta_auc for row in rows], rows)
    return [["", *line] for line in zip(*columns, delta, strict=True)]


def _column(name: str, estimates: Sequence[Estimate], rows: Sequence[Row]) -> list[str]:
    best = _best([one["value"] for one in estimates], METRICS[name].higher_is_better)
    colours = [COLOURS[_sign(name, row)] for row in rows]
    bold = [BEST if one["value"] == best else "" for one in estimates]
    return [f"{weight} {colour}".strip() for weight, colour in zip(bold, colours, strict=True)]


def _sign(name: str, row: Row) -> int:
    difference: Difference | None = (row.vs_mcp or {}).get(name)
    return 0 if difference is None or row.name == BASELINE else clearly(METRICS[name], difference)


def _best(values: Sequence[float], higher_is_better: bool) -> float:
    """Return the best of several values; NaN, which equals none, where fewer than two are known."""
    known = [value for value in values if not math.isnan(value)]
    return math.nan if len(known) < 2 else (max if higher_is_better else min)(known)
