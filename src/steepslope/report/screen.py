"""What a report says first: one sentence on what the best score gains over MCP, and what that sentence rests on.

What `evaluate` and `demo` print: lines of words, and the main table, with colours where a person watches.
"""

import math
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from steepslope.metrics.intervals import Difference, Estimate
from steepslope.metrics.measures import METRICS, table_metrics
from steepslope.report.confidences import BASELINE
from steepslope.report.evaluation import Row
from steepslope.report.grid import Grid, terminal
from steepslope.report.sentences import clearly, heading, headline, sentences
from steepslope.report.tables import main_grid, terminal_titles

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
    show_lines(sentences(rows), screen)


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
