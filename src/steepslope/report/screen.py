"""What a report says first: one sentence on what the best score gains over MCP, and what that sentence rests on.

What `evaluate` and `demo` print: lines of words, and the main table, with colours where a person watches.
"""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from steepslope.report.evaluation import Row
from steepslope.report.grid import Grid, grid_for_terminal
from steepslope.report.sentences import evaluation_sentences, heading_sentence, headline_sentence
from steepslope.report.tables import main_table, terminal_table_titles

LEGEND = "Green: clearly better than MCP. Red: clearly worse. Bold: the best of its column."
WIDE = 10_000  # columns of a screen that has room for any table


def report_screen() -> Console:
    """Return the console for what commands print: text as it is, on standard output.

    Colours are shown on a terminal alone, and not where the environment sets NO_COLOR.
    """
    return Console(highlight=False, markup=False, emoji=False)


def show_evaluation_on_screen(rows: Sequence[Row], screen: Console) -> None:
    """Print the sentence on the best score, what is common to all rows, the main table, and what it means in words."""
    show_lines_on_screen([headline_sentence(rows), heading_sentence(rows)], screen)
    show_grid_on_screen(main_table(rows), terminal_table_titles(), screen)
    if len(rows) > 1 and screen.is_terminal and not screen.no_color:
        show_lines_on_screen([LEGEND], screen)
    show_lines_on_screen(evaluation_sentences(rows), screen)


def show_grid_on_screen(grid: Grid, titles: Sequence[str], screen: Console) -> None:
    """Print a table; no cell is broken, however narrow the screen is."""
    usual, screen.width = screen.width, WIDE
    screen.print(grid_for_terminal(grid, titles), crop=False)
    screen.width = usual


def show_lines_on_screen(lines: Iterable[str], screen: Console) -> None:
    """Print lines: on a terminal they are broken between words, elsewhere not at all."""
    for line in lines:
        screen.print(Text(line, overflow="ignore"), soft_wrap=not screen.is_terminal)
