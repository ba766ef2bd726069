"""One style for all figures: colours, lines, sizes of text, legends, and files that are the same bytes each time.

Colours are those of Okabe and Ito (2008), which people with any colour vision tell apart; lines differ in their dashes
and areas in their hatches too, so that a print without colours can be read. Sizes are for a picture as wide as the
text of a page. Matplotlib's own settings stay as they were.
"""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from PIL import Image

from steepslope.files import staged_folder

BLACK, ORANGE, SKY, GREEN = "#000000", "#e69f00", "#56b4e9", "#009e73"
YELLOW, BLUE, VERMILION, PURPLE = "#f0e442", "#0072b2", "#d55e00", "#cc79a7"
GREY = "0.45"  # of what is no result: thresholds, zero lines

LINE_COLORS = (BLUE, VERMILION, GREEN, BLACK, ORANGE, PURPLE, SKY)  # yellow lines are lost on white
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
MARKERS = ("o", "s", "^", "D", "v")

PAGE_WIDTH = 6.5  # inches
DOTS_PER_INCH = 150
POINTS_PER_INCH = 72
FONT = "DejaVu Sans"  # comes with matplotlib, so that every machine draws the same
TEXT, SMALL = 8.0, 7.0  # points: titles and names, numbers at axes
LINE_HEIGHT = 1.3 * TEXT / POINTS_PER_INCH  # inches
LETTER = 0.56 * TEXT / POINTS_PER_INCH  # inches: a little more than the mean width in most texts
BESIDE_NAME = 5 * TEXT / POINTS_PER_INCH  # inches: the sample of a line in a legend, and the gaps
SETTINGS: dict[Any, Any] = {
    "font.family": [FONT],
    "font.size": TEXT,
    "axes.titlesize": TEXT,
    "axes.labelsize": TEXT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": TEXT,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "hatch.linewidth": 0.6,
    "text.parse_math": False,  # names of scores and classes are no formulas
    "svg.fonttype": "path",
}


class Line(NamedTuple):
    """How a curve looks."""

    color: str
    dashes: Any
    marker: str


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw and write in this style inside the block, or the function, and leave matplotlib's settings as they were."""
    with rc_context(SETTINGS):
        yield


def line_looks(names: Iterable[str]) -> dict[str, Line]:
    """Return how the curve of each name looks: alike wherever it is drawn, and unlike the other names' (up to 28).

    >>> line_looks(["MCP", "SS", "MCP"])["SS"].color
    '#d55e00'
    """
    kinds = (LINE_COLORS, DASHES, MARKERS)
    unique = dict.fromkeys(names)
    return {name: Line(*(kind[index % len(kind)] for kind in kinds)) for index, name in enumerate(unique)}


def wrapped_text(text: str, inches: float) -> str:
    """Break text into lines of about this width at most, between words, or within a word that is wider by itself."""
    return textwrap.fill(text, max(1, int(inches / LETTER)), break_on_hyphens=False)


def legend_below(figure: Figure, handles: Mapping[str, Artist]) -> None:
    """Put one legend for all panels below them, in as few rows as the width of the figure has room for."""
    room = figure.get_figwidth() - 0.3
    names = [wrapped_text(name, room - BESIDE_NAME) for name in handles]
    widths = [LETTER * max(map(len, name.split("\n"))) + BESIDE_NAME for name in names]
    columns = _legend_columns(widths, room)
    figure.legend(list(handles.values()), names, loc="outside lower center", ncols=columns)


def _legend_columns(widths: list[float], room: float) -> int:
    """Return how many columns, filled one after the other as a legend does, fit into the room with fewest rows."""
    for rows in range(1, len(widths)):
        columns = -(-len(widths) // rows)
        if sum(max(column) for column in np.array_split(widths, columns)) <= room:
            return columns
    return 1


def figure_as_svg(figure: Figure, salt: str) -> str:
    """Return the figure as the text of an SVG file.

    A salt and no date make the same arrays give the same bytes; figures of different salts share no ids on one page.
    """
    buffer = StringIO()
    with figure_style(), rc_context({"svg.hashsalt": salt}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def save_figure(figure: Figure, folder: str | Path, name: str) -> list[Path]:
    """Write ``name.png`` and ``name.svg``, the same bytes for the same figure, and return their paths.

    The PNG has 150 dots an inch and at most 256 colours, which makes it small.
    """
    with staged_folder(folder, last=f"{name}.svg") as staging:
        write_png(figure, staging / f"{name}.png")
        (staging / f"{name}.svg").write_text(figure_as_svg(figure, name), encoding="utf-8")
    return [Path(folder) / f"{name}.{kind}" for kind in ("png", "svg")]


def write_png(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG of 150 dots an inch and at most 256 colours."""
    buffer = BytesIO()
    with figure_style():
        figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    with Image.open(buffer, formats=["PNG"]) as picture:
        few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(path, optimize=True, dpi=(DOTS_PER_INCH, DOTS_PER_INCH))
