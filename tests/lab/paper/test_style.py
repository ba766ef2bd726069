"""Figures in one style: the same bytes each time, names apart, and matplotlib as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from steepslope_lab.paper import style
from steepslope_lab.paper.style import LETTER, figure_style, legend_below, line_looks, save_figure, wrapped_text
from tests.lab.paper.readable import LONG, assert_readable, texts


@figure_style()
def picture(names: int = 3) -> Figure:
    figure = Figure(figsize=(style.PAGE_WIDTH, 3), layout="constrained")
    axes = figure.add_subplot()
    handles: dict[str, Artist] = {}
    for name, look in line_looks(f"score {index}" for index in range(names)).items():
        (handles[name],) = axes.plot(np.random.default_rng(0).random(9), color=look.color, linestyle=look.dashes)
    axes.set(title="costs 5 $ to 10 $", xlabel="coverage (%)")
    legend_below(figure, handles)
    return figure


def test_files_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    before, figure = dict(rcParams), picture()
    paths = [save_figure(one, tmp_path / f"{index}", "curves") for index, one in enumerate((figure, figure, picture()))]
    assert paths[0] == [tmp_path / "0" / "curves.png", tmp_path / "0" / "curves.svg"]
    first, *others = [[path.read_bytes() for path in pair] for pair in paths]
    assert others == [first, first]
    assert sorted(path.name for path in (tmp_path / "0").iterdir()) == ["curves.png", "curves.svg"]
    assert dict(rcParams) == before  # settings of matplotlib stay as they were
    with figure_style():
        assert rcParams["font.size"] == style.TEXT != before["font.size"]


def test_a_name_is_no_formula() -> None:
    figure = picture()
    assert "costs 5 $ to 10 $" in [text.get_text() for text in texts(figure)]
    with figure_style():
        figure.draw_without_rendering()
    assert not figure.axes[0].title.get_parse_math()


def test_28_names_look_different() -> None:
    looks = line_looks(map(str, range(28)))
    assert len({(look.color, str(look.dashes)) for look in looks.values()}) == 28
    neighbours = list(looks.values())[:4]
    assert len({look.color for look in neighbours}) == len({look.marker for look in neighbours}) == 4
    assert len({str(look.dashes) for look in neighbours}) == 4


def test_a_no_break_space_is_none_to_break_at() -> None:
    """A star stays beside the name that it marks, though the line before it has room for all but the star."""
    text = "late fused,\N{NO-BREAK SPACE}free\N{NO-BREAK SPACE}*"
    assert wrapped_text(text, LETTER * (len(text) - 1)) == text.replace(" ", "\n")


SHORT, LINE = "MCP", "fused, auxiliary, steep slope"


@pytest.mark.parametrize(
    ("names", "columns"),
    [([SHORT], 1), ([SHORT] * 4, 4), ([SHORT] * 28, None), ([SHORT] * 5 + [LINE] * 2, 3), ([LINE] * 4, 2),
     ([LONG] * 3, 1), ([f"{LONG}: {LONG}"] * 3, 1)],
)  # fmt: skip
def test_a_legend_fits_below_in_as_few_rows_as_its_names_allow(names: list[str], columns: int | None) -> None:
    figure = picture(1)
    (line,) = figure.axes[0].lines
    figure.legends.clear()
    with figure_style():
        legend_below(figure, {f"{name} {index}": line for index, name in enumerate(names)})
    assert_readable(figure)
    assert len(figure.legends[0].get_texts()) == len(names)
    assert columns in (None, figure.legends[0]._ncols)  # type: ignore[attr-defined]
