"""A gate at work as a figure: P(correct), the risk of the accepted, coverage, and evidence of change and harm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.files.folders import staged_folder
from steepslope.monitor.monitor import COVERAGE, RISK, Monitor
from steepslope.monitor.running_mean import UNIT, Point, RunningMean
from steepslope.report import style

Floats = NDArray[np.float64]
ENDINGS = (".png", ".svg")
PARTS = 40  # of a curve
LEAST = 100  # rows a part
PERCENT = 100
LOWEST, HIGHEST = -1.0, 2.5  # of the evidence that is shown, in what makes an alarm
P_CORRECT = "p_correct"
NAMES = {P_CORRECT: "P(correct)", "predicted": "predicted classes"}
DASHED = (0, (5, 1.5))
LINES = ((style.GREEN, ":"), (style.BLUE, "-"), (style.ORANGE, DASHED), (style.VERMILION, "-."), (style.GREY, "-"))


def require_picture(path: Path) -> None:
    """Raise unless a figure can be written to a file of this name."""
    if path.suffix.lower() not in ENDINGS:
        raise SteepslopeError(f"expected a file that ends in .png or .svg, found {str(path)!r}", "plot")
    if path.is_dir():
        raise SteepslopeError(f"expected a file to write to, found the folder {path}", "plot")


def write_plot(monitor: Monitor, path: Path) -> None:
    """Write the figure to a .png or .svg file."""
    figure = monitor_figure(monitor)
    with staged_folder(path.parent, last=path.name) as staging:
        if path.suffix.lower() == ".svg":
            (staging / path.name).write_text(style.svg(figure, "monitor"), encoding="utf-8")
        else:
            style.write_png(figure, staging / path.name)


@style.styled()
def monitor_figure(monitor: Monitor) -> Figure:
    """Draw, over the rows, means of parts of the stream, the intervals and limits of the whole, and the alarms."""
    figure = Figure(figsize=(style.PAGE_WIDTH, 4.6), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True).ravel()
    _mean(panels[0], monitor, P_CORRECT, "mean P(correct), %")
    panels[0].axhline(PERCENT * monitor.usual[P_CORRECT], color=style.GREY, linewidth=0.9)
    _mean(panels[1], monitor, RISK, "risk of the accepted, by P(correct), %")
    _labels(panels[1], monitor)
    _mean(panels[2], monitor, COVERAGE, "accepted, %")
    panels[2].axhline(PERCENT * monitor.coverage, color=style.GREY, linewidth=0.9)
    panels[2].set_ylim(0, PERCENT)
    _evidence(panels[3], monitor)
    for axes in panels:
        for row in monitor.alarms.values():
            axes.axvline(row, color=style.VERMILION, linewidth=1.2, zorder=0)
        axes.set_xlim(0, max(1, monitor.rows))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    for axes in panels[2:]:
        axes.set_xlabel("predictions")
    handles: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    style.legend_below(figure, handles)
    return figure


def _mean(axes: Axes, monitor: Monitor, name: str, title: str) -> None:
    rows, means = recent(monitor.means[name].history)
    axes.set_title(title)
    axes.step(rows, PERCENT * means, color=style.BLUE, label="of parts")
    low, high = (PERCENT * bound for bound in monitor.means[name].interval(monitor.delta))
    axes.axhspan(low, high, color=style.BLUE, alpha=0.15, linewidth=0, label="interval of the whole")


def _labels(axes: Axes, monitor: Monitor) -> None:
    rows, means = recent(monitor.labelled.history)
    if len(rows):
        order = np.argsort(rows, kind="stable")
        axes.plot(rows[order], PERCENT * means[order], "o", color=style.GREEN, label="by labels")
    if monitor.audit is not None:
        low, high = PERCENT * monitor.audit.low, PERCENT * monitor.audit.high
        axes.axhspan(low, high, color=style.GREEN, alpha=0.15, linewidth=0, label="interval by the audit")
    axes.axhline(
        PERCENT * monitor.promised, color=style.GREY, linewidth=0.9, label="promised risk, or calibration mean"
    )


def _evidence(axes: Axes, monitor: Monitor) -> None:
    axes.set_title("evidence (alarm at 1)")
    for (name, mean), (color, dashes) in zip(_watched(monitor).items(), LINES, strict=False):
        order = sorted(mean.history)
        if not order:
            continue
        shown = [min(max(point.evidence / mean.needed, LOWEST), HIGHEST) for point in order]
        axes.plot([point.row for point in order], shown, color=color, linestyle=dashes, label=f"by {name}")
    axes.axhline(1, color=style.BLACK, linestyle=DASHED, linewidth=0.9)
    axes.set_ylim(LOWEST, HIGHEST)


def _watched(monitor: Monitor) -> dict[str, RunningMean]:
    """Return what evidence there is of harm and of a change, by what people call it."""
    return {"labels": monitor.labelled, **{NAMES.get(name, name): monitor.means[name] for name in monitor.usual}}


def recent(points: Sequence[Point]) -> tuple[Floats, Floats]:
    """Return the last rows of the parts of a history, (k,), and the mean of each part, in [0, 1], (k,).

    >>> recent([Point(10, 200, 100 * UNIT, 0.0), Point(20, 400, 150 * UNIT, 0.0)])
    (array([10., 20.]), array([0.5 , 0.25]))
    """
    places = _places(points)
    rows = np.array([points[place].row for place in places], dtype=np.float64)
    counts = np.diff([0, *(points[place].n for place in places)])
    totals = np.diff([0, *(points[place].total for place in places)])
    return rows, totals / UNIT / counts


def _places(points: Sequence[Point]) -> list[int]:
    """Return which points end a part of enough rows."""
    least, found, last = max(LEAST, points[-1].n // PARTS) if points else LEAST, [], 0
    for place, point in enumerate(points):
        if point.n - last >= least:
            found.append(place)
            last = point.n
    return found
