"""What every figure must be: nothing over another, nothing cut off, nothing too small to read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from steepslope_lab.paper.style import SMALL, figure_style

LONG = "an oracle with EfficientNet-Lite0, cut at the same cost, on a_name_without_any_blank_in_it_at_all"


def assert_readable(figure: Figure) -> None:
    """Fail if a text is smaller than 7 points, is cut off, or overlaps another."""
    with figure_style():
        figure.draw_without_rendering()
        renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
        boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts(figure)]
    assert boxes
    assert min(float(text.get_fontsize()) for text in texts(figure)) >= SMALL
    width, height = figure.bbox.size
    for text, box in boxes:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text
    for (first, one), (second, other) in combinations(boxes, 2):
        assert not one.overlaps(other), (first, second)


def texts(figure: Figure) -> list[Text]:
    """Return all texts of a figure that are shown."""
    found = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    found += [text for axes in figure.axes for text in _of_axes(axes)]
    return [text for text in found if text.get_visible() and text.get_text()]


def _of_axes(axes: Axes) -> Iterator[Text]:
    yield from (axes.title, *axes.texts)
    for axis in (axes.xaxis, axes.yaxis):
        yield from (axis.label, axis.get_offset_text())
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if low <= tick.get_loc() <= high:
                yield tick.label1
