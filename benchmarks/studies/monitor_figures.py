"""Two figures of the monitor on shifted Fashion-MNIST: estimates of accuracy, and what stands for harm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from steepslope.monitor import ESTIMATORS, SIGNALS
from steepslope.report.style import BLUE, GREEN, GREY, MARKERS, PAGE_WIDTH, VERMILION, legend_below, styled

Row = Mapping[str, Any]
SHOWN_RISKS = (2, 5, 10, 20, 50)  # percent
COLORS = (BLUE, VERMILION, GREEN)
TITLES = {"mean_p_correct": "mean P(correct)", "atc": "ATC", "atc_p_correct": "ATC on P(correct)", "doc": "DoC"}


@styled()
def accuracy_figure(rows: Sequence[Row], groups: Sequence[str], risk: float) -> Figure:
    """Draw estimated against true accuracy, a point a shift, a panel an estimator."""
    figure = Figure(figsize=(PAGE_WIDTH, 2.3), layout="constrained")
    panels = figure.subplots(1, len(ESTIMATORS), sharex=True, sharey=True)
    for axes, name in zip(panels, ESTIMATORS, strict=True):
        axes.set_title(TITLES[name])
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        _points(axes, rows, groups, risk, lambda row: row["accuracy"], lambda row, key=name: row["estimated"][key])
        axes.set_xlabel("accuracy")
        axes.set_aspect("equal")
    panels[0].set_ylabel("estimated")
    legend_below(figure, _handles(panels[0]))
    return figure


@styled()
def harm_figure(rows: Sequence[Row], groups: Sequence[str], risk: float) -> Figure:
    """Draw the true risk of the accepted against each signal, a point a shift, with the promise and the limits."""
    figure = Figure(figsize=(PAGE_WIDTH, 3.0), layout="constrained")
    panels = figure.subplots(1, len(SIGNALS), sharey=True)
    for axes, (name, signal) in zip(panels, SIGNALS.items(), strict=True):
        _points(axes, rows, groups, risk, lambda row, key=name: 100 * row["means"][key], lambda row: 100 * row["risk"])
        axes.axvline(100 * rows[-1]["limits"][name], color=GREY, linewidth=0.8)
        axes.axhline(100 * risk, color=GREY, linewidth=0.8)
        axes.set_xlabel(f"{signal.title}, %")
        axes.set_yscale("log")
        axes.set_yticks(SHOWN_RISKS, [f"{risk:g}" for risk in SHOWN_RISKS])
        axes.yaxis.set_minor_formatter(NullFormatter())
    panels[0].set_ylabel("risk of the accepted, %")
    legend_below(figure, _handles(panels[0]))
    return figure


def _points(axes: Axes, rows: Sequence[Row], groups: Sequence[str], risk: float, x: Any, y: Any) -> None:
    for group, color, marker in zip(groups, COLORS, MARKERS, strict=False):
        some = [row for row in rows if row["group"] == group and row["max_risk"] == risk and row["accepted"]]
        axes.plot([x(row) for row in some], [y(row) for row in some], marker, color=color, markersize=3, label=group,
                  fillstyle="none")  # fmt: skip


def _handles(axes: Axes) -> dict[str, Any]:
    handles, labels = axes.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))
