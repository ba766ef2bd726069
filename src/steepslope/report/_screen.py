"""What a report says first: one sentence on what the best score gains over MCP, and what that sentence rests on.

What `evaluate` and `demo` print on standard output: lines of words, and the main table.
"""

import sys
from collections.abc import Iterable, Sequence
from shutil import get_terminal_size
from textwrap import fill

from steepslope.report._evaluation import Row
from steepslope.report._grid import grid_for_terminal
from steepslope.report._sentences import evaluation_sentences, heading_sentence, headline_sentence
from steepslope.report._tables import main_table, terminal_table_titles


def show_evaluation_on_screen(rows: Sequence[Row]) -> None:
    """Print the sentence on the best score, what is common to all rows, the main table, and what it means in words."""
    show_lines_on_screen([headline_sentence(rows), heading_sentence(rows)])
    print(grid_for_terminal(main_table(rows), terminal_table_titles()))
    show_lines_on_screen(evaluation_sentences(rows))


def show_lines_on_screen(lines: Iterable[str]) -> None:
    """Print lines: on a terminal they are broken between words, elsewhere not at all."""
    if sys.stdout.isatty():
        width = get_terminal_size().columns
        lines = [fill(line, width, break_long_words=False, break_on_hyphens=False) for line in lines]
    for line in lines:
        print(line)
